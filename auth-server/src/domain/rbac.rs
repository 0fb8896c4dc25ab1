//! APIs, their roles, and who holds them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::domain::clock::Timestamp;
use crate::domain::ids::{ApiId, AssignmentId, ClientId, OrganisationId, RoleId, UserId};
use crate::domain::scope::ScopeSet;
use crate::domain::secret::Digest32;
use crate::domain::signing::SigningAlg;

/// A resource server: what access tokens are for, and what a policy set protects.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Api {
    /// Names the API.
    pub id: ApiId,
    /// The `aud` of its access tokens, and the `resource` that asks for them.
    pub audience: Audience,
    /// The name that people see.
    pub name: String,
    /// How its access tokens are made.
    pub access_tokens: AccessTokenSettings,
    /// The policy revision its guards enforce.
    pub active_revision: Option<u64>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// Whether it is the API that administers this server.
    pub administers: bool,
    /// Whether what one person wrote takes another to put it in force.
    pub four_eyes: bool,
    /// The digest of the rules that its guards try beside those in force.
    pub shadow: Option<Digest32>,
    /// The scopes that it has: tokens for it say no others. Empty if it names none: then any that clients have.
    pub scopes: ScopeSet,
}

/// How access tokens are made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AccessTokenSettings {
    /// How long they live.
    pub ttl: Duration,
    /// What they are signed with.
    pub alg: SigningAlg,
}

impl AccessTokenSettings {
    /// What access tokens are signed with where nobody says otherwise.
    pub const DEFAULT_ALG: SigningAlg = SigningAlg::Es256;

    /// Those that live so long, and are otherwise as they are unless somebody says so.
    pub const fn living(ttl: Duration) -> Self {
        Self { ttl, alg: Self::DEFAULT_ALG }
    }
}

#[cfg(test)]
impl Api {
    /// One for tests, told from others by its seed.
    pub(crate) fn sample(seed: u64, scopes: &str) -> Self {
        use crate::domain::secret::Entropy;

        Self {
            id: ApiId::generate(Timestamp::from_secs(1), &Entropy::seeded(seed)),
            audience: Audience::parse("https://orders.test").unwrap(),
            name: "Orders".to_owned(),
            access_tokens: AccessTokenSettings::living(Duration::from_mins(5)),
            active_revision: None,
            created_at: Timestamp::from_secs(1),
            administers: false,
            four_eyes: false,
            shadow: None,
            scopes: ScopeSet::parse(scopes).unwrap(),
        }
    }
}

/// The audience of an API: an absolute URI without a fragment (RFC 8707 §2).
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Audience(String);

/// The text is not an audience.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an audience is an absolute URI without a fragment, of at most 512 visible ASCII characters")]
pub struct InvalidAudience;

impl Audience {
    /// Accepts an audience.
    pub fn parse(raw: &str) -> Result<Self, InvalidAudience> {
        let plain = raw.len() <= 512 && raw.bytes().all(|b| b.is_ascii_graphic() && !b"\\\"<>#".contains(&b));
        match Url::parse(raw) {
            Ok(_) if plain => Ok(Self(raw.to_owned())),
            _ => Err(InvalidAudience),
        }
    }

