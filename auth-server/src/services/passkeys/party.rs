//! This server as the relying party of passkeys: what it asks of authenticators, and what it takes as an answer.

use std::sync::Arc;

use aws_lc_rs::hmac;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;
use url::Url;
use uuid::Uuid;
use webauthn_rs::prelude::{
    CreationChallengeResponse, DiscoverableAuthentication, Passkey, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, WebauthnError,
};
use webauthn_rs::{Webauthn, WebauthnBuilder};

use crate::domain::ids::UserId;
use crate::domain::issuer::Issuer;
use crate::domain::secret::Digest32;
use crate::domain::user::User;
use crate::keys::seal::Sealer;
use crate::storage::{StoreError, passkeys};

/// Bytes of an answer at most: what an authenticator says of a passkey is a tenth of that.
const LONGEST: usize = 16 * 1024;
/// What the names are made with by which authenticators know accounts.
const HANDLES: &str = "passkey handles";

/// Why an answer is refused. Nobody is told more than that it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadAnswer {
    /// It counts fewer signatures than the last one: there are two of a key that may not be copied.
    #[error("the passkey counts fewer signatures than before")]
    Copied,
    /// What is kept of the passkey cannot be read.
    #[error(transparent)]
    Kept(StoreError),
    /// It is no answer of an authenticator.
    #[error("no authenticator answers so")]
    Malformed,
    /// It is one, and proves nothing.
    #[error("the answer proves nothing: {0}")]
    Refused(#[source] WebauthnError),
}

/// Asks authenticators, and checks what they answer.
#[derive(Clone)]
pub(crate) struct RelyingParty {
    /// Nothing where the server goes by an address: browsers make passkeys for names alone.
    webauthn: Option<Arc<Webauthn>>,
    name: Arc<str>,
    handles: Arc<hmac::Key>,
}

impl RelyingParty {
    pub(crate) fn new(issuer: &Issuer, sealer: &Sealer) -> Self {
        let origin = Url::parse(issuer.origin()).ok();
        let builder = origin.as_ref().and_then(|origin| WebauthnBuilder::new(issuer.host(), origin).ok());
        let webauthn = builder.and_then(|builder| builder.timeout(super::PATIENCE).build().ok());
        let handles = hmac::Key::new(hmac::HMAC_SHA256, &sealer.derive(HANDLES));
        Self { webauthn: webauthn.map(Arc::new), name: Arc::from(issuer.host()), handles: Arc::new(handles) }
    }

    /// Whether anybody can have passkeys.
    pub(crate) const fn is_on(&self) -> bool {
        self.webauthn.is_some()
    }

    /// The name for which browsers make passkeys.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// By what authenticators know an account: it tells nothing of it, and stays the same. Its second half says that this server made it.
    pub(crate) fn handle(&self, user: &UserId) -> Uuid {
        let first = self.half(&[b"account", user.as_str().as_bytes()]);
        let second = self.half(&[b"made here", &first]);
        Uuid::from_u64_pair(u64::from_be_bytes(first), u64::from_be_bytes(second))
    }

    /// Whether a passkey was made for an account of this server. Others may have passkeys at the same host, which are none of its business.
    pub(crate) fn is_of(&self, Shown(answer): &Shown) -> bool {
        let handle = answer.get_user_unique_id().and_then(|handle| Uuid::from_slice(handle).ok());
        handle.is_some_and(|handle| {
            let (first, second) = handle.as_u64_pair();
            let expected = self.half(&[b"made here", &first.to_be_bytes()]);
            bool::from(expected.ct_eq(&second.to_be_bytes()))
        })
    }

    fn half(&self, parts: &[&[u8]]) -> [u8; 8] {
        let tag = hmac::sign(&self.handles, &parts.join(&0));
        tag.as_ref().first_chunk().copied().unwrap_or_default()
    }

    /// Asks for a passkey of whoever has one.
    pub(crate) fn invite(&self) -> Option<(Value, DiscoverableAuthentication)> {
        let (mut asked, state) = self.webauthn.as_ref()?.start_discoverable_authentication().ok()?;
        asked.public_key.extensions = None;
        Some((serde_json::to_value(asked.public_key).ok()?, state))
    }

    /// Asks for a new passkey of somebody, from an authenticator that holds none of those that the account has.
    pub(super) fn offer(
        &self,
        user: &User,
        owned: &[passkeys::Passkey],
    ) -> Result<Option<(Value, PasskeyRegistration)>, StoreError> {
        let Some(webauthn) = &self.webauthn else { return Ok(None) };
        let owned: Vec<_> = owned.iter().map(key_of).collect::<Result<_, _>>()?;
        let excluded = owned.iter().map(|key: &Passkey| key.cred_id().clone()).collect();
        let (called, shown) = (user.username.as_str(), display_name(user));
        let started =
            webauthn.start_passkey_registration(self.handle(&user.id), called, shown, Some(excluded));
        let asked = started.ok().and_then(|(asked, state)| Some((discoverable(&asked)?, state)));
        Ok(asked)
    }

