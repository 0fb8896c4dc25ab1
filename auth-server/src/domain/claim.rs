//! The claims about a person, which scope reveals each, and sets of them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::claims::{ADDRESS, EMAIL, PHONE, PROFILE};
use crate::domain::profile::ProfileField;
use crate::domain::scope::ScopeSet;
use crate::domain::user::User;

/// A claim about a person that this server can tell ([OpenID Connect Core §5.1]).
///
/// [OpenID Connect Core §5.1]: https://openid.net/specs/openid-connect-core-1_0.html#StandardClaims
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Claim {
    /// Where the person lives.
    Address,
    /// Where to write to.
    Email,
    /// Whether that address was proven.
    EmailVerified,
    /// What the person is called.
    Name,
    /// Whether somebody made sure of the telephone number.
    PhoneNumberVerified,
    /// What the person types to sign in.
    PreferredUsername,
    /// A text of the profile.
    Text(ProfileField),
    /// When any of it changed last.
    UpdatedAt,
}

impl Claim {
    /// Every claim there is.
    pub const ALL: [Self; 19] = [
        Self::Address,
        Self::Email,
        Self::EmailVerified,
        Self::Name,
        Self::PhoneNumberVerified,
        Self::PreferredUsername,
        Self::Text(ProfileField::Birthdate),
        Self::Text(ProfileField::FamilyName),
        Self::Text(ProfileField::Gender),
        Self::Text(ProfileField::GivenName),
        Self::Text(ProfileField::Locale),
        Self::Text(ProfileField::MiddleName),
        Self::Text(ProfileField::Nickname),
        Self::Text(ProfileField::PhoneNumber),
        Self::Text(ProfileField::Picture),
        Self::Text(ProfileField::Profile),
        Self::Text(ProfileField::Website),
        Self::Text(ProfileField::Zoneinfo),
        Self::UpdatedAt,
    ];

    /// The name of the claim.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Email => "email",
            Self::EmailVerified => "email_verified",
            Self::Name => "name",
            Self::PhoneNumberVerified => "phone_number_verified",
            Self::PreferredUsername => "preferred_username",
            Self::Text(field) => field.as_str(),
            Self::UpdatedAt => "updated_at",
        }
    }

    /// The claim of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|claim| claim.as_str() == name)
    }

    /// The scope that reveals it (OpenID Connect Core §5.4).
    pub const fn scope(self) -> &'static str {
        match self {
            Self::Address => ADDRESS,
            Self::Email | Self::EmailVerified => EMAIL,
            Self::PhoneNumberVerified | Self::Text(ProfileField::PhoneNumber) => PHONE,
            Self::Name | Self::PreferredUsername | Self::Text(_) | Self::UpdatedAt => PROFILE,
        }
    }

    /// What it says of somebody; `None` when the account does not say.
    pub fn of(self, user: &User) -> Option<Value> {
        let text = |text: &str| (!text.is_empty()).then(|| Value::from(text));
        match self {
            Self::Address => user.profile.address(),
            Self::Email => user.email.as_ref().and_then(|email| text(email.as_str())),
            Self::EmailVerified => user.email.as_ref().map(|_| user.email_verified_at.is_some().into()),
            Self::Name => text(&user.name),
            Self::PhoneNumberVerified => user.profile.phone_number_verified().map(Value::from),
            Self::PreferredUsername => text(user.username.as_str()),
            Self::Text(field) => user.profile.text(field).and_then(text),
            Self::UpdatedAt => Some(user.profile.updated_at().unwrap_or(user.created_at).as_secs().into()),
        }
    }
}

/// A set of claims; as text, their names with spaces between them.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClaimSet(BTreeSet<Claim>);

/// The text names a claim that this server does not know.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown claim")]
pub struct UnknownClaim;

impl ClaimSet {
    /// What these scopes reveal.
    pub fn revealed_by(scopes: &ScopeSet) -> Self {
        Claim::ALL.into_iter().filter(|claim| scopes.contains(claim.scope())).collect()
    }

    /// Those that these scopes reveal, too.
    #[must_use]
    pub fn within(&self, scopes: &ScopeSet) -> Self {
        self.iter().filter(|claim| scopes.contains(claim.scope())).collect()
    }

    /// Those that these scopes do not reveal.
    #[must_use]
    pub fn beyond(&self, scopes: &ScopeSet) -> Self {
        self.iter().filter(|claim| !scopes.contains(claim.scope())).collect()
    }

    /// The claims of both sets.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).copied().collect())
    }

    /// Whether every claim of this set is in `other`.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// Whether the set holds `claim`.
    pub fn contains(&self, claim: Claim) -> bool {
        self.0.contains(&claim)
    }

    /// Whether there is no claim in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The claims, in the order of the type.
    pub fn iter(&self) -> impl Iterator<Item = Claim> {
        self.0.iter().copied()
    }

    /// What the claims say of somebody. What the account does not say is left out, never null.
    pub fn of(&self, user: &User) -> Map<String, Value> {
        self.iter().filter_map(|claim| Some((claim.as_str().to_owned(), claim.of(user)?))).collect()
    }
}

