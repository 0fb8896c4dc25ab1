//! Taking a compact JWS apart (RFC 7515 §7.1), before anything in it is believed.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest::{Digest, SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, IgnoredAny};

use super::fault::TokenFault;
use crate::input::{Bounds, Segment, read_json};
use crate::jwks::{Algorithm, KeyName, VerifyingKey};
use crate::token_form::{TokenForm, names};

/// The type of an access token (RFC 9068 §2.1).
const ACCESS_TOKEN: &str = "at+jwt";

/// The longest key id that is looked up.
const MAX_KEY_ID: usize = 256;

/// How large the JSON in a token may be in other directions than length.
const BOUNDS: Bounds = Bounds { depth: 16, members: 1_000 };

/// The header of the last token that was verified: nearly every token of an issuer begins with the same characters, which need to
/// be read once.
#[derive(Default)]
pub(super) struct LastHeader(ArcSwapOption<Known>);

/// A header, and the characters that it was read from.
struct Known {
    encoded: Box<str>,
    header: Header,
    algorithm: Algorithm,
}

impl LastHeader {
    fn read(&self, encoded: &str) -> Result<Arc<Known>, TokenFault> {
        match self.0.load().as_ref().filter(|last| &*last.encoded == encoded) {
            Some(last) => Ok(Arc::clone(last)),
            None => Known::read(encoded).map(Arc::new),
        }
    }

    /// Remembers the header of a token that was verified: what strangers make up is not worth it.
    pub(super) fn remember(&self, jws: &Jws<'_>) {
        if self.0.load().as_ref().is_none_or(|last| !Arc::ptr_eq(last, &jws.known)) {
            self.0.store(Some(Arc::clone(&jws.known)));
        }
    }
}

impl Known {
    fn read(encoded: &str) -> Result<Self, TokenFault> {
        let header: Header = object(&decode(encoded)?).ok_or(TokenFault::Header)?;
        let algorithm = header.check()?;
        Ok(Self { encoded: encoded.into(), header, algorithm })
    }
}

/// A compact JWS whose signature has not been checked.
pub(crate) struct Jws<'t> {
    known: Arc<Known>,
    /// The payload, decoded.
    pub(crate) payload: Vec<u8>,
    signed: &'t str,
    signature: Vec<u8>,
}

/// The part of the protected header that matters here.
#[derive(Debug, serde::Deserialize)]
struct Header {
    #[serde(default, deserialize_with = "present")]
    kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    typ: Option<String>,
    alg: String,
    #[serde(default, deserialize_with = "present")]
    crit: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    jku: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    jwk: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    x5u: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    x5c: Option<IgnoredAny>,
}

impl<'t> Jws<'t> {
    /// Splits and decodes a token of at most `max_bytes`, whose type has to be `typ` and whose payload an object with one
    /// reading. Beside it comes the issuer that the payload names: whose key to look for is all that is read before the
    /// signature.
    pub(crate) fn parse(token: &'t str, typ: &str, max_bytes: usize) -> Result<(Self, String), TokenFault> {
        let jws = Self::open(token, max_bytes, &LastHeader::default())?;
        jws.known.header.check_type(typ)?;
        let iss = jws.named_issuer()?;
        Ok((jws, iss))
    }

    /// The same, where tokens come one after the other, and it depends on the issuer [which type](Self::check_form) a token may have.
    pub(super) fn parse_after(
        token: &'t str,
        max_bytes: usize,
        last: &LastHeader,
    ) -> Result<(Self, String), TokenFault> {
        let jws = Self::open(token, max_bytes, last)?;
        let iss = jws.named_issuer()?;
        Ok((jws, iss))
    }

    fn open(token: &'t str, max_bytes: usize, last: &LastHeader) -> Result<Self, TokenFault> {
        if token.len() > max_bytes { Err(TokenFault::TooLong) } else { Self::split(token, last) }
    }

    /// Whether the token says that it is an access token, or nothing else where the issuer writes such.
    pub(super) fn check_form(&self, form: &TokenForm) -> Result<(), TokenFault> {
        let header = &self.known.header;
        let outcome = header.check_type(ACCESS_TOKEN);
        let is_taken = || match &header.typ {
            Some(_) => form.types().iter().any(|typ| header.check_type(typ).is_ok()),
            None => form.takes_untyped(),
        };
        if outcome.is_err() && is_taken() { Ok(()) } else { outcome }
    }

