//! What tokens and the userinfo endpoint say.

use serde::{Deserialize, Serialize};

use crate::domain::confirmation::Confirmation;
use crate::domain::delegation::Delegate;
use crate::domain::ids::{ClientId, GrantId, OrganisationId, SessionId};
use crate::domain::rbac::RoleName;
use crate::domain::scope::ScopeSet;
use crate::domain::session::{Acr, AuthMethod};
use crate::domain::user::{Email, Sub, User};

/// Scope that asks for an ID token.
pub const OPENID: &str = "openid";
/// Scope that asks for the name of the user.
pub const PROFILE: &str = "profile";
/// Scope that asks for the e-mail address of the user.
pub const EMAIL: &str = "email";
/// Scope that asks for a refresh token (OpenID Connect Core §11).
pub const OFFLINE_ACCESS: &str = "offline_access";

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
}

/// What the userinfo endpoint says ([OpenID Connect Core §5.1]); absent claims are left out.
///
/// [OpenID Connect Core §5.1]: https://openid.net/specs/openid-connect-core-1_0.html#StandardClaims
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct UserInfo {
    /// Who signed in.
    pub sub: Sub,
    /// What the person is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the person types to sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<String>,
    /// Where to write to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// Whether the address was proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
}

impl UserInfo {
    /// What `scopes` let a client know about `user` (OpenID Connect Core §5.4).
    pub fn of(user: &User, scopes: &ScopeSet) -> Self {
        let profile = scopes.contains(PROFILE);
        let email = user.email.as_ref().filter(|_| scopes.contains(EMAIL));
        Self {
            sub: user.sub.clone(),
            name: (profile && !user.name.is_empty()).then(|| user.name.clone()),
            preferred_username: profile.then(|| user.username.as_str().to_owned()),
            email: email.cloned(),
            email_verified: email.map(|_| user.email_verified_at.is_some()),
        }
    }
}

/// The claims that `scopes` may reveal, for the discovery document and the consent page.
pub fn claims_of(scope: &str) -> &'static [&'static str] {
    match scope {
        OPENID => &["sub"],
        PROFILE => &["name", "preferred_username"],
        EMAIL => &["email", "email_verified"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::Timestamp;
    use crate::domain::ids::UserId;
    use crate::domain::secret::Entropy;
    use crate::domain::user::Username;

    fn user() -> User {
        let entropy = Entropy::seeded(1);
        let now = Timestamp::from_secs(1);
        User {
            id: UserId::generate(now, &entropy),
            sub: Sub::generate(&entropy),
            organisation: OrganisationId::first(),
            username: Username::parse("ada").unwrap(),
            name: "Ada".to_owned(),
            email: Some(Email::parse("ada@example.org").unwrap()),
            email_verified_at: None,
            created_at: now,
            disabled_at: None,
        }
    }

    fn names(scopes: &str) -> Vec<String> {
        let info = UserInfo::of(&user(), &ScopeSet::parse(scopes).unwrap());
        let json = serde_json::to_value(info).unwrap();
        json.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn a_scope_reveals_its_claims_and_no_other() {
        assert_eq!(names("openid"), ["sub"]);
        for scope in [PROFILE, EMAIL] {
            let mut expected = vec!["sub"];
            expected.extend(claims_of(scope));
            expected.sort_unstable();
            let mut revealed = names(&format!("openid {scope}"));
            revealed.sort();
            assert_eq!(revealed, expected);
        }
    }
}
