//! An authenticator in software: what makes passkeys and signs with them (Web Authentication §6), written apart from what the server
//! checks them with. It does what it is told, so it can lie about everything.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::agent::Answer;
use crate::markup::Form;
use crate::visitor::{Visitor, the_form};

/// Where passkeys are looked after.
pub const PASSKEYS: &str = "/account/security/passkeys";

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const BACKUP_ELIGIBLE: u8 = 0x08;
const BACKED_UP: u8 = 0x10;
const WITH_KEY: u8 = 0x40;

/// How an authenticator answers: by default as an honest one does.
#[derive(Clone, Debug)]
pub struct Manner {
    /// The origin of the page, where it is not the one that asks.
    pub origin: Option<String>,
    /// The domain that the passkey is for, where it is not the one that asks.
    pub domain: Option<String>,
    /// What is signed in the place of what was asked.
    pub challenge: Option<String>,
    /// Whether the owner unlocked it.
    pub is_verified: bool,
    /// Whether another page stands between.
    pub is_framed: bool,
    /// Whether there are copies of it.
    pub is_backed_up: bool,
    /// The account that it is for, where it is not the one that it was made for.
    pub handle: Option<Vec<u8>>,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            origin: None,
            domain: None,
            challenge: None,
            is_verified: true,
            is_framed: false,
            is_backed_up: false,
            handle: None,
        }
    }
}

/// A passkey.
pub struct Passkey {
    key: EcdsaKeyPair,
    id: Vec<u8>,
    handle: Vec<u8>,
    domain: String,
    is_backed_up: bool,
    /// How many signatures it made; an authenticator that does not count leaves it at 0.
    pub signatures: u32,
}

impl Passkey {
    /// Makes one for what a server asks, and gives its answer.
    ///
    /// # Panics
    ///
    /// When nothing is asked.
    pub fn make(question: &Value, origin: &str, manner: &Manner) -> (Self, Value) {
        let options = &question["options"];
        let random = SystemRandom::new();
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).expect("a key is made");
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref());
        let mut id = vec![0; 32];
        random.fill(&mut id).expect("there is randomness");
        let passkey = Self {
            key: key.expect("a key that was made can be read"),
            id,
            handle: decoded(options.pointer("/user/id").expect("somebody is named")),
            domain: options.pointer("/rp/id").and_then(Value::as_str).expect("a domain asks").to_owned(),
            is_backed_up: manner.is_backed_up,
            signatures: 0,
        };
        let answer = passkey.created(options, origin, manner);
        (passkey, answer)
    }

    /// Answers to what a server asks once more, as if it were another.
    ///
    /// # Panics
    ///
    /// When its name is longer than any.
    pub fn created(&self, options: &Value, origin: &str, manner: &Manner) -> Value {
        let client = client_data("webauthn.create", options, origin, manner);
        let said = [self.said(manner, WITH_KEY), self.attested()].concat();
        // {"fmt": "none", "attStmt": {}, "authData": h'..'} (§8.7)
        let length = u16::try_from(said.len()).expect("it is short").to_be_bytes();
        let object =
            [b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59".as_slice(), &length, &said].concat();
        json!({
            "id": encoded(&self.id), "rawId": encoded(&self.id), "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": encoded(&client),
                "attestationObject": encoded(&object),
                "authenticatorData": encoded(&said),
                "transports": ["internal"],
            },
        })
    }

    /// Signs what a server asks.
    ///
    /// # Panics
    ///
    /// When nothing is asked.
    pub fn sign(&self, question: &Value, origin: &str, manner: &Manner) -> Value {
        let client = client_data("webauthn.get", &question["options"], origin, manner);
        let said = self.said(manner, 0);
        let message = [said.as_slice(), digest(&SHA256, &client).as_ref()].concat();
        let signature = self.key.sign(&SystemRandom::new(), &message).expect("a key signs");
        json!({
            "id": encoded(&self.id), "rawId": encoded(&self.id), "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": encoded(&client),
                "authenticatorData": encoded(&said),
                "signature": encoded(signature.as_ref()),
                "userHandle": encoded(manner.handle.as_ref().unwrap_or(&self.handle)),
            },
        })
    }

    /// Makes one for the account that signed in to this browser just now, and adds it.
    ///
    /// # Panics
    ///
    /// When it cannot be added.
    pub async fn add(visitor: &mut Visitor, origin: &str) -> Self {
        let page = visitor.open(PASSKEYS).await;
        let question = visitor.passkey_question(&page).await;
        let (passkey, answer) = Self::make(&question, origin, &Manner::default());
        let done = visitor.give_passkey(&page, &question, &answer).await;
        assert_eq!(done.header("location"), "/account/security/passkeys?notice=added", "{}", done.text());
        passkey
    }

    /// The name by which servers know it.
    pub fn known_as(&self) -> String {
        encoded(&self.id)
    }

    /// Whose it is (§5.4.3).
    pub fn handle(&self) -> &[u8] {
        &self.handle
    }

    /// What it says of itself (§6.1).
    fn said(&self, manner: &Manner, more: u8) -> Vec<u8> {
        let mut flags = PRESENT | more;
        for (is_so, flag) in
            [(manner.is_verified, VERIFIED), (self.is_backed_up, BACKUP_ELIGIBLE | BACKED_UP)]
        {
            flags |= if is_so { flag } else { 0 };
        }
        let domain = manner.domain.as_ref().unwrap_or(&self.domain);
        let domain = digest(&SHA256, domain.as_bytes());
        [domain.as_ref(), &[flags], &self.signatures.to_be_bytes()].concat()
    }

    /// The key, after a model that nobody knows (§6.5.1), as COSE writes it (RFC 9053 §7.1).
    fn attested(&self) -> Vec<u8> {
        let point = self.key.public_key().as_ref();
        let (x, y) = (point.get(1..33).expect("a point has an x"), point.get(33..65).expect("and a y"));
        let length = u16::try_from(self.id.len()).expect("it is short").to_be_bytes();
        let key = [b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20".as_slice(), x, b"\x22\x58\x20", y].concat();
        [&[0; 16], length.as_slice(), &self.id, &key].concat()
    }
}

