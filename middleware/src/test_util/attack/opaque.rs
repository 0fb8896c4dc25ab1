//! Opaque tokens of which the issuer says what no service may believe.

use serde_json::{Value, json};

use crate::introspection::SIGNED;
use crate::test_util::issuer::Issuer;
use crate::test_util::keys::{SigningKey, insert};
use crate::test_util::register::{Said, described};

const JSON: &str = "application/json";
const SIGNED_MEDIA: &str = "application/token-introspection+jwt";

/// What is tried, and the token to try it with.
pub(super) fn attacks(issuer: &Issuer, token: &str) -> Vec<(String, String)> {
    let good = Good::read(issuer, token);
    let plain = good.standings().into_iter().chain(good.claims()).chain(good.bodies());
    let all = plain.chain(good.envelopes()).chain(good.signatures());
    all.map(|(name, media, body)| {
        let token = issuer.next_opaque();
        issuer.register().know(&token, Said::Verbatim { media, body });
        (format!("a token {name}"), token)
    })
    .chain(shapes(token))
    .collect()
}

type Odd = (String, &'static str, String);

/// What the issuer says of the good token, and to whom.
struct Good<'a> {
    issuer: &'a Issuer,
    client_id: String,
    answer: Value,
    now: u64,
}

impl<'a> Good<'a> {
    /// # Panics
    ///
    /// When the token of the target is not an opaque one that the service has asked about.
    fn read(issuer: &'a Issuer, token: &str) -> Self {
        let register = issuer.register();
        let claims = register.claims(token).expect("the token of the target is one of the issuer's");
        let client_id = register.asker().expect("the service asks the issuer about the token");
        Self { issuer, client_id, answer: described(claims), now: issuer.now() }
    }

    fn with(&self, name: &str, value: Value) -> String {
        let mut answer = self.answer.clone();
        insert(&mut answer, name, value);
        answer.to_string()
    }

    fn without(&self, name: &str) -> String {
        let mut answer = self.answer.clone();
        answer.as_object_mut().map(|members| members.remove(name));
        answer.to_string()
    }