impl FromIterator<Claim> for ClaimSet {
    fn from_iter<I: IntoIterator<Item = Claim>>(claims: I) -> Self {
        Self(claims.into_iter().collect())
    }
}

impl fmt::Display for ClaimSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Claim::as_str).collect();
        f.write_str(&names.join(" "))
    }
}

impl FromStr for ClaimSet {
    type Err = UnknownClaim;

    fn from_str(raw: &str) -> Result<Self, UnknownClaim> {
        let names = raw.split(' ').filter(|name| !name.is_empty());
        names.map(|name| Claim::named(name).ok_or(UnknownClaim)).collect()
    }
}

impl TryFrom<String> for ClaimSet {
    type Error = UnknownClaim;

    fn try_from(raw: String) -> Result<Self, UnknownClaim> {
        raw.parse()
    }
}

impl From<ClaimSet> for String {
    fn from(claims: ClaimSet) -> Self {
        claims.to_string()
    }
}

/// Claims that were asked for one by one (OpenID Connect Core §5.5), and where they are told.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct SingleClaims {
    /// In ID tokens.
    pub id_token: ClaimSet,
    /// At the userinfo endpoint.
    pub userinfo: ClaimSet,
}

impl SingleClaims {
    /// Those that a client with these scopes may have.
    #[must_use]
    pub fn within(&self, scopes: &ScopeSet) -> Self {
        Self { id_token: self.id_token.within(scopes), userinfo: self.userinfo.within(scopes) }
    }

    /// All of them, wherever they are told.
    pub fn all(&self) -> ClaimSet {
        self.id_token.union(&self.userinfo)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::clock::Timestamp;
    use crate::domain::ids::{OrganisationId, UserId};
    use crate::domain::profile::{AddressField, Profile};
    use crate::domain::secret::Entropy;
    use crate::domain::user::{Email, Sub, Username};

    fn user(profile: Profile) -> User {
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
            profile,
        }
    }

    fn told(scopes: &str, profile: Profile) -> Value {
        let scopes = ScopeSet::parse(scopes).unwrap();
        Value::Object(ClaimSet::revealed_by(&scopes).of(&user(profile)))
    }

    #[test]
    fn a_scope_reveals_its_claims_and_no_other() {
        let mut profile = Profile::default();
        for (field, text) in [
            (ProfileField::GivenName, "Ada"),
            (ProfileField::PhoneNumber, "+4366012345"),
            (ProfileField::Zoneinfo, "Europe/London"),
        ] {
            profile.set(field, text).unwrap();
        }
        profile.set_address(AddressField::Country, "England").unwrap();
        let profile = profile.updated(Some(Timestamp::from_secs(9)));
        assert_eq!(told("openid offline_access", profile.clone()), json!({}));
        assert_eq!(
            told("profile", profile.clone()),
            json!({ "name": "Ada", "preferred_username": "ada", "given_name": "Ada", "zoneinfo": "Europe/London",
                "updated_at": 9 })
        );
        assert_eq!(
            told("email", profile.clone()),
            json!({ "email": "ada@example.org", "email_verified": false })
        );
        assert_eq!(
            told("phone", profile.clone()),
            json!({ "phone_number": "+4366012345", "phone_number_verified": false })
        );
        assert_eq!(told("address", profile), json!({ "address": { "country": "England" } }));
    }

    #[test]
    fn what_the_account_does_not_say_is_left_out() {
        assert_eq!(told("phone address", Profile::default()), json!({}));
        let nobody = User { name: String::new(), email: None, ..user(Profile::default()) };
        let all: ClaimSet = Claim::ALL.into_iter().collect();
        assert_eq!(Value::Object(all.of(&nobody)), json!({ "preferred_username": "ada", "updated_at": 1 }));
    }

    #[test]
    fn a_set_survives_the_way_to_text_and_back() {
        let all: ClaimSet = Claim::ALL.into_iter().collect();
        assert_eq!(all.to_string().parse(), Ok(all.clone()));
        assert_eq!("".parse(), Ok(ClaimSet::default()));
        assert_eq!("email nobody".parse::<ClaimSet>(), Err(UnknownClaim));
        let single = SingleClaims { id_token: all, userinfo: ClaimSet::default() };
        let kept = serde_json::to_string(&single).unwrap();
        assert_eq!(serde_json::from_str::<SingleClaims>(&kept).unwrap(), single);
        assert_eq!(serde_json::from_str::<SingleClaims>("{}").unwrap(), SingleClaims::default());
    }

    #[test]
    fn scopes_divide_a_set() {
        let set: ClaimSet = "email nickname".parse().unwrap();
        let scopes = ScopeSet::parse("openid email").unwrap();
        assert_eq!(
            (set.within(&scopes).to_string(), set.beyond(&scopes).to_string()),
            ("email".into(), "nickname".into())
        );
    }
}