    /// The audience as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What somebody who writes scheme or host with capitals means: they are the same in any case (RFC 3986 §6.2.2.1). `None` where
    /// there are none.
    pub fn plain(raw: &str) -> Option<String> {
        let (scheme, rest) = raw.split_once("://").filter(|_| raw.len() <= 512)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at_checked(end).filter(|(host, _)| !host.contains('@'))?;
        let plain = format!("{}://{}{path}", scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
        (plain != raw).then_some(plain)
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Audience {
    type Error = InvalidAudience;

    fn try_from(raw: String) -> Result<Self, InvalidAudience> {
        Self::parse(&raw)
    }
}

impl From<Audience> for String {
    fn from(audience: Audience) -> Self {
        audience.0
    }
}

/// A named set of permissions in one API; what it permits is the policy's business.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Role {
    /// Names the role.
    pub id: RoleId,
    /// The API it belongs to.
    pub api: ApiId,
    /// What rules and tokens call it.
    pub name: RoleName,
    /// What it is for.
    pub description: String,
}

/// What rules and tokens call a role.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleName(String);

/// The text is not the name of a role.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a role name has 1 to 64 characters out of a-z 0-9 . _ - and starts with a letter or digit")]
pub struct InvalidRoleName;

impl RoleName {
    /// Accepts the name of a role.
    pub fn parse(raw: &str) -> Result<Self, InvalidRoleName> {
        let simple = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let starts_well = raw.bytes().next().is_some_and(simple);
        let rest_is_fine = raw.bytes().all(|b| simple(b) || matches!(b, b'.' | b'_' | b'-'));
        if raw.len() <= 64 && starts_well && rest_is_fine {
            Ok(Self(raw.to_owned()))
        } else {
            Err(InvalidRoleName)
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RoleName {
    type Error = InvalidRoleName;

    fn try_from(raw: String) -> Result<Self, InvalidRoleName> {
        Self::parse(&raw)
    }
}

impl From<RoleName> for String {
    fn from(name: RoleName) -> Self {
        name.0
    }
}

/// Somebody holding a role.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Assignment {
    /// Names the assignment.
    pub id: AssignmentId,
    /// The role held.
    pub role: RoleId,
    /// Who holds it.
    pub subject: AssignmentSubject,
    /// Where it counts.
    pub organisation: OrganisationScope,
}

/// Who holds a role.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum AssignmentSubject {
    /// A client that acts for itself.
    Client(ClientId),
    /// A person.
    User(UserId),
}

impl AssignmentSubject {
    /// `client` or `user`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Client(_) => "client",
            Self::User(_) => "user",
        }
    }

    /// The identifier as text.
    pub fn id(&self) -> &str {
        match self {
            Self::Client(id) => id.as_str(),
            Self::User(id) => id.as_str(),
        }
    }
}

/// Where a role counts.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum OrganisationScope {
    /// In every organisation: `*`.
    Every,
    /// In one.
    One(OrganisationId),
}

impl OrganisationScope {
    /// `*`, or the identifier of the organisation.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Every => "*",
            Self::One(id) => id.as_str(),
        }
    }
}

impl FromStr for OrganisationScope {
    type Err = crate::domain::ids::InvalidId;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        if raw == "*" { Ok(Self::Every) } else { OrganisationId::parse(raw).map(Self::One) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_names_are_short_and_plain() {
        for good in ["a", "orders.read", "9-x_y", &"a".repeat(64)] {
            assert_eq!(RoleName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", ".a", "_a", "A", "a b", "a,b", "ä", "a\n", "*", &"a".repeat(65)] {
            assert_eq!(RoleName::parse(bad), Err(InvalidRoleName), "{bad:?}");
        }
    }

    #[test]
    fn audiences_are_absolute_uris_without_a_fragment() {
        for good in ["https://orders.example", "urn:example:orders", "https://orders.example/v1?x=1"] {
            assert_eq!(Audience::parse(good).unwrap().as_str(), good);
        }
        for bad in
            ["", "orders", "https://orders.example/#", "https://orders.example/ x", "https://örders.example"]
        {
            assert_eq!(Audience::parse(bad), Err(InvalidAudience), "{bad}");
        }
    }

    #[test]
    fn capitals_in_scheme_and_host_mean_nothing_and_elsewhere_they_do() {
        for (written, plain) in [
            ("HTTPS://Orders.EXAMPLE/V1?X=1", Some("https://orders.example/V1?X=1")),
            ("https://Orders.example", Some("https://orders.example")),
            ("https://orders.example?A", None),
            ("https://orders.example/V1", None),
            ("https://Me@orders.example/", None),
            ("URN:example:orders", None),
            ("Orders", None),
            ("", None),
        ] {
            assert_eq!(Audience::plain(written).as_deref(), plain, "{written}");
        }
    }

    #[test]
    fn the_star_means_every_organisation() {
        assert_eq!("*".parse(), Ok(OrganisationScope::Every));
        let first = OrganisationScope::One(OrganisationId::first());
        assert_eq!(first.as_str().parse(), Ok(first.clone()));
        let refused = "**".parse::<OrganisationScope>().unwrap_err();
        assert!(refused.to_string().contains("org_"), "{refused}");
    }
}
