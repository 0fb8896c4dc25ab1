//! Types of details ([RFC 9396 §2.1](https://www.rfc-editor.org/rfc/rfc9396#section-2.1)): administrators say for each API what can
//! be asked for there in detail, and how people are told.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::domain::audit::AuditAction;
use crate::domain::details::kind::{DetailsConsent, DetailsType, DetailsTypeName, MemberLabel};
use crate::domain::details::schema::DetailsSchema;
use crate::domain::ids::ApiId;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::apis::ApiService;
use crate::services::caller::Caller;
use crate::services::fields::{FieldErrors, display_name};
use crate::services::owners::Owners;
use crate::services::version::{Precondition, Version, Versioned};
use crate::storage::{Turn, Tx, apis, details_types};

/// The most types of one API.
const MOST_OF_ONE: usize = 32;
/// The most types of all APIs: they are kept in memory, and named in the metadata.
const MOST: usize = 256;
/// The most labels of one type.
const MOST_LABELS: usize = 64;
/// The longest title and label, in characters.
const LONGEST_TEXT: usize = 80;

/// A type, as text from any edge.
#[derive(Clone, Debug, Default)]
pub struct DetailsTypeForm {
    /// The `type` of its details.
    pub name: String,
    /// What people are told that it is.
    pub title: String,
    /// What its details may say.
    pub schema: Value,
    /// What people are told that members are: the member, and the label.
    pub labels: Vec<(String, String)>,
    /// `each_time` (the default) or `remembered`.
    pub consent: Option<String>,
}

impl DetailsTypeForm {
    fn parse(&self, errors: &mut FieldErrors, (place, api): (&str, &ApiId)) -> Option<DetailsType> {
        let at = |member: &str| format!("{place}/{member}");
        let name = errors.take(&at("type"), DetailsTypeName::parse(&self.name));
        let title = errors.take(&at("title"), display_name(&self.title, LONGEST_TEXT));
        let schema = errors.take(&at("schema"), DetailsSchema::parse(&self.name, self.schema.clone()));
        let consent = match self.consent.as_deref() {
            None => Some(DetailsConsent::default()),
            Some(raw) => errors.take(&at("consent"), raw.parse()),
        };
        let labels = errors.take_each(&at("labels"), &self.labels, label);
        if self.labels.len() > MOST_LABELS {
            errors.refuse(at("labels"), "too-many", format!("must not have more than {MOST_LABELS} entries"));
        }
        Some(DetailsType {
            name: name?,
            api: api.clone(),
            title: title?,
            schema: schema?,
            labels: labels?,
            consent: consent?,
        })
    }
}

fn label((member, label): &(String, String)) -> Result<MemberLabel, String> {
    if !member.starts_with('/') || member.len() > 256 {
        return Err("names a member by slashes before its names, such as `/amount/currency`".to_owned());
    }
    let label = display_name(label, LONGEST_TEXT).map_err(|error| error.to_string())?;
    Ok(MemberLabel { member: member.clone(), label })
}

fn parse(forms: &[DetailsTypeForm], api: &ApiId) -> Result<Vec<DetailsType>, FieldErrors> {
    let mut errors = FieldErrors::default();
    let (mut names, mut types) = (BTreeSet::new(), Vec::new());
    for (position, form) in forms.iter().enumerate() {
        let place = format!("/items/{position}");
        types.push(form.parse(&mut errors, (&place, api)));
        if !names.insert(form.name.as_str()) {
            errors.refuse(format!("{place}/type"), "taken", "there is another type of this name");
        }
    }
    if forms.len() > MOST_OF_ONE {
        errors.refuse("/items", "too-many", format!("an API has at most {MOST_OF_ONE} types"));
    }
    errors.finish(types.into_iter().collect())
}

impl ApiService {
    /// Shows the types of an API by name.
    pub async fn details_types(&self, api: &ApiId) -> Result<Versioned<Vec<DetailsType>>, AdminError> {
        let mut tx = self.store().read().await?;
        apis::find(&mut tx, api).await?.ok_or(AdminError::NotFound(Thing::Api))?;
        Ok(versioned(details_types::of_api(&mut tx, api).await?))
    }

    /// Replaces the types of an API. What was granted by one that is gone, or that does not allow it any more, is in no further token.
    pub async fn set_details_types(
        &self,
        api: &ApiId,
        forms: &[DetailsTypeForm],
        precondition: &Precondition,
        caller: &Caller,
    ) -> Result<Versioned<Vec<DetailsType>>, AdminError> {
        let types = parse(forms, api)?;
        let (api, precondition, caller) = (api.clone(), precondition.clone(), caller.clone());
        self.store()
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let known = apis::find(tx, &api).await?.ok_or(AdminError::NotFound(Thing::Api))?;
                    let before = versioned(details_types::of_api(tx, &api).await?);
                    if !precondition.holds(&before.version) {
                        return Err(AdminError::Stale);
                    }
                    Owners::require_owner_of(&known, &caller)?;
                    replace(tx, &before.value, &types).await?;
                    let names: Vec<&str> = types.iter().map(|kind| kind.name.as_str()).collect();
                    let detail = json!({ "authorization_details_types": names });
                    tx.audit(caller.event(AuditAction::ApiUpdated).on(&api).with(detail));
                    tx.invalidate();
                    Ok(versioned(details_types::of_api(tx, &api).await?))
                })
            })
            .await
    }
}