    /// What a new passkey is, if the answer fits what was asked.
    pub(super) fn made(&self, answer: &str, state: &PasskeyRegistration) -> Result<Made, BadAnswer> {
        let webauthn = self.webauthn.as_ref().ok_or(BadAnswer::Malformed)?;
        let answer: RegisterPublicKeyCredential = read(answer)?;
        let key = webauthn.finish_passkey_registration(&answer, state).map_err(told)?;
        let digest = Digest32::of(key.cred_id());
        let kept = serde_json::to_value(&key).map_err(|_| BadAnswer::Malformed)?;
        let facts = Facts::of(&kept).ok_or(BadAnswer::Malformed)?;
        Ok(Made { credential: kept.to_string(), digest, facts })
    }
}

/// A sign-in that was asked for.
impl RelyingParty {
    /// Reads an answer, as far as that says which passkey it is of.
    pub(crate) fn read(answer: &str) -> Result<Shown, BadAnswer> {
        let answer: PublicKeyCredential = read(answer)?;
        let said: Value =
            serde_json::from_slice(&answer.response.client_data_json).map_err(|_| BadAnswer::Malformed)?;
        // The library asks this of a new passkey alone (Web Authentication §7.2).
        if said.get("crossOrigin").and_then(Value::as_bool) == Some(true) {
            return Err(BadAnswer::Refused(WebauthnError::CredentialCrossOrigin));
        }
        Ok(Shown(answer))
    }

    /// Checks an answer with the passkey that it is of. Gives the passkey as it is from now on, but for when it was used.
    pub(crate) fn check(
        &self,
        Shown(answer): &Shown,
        state: DiscoverableAuthentication,
        kept: &passkeys::Passkey,
    ) -> Result<(passkeys::Passkey, bool), BadAnswer> {
        let webauthn = self.webauthn.as_ref().ok_or(BadAnswer::Malformed)?;
        let handle = answer.get_user_unique_id();
        if handle != Some(self.handle(&kept.user).as_bytes().as_slice()) {
            return Err(BadAnswer::Refused(WebauthnError::InvalidUserUniqueId));
        }
        let mut key = key_of(kept).map_err(BadAnswer::Kept)?;
        let result = webauthn.finish_discoverable_authentication_v2(answer, state, &key).map_err(told)?;
        if !result.user_verified() {
            return Err(BadAnswer::Refused(WebauthnError::UserNotVerified));
        }
        key.update_credential(&result);
        let credential = serde_json::to_string(&key).map_err(|_| BadAnswer::Malformed)?;
        let used = passkeys::Passkey { credential, signatures: result.counter(), ..kept.clone() };
        Ok((used, result.backup_state()))
    }
}

/// The answer of somebody who has a passkey, not checked yet.
pub(crate) struct Shown(PublicKeyCredential);

impl Shown {
    /// By what the passkey is known here.
    pub(crate) fn digest(&self) -> Digest32 {
        Digest32::of(self.0.get_credential_id())
    }
}

/// A new passkey.
pub(super) struct Made {
    pub(super) credential: String,
    pub(super) digest: Digest32,
    pub(super) facts: Facts,
}

/// What is told of a passkey beside its key.
pub(super) struct Facts {
    pub(super) signatures: u32,
    pub(super) is_backed_up: bool,
}

impl Facts {
    /// The library shows them in what it writes alone.
    fn of(kept: &Value) -> Option<Self> {
        let kept = kept.get("cred")?;
        Some(Self {
            signatures: u32::try_from(kept.get("counter")?.as_u64()?).ok()?,
            is_backed_up: kept.get("backup_state")?.as_bool()?,
        })
    }
}

/// The name by which a browser names a passkey, for what it is told of those that an account has.
pub(super) fn credential_id(kept: &passkeys::Passkey) -> Result<Vec<u8>, StoreError> {
    Ok(key_of(kept)?.cred_id().clone())
}

/// What people see beside the name that they type.
pub(crate) fn display_name(user: &User) -> &str {
    if user.name.is_empty() { user.username.as_str() } else { &user.name }
}

fn key_of(kept: &passkeys::Passkey) -> Result<Passkey, StoreError> {
    serde_json::from_str(&kept.credential)
        .map_err(|_| StoreError::Corrupt { what: "passkeys.credential".to_owned() })
}

/// The library asks for a passkey that needs a user name; this one must not.
fn discoverable(asked: &CreationChallengeResponse) -> Option<Value> {
    let mut options = serde_json::to_value(&asked.public_key).ok()?;
    let selection = options.get_mut("authenticatorSelection")?.as_object_mut()?;
    selection.insert("residentKey".to_owned(), json!("required"));
    selection.insert("requireResidentKey".to_owned(), json!(true));
    Some(options)
}

