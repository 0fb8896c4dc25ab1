//! A guard in miniature from which each check can be taken out.
//!
//! It is written on its own, by the RFCs, so that it shares no mistake with the real one.

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use base64::engine::{DecodePaddingMode, general_purpose};
use http::request::Parts;
use http::{StatusCode, header};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

pub(crate) const AUDIENCE: &str = "https://orders.test";

/// A check that can be taken out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Check {
    Algorithm,
    Audience,
    Binding,
    BodyJson,
    BodyLength,
    BodyMedia,
    ClaimTypes,
    Client,
    Credentials,
    Critical,
    Depth,
    DotSegments,
    EmbeddedKeys,
    EmptySegments,
    EncodedSlashes,
    Encodings,
    Expiry,
    HmacIsNoSignature,
    Hosts,
    IssuedAt,
    Issuer,
    Jti,
    KeyId,
    Lifetime,
    NoneIsNoAlgorithm,
    NotBefore,
    OnlyOneCredential,
    OnlyTheHeader,
    Parameters,
    Parts,
    ProxyHeaders,
    Query,
    Signature,
    StrictBase64,
    Subject,
    TokenLength,
    Type,
    UniqueNames,
}

impl Check {
    pub(crate) const ALL: [Self; 38] = [
        Self::Algorithm,
        Self::Audience,
        Self::Binding,
        Self::BodyJson,
        Self::BodyLength,
        Self::BodyMedia,
        Self::ClaimTypes,
        Self::Client,
        Self::Credentials,
        Self::Critical,
        Self::Depth,
        Self::DotSegments,
        Self::EmbeddedKeys,
        Self::EmptySegments,
        Self::EncodedSlashes,
        Self::Encodings,
        Self::Expiry,
        Self::HmacIsNoSignature,
        Self::Hosts,
        Self::IssuedAt,
        Self::Issuer,
        Self::Jti,
        Self::KeyId,
        Self::Lifetime,
        Self::NoneIsNoAlgorithm,
        Self::NotBefore,
        Self::OnlyOneCredential,
        Self::OnlyTheHeader,
        Self::Parameters,
        Self::Parts,
        Self::ProxyHeaders,
        Self::Query,
        Self::Signature,
        Self::StrictBase64,
        Self::Subject,
        Self::TokenLength,
        Self::Type,
        Self::UniqueNames,
    ];
}

/// The guard of one route, `POST /v1/orders`.
pub(crate) struct Miniature {
    issuer: String,
    jwk: Value,
    without: Option<Check>,
}

type Verdict<T = ()> = Result<T, StatusCode>;

const UNAUTHENTICATED: StatusCode = StatusCode::UNAUTHORIZED;

impl Miniature {
    pub(crate) fn new(issuer: &str, keys: &str, without: Option<Check>) -> Self {
        let keys: Value = serde_json::from_str(keys).unwrap();
        Self { issuer: issuer.to_owned(), jwk: keys["keys"][0].clone(), without }
    }

    fn has(&self, check: Check) -> bool {
        self.without != Some(check)
    }

    fn require(&self, check: Check, holds: bool) -> Verdict {
        if holds || !self.has(check) { Ok(()) } else { Err(UNAUTHENTICATED) }
    }

    pub(crate) fn judge(&self, parts: &Parts, body: &[u8]) -> Verdict {
        self.path(parts)?;
        if let Some(token) = self.credential(parts)? {
            self.token(&token)?;
        }
        self.body(parts, body)
    }

    /// Without a check, the path is read as a lenient router would read it.
    fn path(&self, parts: &Parts) -> Verdict {
        let mut path = parts.uri.path().to_owned();
        let mut replace = |check: Check, change: &dyn Fn(&str) -> String| {
            if !self.has(check) {
                path = change(&path);
            }
        };
        replace(Check::Encodings, &|path| path.replace("%6f", "o").replace("%00", ""));
        replace(Check::EncodedSlashes, &|path| path.replace("%2f", "/").replace("%5c", "/"));
        replace(Check::EmptySegments, &|path| path.replace("//", "/"));
        replace(Check::DotSegments, &|path| path.replace("/x/..", "").replace("/./", "/"));
        replace(Check::Parameters, &|path| {
            path.split('/').map(|part| part.split(';').next().unwrap()).collect::<Vec<_>>().join("/")
        });
        let hosts = parts.headers.get_all(header::HOST).iter().map(http::HeaderValue::as_bytes);
        let target = parts.uri.authority().map(|target| target.as_str().as_bytes());
        if self.has(Check::Hosts) && hosts.chain(target).count() > 1 {
            return Err(StatusCode::BAD_REQUEST);
        }
        let query = parts.uri.query().unwrap_or_default();
        if self.has(Check::Query) && query.contains('%') {
            return Err(StatusCode::BAD_REQUEST);
        }
        if path == "/v1/orders" { Ok(()) } else { Err(StatusCode::NOT_FOUND) }
    }