    fn standings(&self) -> Vec<Odd> {
        let mut all = vec![
            ("that is not active", json!({ "active": false }).to_string()),
            ("that is not active, with claims", self.with("active", json!(false))),
            ("without active", self.without("active")),
            ("that is active twice", self.answer.to_string().replacen('{', r#"{"active":false,"#, 1)),
        ];
        for (name, value) in [
            ("whose active is a text", json!("true")),
            ("whose active is a number", json!(1)),
            ("whose active is null", json!(null)),
            ("whose active is a list", json!([true])),
        ] {
            all.push((name, self.with("active", value)));
        }
        all.into_iter().map(|(name, body)| (name.to_owned(), JSON, body)).collect()
    }

    fn claims(&self) -> Vec<Odd> {
        let now = self.now;
        let mut all = Vec::new();
        for name in ["aud", "sub", "client_id", "exp", "iat", "token_type"] {
            all.push((format!("without {name}"), JSON, self.without(name)));
            all.push((format!("with {name} null"), JSON, self.with(name, Value::Null)));
        }
        for (name, value) in [
            ("aud", json!("https://other.test")),
            ("aud", json!([])),
            ("aud", json!(1)),
            ("iss", json!("https://evil.test")),
            ("iss", json!(["https://evil.test"])),
            ("sub", json!("")),
            ("client_id", json!(1)),
            ("exp", json!(now.saturating_sub(3_600))),
            ("exp", json!("tomorrow")),
            ("exp", json!(now + 10 * 86_400)),
            ("nbf", json!(now + 3_600)),
            ("iat", json!(now + 3_600)),
            ("token_type", json!("refresh_token")),
            ("token_type", json!("N_A")),
            ("token_type", json!("DPoP")),
            ("typ", json!("Refresh")),
            ("typ", json!("ID")),
            ("token_use", json!("refresh_token")),
            ("token_use", json!("id")),
            ("cnf", json!({ "jkt": "AAAA" })),
            ("cnf", json!({ "x5t#S256": "AAAA" })),
            ("cnf", json!({ "kid": "unknown" })),
            ("cnf", json!("AAAA")),
            ("scope", json!(["a"])),
            ("roles", json!("admin")),
        ] {
            all.push((format!("with {name} {value}"), JSON, self.with(name, value)));
        }
        all
    }

    fn bodies(&self) -> Vec<Odd> {
        let good = self.answer.to_string();
        [
            ("of which nothing is said", JSON, String::new()),
            ("of which null is said", JSON, "null".to_owned()),
            ("of which true is said", JSON, "true".to_owned()),
            ("whose answer is a list", JSON, format!("[{good}]")),
            ("whose answer is cut short", JSON, good.get(..good.len() - 1).unwrap_or_default().to_owned()),
            ("whose answer goes on", JSON, format!("{good}{{}}")),
            ("whose answer is too long", JSON, self.with("pad", "x".repeat(1 << 20).into())),
            ("whose answer is a page", "text/html", good.clone()),
            ("whose answer has no type", "", good.clone()),
            ("whose answer is plain and called signed", SIGNED_MEDIA, good),
            ("whose answer is signed and called plain", JSON, self.signed(|_, _| ())),
        ]
        .map(|(name, media, body)| (name.to_owned(), media, body))
        .into()
    }

    /// An answer that is signed, but for what changes its header and its claims.
    fn signed(&self, change: impl FnOnce(&mut Value, &mut Value)) -> String {
        let (header, claims) = self.envelope(change);
        self.issuer.sign(&header.to_string(), claims.to_string().as_bytes())
    }

    fn envelope(&self, change: impl FnOnce(&mut Value, &mut Value)) -> (Value, Value) {
        let mut header = json!({ "alg": "ES256", "typ": SIGNED, "kid": self.issuer.kid() });
        let mut claims = json!({
            "iss": self.issuer.url(), "aud": self.client_id, "iat": self.now,
            "token_introspection": self.answer,
        });
        change(&mut header, &mut claims);
        (header, claims)
    }

    fn envelopes(&self) -> Vec<Odd> {
        let mut all = Vec::new();
        for (name, value) in [
            ("aud", json!("another-client")),
            ("aud", json!([])),
            ("iss", json!("https://evil.test")),
            ("iat", json!(self.now.saturating_sub(3_600))),
            ("iat", json!(self.now + 3_600)),
            ("iat", json!("now")),
            ("exp", json!(self.now.saturating_sub(3_600))),
            ("token_introspection", json!({ "active": false })),
            ("token_introspection", json!({})),
            ("token_introspection", json!(self.answer.to_string())),
            ("token_introspection", json!([self.answer])),
        ] {
            let shown: String = value.to_string().chars().take(40).collect();
            all.push((
                format!("whose signed answer has {name} {shown}"),
                self.signed(|_, claims| insert(claims, name, value)),
            ));
        }
        for name in ["aud", "iss", "iat", "token_introspection"] {
            let without = self.signed(|_, claims| {
                claims.as_object_mut().map(|members| members.remove(name));
            });
            all.push((format!("whose signed answer lacks {name}"), without));
        }
        let outside = self.signed(|_, claims| {
            let answer = self.answer.as_object().cloned().unwrap_or_default();
            answer.into_iter().for_each(|(name, value)| insert(claims, &name, value));
            insert(claims, "aud", self.client_id.as_str().into());
            insert(claims, "token_introspection", json!({ "active": false }));
        });
        all.push(("whose signed answer says it in the wrong place".to_owned(), outside));
        all.into_iter().map(|(name, body)| (name, SIGNED_MEDIA, body)).collect()
    }

    fn signatures(&self) -> Vec<Odd> {
        let mut all = Vec::new();
        for (name, value) in [
            ("typ", json!("JWT")),
            ("typ", json!("at+jwt")),
            ("typ", json!(null)),
            ("alg", json!("none")),
            ("alg", json!("HS256")),
            ("kid", json!("unknown")),
            ("crit", json!(["exp"])),
            ("jku", json!("http://127.0.0.1:9/jwks")),
        ] {
            all.push((
                format!("whose signed answer has the header {name} {value}"),
                self.signed(|header, _| insert(header, name, value)),
            ));
        }
        let good = self.signed(|_, _| ());
        let signed = good.rsplit_once('.').map_or("", |(signed, _)| signed);
        all.push(("whose answer has lost its signature".to_owned(), format!("{signed}.")));
        all.push(("whose signed answer is cut short".to_owned(), signed.to_owned()));
        let (header, claims) = self.envelope(|_, _| ());
        let stranger = SigningKey::new(self.issuer.kid());
        all.push((
            "whose answer a stranger signed".to_owned(),
            stranger.sign(&header.to_string(), claims.to_string().as_bytes()),
        ));
        all.into_iter().map(|(name, body)| (name, SIGNED_MEDIA, body)).collect()
    }
}

/// Tokens that nobody should have to be asked about.
fn shapes(token: &str) -> Vec<(String, String)> {
    [
        ("that nobody knows", "opaque-unknown".to_owned()),
        ("that is too long", "x".repeat(64 << 10)),
        ("with a quote", format!("{token}\"")),
        ("with another parameter", format!("{token}&token={token}")),
        ("with a letter more", format!("{token}x")),
        ("cut short", token.get(..token.len() - 1).unwrap_or_default().to_owned()),
        ("in capitals", token.to_uppercase()),
        ("with padding", format!("{token}=")),
    ]
    .map(|(name, token)| (format!("a token {name}"), token))
    .into()
}
