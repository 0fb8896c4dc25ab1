//! Tokens that are not good, each for one reason.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::target::{Attempt, Target};
use crate::test_util::issuer::Issuer;
use crate::test_util::keys::{SigningKey, encoded, insert};

pub(super) fn attacks(issuer: &Issuer, target: &Target) -> Vec<(String, Attempt)> {
    let good = Good::read(issuer, &target.token);
    let mut all = good.shapes();
    all.extend(good.headers());
    all.extend(good.signatures());
    all.extend(good.claims());
    all.extend(good.times());
    all.extend(good.payloads());
    all.into_iter().map(|(name, token)| (format!("a token {name}"), target.with(Some(&token)))).collect()
}

/// The good token, taken apart.
pub(super) struct Good<'a> {
    issuer: &'a Issuer,
    token: &'a str,
    header: Value,
    claims: Value,
}

type Forged = (String, String);

impl<'a> Good<'a> {
    /// # Panics
    ///
    /// When the token of the target is no JWT.
    pub(super) fn read(issuer: &'a Issuer, token: &'a str) -> Self {
        let part = |number: usize| -> Value {
            let text = token.split('.').nth(number).unwrap_or_default();
            let decoded = URL_SAFE_NO_PAD.decode(text).expect("the token of the target is a JWT");
            serde_json::from_slice(&decoded).expect("the token of the target is a JWT")
        };
        Self { issuer, token, header: part(0), claims: part(1) }
    }

    fn with_header(&self, name: &str, value: Value) -> String {
        let mut header = self.header.clone();
        insert(&mut header, name, value);
        self.issuer.sign(&header.to_string(), self.claims.to_string().as_bytes())
    }

    pub(super) fn claim(&self, name: &str) -> Value {
        self.claims.get(name).cloned().unwrap_or_default()
    }

    pub(super) fn without_claim(&self, name: &str) -> String {
        self.signed(&self.header, &less(&self.claims, name))
    }

    pub(super) fn with_claim(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims.clone();
        insert(&mut claims, name, value);
        self.issuer.sign(&self.header.to_string(), claims.to_string().as_bytes())
    }

    fn signed(&self, header: &Value, claims: &Value) -> String {
        self.issuer.sign(&header.to_string(), claims.to_string().as_bytes())
    }

    fn shapes(&self) -> Vec<Forged> {
        let parts: Vec<&str> = self.token.split('.').collect();
        let (header, payload, signature) = match parts.as_slice() {
            [header, payload, signature] => (*header, *payload, *signature),
            _ => ("", "", ""),
        };
        let token = self.token;
        let shapes = [
            ("of one part", header.to_owned()),
            ("of two parts", format!("{header}.{payload}")),
            ("of two parts and a dot", format!("{header}.{payload}.")),
            ("of four parts", format!("{token}.{signature}")),
            ("of five parts, as JWE has", format!("{header}.{payload}.{signature}.{payload}.{signature}")),
            ("without a header", format!(".{payload}.{signature}")),
            ("without claims", format!("{header}..{signature}")),
            ("with padding", format!("{header}==.{payload}.{signature}")),
            ("with padding at its end", format!("{token}==")),
            ("in the other alphabet", format!("{}.{payload}.{signature}", header.replace('e', "+"))),
            ("cut short", token.get(..token.len() - 1).unwrap_or_default().to_owned()),
            ("with a letter more", format!("{token}A")),
            ("with its parts in another order", format!("{payload}.{header}.{signature}")),
        ];
        shapes.into_iter().map(|(name, token)| (name.to_owned(), token)).collect()
    }

    fn headers(&self) -> Vec<Forged> {
        let mut all = Vec::new();
        for alg in [
            "none", "None", "nOnE", "", "HS256", "RS256", "PS256", "EdDSA", "ES384", "ES256K", "es256",
            "A128KW",
        ] {
            all.push((format!("with alg {alg:?}"), self.with_header("alg", alg.into())));
            let stripped = self.with_header("alg", alg.into());
            let stripped = stripped.rsplit_once('.').map_or("", |(signed, _)| signed);
            all.push((format!("with alg {alg:?} and no signature"), format!("{stripped}.")));
        }
        for typ in [
            "JWT",
            "id+jwt",
            "logout+jwt",
            "dpop+jwt",
            "secevent+jwt",
            "token-introspection+jwt",
            "refresh+jwt",
            "at+jwt ",
        ] {
            all.push((format!("of type {typ:?}"), self.with_header("typ", typ.into())));
        }
        let long = "k".repeat(64 << 10);
        for kid in [
            "../../../../dev/null",
            "' OR 1=1--",
            "unknown",
            "",
            "%2e%2e",
            "http://127.0.0.1:9/",
            long.as_str(),
        ] {
            let shown: String = kid.chars().take(24).collect();
            all.push((format!("with kid {shown:?}"), self.with_header("kid", kid.into())));
        }
        all.extend(self.odd_headers());
        all
    }