impl Visitor {
    /// What the script of a page asks the server.
    ///
    /// # Panics
    ///
    /// When it is not told.
    pub async fn passkey_question(&mut self, page: &Answer) -> Value {
        let asked = self.ask_for_passkey(page).await;
        assert_eq!(asked.status, 200, "{}", asked.text());
        asked.json()
    }

    /// The same, whatever the answer is.
    pub async fn ask_for_passkey(&mut self, page: &Answer) -> Answer {
        let form = the_form(page, "passkey");
        let action = format!("{}/options", form.action);
        self.submit(&Form { action, ..form }).await
    }

    /// Sends what an authenticator answered, as the script of the page does.
    pub async fn give_passkey(&mut self, page: &Answer, question: &Value, answer: &Value) -> Answer {
        self.submit(&passkey_form(page, question, &answer.to_string())).await
    }

    /// Opens the sign-in page and signs in with a passkey. A redirect is not followed.
    pub async fn show_passkey(&mut self, passkey: &Passkey, origin: &str, manner: &Manner) -> Answer {
        let page = self.open("/login").await;
        let question = self.passkey_question(&page).await;
        let answer = passkey.sign(&question, origin, manner);
        self.give_passkey(&page, &question, &answer).await
    }
}

/// The form that a script sends.
///
/// # Panics
///
/// When nothing was asked.
pub fn passkey_form(page: &Answer, question: &Value, answer: &str) -> Form {
    let challenge = question["challenge"].as_str().expect("what is asked has a name");
    the_form(page, "passkey").with("challenge", challenge).with("credential", answer)
}

/// What the browser adds (§5.8.1).
fn client_data(kind: &str, options: &Value, origin: &str, manner: &Manner) -> Vec<u8> {
    let challenge = manner.challenge.as_deref().or_else(|| options["challenge"].as_str());
    let origin = manner.origin.as_deref().unwrap_or(origin);
    let data = json!({
        "type": kind, "challenge": challenge.expect("something is asked"), "origin": origin,
        "crossOrigin": manner.is_framed,
    });
    data.to_string().into_bytes()
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decoded(text: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text.as_str().expect("a text")).expect("bytes as base64url")
}
