//! What people say about themselves. User name and address of mail are not among it: by those they sign in and are written to.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::claim_text::InvalidText;
use crate::domain::profile::{AddressField, Profile, ProfileField};
use crate::domain::user::User;
use crate::services::account::AccountService;
use crate::services::fields::NameError;
use crate::services::users::differences;
use crate::services::users::form::person_name;
use crate::services::visit::{LiveSession, Visit};
use crate::storage::{StoreError, Turn, users};

/// Something that people may say about themselves.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum OwnField {
    Address(AddressField),
    Name,
    Text(ProfileField),
}

impl OwnField {
    /// What the field of a form is called.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Address(field) => field.as_str(),
            Self::Name => "name",
            Self::Text(field) => field.as_str(),
        }
    }

    /// What somebody says there; empty for nothing.
    pub(crate) fn of(self, user: &User) -> String {
        match self {
            Self::Address(field) => user.profile.address_text(field).unwrap_or_default().to_owned(),
            Self::Name => user.name.clone(),
            Self::Text(field) => user.profile.text(field).unwrap_or_default().to_owned(),
        }
    }
}

/// What somebody wants to say: a field that is left out stays as it is.
pub(crate) type Wish = BTreeMap<OwnField, String>;

/// Why something cannot be said: the name of the text that tells it, and the most characters where there are too many.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Unfit {
    pub(crate) name: &'static str,
    pub(crate) longest: usize,
}

/// What came of saying it.
#[derive(Debug)]
pub(crate) enum Said {
    /// The account was deleted meanwhile.
    Gone,
    /// It says what was wished.
    Kept,
    /// These fields cannot say that; nothing was changed.
    Refused(BTreeMap<OwnField, Unfit>),
    /// It was changed too often just now.
    Throttled { retry_after: Duration },
}

impl AccountService {
    /// Changes what whoever is signed in says about themselves.
    pub(crate) async fn say(
        &self,
        wish: Wish,
        live: &LiveSession,
        visit: &Visit,
    ) -> Result<Said, StoreError> {
        if let Err(refused) = said(live.user.clone(), &wish) {
            return Ok(Said::Refused(refused));
        }
        if let Err(retry_after) = self.limits.admit(&live.user.id) {
            return Ok(Said::Throttled { retry_after });
        }
        let (id, now, address) = (live.user.id.clone(), visit.now, visit.address);
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    // An administrator may be changing the same account.
                    tx.one_at_a_time(Turn::Administration).await?;
                    let Some(before) = users::find(tx, &id).await? else { return Ok(Said::Gone) };
                    let after = match said(before.clone(), &wish) {
                        Ok(after) => after,
                        Err(refused) => return Ok(Said::Refused(refused)),
                    };
                    if after == before {
                        return Ok(Said::Kept);
                    }
                    let profile = after.profile.clone().updated(Some(now));
                    let after = User { profile, ..after };
                    users::update(tx, &after).await?;
                    let detail = json!({ "changed": differences(&before, &after) });
                    let event = AuditEvent::new(Actor::User(id.clone()), AuditAction::UserUpdated);
                    tx.audit(event.on(&id).from(Some(address)).with(detail));
                    Ok(Said::Kept)
                })
            })
            .await
    }
}

/// The account as it would be.
fn said(mut user: User, wish: &Wish) -> Result<User, BTreeMap<OwnField, Unfit>> {
    let mut refused = BTreeMap::new();
    let phone = user.profile.text(ProfileField::PhoneNumber).map(str::to_owned);
    for (field, text) in wish {
        if let Err(unfit) = put(&mut user, *field, text) {
            refused.insert(*field, unfit);
        }
    }
    // Nobody made sure of another number.
    if user.profile.text(ProfileField::PhoneNumber) != phone.as_deref() {
        user.profile.set_phone_number_verified(false);
    }
    if refused.is_empty() { Ok(user) } else { Err(refused) }
}

fn put(user: &mut User, field: OwnField, text: &str) -> Result<(), Unfit> {
    let profile: &mut Profile = &mut user.profile;
    match field {
        OwnField::Address(field) => profile.set_address(field, text).map_err(Unfit::from),
        OwnField::Name => {
            user.name = person_name(text)?;
            Ok(())
        }
        OwnField::Text(field) => profile.set(field, text).map_err(Unfit::from),
    }
}

impl From<InvalidText> for Unfit {
    fn from(invalid: InvalidText) -> Self {
        let (name, longest) = match invalid {
            InvalidText::Birthdate => ("birthdate", 0),
            InvalidText::Control => ("control", 0),
            InvalidText::Language => ("language", 0),
            InvalidText::Long(longest) => ("long", longest),
            InvalidText::Padded => ("padded", 0),
            InvalidText::Phone => ("phone", 0),
            InvalidText::TimeZone => ("time_zone", 0),
            InvalidText::Url => ("url", 0),
        };
        Self { name, longest }
    }
}

impl From<NameError> for Unfit {
    fn from(error: NameError) -> Self {
        let (name, longest) = match error {
            NameError::Control => ("control", 0),
            NameError::Long(longest) => ("long", longest),
            // An empty name says nothing, which people may.
            NameError::Empty | NameError::Padded => ("padded", 0),
        };
        Self { name, longest }
    }
}
