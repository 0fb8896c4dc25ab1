//! Documents behind one GraphQL route: the route asks for a token, and resolvers ask the policy about each document.
//!
//! Start the server (`cargo run --release`), and register the service and a caller, from the root of the repository. By these rules
//! viewers read what is public and nothing else:
//!
//! ```sh
//! umask 077
//! alias portcullis=target/release/portcullis
//! portcullis client create --preset service --name Docs --api https://docs.example --format json > docs.json
//! portcullis client create --preset m2m --name Robot --api https://docs.example --role viewer --format json > robot.json
//! printf 'p, viewer, *, documents/public, read\np, editor, *, documents/*, read\np, editor, *, documents/*, rename\n' > rules.csv
//! portcullis policy push rules.csv --api https://docs.example
//! portcullis policy activate --message 'By folder' --api https://docs.example
//! ```
//!
//! Start this service:
//!
//! ```sh
//! export DOCS_ISSUER=http://localhost:8080 DOCS_AUDIENCE=https://docs.example
//! export DOCS_CLIENT_ID=$(jq -r .client_id docs.json) DOCS_CLIENT_SECRET=$(jq -r .client_secret docs.json)
//! cargo run --release -p portcullis-guard --example graphql
//! ```
//!
//! Ask without a token (401), for a public document (its title) and for a secret one (an error with the name of the decision):
//!
//! ```sh
//! TOKEN=$(curl -s http://localhost:8080/token -u "$(jq -r '.client_id + ":" + .client_secret' robot.json)" \
//!   -d grant_type=client_credentials -d resource=https://docs.example | jq -r .access_token)
//! ask() { curl -i http://127.0.0.1:8085/graphql -H 'Content-Type: application/json' "$@"; }
//! ask -d '{"query": "{ document(id: 1) { title } }"}'
//! ask -d '{"query": "{ document(id: 1) { title } }"}' -H "Authorization: Bearer $TOKEN"
//! ask -d '{"query": "{ document(id: 2) { title } }"}' -H "Authorization: Bearer $TOKEN"
//! ```

use std::collections::BTreeMap;
use std::env;
use std::error::Error as StdError;

use async_graphql::{
    Context, EmptySubscription, Error, ErrorExtensions as _, Object, Request, Response, Schema, SimpleObject,
};
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use portcullis_guard::{
    Decider, Field, Guard, GuardExt, GuardedRouter, InputError, InputPolicy, Issuer, Policy, PolicyEndpoint,
    Rejection, RouteInput, authenticated, public, rbac,
};
use tokio::sync::Mutex;
use tracing_subscriber::EnvFilter;

/// How deep queries may go, and how many fields they may ask for: a query costs what it says, and not what it looks like.
const MAX_DEPTH: usize = 5;
const MAX_COMPLEXITY: usize = 50;

type Docs = Schema<Query, Mutation, EmptySubscription>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let issuer = required("DOCS_ISSUER")?;
    let rules = format!("{}/policies/snapshot", issuer.trim_end_matches('/'));
    let rules = PolicyEndpoint::new(rules, required("DOCS_CLIENT_ID")?, required("DOCS_CLIENT_SECRET")?);
    let guard = Guard::builder()
        .issuer(Issuer::oidc(&issuer))
        .audience(required("DOCS_AUDIENCE")?)
        .policy(Policy::remote(rules))
        .build()
        .await?;
    let listen = env::var("DOCS_LISTEN").unwrap_or_else(|_| "127.0.0.1:8085".to_owned());
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    tracing::info!(listen, "documents are served");
    axum::serve(listener, app(&guard)?).await?;
    Ok(())
}

fn app(guard: &Guard) -> Result<Router, InputError> {
    let docs = Schema::build(Query, Mutation, EmptySubscription)
        .data(shelf())
        .limit_depth(MAX_DEPTH)
        .limit_complexity(MAX_COMPLEXITY)
        .finish();
    let router = GuardedRouter::new()
        .route("/graphql", post(answer).guard(authenticated()).input(&input()?))
        .route("/health", get(async || "ok").guard(public()))
        .guarded_by(guard)
        .with_state(docs);
    Ok(router)
}

/// What clients send are variables, and those go through the policy of inputs as any JSON does.
fn input() -> Result<RouteInput, InputError> {
    InputPolicy::strict()
        .field("/query", Field::text().length(..=4_000))
        .field("/variables/title", Field::line().length(1..=80))
        .build()
}

/// Resolvers get at the decider of the request that they answer.
async fn answer(State(docs): State<Docs>, decider: Decider, Json(request): Json<Request>) -> Json<Response> {
    Json(docs.execute(request.data(decider)).await)
}

struct Query;

#[Object]
impl Query {
    /// One document, for whoever may read its folder.
    async fn document(&self, context: &Context<'_>, id: u32) -> Result<Option<Document>, Error> {
        let found = context.data::<Shelf>()?.lock().await.get(&id).cloned();
        if let Some(document) = &found {
            document.permit(context, "read")?;
        }
        Ok(found)
    }

    /// What the caller may read.
    async fn documents(&self, context: &Context<'_>) -> Result<Vec<Document>, Error> {
        let mut all: Vec<_> = context.data::<Shelf>()?.lock().await.values().cloned().collect();
        all.retain(|document| document.permit(context, "read").is_ok());
        Ok(all)
    }
}

struct Mutation;

#[Object]
impl Mutation {
    async fn rename(&self, context: &Context<'_>, id: u32, title: String) -> Result<Option<Document>, Error> {
        let mut all = context.data::<Shelf>()?.lock().await;
        let Some(document) = all.get_mut(&id) else { return Ok(None) };
        document.permit(context, "rename")?;
        document.title = title;
        Ok(Some(document.clone()))
    }
}

#[derive(Clone, SimpleObject)]
struct Document {
    id: u32,
    folder: String,
    title: String,
}

impl Document {
    fn permit(&self, context: &Context<'_>, action: &'static str) -> Result<(), Error> {
        let object = format!("documents/{}", self.folder);
        context.data::<Decider>()?.decide(&rbac(object, action)).map(drop).map_err(|refused| told(&refused))
    }
}

/// A refusal in the language of GraphQL, with the name by which the log has it.
fn told(refused: &Rejection) -> Error {
    Error::new(refused.to_string()).extend_with(|_, extensions| {
        extensions.set("status", refused.status().as_u16());
        if let Some(decision) = refused.decision() {
            extensions.set("decision", decision.id().to_string());
        }
    })
}

type Shelf = Mutex<BTreeMap<u32, Document>>;

fn shelf() -> Shelf {
    let document =
        |id, folder: &str, title: &str| Document { id, folder: folder.into(), title: title.into() };
    let all = [document(1, "public", "Opening hours"), document(2, "secret", "Where the key is")];
    Mutex::new(all.into_iter().map(|document| (document.id, document)).collect())
}

fn required(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set"))
}