    /// The token, or none where that is let through.
    fn credential(&self, parts: &Parts) -> Verdict<Option<String>> {
        let headers = &parts.headers;
        if !self.has(Check::ProxyHeaders) && headers.contains_key("x-forwarded-user") {
            return Ok(None);
        }
        let elsewhere = parts.uri.query().and_then(|query| query.strip_prefix("access_token="));
        if let Some(token) = elsewhere.filter(|_| !self.has(Check::OnlyTheHeader)) {
            return Ok(Some(token.to_owned()));
        }
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return if self.has(Check::Credentials) { Err(UNAUTHENTICATED) } else { Ok(None) };
        };
        self.require(Check::OnlyOneCredential, values.next().is_none())?;
        let token =
            value.to_str().ok().and_then(|value| value.strip_prefix("Bearer ")).ok_or(UNAUTHENTICATED)?;
        self.require(Check::OnlyOneCredential, !token.contains([' ', ',']))?;
        Ok(Some(token.trim_end_matches(',').to_owned()))
    }

    fn token(&self, token: &str) -> Verdict {
        self.require(Check::TokenLength, token.len() <= 8 << 10)?;
        let parts: Vec<&str> = token.split('.').collect();
        self.require(Check::Parts, parts.len() == 3)?;
        let [header, payload, signature] = *parts.get(..3).ok_or(UNAUTHENTICATED)? else { unreachable!() };
        let signed = format!("{header}.{payload}");
        let head = self.object(header)?;
        self.header(&head)?;
        self.signature(&head, signed.as_bytes(), &self.decode(signature)?)?;
        self.claims(&self.object(payload)?)
    }

    fn header(&self, head: &Map<String, Value>) -> Verdict {
        let text = |name: &str| head.get(name).and_then(Value::as_str);
        self.require(Check::Type, text("typ") == Some("at+jwt"))?;
        self.require(
            Check::KeyId,
            text("kid") == self.jwk["kid"].as_str() || !self.has(Check::EmbeddedKeys),
        )?;
        self.require(Check::Critical, !head.contains_key("crit"))?;
        let brings = ["jwk", "jku", "x5u", "x5c"].iter().any(|name| head.contains_key(*name));
        self.require(Check::EmbeddedKeys, !brings)?;
        let lenient = match text("alg") {
            Some("none") => Check::NoneIsNoAlgorithm,
            Some("HS256") => Check::HmacIsNoSignature,
            _ => Check::Algorithm,
        };
        self.require(lenient, text("alg") == Some("ES256"))
    }

    fn signature(&self, head: &Map<String, Value>, signed: &[u8], signature: &[u8]) -> Verdict {
        let alg = head.get("alg").and_then(Value::as_str).unwrap_or_default();
        if alg == "none" && signature.is_empty() && !self.has(Check::NoneIsNoAlgorithm) {
            return Ok(());
        }
        if alg == "HS256" && !self.has(Check::HmacIsNoSignature) {
            let secret = hmac::Key::new(HMAC_SHA256, self.jwk.to_string().as_bytes());
            return hmac::verify(&secret, signed, signature).map_err(|_| UNAUTHENTICATED);
        }
        let own = head.get("jwk").filter(|_| !self.has(Check::EmbeddedKeys)).unwrap_or(&self.jwk);
        let coordinate =
            |name: &str| URL_SAFE_NO_PAD.decode(own[name].as_str().unwrap_or_default()).unwrap_or_default();
        let point = [&[4][..], &coordinate("x"), &coordinate("y")].concat();
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        self.require(Check::Signature, key.verify(signed, signature).is_ok())
    }

    fn claims(&self, claims: &Map<String, Value>) -> Verdict {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let text = |name: &str| claims.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        let second = |name: &str| claims.get(name).and_then(Value::as_u64);
        let (exp, iat) = (second("exp"), second("iat"));
        self.require(Check::Issuer, claims.get("iss") == Some(&Value::from(self.issuer.as_str())))?;
        self.require(Check::Audience, claims.get("aud") == Some(&Value::from(AUDIENCE)))?;
        self.require(Check::Subject, text("sub"))?;
        self.require(Check::Client, text("client_id"))?;
        self.require(Check::Jti, text("jti"))?;
        self.require(Check::Expiry, exp.is_some_and(|exp| exp + 30 > now))?;
        self.require(Check::IssuedAt, iat.is_some_and(|iat| iat <= now + 30))?;
        self.require(
            Check::NotBefore,
            !claims.contains_key("nbf") || second("nbf").is_some_and(|nbf| nbf <= now + 30),
        )?;
        let lifetime = exp.unwrap_or(0).checked_sub(iat.unwrap_or(0)).unwrap_or(u64::MAX);
        self.require(Check::Lifetime, lifetime <= 86_400 || exp.is_none() || iat.is_none())?;
        self.require(Check::Binding, !claims.contains_key("cnf"))?;
        let roles = claims
            .get("roles")
            .is_none_or(|roles| roles.as_array().is_some_and(|roles| roles.iter().all(Value::is_string)));
        self.require(Check::ClaimTypes, roles && claims.get("scope").is_none_or(Value::is_string))
    }

    fn body(&self, parts: &Parts, body: &[u8]) -> Verdict {
        let mut types = parts.headers.get_all(header::CONTENT_TYPE).iter();
        let is_json = types.next().is_some_and(|media| media == "application/json") && types.next().is_none();
        let is_encoded = parts.headers.contains_key(header::CONTENT_ENCODING);
        if self.has(Check::BodyMedia) && (is_encoded || !is_json) {
            return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        if self.has(Check::BodyLength) && body.len() > 64 << 10 {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        if self.has(Check::Depth) && body.windows(8).any(|part| part == b"[[[[[[[[") {
            return Err(StatusCode::BAD_REQUEST);
        }
        let read = if self.has(Check::UniqueNames) {
            serde_json::from_slice::<Unique>(body).is_ok()
        } else {
            serde_json::from_slice::<Value>(body).is_ok()
        };
        if read || !self.has(Check::BodyJson) { Ok(()) } else { Err(StatusCode::BAD_REQUEST) }
    }

    fn object(&self, part: &str) -> Verdict<Map<String, Value>> {
        let json = self.decode(part)?;
        if self.has(Check::UniqueNames) {
            serde_json::from_slice::<Unique>(&json).map_err(|_| UNAUTHENTICATED)?;
        }
        serde_json::from_slice(&json).map_err(|_| UNAUTHENTICATED)
    }

    fn decode(&self, part: &str) -> Verdict<Vec<u8>> {
        let lenient = GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true);
        let lenient: GeneralPurpose =
            general_purpose::GeneralPurpose::new(&base64::alphabet::URL_SAFE, lenient);
        let engine = if self.has(Check::StrictBase64) { URL_SAFE_NO_PAD } else { lenient };
        engine.decode(part).map_err(|_| UNAUTHENTICATED)
    }
}

/// JSON in which no name is there twice, and no NUL.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Unique;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("JSON")
            }

            fn visit_bool<E>(self, _: bool) -> Result<Unique, E> {
                Ok(Unique)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Unique, E> {
                Ok(Unique)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Unique, E> {
                Ok(Unique)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Unique, E> {
                Ok(Unique)
            }

            fn visit_unit<E>(self) -> Result<Unique, E> {
                Ok(Unique)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Unique, E> {
                if text.contains('\0') { Err(E::custom("NUL")) } else { Ok(Unique) }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unique, A::Error> {
                while items.next_element::<Unique>()?.is_some() {}
                Ok(Unique)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Unique, A::Error> {
                let mut names = std::collections::BTreeSet::new();
                while let Some((name, Unique)) = members.next_entry::<String, Unique>()? {
                    if !names.insert(name) {
                        return Err(A::Error::custom("a name twice"));
                    }
                }
                Ok(Unique)
            }
        }
        deserializer.deserialize_any(Any)
    }
}
