//! Minting: the one place that makes access tokens and ID tokens.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::domain::claims::{AccessTokenClaims, IdTokenClaims};
use crate::domain::client::Client;
use crate::domain::clock::Timestamp;
use crate::domain::confirmation::Confirmation;
use crate::domain::delegation::Delegate;
use crate::domain::details::Details;
use crate::domain::ids::{ClientId, GrantId, OrganisationId, SessionId};
use crate::domain::issuer::Issuer;
use crate::domain::rbac::RoleName;
use crate::domain::scope::ScopeSet;
use crate::domain::secret::Entropy;
use crate::domain::session::{Acr, AuthMethod};
use crate::domain::signing::SigningAlg;
use crate::domain::user::{Sub, User};
use crate::keys::jwt::JwtType;
use crate::keys::ring::{KeyRing, SignError};

/// What access tokens are signed with.
pub(crate) const ACCESS_TOKEN_ALG: SigningAlg = SigningAlg::Es256;

/// Makes tokens.
#[derive(Clone)]
pub(crate) struct Minter {
    keys: KeyRing,
    issuer: Issuer,
    entropy: Entropy,
    id_ttl: Duration,
}

/// What an access token will say, decided by the grant.
#[derive(Clone, Debug)]
pub(crate) struct AccessToken {
    pub(crate) client: ClientId,
    pub(crate) subject: Subject,
    /// The API, or the issuer where the token is for userinfo only.
    pub(crate) audience: String,
    pub(crate) scopes: ScopeSet,
    /// What in detail.
    pub(crate) details: Details,
    pub(crate) roles: Vec<RoleName>,
    pub(crate) organisation: Option<OrganisationId>,
    pub(crate) ttl: Duration,
    /// Who acts for the user, where that is not the client.
    pub(crate) act: Option<Delegate>,
    pub(crate) binding: Confirmation,
}

/// Whom a token speaks for.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// The client itself.
    Client,
    /// A person, who signed in, by the subject that the client knows.
    User(Box<SignedIn>),
}

/// Who signed in, when, how, and for which grant.
#[derive(Clone, Debug)]
pub(crate) struct SignedIn {
    pub(crate) sub: Sub,
    pub(crate) organisation: OrganisationId,
    pub(crate) auth_time: Timestamp,
    pub(crate) session: SessionId,
    pub(crate) grant: GrantId,
    /// `None` once the session is forgotten: then nothing is claimed about the strength of the proof.
    pub(crate) proof: Option<Proof>,
}

/// How somebody proved who they are.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    pub(crate) acr: Acr,
    pub(crate) methods: Vec<AuthMethod>,
}

/// What an ID token says beyond who signed in.
#[derive(Clone, Debug)]
pub(crate) struct IdToken {
    pub(crate) client: ClientId,
    pub(crate) alg: SigningAlg,
    pub(crate) nonce: Option<String>,
    /// The claims about the person that were asked for.
    pub(crate) about: Map<String, Value>,
}

impl Minter {
    pub(crate) const fn new(keys: KeyRing, issuer: Issuer, entropy: Entropy, id_ttl: Duration) -> Self {
        Self { keys, issuer, entropy, id_ttl }
    }

    pub(crate) const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    pub(crate) const fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// What tokens for this client call this user.
    pub(crate) fn subject(&self, client: &Client, user: &User) -> Sub {
        self.keys.subject(client, user)
    }

    pub(crate) const fn entropy(&self) -> &Entropy {
        &self.entropy
    }

    /// Makes an access token ([RFC 9068](https://www.rfc-editor.org/rfc/rfc9068)).
    pub(crate) fn access_token(&self, token: &AccessToken, now: Timestamp) -> Result<String, SignError> {
        self.keys.sign(ACCESS_TOKEN_ALG, JwtType::AccessToken, &self.access_claims(token, now))
    }

