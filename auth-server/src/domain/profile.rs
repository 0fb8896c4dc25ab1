//! What an account says about a person beside name and address of mail: the rest of the standard claims of
//! [OpenID Connect Core §5.1](https://openid.net/specs/openid-connect-core-1_0.html#StandardClaims).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::claim_text::{self, InvalidText};
use crate::domain::clock::Timestamp;

/// A claim whose value is a text of the profile.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileField {
    /// The day of birth, or only the day or the year.
    Birthdate,
    /// The surname.
    FamilyName,
    /// As the person says it.
    Gender,
    /// The first name.
    GivenName,
    /// The language, as a tag of BCP 47.
    Locale,
    /// What stands between first name and surname.
    MiddleName,
    /// What the person is called casually.
    Nickname,
    /// In the form of E.164.
    PhoneNumber,
    /// Where there is a picture.
    Picture,
    /// Where there is a page about the person.
    Profile,
    /// Where the person writes.
    Website,
    /// The time zone, as the time zone database calls it.
    Zoneinfo,
}

impl ProfileField {
    /// Every field there is.
    pub const ALL: [Self; 12] = [
        Self::Birthdate,
        Self::FamilyName,
        Self::Gender,
        Self::GivenName,
        Self::Locale,
        Self::MiddleName,
        Self::Nickname,
        Self::PhoneNumber,
        Self::Picture,
        Self::Profile,
        Self::Website,
        Self::Zoneinfo,
    ];

    /// The name of the claim.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Birthdate => "birthdate",
            Self::FamilyName => "family_name",
            Self::Gender => "gender",
            Self::GivenName => "given_name",
            Self::Locale => "locale",
            Self::MiddleName => "middle_name",
            Self::Nickname => "nickname",
            Self::PhoneNumber => "phone_number",
            Self::Picture => "picture",
            Self::Profile => "profile",
            Self::Website => "website",
            Self::Zoneinfo => "zoneinfo",
        }
    }

    fn check(self, raw: &str) -> Result<(), InvalidText> {
        match self {
            Self::Birthdate => claim_text::birthdate(raw),
            Self::FamilyName | Self::GivenName | Self::MiddleName | Self::Nickname => {
                claim_text::line(raw, 200)
            }
            Self::Gender => claim_text::line(raw, 50),
            Self::Locale => claim_text::language(raw),
            Self::PhoneNumber => claim_text::phone(raw),
            Self::Picture | Self::Profile | Self::Website => claim_text::address_of_a_page(raw),
            Self::Zoneinfo => claim_text::time_zone(raw),
        }
    }
}

/// A member of the `address` claim (OpenID Connect Core §5.1.1).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressField {
    /// The country.
    Country,
    /// All of it, as on an envelope.
    Formatted,
    /// The city.
    Locality,
    /// The postal code.
    PostalCode,
    /// The state, province or region.
    Region,
    /// Street, house number and what else stands above the city.
    StreetAddress,
}

impl AddressField {
    /// Every member there is.
    pub const ALL: [Self; 6] =
        [Self::Country, Self::Formatted, Self::Locality, Self::PostalCode, Self::Region, Self::StreetAddress];

    /// The name of the member.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Country => "country",
            Self::Formatted => "formatted",
            Self::Locality => "locality",
            Self::PostalCode => "postal_code",
            Self::Region => "region",
            Self::StreetAddress => "street_address",
        }
    }

    fn check(self, raw: &str) -> Result<(), InvalidText> {
        match self {
            // These two may have several lines.
            Self::Formatted | Self::StreetAddress => claim_text::lines(raw, 500),
            Self::Country | Self::Locality | Self::PostalCode | Self::Region => claim_text::line(raw, 200),
        }
    }
}

/// What an account says about a person. What it does not say is left out of tokens.
///
/// Holding one proves that every value has the form that its claim asks for.
#[derive(Clone, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Profile {
    texts: BTreeMap<ProfileField, String>,
    address: BTreeMap<AddressField, String>,
    phone_number_verified: bool,
    updated_at: Option<Timestamp>,
}

impl Profile {
    /// Says something; the empty text says nothing.
    pub fn set(&mut self, field: ProfileField, raw: &str) -> Result<(), InvalidText> {
        if raw.is_empty() {
            self.texts.remove(&field);
        } else {
            field.check(raw)?;
            self.texts.insert(field, raw.to_owned());
        }
        Ok(())
    }

