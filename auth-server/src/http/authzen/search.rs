//! `POST /access/v1/search/..`: who may, what somebody may, and with what (section 8 of the specification).

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::client::Client;
use crate::http::admin::body::JsonBody;
use crate::http::admin::problem::Problem;
use crate::http::authzen::document::NO_POLICY;
use crate::http::authzen::page::{Leaf, PageAnswer, PageDocument};
use crate::http::authzen::parts::{self, Kind, OBJECT, Part, kind_of, text};
use crate::http::authzen::{malformed, refused};
use crate::http::oauth::client_request::HeaderClient;
use crate::services::fields::FieldErrors;
use crate::services::policies::decide::{Asked, DecisionService, Evaluation};
use crate::services::policies::search::{Found, Holders, Search};

/// The id of every resource of a type: rules know types, and this server knows none of the things that a service keeps.
const EVERY: &str = "*";

/// A question with one part left open.
#[derive(Deserialize, Serialize)]
pub(super) struct SearchDocument {
    subject: Option<PartDocument>,
    action: Option<PartDocument>,
    resource: Option<PartDocument>,
    /// Means nothing, and has to stay the same from page to page.
    context: Option<Value>,
    #[serde(default, skip_serializing)]
    page: PageDocument,
}

/// A subject, an action or a resource.
#[derive(Default, Deserialize, Serialize)]
struct PartDocument {
    #[serde(rename = "type")]
    kind: Option<String>,
    id: Option<String>,
    name: Option<String>,
    properties: Option<Value>,
}

/// The answer.
#[derive(Serialize)]
struct SearchAnswer {
    page: PageAnswer,
    context: SearchContext,
    results: Vec<ResultDocument>,
}

#[derive(Serialize)]
struct SearchContext {
    /// Why there can be none.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The revision of the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
}

/// Something that was found.
#[derive(Serialize)]
#[serde(untagged)]
enum ResultDocument {
    Action {
        name: String,
    },
    Entity {
        #[serde(rename = "type")]
        kind: String,
        id: String,
    },
}

/// `POST /access/v1/search/subject`.
pub(super) async fn subjects(
    State(decisions): State<DecisionService>,
    HeaderClient(caller): HeaderClient,
    JsonBody(mut document): JsonBody<SearchDocument>,
) -> Result<Response, Problem> {
    let client = caller.client.client();
    let ((kind, search), leaf) = document
        .read("subject", client, SearchDocument::for_subjects)
        .map_err(|errors| malformed(&errors))?;
    let found = decisions.search(client, search, leaf.window()).await.map_err(|error| refused(&error))?;
    Ok(answer(&leaf, found, |id| ResultDocument::Entity { kind: kind.clone(), id }))
}

/// `POST /access/v1/search/resource`.
pub(super) async fn resources(
    State(decisions): State<DecisionService>,
    HeaderClient(caller): HeaderClient,
    JsonBody(mut document): JsonBody<SearchDocument>,
) -> Result<Response, Problem> {
    let client = caller.client.client();
    let ((subject, action, kind), leaf) = document
        .read("resource", client, SearchDocument::for_resources)
        .map_err(|errors| malformed(&errors))?;
    let found = if kind == OBJECT {
        decisions.search(client, Search::Objects { subject, action }, leaf.window()).await
    } else {
        let evaluation = Evaluation { subject, object: kind.clone(), action };
        decisions.consider(client, evaluation).await.map(|verdict| {
            let every = verdict.as_ref().filter(|verdict| verdict.allowed).map(|_| EVERY.to_owned());
            let revision = verdict.and_then(|verdict| verdict.revision);
            Found { names: every.into_iter().collect(), next: None, revision }
        })
    };
    let found = found.map_err(|error| refused(&error))?;
    Ok(answer(&leaf, found, |id| ResultDocument::Entity { kind: kind.clone(), id }))
}

