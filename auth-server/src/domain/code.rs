//! What an authorization code stands for.

use serde::{Deserialize, Serialize};

use crate::domain::claim::SingleClaims;
use crate::domain::clock::Timestamp;
use crate::domain::confirmation::Thumbprint;
use crate::domain::ids::{ClientId, GrantId, SessionId, UserId};
use crate::domain::pkce::CodeChallenge;
use crate::domain::reach::Reach;
use crate::domain::scope::ScopeSet;

/// What a code was issued for; it is stored under the digest of the code.
///
/// The grant gets its name when the code is issued and its row when the code is redeemed, so that a replay can
/// revoke what the first use bought.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CodePayload {
    /// The grant that redeeming makes.
    pub grant: GrantId,
    /// Who may redeem it.
    pub client: ClientId,
    /// Who signed in.
    pub user: UserId,
    /// In which session.
    pub session: SessionId,
    /// The redirect URI of the request as it was sent (RFC 6749 §4.1.3).
    pub redirect_uri: String,
    /// What the client has to show beside the code.
    #[serde(flatten)]
    pub binding: CodeBinding,
    /// What is for tokens of OpenID Connect.
    #[serde(flatten)]
    pub identity: CodeIdentity,
    /// What was allowed.
    pub scopes: ScopeSet,
    /// Where, and what there in detail.
    #[serde(flatten)]
    pub reach: Reach,
    /// When the person proved who they are.
    pub auth_time: Timestamp,
}

/// What a client has to show beside a code: whoever got hold of the code alone can do nothing with it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CodeBinding {
    /// What its verifier has to answer (RFC 7636).
    pub challenge: CodeChallenge,
    /// The key that it has to prove, if the request named one ([RFC 9449 §10]).
    ///
    /// [RFC 9449 §10]: https://www.rfc-editor.org/rfc/rfc9449#section-10
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jkt: Option<Thumbprint>,
}

/// What a code keeps for ID tokens and userinfo.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct CodeIdentity {
    /// What the ID token repeats (OpenID Connect Core §3.1.2.1).
    pub nonce: Option<String>,
    /// The claims that were asked for one by one.
    #[serde(default)]
    pub claims: SingleClaims,
}