    fn access_claims(&self, token: &AccessToken, now: Timestamp) -> AccessTokenClaims {
        let user = match &token.subject {
            Subject::Client => None,
            Subject::User(user) => Some(user),
        };
        let proof = user.and_then(|user| user.proof.as_ref());
        AccessTokenClaims {
            iss: self.issuer.as_str().to_owned(),
            // RFC 9068 §2.2: without a resource owner the subject is the client.
            sub: user.map_or_else(|| token.client.to_string(), |user| user.sub.to_string()),
            aud: token.audience.clone(),
            client_id: token.client.clone(),
            exp: now.plus(token.ttl).as_secs(),
            iat: now.as_secs(),
            jti: URL_SAFE_NO_PAD.encode(self.entropy.bytes::<16>()),
            scope: token.scopes.clone(),
            authorization_details: token.details.clone(),
            auth_time: user.map(|user| user.auth_time.as_secs()),
            acr: proof.map(|proof| proof.acr),
            amr: proof.map(|proof| proof.methods.clone()).unwrap_or_default(),
            roles: token.roles.clone(),
            org: token.organisation.clone(),
            sid: user.map(|user| user.session.clone()),
            gid: user.map(|user| user.grant.clone()),
            act: token.act.clone(),
            cnf: token.binding.clone(),
        }
    }

    /// Makes the ID token that belongs to `access_token` ([OpenID Connect Core §2]).
    ///
    /// There is none for a session of which nothing is known any more: it would have to invent how the person signed in.
    ///
    /// [OpenID Connect Core §2]: https://openid.net/specs/openid-connect-core-1_0.html#IDToken
    pub(crate) fn id_token(
        &self,
        token: IdToken,
        user: &SignedIn,
        access_token: &str,
        now: Timestamp,
    ) -> Result<Option<String>, SignError> {
        let Some(proof) = &user.proof else { return Ok(None) };
        let claims = IdTokenClaims {
            iss: self.issuer.as_str().to_owned(),
            sub: user.sub.clone(),
            aud: token.client,
            exp: now.plus(self.id_ttl).as_secs(),
            iat: now.as_secs(),
            auth_time: user.auth_time.as_secs(),
            nonce: token.nonce,
            acr: proof.acr,
            amr: proof.methods.clone(),
            at_hash: Some(at_hash(token.alg, access_token)),
            sid: user.session.clone(),
            about: token.about,
        };
        self.keys.sign(token.alg, JwtType::IdToken, &claims).map(Some)
    }
}

/// The left half of the access token's hash, under the hash function of the ID token's algorithm (OpenID Connect Core §3.1.3.6).
///
/// `c_hash` and `s_hash` have no place here: they are for ID tokens that come through the browser, beside a code and a state (Core
/// §3.3.2.11, FAPI 1.0 Advanced §5.1.1), and this server sends none that way.
fn at_hash(alg: SigningAlg, access_token: &str) -> String {
    let function = match alg {
        // Ed25519 hashes with SHA-512 (RFC 8032 §5.1).
        SigningAlg::EdDsa => &digest::SHA512,
        SigningAlg::Es256 | SigningAlg::Ps256 | SigningAlg::Rs256 => &digest::SHA256,
    };
    let hash = digest::digest(function, access_token.as_bytes());
    let half = hash.as_ref().len() / 2;
    URL_SAFE_NO_PAD.encode(hash.as_ref().get(..half).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_hash_is_the_left_half_of_the_hash_of_the_algorithm() {
        // OpenID Connect Core, appendix A.3: the access token of the example and its at_hash under RS256.
        let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(at_hash(SigningAlg::Rs256, token), "77QmUPtjPfzWtF2AnpK9RQ");
        assert_eq!(at_hash(SigningAlg::Es256, token), "77QmUPtjPfzWtF2AnpK9RQ");
        assert_eq!(at_hash(SigningAlg::Ps256, token), "77QmUPtjPfzWtF2AnpK9RQ");
        assert_eq!(at_hash(SigningAlg::EdDsa, token).len(), 43, "half of SHA-512 is 32 bytes");
    }
}