    fn odd_headers(&self) -> Vec<Forged> {
        let mut all = Vec::new();
        let mine = SigningKey::new("mine");
        let jwk = mine.published();
        let mut header = self.header.clone();
        insert(&mut header, "jwk", jwk.clone());
        let claims = self.claims.to_string();
        all.push(("that brings its own key".to_owned(), mine.sign(&header.to_string(), claims.as_bytes())));
        for (name, value) in [
            ("crit", json!(["exp"])),
            ("crit", json!(["b64"])),
            ("crit", json!([])),
            ("jku", json!("http://127.0.0.1:9/jwks")),
            ("x5u", json!("http://127.0.0.1:9/x5u")),
            ("jwk", jwk),
            ("x5c", json!(["AAAA"])),
            ("kid", json!(1)),
            ("kid", json!(null)),
            ("kid", json!(["a"])),
            ("alg", json!(null)),
            ("alg", json!(["ES256"])),
            ("typ", json!(null)),
        ] {
            all.push((format!("with {name} {value}"), self.with_header(name, value)));
        }
        for name in ["alg", "typ"] {
            all.push((format!("without {name}"), self.signed(&less(&self.header, name), &self.claims)));
        }
        let twice = self.header.to_string().replacen('{', r#"{"alg":"none","#, 1);
        all.push(("with alg twice".to_owned(), self.issuer.sign(&twice, self.claims.to_string().as_bytes())));
        all.push((
            "whose header is an array".to_owned(),
            self.issuer.sign("[\"ES256\"]", self.claims.to_string().as_bytes()),
        ));
        all
    }

    fn signatures(&self) -> Vec<Forged> {
        let signed = self.token.rsplit_once('.').map_or("", |(signed, _)| signed);
        let with = |signature: &[u8]| format!("{signed}.{}", encoded(signature));
        let good =
            URL_SAFE_NO_PAD.decode(self.token.rsplit('.').next().unwrap_or_default()).unwrap_or_default();
        let mut flipped = good.clone();
        flipped.iter_mut().take(1).for_each(|byte| *byte ^= 1);
        let stranger = SigningKey::new(self.issuer.kid());
        let mut all = vec![
            ("with a bit of its signature turned".to_owned(), with(&flipped)),
            ("with a signature of zeros".to_owned(), with(&[0; 64])),
            ("with a signature of ones".to_owned(), with(&[0xff; 64])),
            ("with half a signature".to_owned(), with(good.get(..32).unwrap_or_default())),
            ("with a signature and more".to_owned(), with(&[good.as_slice(), &[0]].concat())),
            (
                "with its signature in DER".to_owned(),
                with(
                    &[
                        &[0x30, 0x44, 2, 32],
                        good.get(..32).unwrap_or_default(),
                        &[2, 32],
                        good.get(32..).unwrap_or_default(),
                    ]
                    .concat(),
                ),
            ),
            (
                "signed by a stranger under our name".to_owned(),
                stranger.sign(&self.header.to_string(), self.claims.to_string().as_bytes()),
            ),
        ];
        let mut claims = self.claims.clone();
        insert(&mut claims, "sub", "admin".into());
        let moved =
            format!("{}.{}", self.token.split('.').next().unwrap_or_default(), encoded(claims.to_string()));
        all.push((
            "with other claims under a good signature".to_owned(),
            format!("{moved}.{}", encoded(&good)),
        ));
        let encryption = self.issuer.encryption_key();
        let header = json!({ "alg": "ES256", "typ": self.header.get("typ"), "kid": encryption.kid });
        let by_other = encryption.sign(&header.to_string(), self.claims.to_string().as_bytes());
        all.push(("signed by a key that is for encryption".to_owned(), by_other));
        all.extend(self.by_public_secrets());
        all
    }

    /// The public key is no secret: whoever takes it for one is fooled.
    fn by_public_secrets(&self) -> Vec<Forged> {
        let (jwks, der, pem) = self
            .issuer
            .with_key(|key| ([key.published().to_string(), key.public().to_string()], key.spki(), key.pem()));
        let [published, bare] = jwks;
        let header = less(&self.header, "alg").to_string().replacen('{', r#"{"alg":"HS256","#, 1);
        let message = format!("{}.{}", encoded(header), encoded(self.claims.to_string()));
        let secrets: [(&str, Vec<u8>); 7] = [
            ("the key as it is published", published.into()),
            ("the key", bare.into()),
            ("the key in DER", der),
            ("the key in PEM", pem.clone().into()),
            ("the key in PEM without the last line break", pem.trim_end().into()),
            ("the key in PEM behind a space", format!(" {pem}").into()),
            ("nothing", Vec::new()),
        ];
        let forge = |(name, secret): (&str, Vec<u8>)| {
            let code = sign(&Key::new(HMAC_SHA256, &secret), message.as_bytes());
            (format!("by HMAC with {name}"), format!("{message}.{}", encoded(code)))
        };
        secrets.into_iter().map(forge).collect()
    }

    fn claims(&self) -> Vec<Forged> {
        let number = |name: &str| self.claims.get(name).and_then(Value::as_u64).unwrap_or_default();
        let (iat, aud) = (number("iat"), self.claims.get("aud").cloned().unwrap_or_default());
        let iss = self.claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        let mut all = Vec::new();
        for name in ["iss", "aud", "exp", "sub", "iat", "client_id", "jti"] {
            all.push((format!("without {name}"), self.without_claim(name)));
            all.push((format!("whose {name} is null"), self.with_claim(name, Value::Null)));
        }
        for (name, value) in [
            ("iss", json!(format!("{iss}/"))),
            ("iss", json!("https://evil.test")),
            ("iss", json!([iss])),
            ("iss", json!(1)),
            ("aud", json!("https://other.test")),
            ("aud", json!(["https://other.test"])),
            ("aud", json!([])),
            ("aud", json!(5)),
            ("aud", json!({ "a": aud })),
            ("exp", json!(iat.saturating_sub(3_600))),
            ("exp", json!((iat + 300).to_string())),
            ("exp", json!(1e300)),
            ("exp", json!(-1)),
            ("exp", json!([iat + 300])),
            ("exp", json!(iat + 10 * 365 * 86_400)),
            ("nbf", json!(iat + 3_600)),
            ("nbf", json!("0")),
            ("iat", json!(iat + 3_600)),
            ("sub", json!("")),
            ("sub", json!(1)),
            ("sub", json!(["alice"])),
            ("roles", json!("admin")),
            ("roles", json!([1])),
            ("scope", json!(["admin"])),
            ("cnf", json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" })),
            ("cnf", json!({ "x5t#S256": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" })),
            ("cnf", json!({ "kid": "1" })),
        ] {
            let mut shown = value.to_string();
            shown.truncate(40);
            all.push((format!("whose {name} is {shown}"), self.with_claim(name, value)));
        }
        all
    }

    /// Of another time, and with dates that fit each other.
    fn times(&self) -> Vec<Forged> {
        let now = self.issuer.now();
        let at = |iat: u64, exp: u64| {
            let mut claims = self.claims.clone();
            insert(&mut claims, "iat", iat.into());
            insert(&mut claims, "exp", exp.into());
            self.signed(&self.header, &claims)
        };
        let (earlier, later) = (now.saturating_sub(3_600), now + 3_600);
        vec![
            ("that was good an hour ago".to_owned(), at(earlier, earlier + 300)),
            ("that will be good in an hour".to_owned(), at(later, later + 300)),
            ("that ends before it begins".to_owned(), at(now + 15, now + 10)),
        ]
    }

    fn payloads(&self) -> Vec<Forged> {
        let claims = self.claims.to_string();
        let rest = claims.strip_prefix('{').unwrap_or_default();
        let header = self.header.to_string();
        let payloads: [(&str, Vec<u8>); 10] = [
            ("whose subject is there twice", format!(r#"{{"sub":"admin",{rest}"#).into()),
            ("whose subject is there twice, once escaped", format!(r#"{{"\u0073ub":"admin",{rest}"#).into()),
            ("in which another claim is there twice", format!(r#"{{"x":1,"x":2,{rest}"#).into()),
            ("that is long", format!(r#"{{"x":"{}",{rest}"#, "a".repeat(32 << 10)).into()),
            ("whose claims are an array", format!("[{claims}]").into()),
            ("whose claims are text", encoded(&claims).into()),
            ("whose claims have something behind them", format!("{claims}{{}}").into()),
            (
                "whose claims are deep",
                format!("{{\"x\":{}{},{rest}", "[".repeat(500), "]".repeat(500)).into(),
            ),
            ("whose claims are not UTF-8", [b"{\"x\":\"\xff\",", rest.as_bytes()].concat()),
            ("whose claims begin with a byte order mark", format!("\u{feff}{claims}").into()),
        ];
        payloads
            .into_iter()
            .map(|(name, payload)| (name.to_owned(), self.issuer.sign(&header, &payload)))
            .collect()
    }
}

/// An object without a member.
fn less(from: &Value, name: &str) -> Value {
    let mut less = from.clone();
    less.as_object_mut().map(|members| members.remove(name));
    less
}
