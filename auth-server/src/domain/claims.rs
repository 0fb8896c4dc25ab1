//! What tokens and the userinfo endpoint say.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::confirmation::Confirmation;
use crate::domain::delegation::Delegate;
use crate::domain::details::Details;
use crate::domain::ids::{ClientId, GrantId, OrganisationId, SessionId};
use crate::domain::rbac::RoleName;
use crate::domain::scope::ScopeSet;
use crate::domain::session::{Acr, AuthMethod};
use crate::domain::user::Sub;

/// Scope that asks for an ID token.
pub const OPENID: &str = "openid";
/// Scope that asks what the user is called, and for what is known about the person.
pub const PROFILE: &str = "profile";
/// Scope that asks for the e-mail address of the user.
pub const EMAIL: &str = "email";
/// Scope that asks where the user lives.
pub const ADDRESS: &str = "address";
/// Scope that asks for the telephone number of the user.
pub const PHONE: &str = "phone";
/// Scope that asks for a refresh token (OpenID Connect Core §11).
pub const OFFLINE_ACCESS: &str = "offline_access";

/// Scopes that are about a person and their sign-in: they belong to this server, and to no API.
pub const PERSONAL: [&str; 6] = [ADDRESS, EMAIL, OFFLINE_ACCESS, OPENID, PHONE, PROFILE];

/// What a client that signs people in asks for unless it is told otherwise.
pub const SIGN_IN_SCOPES: &str = "openid profile email offline_access";

/// The claims of an access token ([RFC 9068 §2.2]); absent ones are left out.
///
/// [RFC 9068 §2.2]: https://www.rfc-editor.org/rfc/rfc9068#section-2.2
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct AccessTokenClaims {
    /// Who issued it.
    pub iss: String,
    /// Whom it speaks for: the subject of a user, or the id of a client that acts for itself.
    pub sub: String,
    /// The API it is for.
    pub aud: String,
    /// Who may use it.
    pub client_id: ClientId,
    /// When it ends, in seconds.
    pub exp: i64,
    /// When it was issued, in seconds.
    pub iat: i64,
    /// Names the token.
    pub jti: String,
    /// What it may be used for.
    #[serde(default, skip_serializing_if = "ScopeSet::is_empty")]
    pub scope: ScopeSet,
    /// What it may be used for in detail (RFC 9396 §9.1).
    #[serde(default, skip_serializing_if = "Details::is_empty")]
    pub authorization_details: Details,
    /// When the user proved who they are, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// How strong the proof was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<Acr>,
    /// What the proof was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<AuthMethod>,
    /// The roles held in the API.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<RoleName>,
    /// The organisation in which they are held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<OrganisationId>,
    /// The session of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<SessionId>,
    /// The grant that bought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<GrantId>,
    /// Who acts for the user (RFC 8693 §4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Delegate>,
    /// What it is bound to.
    #[serde(default, skip_serializing_if = "Confirmation::is_empty")]
    pub cnf: Confirmation,
}

/// The claims of an ID token ([OpenID Connect Core §2]); absent ones are left out.
///
/// [OpenID Connect Core §2]: https://openid.net/specs/openid-connect-core-1_0.html#IDToken
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct IdTokenClaims {
    /// Who issued it.
    pub iss: String,
    /// Who signed in.
    pub sub: Sub,
    /// The client it is for.
    pub aud: ClientId,
    /// When it ends, in seconds.
    pub exp: i64,
    /// When it was issued, in seconds.
    pub iat: i64,
    /// When the user proved who they are, in seconds.
    pub auth_time: i64,
    /// Repeats the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// How strong the proof was.
    pub acr: Acr,
    /// What the proof was.
    pub amr: Vec<AuthMethod>,
    /// Ties it to the access token beside it (OpenID Connect Core §3.1.3.6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_hash: Option<String>,
    /// The session of the user.
    pub sid: SessionId,
    /// What was asked for about the person, claim by claim (OpenID Connect Core §5.5).
    #[serde(flatten)]
    pub about: Map<String, Value>,
}
