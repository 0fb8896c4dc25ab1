//! A policy on its way: a signed snapshot (a compact JWS), and when it is believed.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use portcullis_policy::{Options, Report, Snapshot, SnapshotDocument};

use crate::jwks::{Lookup, Trust, Trusts};
use crate::schedule::Moment;
use crate::token::{Audience, Jws, NumericDate, TokenFault, is_current, part};

/// The type of a signed snapshot: no access token, ID token or logout token passes for one.
pub(crate) const POLICY: &str = "portcullis-policy+jwt";

/// The type of signed rules that are only tried: they never pass for the policy.
pub(crate) const SHADOW: &str = "portcullis-policy-shadow+jwt";

/// The longest snapshot that is read.
pub(crate) const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Why a snapshot was not taken over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotFault {
    #[error(transparent)]
    Token(#[from] TokenFault),
    #[error("the key that would prove it is not known")]
    MissingKey(Arc<Trust>),
    #[error("it is addressed to another client")]
    OtherClient,
    #[error("it is signed by another issuer than the one whose policy it has to be")]
    OtherIssuer,
    #[error("it is the policy of the API {found:?}, and the audience of this guard is {own:?}")]
    OtherApi { found: String, own: String },
    #[error("it has errors:\n{0}")]
    Invalid(#[from] Report),
}

#[derive(serde::Deserialize)]
struct PolicyClaims {
    aud: Audience,
    exp: NumericDate,
    /// The name of rules that are only tried.
    #[serde(default)]
    shadow: Option<String>,
}

/// Who a snapshot has to be for, and when.
pub(crate) struct Expected<'a> {
    /// The type that it has to have.
    pub(crate) kind: &'a str,
    pub(crate) trusts: &'a Trusts,
    /// Which of them has to have signed it, if that is known.
    pub(crate) issuer: Option<usize>,
    pub(crate) client_id: &'a str,
    pub(crate) api: &'a str,
    /// Seconds since the Unix epoch.
    pub(crate) now: u64,
    /// How old the keys may be.
    pub(crate) moment: Moment,
    /// How it is compiled.
    pub(crate) options: Options,
}

/// How far the clocks of the server and of this machine may be apart.
const LEEWAY_SECS: u64 = 30;

/// A snapshot that is believed.
pub(crate) struct Opened {
    pub(crate) snapshot: Snapshot,
    /// SHA-256 of model and rules: the same however often the same revision is signed.
    pub(crate) content: [u8; 32],
    /// The name of rules that are only tried.
    pub(crate) name: Option<String>,
    /// Which issuer of the guard's signed it.
    pub(crate) issuer: usize,
}

/// Checks who signed a snapshot, for whom and until when, and compiles it.
pub(crate) fn open(token: &str, expected: &Expected<'_>) -> Result<Opened, SnapshotFault> {
    let (jws, iss) = Jws::parse(token, expected.kind, MAX_BYTES)?;
    let (issuer, trust) = expected.trusts.of(&iss).ok_or(TokenFault::UnknownIssuer)?;
    if expected.issuer.is_some_and(|own| own != issuer) {
        return Err(SnapshotFault::OtherIssuer);
    }
    match trust.lookup(jws.key_name(), expected.moment) {
        Lookup::Found { key, .. } => jws.verify(&key)?,
        Lookup::NoKeys | Lookup::NoSuchKey => return Err(SnapshotFault::MissingKey(Arc::clone(trust))),
    }
    let PolicyClaims { aud, exp, shadow } = part(&jws.payload)?;
    if !aud.includes(expected.client_id) {
        return Err(SnapshotFault::OtherClient);
    }
    if !is_current(exp, LEEWAY_SECS, expected.now) {
        return Err(TokenFault::Expired.into());
    }
    let document: SnapshotDocument = part(&jws.payload)?;
    if document.api != expected.api {
        return Err(SnapshotFault::OtherApi { found: document.api, own: expected.api.to_owned() });
    }
    Ok(Opened {
        snapshot: document.compile_with(expected.options)?,
        content: content_of(&document),
        name: shadow,
        issuer,
    })
}

fn content_of(document: &SnapshotDocument) -> [u8; 32] {
    let (model, rules) = (document.model.as_bytes(), document.rules.as_bytes());
    let text = [&model.len().to_le_bytes(), model, rules].concat();
    let mut content = [0; 32];
    content.iter_mut().zip(digest(&SHA256, &text).as_ref()).for_each(|(to, from)| *to = *from);
    content
}
