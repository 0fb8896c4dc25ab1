//! Reading what the issuer says of a token: plain (RFC 7662 §2.2) or signed (RFC 9701 §5).

use std::sync::Arc;

use http::HeaderValue;
use serde_json::value::RawValue;

use super::memory::Digest;
use crate::fetch::Reply;
use crate::jwks::{Lookup, Trust};
use crate::media_type::is_of_type;
use crate::schedule::Moment;
use crate::token::{
    AccessClaims, Audience, Implied, Jws, NumericDate, TokenFault, TokenPolicy, Verified, is_current, object,
    part, present,
};

/// The type of a signed answer, as a media type and in its header.
pub(crate) const SIGNED: &str = "token-introspection+jwt";

const SIGNED_MEDIA: &str = "application/token-introspection+jwt";

const PLAIN_MEDIA: &str = "application/json";

/// What issuers call an access token in `token_type` (RFC 6749 §5.1, RFC 9449 §5), and a token that is bound to a key.
const BEARER: &str = "Bearer";
const DPOP: &str = "DPoP";

/// What issuers that tell kinds of tokens apart by `typ` or `token_use` call an access token there. Others of their tokens are
/// `Refresh`, `Offline`, `ID`, `refresh_token` and `id`.
const ACCESS_TYPES: [&str; 4] = [BEARER, DPOP, "at+jwt", "application/at+jwt"];
const ACCESS_USES: [&str; 2] = ["access_token", "access"];

/// What an answer may lack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerated {
    /// A signature.
    pub(super) unsigned: bool,
    /// An audience of the token.
    pub(super) unaddressed: bool,
    /// A type of the token.
    pub(super) untyped: bool,
}

impl Default for Tolerated {
    fn default() -> Self {
        Self { unsigned: true, unaddressed: false, untyped: false }
    }
}

impl Tolerated {
    /// What is asked for.
    pub(super) const fn accept(self) -> HeaderValue {
        if self.unsigned {
            HeaderValue::from_static("application/token-introspection+jwt, application/json;q=0.9")
        } else {
            HeaderValue::from_static(SIGNED_MEDIA)
        }
    }
}

/// Why an answer cannot be used. Nothing of it says whether the token is good.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerFault {
    #[error("the answer is not one about a token")]
    Malformed,
    #[error("the answer is neither JSON nor a signed answer")]
    Media,
    #[error("the key that would prove the answer is not known")]
    MissingKey,
    #[error("the signed answer is not one that was made just now")]
    NotFresh,
    #[error("the signed answer is for another client")]
    OtherClient,
    #[error("the signed answer is that of another issuer")]
    OtherIssuer,
    #[error("the signed answer is refused: {0}")]
    Signed(TokenFault),
    #[error("the answer is not signed")]
    Unsigned,
}

/// What came of a question.
pub(super) enum Answer {
    /// The token is good. Beside it, the generation of the keys that say so, if any do.
    Good(Box<Verified>, Option<u64>),
    Refused(TokenFault),
}

/// Seconds of the Unix epoch.
#[derive(Clone, Copy)]
pub(super) struct Times {
    /// When the question was sent.
    pub(super) asked: u64,
    pub(super) now: u64,
    /// How old the keys may be.
    pub(super) moment: Moment,
}

/// Reads answers.
pub(super) struct Reader {
    pub(super) trust: Arc<Trust>,
    /// Which issuer of the guard it is.
    pub(super) index: usize,
    pub(super) issuer: String,
    pub(super) audience: String,
    pub(super) client_id: String,
    pub(super) policy: TokenPolicy,
    pub(super) tolerated: Tolerated,
}

/// The claims around a signed answer (RFC 9701 §5).
#[derive(serde::Deserialize)]
struct Envelope<'a> {
    aud: Audience,
    iat: NumericDate,
    #[serde(default, deserialize_with = "present")]
    exp: Option<NumericDate>,
    #[serde(borrow)]
    token_introspection: &'a RawValue,
}

#[derive(serde::Deserialize)]
struct Standing {
    active: bool,
}

/// What kind of a token it is.
#[derive(serde::Deserialize)]
struct Kind {
    #[serde(default, deserialize_with = "present")]
    token_type: Option<String>,
    #[serde(default, deserialize_with = "present")]
    typ: Option<String>,
    #[serde(default, deserialize_with = "present")]
    token_use: Option<String>,
}

