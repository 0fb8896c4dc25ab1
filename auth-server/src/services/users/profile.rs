//! What an admin says about a person beside name and address of mail.

use serde_json::{Map, Value};

use crate::domain::profile::{AddressField, Profile, ProfileField};
use crate::services::fields::FieldErrors;

/// A profile by the names of its claims, as text from any edge. What is null or empty says nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfileForm(pub Map<String, Value>);

impl ProfileForm {
    /// Adds what `NAME=VALUE` says; a member of the address is named as `address.country`.
    ///
    /// # Errors
    ///
    /// When there is no name and value, or the name was there before.
    pub fn add(&mut self, said: &str) -> Result<(), BadClaim> {
        let (name, value) = said.split_once('=').ok_or(BadClaim::Form)?;
        let value = match (name, value) {
            ("phone_number_verified", "true") => Value::Bool(true),
            ("phone_number_verified", "false") => Value::Bool(false),
            _ => Value::from(value),
        };
        let before = match name.strip_prefix("address.") {
            None => self.0.insert(name.to_owned(), value),
            Some(member) => match self.0.entry("address").or_insert_with(|| Value::Object(Map::new())) {
                Value::Object(address) => address.insert(member.to_owned(), value),
                _ => return Err(BadClaim::Repeated),
            },
        };
        if before.is_some() { Err(BadClaim::Repeated) } else { Ok(()) }
    }

    pub(super) fn parse(&self, errors: &mut FieldErrors) -> Option<Profile> {
        let mut profile = Profile::default();
        let mut good = true;
        for (name, value) in &self.0 {
            let pointer = pointer("/profile", name);
            good &= match (ProfileField::ALL.into_iter().find(|field| field.as_str() == name), value) {
                (_, Value::Null) => true,
                (Some(field), Value::String(text)) => {
                    errors.take(&pointer, profile.set(field, text)).is_some()
                }
                (Some(_), _) => refused(errors, pointer, "invalid", "has to be a text"),
                (None, Value::Object(address)) if name == "address" => {
                    set_address(&mut profile, address, errors)
                }
                (None, _) if name == "address" => refused(errors, pointer, "invalid", "has to be an object"),
                (None, Value::Bool(verified)) if name == "phone_number_verified" => {
                    profile.set_phone_number_verified(*verified);
                    true
                }
                (None, _) if name == "phone_number_verified" => {
                    refused(errors, pointer, "invalid", "has to be true or false")
                }
                (None, _) => refused(errors, pointer, "unknown", "is no claim that a profile holds"),
            };
        }
        let text = |name| self.0.get(name).and_then(Value::as_str).unwrap_or_default();
        let verified = self.0.get("phone_number_verified") == Some(&Value::Bool(true));
        if verified && text("phone_number").is_empty() {
            let message = "there is no telephone number that somebody could have made sure of";
            good = refused(errors, "/profile/phone_number_verified".to_owned(), "contradiction", message);
        }
        good.then_some(profile)
    }
}

/// Why `NAME=VALUE` is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadClaim {
    /// No name, or no value.
    #[error("expected NAME=VALUE, such as given_name=Ada or address.country=England")]
    Form,
    /// The same name twice.
    #[error("a claim is given twice")]
    Repeated,
}

fn set_address(profile: &mut Profile, address: &Map<String, Value>, errors: &mut FieldErrors) -> bool {
    let mut good = true;
    for (name, value) in address {
        let pointer = pointer("/profile/address", name);
        good &= match (AddressField::ALL.into_iter().find(|field| field.as_str() == name), value) {
            (_, Value::Null) => true,
            (Some(field), Value::String(text)) => {
                errors.take(&pointer, profile.set_address(field, text)).is_some()
            }
            (Some(_), _) => refused(errors, pointer, "invalid", "has to be a text"),
            (None, _) => refused(errors, pointer, "unknown", "is no member of an address"),
        };
    }
    good
}

fn refused(errors: &mut FieldErrors, pointer: String, code: &'static str, message: &str) -> bool {
    errors.refuse(pointer, code, message);
    false
}

/// RFC 6901 §3.
fn pointer(place: &str, name: &str) -> String {
    format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(said: Value) -> Result<Profile, FieldErrors> {
        let Value::Object(said) = said else { panic!("an object") };
        let mut errors = FieldErrors::default();
        let parsed = ProfileForm(said).parse(&mut errors);
        errors.finish(parsed)
    }

    #[test]
    fn what_is_said_comes_back_and_what_is_empty_does_not() {
        let said = json!({ "given_name": "Ada", "birthdate": "1815-12-10", "nickname": null, "gender": "",
            "phone_number": "+4366012345", "phone_number_verified": true,
            "address": { "country": "England", "region": null, "locality": "" } });
        let kept = json!({ "given_name": "Ada", "birthdate": "1815-12-10", "phone_number": "+4366012345",
            "phone_number_verified": true, "address": { "country": "England" } });
        assert_eq!(parse(said).unwrap().to_json(), kept);
        assert_eq!(parse(kept.clone()).unwrap().to_json(), kept);
        assert_eq!(parse(json!({ "phone_number_verified": false })).unwrap(), Profile::default());
    }

    #[test]
    fn every_wrong_field_is_named_by_its_own_pointer() {
        let said = json!({ "given_name": " Ada", "family_name": 7, "website": "http://example.org/",
            "birthdate": "1815-13-01", "zoneinfo": "nowhere at all", "locale": "de_AT", "phone_number": "066012345",
            "email": "ada@example.org", "a/b": "x", "address": { "country": "A\nB", "planet": "Earth", "region": 1 } });
        let errors = parse(said).unwrap_err();
        let mut pointers: Vec<_> = errors.iter().map(|error| (error.pointer.as_str(), error.code)).collect();
        pointers.sort_unstable();
        assert_eq!(
            pointers,
            [
                ("/profile/address/country", "invalid"),
                ("/profile/address/planet", "unknown"),
                ("/profile/address/region", "invalid"),
                ("/profile/a~1b", "unknown"),
                ("/profile/birthdate", "invalid"),
                ("/profile/email", "unknown"),
                ("/profile/family_name", "invalid"),
                ("/profile/given_name", "invalid"),
                ("/profile/locale", "invalid"),
                ("/profile/phone_number", "invalid"),
                ("/profile/website", "invalid"),
                ("/profile/zoneinfo", "invalid"),
            ]
        );
        assert!(!errors.to_string().contains("066012345"), "values are not repeated");
    }

    #[test]
    fn nobody_can_have_made_sure_of_a_number_that_is_not_there() {
        for said in [
            json!({ "phone_number_verified": true }),
            json!({ "phone_number_verified": true, "phone_number": null }),
            json!({ "phone_number_verified": "true", "phone_number": "+4366012345" }),
        ] {
            let errors = parse(said.clone()).unwrap_err();
            assert_eq!(errors.iter().next().unwrap().pointer, "/profile/phone_number_verified", "{said}");
        }
    }

    #[test]
    fn a_command_line_says_it_in_pairs() {
        let mut form = ProfileForm::default();
        for said in
            ["given_name=Ada", "address.country=England", "address.region=", "phone_number_verified=true"]
        {
            form.add(said).unwrap();
        }
        let expected = json!({ "given_name": "Ada", "address": { "country": "England", "region": "" },
            "phone_number_verified": true });
        assert_eq!(Value::Object(form.0.clone()), expected);
        assert_eq!(form.add("given_name"), Err(BadClaim::Form));
        assert_eq!(form.add("given_name=Eda"), Err(BadClaim::Repeated));
        assert_eq!(form.add("address.country=Wales"), Err(BadClaim::Repeated));
    }
}