    /// The same for tokens that need not say what they are, because their claims tell them from others: one that does has to be of
    /// one of these types.
    #[cfg(feature = "login")]
    pub(crate) fn parse_among(
        token: &'t str,
        types: &[&str],
        max_bytes: usize,
    ) -> Result<(Self, String), TokenFault> {
        let jws = Self::open(token, max_bytes, &LastHeader::default())?;
        let header = &jws.known.header;
        if header.typ.is_some() && !types.iter().any(|typ| header.check_type(typ).is_ok()) {
            return Err(TokenFault::Type);
        }
        let iss = jws.named_issuer()?;
        Ok((jws, iss))
    }

    fn named_issuer(&self) -> Result<String, TokenFault> {
        if !is_object(&self.payload) {
            return Err(TokenFault::Nameless);
        }
        let (mut iss, mut is_wrapped) = (None, false);
        read_json(&self.payload, BOUNDS, |path, text| {
            if matches!(path, [Segment::Key(name)] if name == "iss") {
                iss = Some(text.into_owned());
            }
            is_wrapped |= matches!(path, [.., Segment::Key(name)] if name.starts_with(WRAPPED));
        })
        .map_err(|_| TokenFault::Nameless)?;
        if is_wrapped {
            return Err(TokenFault::Claims);
        }
        iss.ok_or(TokenFault::Nameless)
    }

    /// Splits and decodes a JWS of any type, over any payload.
    pub(super) fn split(token: &'t str, last: &LastHeader) -> Result<Self, TokenFault> {
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenFault::Shape)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenFault::Shape)?;
        if payload.contains('.') {
            return Err(TokenFault::Shape);
        }
        let known = last.read(header)?;
        Ok(Self { known, payload: decode(payload)?, signed, signature: decode(signature)? })
    }

    /// The key that the header names.
    pub(crate) fn key_name(&self) -> KeyName<'_> {
        KeyName { kid: self.known.header.kid.as_deref(), algorithm: self.known.algorithm }
    }

    /// What is signed, in few bytes.
    pub(super) fn digest(&self) -> Digest {
        digest(&SHA256, self.signed.as_bytes())
    }

    /// Whether `key` made the signature, with the algorithm that the key is bound to.
    ///
    /// The header's `alg` chooses nothing: it only has to name the algorithm of the key (RFC 8725 §3.1).
    pub(crate) fn verify(&self, key: &VerifyingKey) -> Result<(), TokenFault> {
        if self.known.algorithm != key.algorithm() {
            return Err(TokenFault::Algorithm);
        }
        if key.verifies(self.signed.as_bytes(), &self.signature) {
            Ok(())
        } else {
            Err(TokenFault::Signature)
        }
    }
}

impl Header {
    fn check(&self) -> Result<Algorithm, TokenFault> {
        // RFC 7515 §4.1.11: an extension that is not understood makes the JWS invalid; none is understood here.
        if self.crit.is_some() {
            return Err(TokenFault::Critical);
        }
        // RFC 8725 §3.10: a key that comes with the token, or from where the token says, proves nothing.
        if self.jku.is_some() || self.jwk.is_some() || self.x5u.is_some() || self.x5c.is_some() {
            return Err(TokenFault::EmbeddedKey);
        }
        if self.kid.as_ref().is_some_and(|kid| kid.len() > MAX_KEY_ID) {
            return Err(TokenFault::Header);
        }
        Algorithm::named(&self.alg).ok_or(TokenFault::Algorithm)
    }

    fn check_type(&self, typ: &str) -> Result<(), TokenFault> {
        let own = self.typ.as_deref().ok_or(TokenFault::Type)?;
        if names(own, typ) { Ok(()) } else { Err(TokenFault::Type) }
    }
}

/// Whether a JSON text is an object: an array would be read as the members in their order.
fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().first() == Some(&b'{')
}

/// By names that begin so `serde_json` knows texts that it is to read as JSON again, which nobody looked through.
const WRAPPED: &str = "$serde_json::private::";

