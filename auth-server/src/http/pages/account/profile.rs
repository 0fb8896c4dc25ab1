//! The page on which people say who they are.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::domain::profile::AddressField::{Country, Formatted, Locality, PostalCode, Region, StreetAddress};
use crate::domain::profile::ProfileField::{
    Birthdate, FamilyName, Gender, GivenName, Locale, MiddleName, Nickname, PhoneNumber, Picture, Profile,
    Website, Zoneinfo,
};
use crate::http::extract::form::{Fields, OwnForm};
use crate::http::extract::link::LinkQuery;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::next::Next;
use crate::http::pages::{Desk, failure};
use crate::http::render::Page;
use crate::services::account::profile::OwnField::{self, Address, Name, Text};
use crate::services::account::profile::{Said, Unfit, Wish};
use crate::services::visit::LiveSession;

/// The page.
#[derive(Serialize)]
struct ProfilePage {
    problem: Option<&'static str>,
    notice: Option<&'static str>,
    mail: MailShown,
    groups: Vec<Group>,
    csrf_token: String,
}

/// The address of mail, which has a page of its own.
#[derive(Serialize)]
struct MailShown {
    address: Option<String>,
    is_confirmed: bool,
    /// Whether anybody can be written to.
    is_on: bool,
}

impl Page for ProfilePage {
    const TEMPLATE: &'static str = "profile.html";
}

/// Fields that belong together.
#[derive(Serialize)]
struct Group {
    name: &'static str,
    fields: Vec<Shown>,
}

/// One field.
#[derive(Serialize)]
struct Shown {
    name: &'static str,
    value: String,
    problem: Option<&'static str>,
    /// The most characters, where there are too many.
    longest: usize,
    kind: &'static str,
    /// What browsers fill in (HTML, autofill detail tokens); empty where they know no such thing.
    autocomplete: &'static str,
}

/// A field, what browsers are to make of it, and what they fill in.
type Asked = (OwnField, &'static str, &'static str);

const NAMES: [Asked; 5] = [
    (Name, "text", "name"),
    (Text(GivenName), "text", "given-name"),
    (Text(MiddleName), "text", "additional-name"),
    (Text(FamilyName), "text", "family-name"),
    (Text(Nickname), "text", "nickname"),
];
const PERSON: [Asked; 4] = [
    (Text(Birthdate), "text", "bday"),
    (Text(Gender), "text", "sex"),
    (Text(Locale), "text", "language"),
    (Text(Zoneinfo), "text", ""),
];
const CONTACT: [Asked; 4] = [
    (Text(PhoneNumber), "tel", "tel"),
    (Text(Website), "url", "url"),
    (Text(Profile), "url", ""),
    (Text(Picture), "url", "photo"),
];
const ADDRESS: [Asked; 6] = [
    (Address(StreetAddress), "lines", "street-address"),
    (Address(PostalCode), "text", "postal-code"),
    (Address(Locality), "text", "address-level2"),
    (Address(Region), "text", "address-level1"),
    (Address(Country), "text", "country-name"),
    (Address(Formatted), "lines", ""),
];
const GROUPS: [(&str, &[Asked]); 4] =
    [("names", &NAMES), ("person", &PERSON), ("contact", &CONTACT), ("address", &ADDRESS)];

/// What the page can say that was done.
const NOTICES: [&str; 3] = ["address_sent", "confirmation_sent", "saved"];

/// The query of the page.
#[derive(Deserialize)]
pub(in crate::http::pages) struct ProfileQuery {
    notice: Option<String>,
}

/// `GET /account/profile`.
pub(in crate::http::pages) async fn show(
    State(desk): State<Desk>,
    visitor: Visitor,
    LinkQuery(query): LinkQuery<ProfileQuery>,
) -> Response {
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Profile.login()));
    };
    let page = ProfilePage {
        problem: None,
        notice: NOTICES.into_iter().find(|notice| query.notice.as_deref() == Some(*notice)),
        mail: desk.mail_shown(live),
        groups: groups(live, None, &BTreeMap::new()),
        csrf_token: desk.guard.token(&visitor.visit.browser),
    };
    visitor.answer(desk.pages.show(StatusCode::OK, &page))
}