    /// Says something about where the person lives; the empty text says nothing.
    pub fn set_address(&mut self, field: AddressField, raw: &str) -> Result<(), InvalidText> {
        if raw.is_empty() {
            self.address.remove(&field);
        } else {
            field.check(raw)?;
            self.address.insert(field, raw.to_owned());
        }
        Ok(())
    }

    /// Says whether somebody made sure of the telephone number.
    pub const fn set_phone_number_verified(&mut self, verified: bool) {
        self.phone_number_verified = verified;
    }

    /// The same, changed at this time.
    #[must_use]
    pub const fn updated(mut self, at: Option<Timestamp>) -> Self {
        self.updated_at = at;
        self
    }

    /// What is said.
    pub fn text(&self, field: ProfileField) -> Option<&str> {
        self.texts.get(&field).map(String::as_str)
    }

    /// What is said of one part of where the person lives.
    pub fn address_text(&self, field: AddressField) -> Option<&str> {
        self.address.get(&field).map(String::as_str)
    }

    /// Whether somebody made sure of the telephone number; `None` where there is none.
    pub fn phone_number_verified(&self) -> Option<bool> {
        self.text(ProfileField::PhoneNumber).map(|_| self.phone_number_verified)
    }

    /// When it last changed.
    pub const fn updated_at(&self) -> Option<Timestamp> {
        self.updated_at
    }

    /// Where the person lives, as the `address` claim has it; `None` when nothing is said.
    pub fn address(&self) -> Option<Value> {
        let members: Map<String, Value> = AddressField::ALL
            .into_iter()
            .filter_map(|field| Some((field.as_str().to_owned(), self.address.get(&field)?.as_str().into())))
            .collect();
        (!members.is_empty()).then_some(Value::Object(members))
    }

    /// All that is said, by the names of the claims.
    pub fn to_json(&self) -> Value {
        let texts = ProfileField::ALL
            .into_iter()
            .filter_map(|field| self.text(field).map(|text| (field.as_str().to_owned(), Value::from(text))));
        let address = self.address().map(|address| ("address".to_owned(), address));
        let verified = self.phone_number_verified();
        let verified = verified.map(|verified| ("phone_number_verified".to_owned(), Value::from(verified)));
        Value::Object(texts.chain(address).chain(verified).collect())
    }
}

// Personal data has no place in a log.
impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Profile(..)")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn full() -> Profile {
        let mut profile = Profile::default();
        profile.set(ProfileField::GivenName, "Ada").unwrap();
        profile.set(ProfileField::PhoneNumber, "+4366012345").unwrap();
        profile.set_address(AddressField::StreetAddress, "Main Street 1\nStairs 2").unwrap();
        profile.set_phone_number_verified(true);
        profile.updated(Some(Timestamp::from_secs(7)))
    }

    #[test]
    fn it_survives_being_kept_as_json() {
        let kept = serde_json::to_string(&full()).unwrap();
        assert_eq!(serde_json::from_str::<Profile>(&kept).unwrap(), full());
        assert_eq!(serde_json::from_str::<Profile>("{}").unwrap(), Profile::default());
    }

    #[test]
    fn what_is_empty_is_left_out() {
        let mut profile = full();
        assert_eq!(
            profile.to_json(),
            json!({ "given_name": "Ada", "phone_number": "+4366012345", "phone_number_verified": true,
                "address": { "street_address": "Main Street 1\nStairs 2" } })
        );
        profile.set(ProfileField::PhoneNumber, "").unwrap();
        profile.set_address(AddressField::StreetAddress, "").unwrap();
        assert_eq!(profile.to_json(), json!({ "given_name": "Ada" }));
    }

    #[test]
    fn names_are_those_of_the_claims() {
        for field in ProfileField::ALL {
            assert_eq!(serde_json::to_value(field).unwrap(), field.as_str());
        }
        for field in AddressField::ALL {
            assert_eq!(serde_json::to_value(field).unwrap(), field.as_str());
        }
    }

    #[test]
    fn personal_data_is_not_printed() {
        assert_eq!(format!("{:?}", full()), "Profile(..)");
    }
}
