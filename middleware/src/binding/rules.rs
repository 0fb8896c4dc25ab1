//! What a proof is held to (RFC 9449 §4.3), whoever asks for it: a service that is given a token, or a server that issues one.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use url::Url;

use super::BindingFault;
use super::nonce::Nonces;
use super::proof::{Proof, ProofClaims, ProofFault};
use super::window::Window;
use crate::client_origin::ClientOrigin;
use crate::fetch::is_secure;
use crate::header::exactly_one;
use crate::jwks::Algorithm;
use crate::path::target;
use crate::token::{NumericDate, TokenFault};

/// The header that has the proof.
pub(super) const HEADER: &str = "dpop";

/// Why proofs cannot be checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DpopError {
    /// It is not known by which URLs clients reach the service.
    #[error("`{0}` is not the origin of a service: an https URL (http only for this machine)")]
    NotAnOrigin(String),
    /// Where used proofs are shared cannot be found.
    #[error("the address of the shared proofs cannot be used: {0}")]
    Url(String),
}

/// Where clients reach the service.
pub(super) struct Place {
    origin: String,
    /// What of the path does not arrive here.
    prefix: String,
}

impl Place {
    /// The origin of an audience: its path is no matter of proofs.
    pub(super) fn of_audience(audience: &str) -> Result<Self, DpopError> {
        Ok(Self { prefix: String::new(), ..Self::of(audience.to_owned())? })
    }

    pub(super) fn of(text: String) -> Result<Self, DpopError> {
        match Url::parse(&text) {
            Ok(url) if is_secure(&url) => Ok(Self {
                origin: url.origin().ascii_serialization(),
                prefix: url.path().trim_end_matches('/').to_owned(),
            }),
            _ => Err(DpopError::NotAnOrigin(text)),
        }
    }
}

/// What proofs are held to.
pub(super) struct Rules {
    pub(super) origins: Vec<Place>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) window: Window,
    pub(super) nonces: Option<Nonces>,
}

impl Rules {
    pub(super) fn algorithm_names(&self) -> Vec<&'static str> {
        self.algorithms.iter().map(|algorithm| algorithm.name()).collect()
    }

    /// The proof of a request, if it has one that was made for it: for the token beside it, and by the key of a thumbprint, where
    /// there are such.
    pub(super) fn check(
        &self,
        parts: &Parts,
        (token, thumbprint): (Option<&str>, Option<&str>),
        unix_secs: u64,
    ) -> Result<Proof, BindingFault> {
        let header = exactly_one(&parts.headers, HEADER);
        let header = header.ok_or(BindingFault::Proof("there is not exactly one"))?;
        let text = header.to_str().map_err(|_| BindingFault::Proof("it is not a compact JWS"))?;
        let proof = Proof::verify(text, thumbprint, &self.algorithms).map_err(|fault| match fault {
            ProofFault::Malformed(what) => BindingFault::Proof(what),
            ProofFault::OtherKey => BindingFault::Token(TokenFault::SenderConstrained),
        })?;
        self.check_claims(&proof.claims, parts, unix_secs).map_err(BindingFault::Proof)?;
        if let Some(token) = token {
            check_token(&proof.claims, token).map_err(BindingFault::Proof)?;
        }
        self.check_nonce(proof.claims.nonce.as_deref(), unix_secs)?;
        Ok(proof)
    }

    fn check_claims(&self, claims: &ProofClaims, parts: &Parts, unix_secs: u64) -> Result<(), &'static str> {
        if claims.htm != parts.method.as_str() {
            return Err("it is for another method");
        }
        if !self.is_for(&claims.htu, parts) {
            return Err("it is for another URL");
        }
        let NumericDate(made) = claims.iat;
        if self.window.is_open(made, unix_secs) { Ok(()) } else { Err("it was not made just now") }
    }

    /// Whether a URL is the one of a request, but for query and fragment. Both are read by one parser.
    fn is_for(&self, htu: &str, parts: &Parts) -> bool {
        let Ok(url) = Url::parse(htu) else { return false };
        let (origin, path) = (url.origin().ascii_serialization(), target(parts).path());
        let is_ours = |own: &Place| {
            let whole = Url::parse(&format!("{origin}{}{path}", own.prefix));
            own.origin == origin && whole.is_ok_and(|own| normal(own.path()) == normal(url.path()))
        };
        let reached = parts.extensions.get::<ClientOrigin>();
        url.username().is_empty()
            && url.password().is_none()
            && reached.is_none_or(|reached| reached.as_str() == origin)
            && self.origins.iter().any(is_ours)
    }

    fn check_nonce(&self, nonce: Option<&str>, unix_secs: u64) -> Result<(), BindingFault> {
        let Some(nonces) = &self.nonces else { return Ok(()) };
        if nonce.is_some_and(|nonce| nonces.is_fresh(nonce, unix_secs)) {
            return Ok(());
        }
        Err(BindingFault::Nonce(nonces.current(unix_secs)))
    }
}

pub(super) fn check_token(claims: &ProofClaims, token: &str) -> Result<(), &'static str> {
    let of_token = URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()));
    let own = claims.ath.as_deref().unwrap_or_default();
    verify_slices_are_equal(own.as_bytes(), of_token.as_bytes()).map_err(|_| "it is for another token")
}

/// A path with each percent-encoding in one form (RFC 3986 §6.2.2): letters of it large, and none that is not needed.
fn normal(path: &str) -> Vec<u8> {
    const NEEDED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let mut parts = path.split('%');
    let mut normal = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        // The parser of numbers would take a sign for a digit.
        let is_hex = code.bytes().all(|byte| byte.is_ascii_hexdigit());
        match is_hex.then(|| u8::from_str_radix(code, 16).ok()).flatten() {
            Some(byte) => normal.extend(percent_encode(&[byte], NEEDED).flat_map(str::bytes)),
            None => normal.extend([b"%", code.as_bytes()].concat()),
        }
        normal.extend(rest.as_bytes());
    }
    normal
}