impl Reader {
    pub(super) fn read(&self, reply: &Reply, token: &Digest, times: Times) -> Result<Answer, AnswerFault> {
        let content_type = reply.content_type.as_ref();
        let (payload, generation) = if is_of_type(content_type, SIGNED_MEDIA) {
            let (payload, generation) = self.open(&reply.body, times)?;
            (payload, Some(generation))
        } else if !is_of_type(content_type, PLAIN_MEDIA) {
            return Err(AnswerFault::Media);
        } else if self.tolerated.unsigned {
            (reply.body.to_vec(), None)
        } else {
            return Err(AnswerFault::Unsigned);
        };
        let Standing { active } = object(&payload).ok_or(AnswerFault::Malformed)?;
        if !active {
            return Ok(Answer::Refused(TokenFault::Inactive));
        }
        Ok(match self.claims(&payload, token, times.now) {
            Ok(claims) => {
                let verified = Verified::new(claims, payload, self.index, generation.unwrap_or_default());
                Answer::Good(Box::new(verified), generation)
            }
            Err(fault) => Answer::Refused(fault),
        })
    }

    /// Checks who signed an answer, for whom and when, and gives what it says with the generation of the keys.
    fn open(&self, body: &[u8], times: Times) -> Result<(Vec<u8>, u64), AnswerFault> {
        let text = std::str::from_utf8(body).map_err(|_| AnswerFault::Malformed)?.trim_ascii();
        let (jws, iss) = Jws::parse(text, SIGNED, text.len()).map_err(AnswerFault::Signed)?;
        if iss != self.issuer {
            return Err(AnswerFault::OtherIssuer);
        }
        let Lookup::Found { key, generation } = self.trust.lookup(jws.key_name(), times.moment) else {
            return Err(AnswerFault::MissingKey);
        };
        if !self.policy.listed().contains(&key.algorithm()) {
            return Err(AnswerFault::Signed(TokenFault::Algorithm));
        }
        jws.verify(&key).map_err(AnswerFault::Signed)?;
        let envelope: Envelope<'_> =
            serde_json::from_slice(&jws.payload).map_err(|_| AnswerFault::Malformed)?;
        if !envelope.aud.includes(&self.client_id) {
            return Err(AnswerFault::OtherClient);
        }
        let leeway = self.policy.leeway_between_clocks().as_secs();
        let NumericDate(made) = envelope.iat;
        // An answer that was made before the question is one to another question.
        let is_fresh = made.saturating_add(leeway) >= times.asked && made <= times.now.saturating_add(leeway);
        let is_over = envelope.exp.is_some_and(|exp| !is_current(exp, leeway, times.now));
        if !is_fresh || is_over {
            return Err(AnswerFault::NotFresh);
        }
        Ok((envelope.token_introspection.get().as_bytes().to_vec(), generation))
    }

    fn claims(&self, payload: &[u8], token: &Digest, now: u64) -> Result<AccessClaims, TokenFault> {
        let name = token.name();
        let implied = Implied {
            iss: Some(&self.issuer),
            aud: self.tolerated.unaddressed.then_some(&self.audience),
            jti: Some(&name),
            client_id: None,
        };
        if !self.tolerated.unaddressed && part::<Addressed>(payload)?.aud.is_none() {
            return Err(TokenFault::Unaddressed);
        }
        let claims = AccessClaims::parse_with(payload, implied)?;
        if !claims.is_of(&self.issuer) {
            return Err(TokenFault::UnknownIssuer);
        }
        self.check_kind(&part(payload)?, &claims)?;
        claims.check(&self.policy.rules(&self.audience, now))?;
        Ok(claims)
    }

    /// Whether it is an access token at all: what is active may be a refresh token as well.
    fn check_kind(&self, kind: &Kind, claims: &AccessClaims) -> Result<(), TokenFault> {
        let is_among = |text: &Option<String>, known: &[&str]| {
            text.as_ref().is_none_or(|own| known.iter().any(|name| own.eq_ignore_ascii_case(name)))
        };
        if !is_among(&kind.token_type, &[BEARER, DPOP])
            || !is_among(&kind.typ, &ACCESS_TYPES)
            || !is_among(&kind.token_use, &ACCESS_USES)
        {
            return Err(TokenFault::Type);
        }
        let is_bound = claims.cnf.as_ref().is_some_and(|cnf| cnf.jkt.is_some());
        let is_called_bound =
            [&kind.token_type, &kind.typ].into_iter().flatten().any(|name| name.eq_ignore_ascii_case(DPOP));
        // Taking it for a bearer token would undo a binding that the answer only hints at.
        if is_called_bound && !is_bound {
            return Err(TokenFault::SenderConstrained);
        }
        if kind.token_type.is_none() && !self.tolerated.untyped {
            return Err(TokenFault::Untyped);
        }
        Ok(())
    }
}

#[derive(serde::Deserialize)]
struct Addressed {
    #[serde(default, deserialize_with = "present")]
    aud: Option<serde::de::IgnoredAny>,
}