fn read<T: DeserializeOwned>(answer: &str) -> Result<T, BadAnswer> {
    if answer.len() > LONGEST {
        return Err(BadAnswer::Malformed);
    }
    serde_json::from_str(answer).map_err(|_| BadAnswer::Malformed)
}

fn told(error: WebauthnError) -> BadAnswer {
    match error {
        WebauthnError::CredentialPossibleCompromise => BadAnswer::Copied,
        WebauthnError::ParseBase64Failure(_)
        | WebauthnError::ParseCBORFailure(_)
        | WebauthnError::ParseInsufficientBytesAvailable
        | WebauthnError::ParseJSONFailure(_)
        | WebauthnError::ParseNOMFailure => BadAnswer::Malformed,
        // The rest is what an authenticator may say, and what is not taken: the list of the library is long, and grows.
        other => BadAnswer::Refused(other),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use rstest::rstest;

    use super::*;
    use crate::domain::clock::Timestamp;
    use crate::domain::ids::PasskeyId;
    use crate::domain::secret::Entropy;
    use crate::keys::master::MasterKey;

    fn party_of(issuer: &str, seed: u64) -> RelyingParty {
        let master = MasterKey::generate(&Entropy::seeded(seed));
        let sealer = Sealer::from_master(&master, Entropy::seeded(seed));
        RelyingParty::new(&Issuer::parse(issuer).unwrap(), &sealer)
    }

    /// A party for tests.
    pub(crate) fn party() -> RelyingParty {
        party_of("https://id.example.com/realm", 1)
    }

    #[rstest]
    #[case("https://id.example.com/realm", true)]
    #[case("http://localhost:8080", true)]
    #[case("https://192.0.2.1", false)]
    #[case("http://[::1]:8080", false)]
    fn browsers_make_passkeys_for_names_and_not_for_addresses(#[case] issuer: &str, #[case] is_on: bool) {
        assert_eq!(party_of(issuer, 1).is_on(), is_on);
        assert_eq!(party_of(issuer, 1).invite().is_some(), is_on);
    }

    #[test]
    fn an_account_is_known_by_what_tells_nothing_of_it_and_stays_the_same() {
        let entropy = Entropy::seeded(1);
        let [ada, bob] = [1, 2].map(|secs| UserId::generate(Timestamp::from_secs(secs), &entropy));
        assert_eq!(party().handle(&ada), party().handle(&ada));
        assert_ne!(party().handle(&ada), party().handle(&bob));
        let other = party_of("https://id.example.com", 2);
        assert_ne!(party().handle(&ada), other.handle(&ada), "another key");
    }

    /// What an authenticator may answer that keeps a passkey for this handle.
    fn shown(handle: Uuid) -> Shown {
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let client = json!({ "type": "webauthn.get", "challenge": "AA", "origin": "https://id.example.com" });
        let answer = json!({
            "id": "AAAA", "rawId": "AAAA", "type": "public-key", "extensions": {},
            "response": {
                "authenticatorData": encoded(&[0; 37]),
                "clientDataJSON": encoded(client.to_string().as_bytes()),
                "signature": "AA",
                "userHandle": encoded(handle.as_bytes()),
            },
        });
        RelyingParty::read(&answer.to_string()).unwrap()
    }

    #[test]
    fn a_passkey_says_whether_it_was_made_here() {
        let ada = UserId::generate(Timestamp::from_secs(1), &Entropy::seeded(1));
        assert!(party().is_of(&shown(party().handle(&ada))));
        let elsewhere = party_of("https://id.example.com/b", 2).handle(&ada);
        for other in [elsewhere, Uuid::nil(), Uuid::max()] {
            assert!(!party().is_of(&shown(other)), "{other}");
        }
    }

    #[test]
    fn a_passkey_that_cannot_be_read_is_a_fault_and_no_wrong_answer() {
        let entropy = Entropy::seeded(1);
        let now = Timestamp::from_secs(1);
        let kept = passkeys::Passkey {
            id: PasskeyId::generate(now, &entropy),
            user: UserId::generate(now, &entropy),
            credential: "{}".to_owned(),
            name: "Key ring".to_owned(),
            signatures: 0,
            created_at: now,
            last_used_at: None,
            backed_up_at: None,
        };
        let (_, state) = party().invite().unwrap();
        let checked = party().check(&shown(party().handle(&kept.user)), state, &kept);
        assert!(matches!(checked, Err(BadAnswer::Kept(StoreError::Corrupt { .. }))), "{checked:?}");
    }

    #[test]
    fn whoever_has_a_passkey_is_asked_to_unlock_it_and_nobody_is_named() {
        let (options, _) = party().invite().unwrap();
        assert_eq!(options["rpId"], "id.example.com");
        assert_eq!(options["userVerification"], "required");
        assert_eq!(options["allowCredentials"], json!([]));
        let length = options["challenge"].as_str().unwrap().len();
        assert!(length >= 43, "{length}");
    }
}