async fn replace(tx: &mut Tx, before: &[DetailsType], after: &[DetailsType]) -> Result<(), AdminError> {
    for kind in before {
        details_types::delete(tx, &kind.name).await?;
    }
    let others = details_types::all(tx).await?;
    if others.iter().count() + after.len() > MOST {
        return Err(AdminError::Conflict("There are at most 256 types of authorization details."));
    }
    let mut errors = FieldErrors::default();
    for (position, kind) in after.iter().enumerate() {
        if others.get(kind.name.as_str()).is_some() {
            let pointer = format!("/items/{position}/type");
            errors.refuse(pointer, "taken", "another API has a type of this name");
        }
    }
    errors.finish(Some(()))?;
    for kind in after {
        details_types::insert(tx, kind).await?;
    }
    Ok(())
}

fn versioned(types: Vec<DetailsType>) -> Versioned<Vec<DetailsType>> {
    let said: Vec<Value> = types
        .iter()
        .map(|kind| {
            let (schema, labels) = (kind.schema.document(), &kind.labels);
            json!([kind.name.as_str(), kind.title, schema, labels, kind.consent.as_str()])
        })
        .collect();
    let version = Version::of(&said);
    Versioned { value: types, version }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::trial::{Trial, delegate, operator};

    fn form(name: &str) -> DetailsTypeForm {
        DetailsTypeForm {
            name: name.to_owned(),
            title: "Make a payment".to_owned(),
            schema: json!({ "type": "object", "additionalProperties": false }),
            labels: vec![("/amount".to_owned(), "Amount".to_owned())],
            consent: None,
        }
    }

    fn wrong(form: DetailsTypeForm) -> Vec<String> {
        let api = ApiId::generate(crate::services::trial::START, &crate::domain::secret::Entropy::seeded(1));
        let errors = parse(&[form], &api).err().unwrap_or_default();
        errors.iter().map(|error| error.pointer.clone()).collect()
    }

    #[test]
    fn every_wrong_field_of_a_type_is_named() {
        assert_eq!(wrong(form("payment")), [""; 0]);
        assert_eq!(wrong(form("a b")), ["/items/0/type"]);
        assert_eq!(wrong(DetailsTypeForm { title: String::new(), ..form("a") }), ["/items/0/title"]);
        assert_eq!(wrong(DetailsTypeForm { schema: json!({}), ..form("a") }), ["/items/0/schema"]);
        assert_eq!(
            wrong(DetailsTypeForm { consent: Some("never".to_owned()), ..form("a") }),
            ["/items/0/consent"]
        );
        for label in [("amount", "Amount"), ("/amount", "")] {
            let labels = vec![(label.0.to_owned(), label.1.to_owned())];
            assert_eq!(wrong(DetailsTypeForm { labels, ..form("a") }), ["/items/0/labels/0"]);
        }
        let many = vec![("/a".to_owned(), "A".to_owned()); MOST_LABELS + 1];
        assert_eq!(wrong(DetailsTypeForm { labels: many, ..form("a") }), ["/items/0/labels"]);
    }

    #[tokio::test]
    async fn types_are_replaced_together_and_have_one_api() {
        let trial = Trial::begin().await;
        let (bank, shop) = (trial.api("https://bank.test").await.id, trial.api("https://shop.test").await.id);
        let set = async |api: &ApiId, names: &[&str]| {
            let forms: Vec<DetailsTypeForm> = names.iter().map(|name| form(name)).collect();
            trial.apis.set_details_types(api, &forms, &Precondition::Any, &operator()).await
        };
        let names = async |api: &ApiId| -> Vec<String> {
            let types = trial.apis.details_types(api).await.unwrap().value;
            types.iter().map(|kind| kind.name.to_string()).collect()
        };
        set(&bank, &["payment", "account"]).await.unwrap();
        assert_eq!(names(&bank).await, ["account", "payment"]);
        set(&bank, &["payment", "statement"]).await.unwrap();
        assert_eq!(names(&bank).await, ["payment", "statement"]);
        for (api, names, pointer) in [
            (&shop, &["order", "payment"][..], "/items/1/type"),
            (&shop, &["order", "order"], "/items/1/type"),
        ] {
            let refused = set(api, names).await;
            assert!(
                matches!(refused, Err(AdminError::Invalid(errors)) if errors.to_string().contains(pointer))
            );
        }
        assert_eq!(names(&shop).await, [""; 0], "nothing of it was kept");
        let many: Vec<String> = (0..=MOST_OF_ONE).map(|n| format!("t{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(matches!(set(&shop, &many).await, Err(AdminError::Invalid(_))));
    }

    #[tokio::test]
    async fn whoever_saw_something_else_changes_nothing_and_the_admin_api_is_for_owners() {
        let trial = Trial::begin().await;
        let bank = trial.api("https://bank.test").await.id;
        let seen = trial.apis.details_types(&bank).await.unwrap().version;
        let seen = Precondition::Matches(vec![seen]);
        trial.apis.set_details_types(&bank, &[form("payment")], &seen, &delegate()).await.unwrap();
        let late = trial.apis.set_details_types(&bank, &[], &seen, &delegate()).await;
        assert!(matches!(late, Err(AdminError::Stale)));
        let admin = trial.admin_api().await.id;
        let refused =
            trial.apis.set_details_types(&admin, &[form("a")], &Precondition::Any, &delegate()).await;
        assert!(matches!(refused, Err(AdminError::OwnersOnly)));
        let trail = trial.trail().await;
        assert_eq!(trail.iter().filter(|action| action.contains("api.updated")).count(), 1, "{trail:?}");
    }
}
