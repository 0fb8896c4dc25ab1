//! `POST /access/v1/search/..`: who may, what somebody may, and with what (section 8 of the specification).

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::client::Client;
use crate::http::admin::body::JsonBody;
use crate::http::admin::problem::Problem;
use crate::http::authzen::document::{Missing, NO_POLICY, OBJECT, asked, bounded, object, unknown_kind};
use crate::http::authzen::page::{Leaf, PageAnswer, PageDocument};
use crate::http::authzen::{malformed, refused};
use crate::http::oauth::client_request::HeaderClient;
use crate::services::policies::decide::{Asked, DecisionService, Evaluation, Until};
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
    let (kind, search) = document.for_subjects().map_err(malformed)?;
    let client = caller.client.client();
    let leaf = document.leaf("subject", client).map_err(malformed)?;
    let found = decisions.search(client, search, leaf.window()).await.map_err(|error| refused(&error))?;
    Ok(answer(&leaf, found, |id| ResultDocument::Entity { kind: kind.clone(), id }))
}

/// `POST /access/v1/search/resource`.
pub(super) async fn resources(
    State(decisions): State<DecisionService>,
    HeaderClient(caller): HeaderClient,
    JsonBody(mut document): JsonBody<SearchDocument>,
) -> Result<Response, Problem> {
    let (kind, subject, action) = document.for_resources().map_err(malformed)?;
    let client = caller.client.client();
    let leaf = document.leaf("resource", client).map_err(malformed)?;
    let found = if kind == OBJECT {
        decisions.search(client, Search::Objects { subject, action }, leaf.window()).await
    } else {
        let evaluation = Evaluation { subject, object: kind.clone(), action };
        let verdicts = decisions.decide(client, &[evaluation], Until::All).await;
        verdicts.map(|verdicts| {
            let every = verdicts.iter().filter(|verdict| verdict.allowed).map(|_| EVERY.to_owned());
            let revision = verdicts.first().and_then(|verdict| verdict.revision);
            Found { names: every.collect(), next: None, revision }
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
    let search = document.for_actions().map_err(malformed)?;
    let client = caller.client.client();
    let leaf = document.leaf("action", client).map_err(malformed)?;
    let found = decisions.search(client, search, leaf.window()).await.map_err(|error| refused(&error))?;
    Ok(answer(&leaf, found, |name| ResultDocument::Action { name }))
}

impl SearchDocument {
    /// The type of the subjects, and the question.
    fn for_subjects(&mut self) -> Result<(String, Search), Missing> {
        let subject = part(self.subject.as_mut(), "subject")?;
        // What is looked for has no id, and one that is there is ignored.
        subject.id = None;
        let kind = bounded("/subject/type", text(subject.kind.as_deref(), "/subject/type")?)?;
        let action = action(self.action.as_mut())?;
        let object = resource(self.resource.as_mut())?;
        let search = match kind.as_str() {
            "client" => Search::Holders { kind: Holders::Clients, object, action },
            "role" => Search::Roles { object, action },
            "user" => Search::Holders { kind: Holders::Users, object, action },
            _ => return Err(unknown_kind("/subject")),
        };
        Ok((kind, search))
    }

    /// The type of the resources, and who would do what.
    fn for_resources(&mut self) -> Result<(String, Asked, String), Missing> {
        let subject = subject(self.subject.as_mut())?;
        let action = action(self.action.as_mut())?;
        let resource = part(self.resource.as_mut(), "resource")?;
        resource.id = None;
        let kind = bounded("/resource/type", text(resource.kind.as_deref(), "/resource/type")?)?;
        Ok((kind, subject, action))
    }

    fn for_actions(&mut self) -> Result<Search, Missing> {
        self.action = None;
        let subject = subject(self.subject.as_mut())?;
        Ok(Search::Actions { subject, object: resource(self.resource.as_mut())? })
    }

    /// The page that is wanted.
    fn leaf(&self, endpoint: &str, client: &Client) -> Result<Leaf, Missing> {
        let question = serde_json::to_vec(&(endpoint, client.id.as_str(), self));
        self.page.of(question.expect("texts and what was read from JSON are JSON"))
    }
}

fn part<'a>(part: Option<&'a mut PartDocument>, name: &str) -> Result<&'a mut PartDocument, Missing> {
    part.ok_or_else(|| Missing::of(format!("/{name}"), "is missing"))
}

fn text<'a>(text: Option<&'a str>, pointer: &str) -> Result<&'a str, Missing> {
    text.ok_or_else(|| Missing::of(pointer.to_owned(), "is missing"))
}

fn subject(document: Option<&mut PartDocument>) -> Result<Asked, Missing> {
    let subject = part(document, "subject")?;
    let kind = text(subject.kind.as_deref(), "/subject/type")?;
    asked("/subject", kind, text(subject.id.as_deref(), "/subject/id")?)
}

fn action(document: Option<&mut PartDocument>) -> Result<String, Missing> {
    let action = part(document, "action")?;
    bounded("/action/name", text(action.name.as_deref(), "/action/name")?)
}

fn resource(document: Option<&mut PartDocument>) -> Result<String, Missing> {
    let resource = part(document, "resource")?;
    let kind = text(resource.kind.as_deref(), "/resource/type")?;
    object("/resource", kind, text(resource.id.as_deref(), "/resource/id")?)
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