/// A JSON object in which no name stands twice (RFC 7515 §4, RFC 7519 §4).
pub(crate) fn object<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    if !is_object(json) {
        return None;
    }
    read_json(json, BOUNDS, |_, _| ()).ok()?;
    serde_json::from_slice(json).ok()
}

/// A member that may be absent, but not `null`.
pub(crate) fn present<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Strict base64url: no padding, no stray bits, no other alphabet (RFC 7515 §2).
fn decode(part: &str) -> Result<Vec<u8>, TokenFault> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(header: &str) -> Result<(), TokenFault> {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let token = format!("{}.{}.{}", encode(header), encode(r#"{"iss":"i"}"#), encode("signature"));
        Jws::parse(&token, "at+jwt", 8_192).map(|_| ())
    }

    #[test]
    fn a_token_has_three_parts_in_strict_base64url() {
        let parts = ["eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9", "eyJpc3MiOiJpIn0", "AA"];
        let [header, payload, signature] = parts;
        let whole = parts.join(".");
        assert_eq!(Jws::parse(&whole, "at+jwt", 8_192).unwrap().0.payload, br#"{"iss":"i"}"#);
        for token in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            "...".to_owned(),
            header.to_owned(),
            format!("{header}.{payload}"),
            format!("{header}.{payload}.{signature}.x"),
            format!("{header}.{payload}.{signature}.x.y"),
            format!("{header}.{payload}.{signature}="),
            format!("{header}.{payload}.AB"),
            format!("{header}.{payload}.A+"),
            format!("{header}.{payload}.A\n"),
            format!("{header}=.{payload}.{signature}"),
            format!(" {header}.{payload}.{signature}"),
        ] {
            let fault = Jws::parse(&token, "at+jwt", 8_192).err();
            assert!(matches!(fault, Some(TokenFault::Shape | TokenFault::Header)), "{token}: {fault:?}");
        }
    }

    #[test]
    fn a_token_over_the_cap_is_refused_before_it_is_decoded() {
        assert_eq!(Jws::parse(&"~".repeat(8_193), "at+jwt", 8_192).err(), Some(TokenFault::TooLong));
    }

    #[test]
    fn a_header_that_was_seen_before_counts_only_for_the_same_characters() {
        let (last, encode) = (LastHeader::default(), |text: &str| URL_SAFE_NO_PAD.encode(text));
        let token =
            |header: &str| format!("{}.{}.{}", encode(header), encode(r#"{"iss":"i"}"#), encode("signature"));
        let good = token(r#"{"alg":"ES256","typ":"at+jwt","kid":"a"}"#);
        let (jws, _) = Jws::parse_after(&good, 8_192, &last).unwrap();
        last.remember(&jws);
        let (again, _) = Jws::parse_after(&good, 8_192, &last).unwrap();
        assert!(Arc::ptr_eq(&jws.known, &again.known), "it was not read again");
        let fault = |token: &str| Jws::parse_after(token, 8_192, &last).err();
        assert_eq!(fault(&token(r#"{"alg":"none","typ":"at+jwt","kid":"a"}"#)), Some(TokenFault::Algorithm));
        let other = token(r#"{"alg":"ES256","typ":"at+jwt","kid":"b"}"#);
        let (other, _) = Jws::parse_after(&other, 8_192, &last).unwrap();
        assert_eq!(other.key_name().kid, Some("b"));
    }

    #[test]
    fn a_type_is_asked_for_each_time_and_only_those_that_the_issuer_writes_are_taken() {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let taken = |typ: Option<&str>, form: &TokenForm| {
            let typ = typ.map(|typ| format!(r#","typ":"{typ}""#)).unwrap_or_default();
            let header = encode(&format!(r#"{{"alg":"ES256"{typ}}}"#));
            let token = format!("{header}.{}.AA", encode(r#"{"iss":"i"}"#));
            Jws::parse_after(&token, 8_192, &LastHeader::default()).unwrap().0.check_form(form).is_ok()
        };
        let forms = [
            TokenForm::rfc9068(),
            TokenForm::danger_generic(["JWT"]),
            TokenForm::rfc9068().danger_untyped(),
            TokenForm::danger_generic(["JWT"]).danger_untyped(),
        ];
        for (typ, expected) in [
            (Some("at+jwt"), [true, true, true, true]),
            (Some("application/at+jwt"), [true, true, true, true]),
            (Some("JWT"), [false, true, false, true]),
            (Some("application/jwt"), [false, true, false, true]),
            (None, [false, false, true, true]),
            (Some(""), [false, false, false, false]),
            (Some("JWT2"), [false, false, false, false]),
            (Some("logout+jwt"), [false, false, false, false]),
            (Some("dpop+jwt"), [false, false, false, false]),
        ] {
            assert_eq!(forms.each_ref().map(|form| taken(typ, form)), expected, "{typ:?}");
        }
    }

    #[test]
    fn only_access_tokens_signed_by_listed_algorithms_pass() {
        for header in [
            r#"{"alg":"ES256","typ":"at+jwt"}"#,
            r#"{"alg":"EdDSA","typ":"application/at+jwt","kid":"k"}"#,
            r#"{"alg":"RS256","typ":"AT+JWT","extra":[1]}"#,
            r#"{"typ":"at+jwt","alg":"PS256"}"#,
        ] {
            assert_eq!(parse(header), Ok(()), "{header}");
        }
        for (header, fault) in [
            (r#"{"alg":"none","typ":"at+jwt"}"#, TokenFault::Algorithm),
            (r#"{"alg":"nOnE","typ":"at+jwt"}"#, TokenFault::Algorithm),
            (r#"{"alg":"","typ":"at+jwt"}"#, TokenFault::Algorithm),
            (r#"{"alg":"HS256","typ":"at+jwt"}"#, TokenFault::Algorithm),
            (r#"{"alg":"es256","typ":"at+jwt"}"#, TokenFault::Algorithm),
            (r#"{"alg":"ES384","typ":"at+jwt"}"#, TokenFault::Algorithm),
            (r#"{"typ":"at+jwt"}"#, TokenFault::Header),
            (r#"{"alg":null,"typ":"at+jwt"}"#, TokenFault::Header),
            (r#"{"alg":["ES256"],"typ":"at+jwt"}"#, TokenFault::Header),
            (r#"{"alg":"ES256"}"#, TokenFault::Type),
            (r#"{"alg":"ES256","typ":"JWT"}"#, TokenFault::Type),
            (r#"{"alg":"ES256","typ":"logout+jwt"}"#, TokenFault::Type),
            (r#"{"alg":"ES256","typ":"dpop+jwt"}"#, TokenFault::Type),
            (r#"{"alg":"ES256","typ":"application/x/at+jwt"}"#, TokenFault::Type),
            (r#"{"alg":"ES256","typ":null}"#, TokenFault::Header),
            (r#"{"alg":"ES256","typ":"at+jwt","crit":[]}"#, TokenFault::Critical),
            (r#"{"alg":"ES256","typ":"at+jwt","crit":["exp"],"exp":1}"#, TokenFault::Critical),
            (r#"{"alg":"ES256","typ":"at+jwt","crit":["b64"],"b64":false}"#, TokenFault::Critical),
            (r#"{"alg":"ES256","typ":"at+jwt","crit":null}"#, TokenFault::Critical),
            (r#"{"alg":"ES256","typ":"at+jwt","jku":"https://evil.test"}"#, TokenFault::EmbeddedKey),
            (r#"{"alg":"ES256","typ":"at+jwt","jwk":{}}"#, TokenFault::EmbeddedKey),
            (r#"{"alg":"ES256","typ":"at+jwt","x5u":"https://evil.test"}"#, TokenFault::EmbeddedKey),
            (r#"{"alg":"ES256","typ":"at+jwt","x5c":[]}"#, TokenFault::EmbeddedKey),
            (r#"{"alg":"ES256","typ":"at+jwt","kid":1}"#, TokenFault::Header),
            (r#"{"alg":"ES256","typ":"at+jwt","kid":null}"#, TokenFault::Header),
            (r#"{"alg":"none","alg":"ES256","typ":"at+jwt"}"#, TokenFault::Header),
            (r#"{"alg":"ES256","typ":"at+jwt"} "x""#, TokenFault::Header),
            (r#"["ES256"]"#, TokenFault::Header),
            ("", TokenFault::Header),
        ] {
            assert_eq!(parse(header), Err(fault), "{header}");
        }
        let long_kid = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{}"}}"#, "k".repeat(257));
        assert_eq!(parse(&long_kid), Err(TokenFault::Header));
    }
}