/// `POST /account/profile`.
pub(in crate::http::pages) async fn save(State(desk): State<Desk>, id: RequestId, form: OwnForm) -> Response {
    let OwnForm { visitor, fields } = form;
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Profile.login()));
    };
    match desk.account.say(wish(&fields), live, &visitor.visit).await {
        Ok(Said::Kept) => visitor.answer(desk.pages.go("/account/profile?notice=saved")),
        Ok(Said::Gone) => visitor.answer(desk.pages.go(&Next::Profile.login())),
        Ok(Said::Refused(refused)) => {
            let page = ProfilePage {
                problem: Some("fields"),
                notice: None,
                mail: desk.mail_shown(live),
                groups: groups(live, Some(&fields), &refused),
                csrf_token: desk.guard.token(&visitor.visit.browser),
            };
            visitor.answer(desk.pages.show(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
        Ok(Said::Throttled { retry_after }) => failure::throttled(&desk.pages, id, retry_after),
        Err(error) => failure::fault(&desk.pages, id, &error),
    }
}

impl Desk {
    fn mail_shown(&self, live: &LiveSession) -> MailShown {
        MailShown {
            address: live.user.email.as_ref().map(|email| email.as_str().to_owned()),
            is_confirmed: live.user.email_verified_at.is_some(),
            is_on: self.by_letter.addresses.is_on(),
        }
    }
}

/// What the form says: a field that it does not have says nothing, and keeps what was there. Blanks at the ends are left by keyboards that
/// complete words, and browsers end lines with two characters.
fn wish(fields: &Fields) -> Wish {
    let all = GROUPS.into_iter().flat_map(|(_, asked)| asked);
    all.filter_map(|(field, _, _)| {
        let typed = fields.get(field.as_str())?;
        Some((*field, typed.trim().replace("\r\n", "\n")))
    })
    .collect()
}

/// The fields with what was typed, or else with what the account says.
fn groups(live: &LiveSession, typed: Option<&Fields>, refused: &BTreeMap<OwnField, Unfit>) -> Vec<Group> {
    let shown = |(field, kind, autocomplete): &Asked| {
        let typed = typed.and_then(|fields| fields.get(field.as_str()));
        let unfit = refused.get(field);
        Shown {
            name: field.as_str(),
            value: typed.map_or_else(|| field.of(&live.user), str::to_owned),
            problem: unfit.map(|unfit| unfit.name),
            longest: unfit.map(|unfit| unfit.longest).unwrap_or_default(),
            kind,
            autocomplete,
        }
    };
    let group =
        |(name, asked): (&'static str, &[Asked])| Group { name, fields: asked.iter().map(shown).collect() };
    GROUPS.into_iter().map(group).collect()
}

#[cfg(test)]
pub(in crate::http::pages) fn samples() -> Vec<impl Page> {
    let problems =
        ["birthdate", "control", "language", "long", "padded", "phone", "time_zone", "url"].map(Some);
    [None].into_iter().chain(problems).map(sample).collect()
}

#[cfg(test)]
fn sample(problem: Option<&'static str>) -> ProfilePage {
    let shown = |(field, kind, autocomplete): &Asked| Shown {
        name: field.as_str(),
        value: "</textarea><b>".to_owned(),
        problem,
        longest: 200,
        kind,
        autocomplete,
    };
    let group =
        |(name, asked): (&'static str, &[Asked])| Group { name, fields: asked.iter().map(shown).collect() };
    ProfilePage {
        problem: problem.map(|_| "fields"),
        notice: problem.is_none().then_some("saved"),
        mail: MailShown {
            address: problem.is_none().then(|| "<b>@example.com".to_owned()),
            is_confirmed: false,
            is_on: problem != Some("long"),
        },
        groups: GROUPS.into_iter().map(group).collect(),
        csrf_token: "token".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::profile::{AddressField, ProfileField};

    #[test]
    fn all_that_people_may_say_is_asked_once() {
        let asked: Vec<OwnField> =
            GROUPS.into_iter().flat_map(|(_, asked)| asked).map(|(field, _, _)| *field).collect();
        let texts = ProfileField::ALL.into_iter().map(Text);
        let every: BTreeSet<OwnField> =
            texts.chain(AddressField::ALL.into_iter().map(Address)).chain([Name]).collect();
        assert_eq!(asked.iter().copied().collect::<BTreeSet<_>>(), every);
        assert_eq!(asked.len(), every.len());
        let names: BTreeSet<&str> = asked.iter().map(|field| field.as_str()).collect();
        assert_eq!(names.len(), every.len(), "no two fields of the form share a name");
    }
}