/// `POST /access/v1/search/action`.
pub(super) async fn actions(
    State(decisions): State<DecisionService>,
    HeaderClient(caller): HeaderClient,
    JsonBody(mut document): JsonBody<SearchDocument>,
) -> Result<Response, Problem> {
    let client = caller.client.client();
    let (search, leaf) =
        document.read("action", client, SearchDocument::for_actions).map_err(|errors| malformed(&errors))?;
    let found = decisions.search(client, search, leaf.window()).await.map_err(|error| refused(&error))?;
    Ok(answer(&leaf, found, |name| ResultDocument::Action { name }))
}

impl SearchDocument {
    /// The question, as `part` reads it, and the page that is wanted.
    fn read<T>(
        &mut self,
        endpoint: &str,
        client: &Client,
        part: impl FnOnce(&mut Self, &mut FieldErrors) -> Option<T>,
    ) -> Result<(T, Leaf), FieldErrors> {
        let mut errors = FieldErrors::default();
        let question = part(self, &mut errors);
        let text = serde_json::to_vec(&(endpoint, client.id.as_str(), &*self));
        let leaf = self.page.of(&mut errors, text.expect("texts and what was read from JSON are JSON"));
        errors.finish(question.zip(leaf))
    }

    /// The type of the subjects, and the question.
    fn for_subjects(&mut self, errors: &mut FieldErrors) -> Option<(String, Search)> {
        let kind = Part::read(self.subject.as_mut(), |subject| {
            // What is looked for has no id, and one that is there is ignored.
            subject.id = None;
            let kind = text(errors, "", "subject/type", subject.kind.as_deref())?;
            kind_of(errors, "", &kind).map(|known| (known, kind))
        });
        let kind = kind.found(errors, "", "subject");
        let (action, object) = (self.action(errors), self.object(errors));
        let ((known, kind), action, object) = (kind?, action?, object?);
        let search = match known {
            Kind::Client => Search::Holders { kind: Holders::Clients, object, action },
            Kind::Role => Search::Roles { object, action },
            Kind::User => Search::Holders { kind: Holders::Users, object, action },
        };
        Some((kind, search))
    }

    /// Who would do what, and the type of the resources.
    fn for_resources(&mut self, errors: &mut FieldErrors) -> Option<(Asked, String, String)> {
        let (subject, action) = (self.subject(errors), self.action(errors));
        let kind = Part::read(self.resource.as_mut(), |resource| {
            resource.id = None;
            text(errors, "", "resource/type", resource.kind.as_deref())
        });
        let kind = kind.found(errors, "", "resource");
        Some((subject?, action?, kind?))
    }

    fn for_actions(&mut self, errors: &mut FieldErrors) -> Option<Search> {
        self.action = None;
        let (subject, object) = (self.subject(errors), self.object(errors));
        Some(Search::Actions { subject: subject?, object: object? })
    }

    fn subject(&self, errors: &mut FieldErrors) -> Option<Asked> {
        let subject = Part::read(self.subject.as_ref(), |subject| {
            parts::asked(errors, "", subject.kind.as_deref(), subject.id.as_deref())
        });
        subject.found(errors, "", "subject")
    }

    fn action(&self, errors: &mut FieldErrors) -> Option<String> {
        let action = Part::read(self.action.as_ref(), |action| {
            text(errors, "", "action/name", action.name.as_deref())
        });
        action.found(errors, "", "action")
    }

    fn object(&self, errors: &mut FieldErrors) -> Option<String> {
        let resource = Part::read(self.resource.as_ref(), |resource| {
            parts::object(errors, "", resource.kind.as_deref(), resource.id.as_deref())
        });
        resource.found(errors, "", "resource")
    }
}

fn answer(leaf: &Leaf, found: Found, shown: impl Fn(String) -> ResultDocument) -> Response {
    let reason = found.revision.is_none().then_some(NO_POLICY);
    let answer = SearchAnswer {
        page: leaf.answer(found.names.len(), found.next.as_deref()),
        context: SearchContext { reason, revision: found.revision },
        results: found.names.into_iter().map(shown).collect(),
    };
    Json(answer).into_response()
}
