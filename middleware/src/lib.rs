//! The guard of a backend service: one tower layer that verifies access tokens, asks the policy, keeps rate
//! limits and refuses malformed bodies.
//!
//! ```no_run
//! use axum::routing::get;
//! use portcullis_guard::{Guard, GuardExt, GuardedRouter, Principal, public, scope};
//!
//! async fn orders(who: Principal) -> String {
//!     format!("orders of {}", who.subject())
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let guard = Guard::oidc("https://id.example.com", "https://api.example.com").await?;
//! let app: axum::Router = GuardedRouter::new()
//!     .route("/orders", get(orders).guard(scope("orders:read")))
//!     .route("/health", get(async || "ok").guard(public()))
//!     .guarded_by(&guard);
//! # Ok(())
//! # }
//! ```
//!
//! # What happens to a request
//!
//! In this order, which nothing can change:
//!
//! 1. A path that could be read in two ways is refused: 400.
//! 2. The limits by client address are spent: 429.
//! 3. Where [`Csrf`] is declared, a request that a page of somebody else had a browser send is refused: 403.
//! 4. The token is verified by the rules of RFC 9068 and RFC 8725: 401, or 503 while the issuer's keys
//!    cannot be had. About one that is no JWT the issuer is [asked](Introspection), if the guard is to accept such.
//!    Tokens are taken from the `Authorization` header, or from a [cookie](CookieTokens) where that is declared.
//! 5. The limits by identity and route are spent: 429.
//! 6. The requirement of the route is decided: 403 with the id of the decision.
//! 7. The parameters of the path and the headers that are declared, the query and a JSON or form body are read and refused unless they have exactly one reading and hold what was declared; a body of
//!    several parts is so while the handler reads it: 400, 413, 415, 422.
//! 8. The handler runs. What only it can know, it asks the policy itself, by the [`Decider`].
//! 9. A stream in the answer ends when a new request with the same token would be refused: because it has expired or was revoked, or
//!    by the policy. A handler that upgrades the connection ends that itself, by the [`Permit`].
//!
//! Whatever the guard itself lacks is answered 503: never 200, and never a false 401.
//!
//! The guard speaks through `tracing`, and nobody hears it without a subscriber, such as `tracing_subscriber::fmt::init()`. Why a token was
//! answered 401 is said at `debug`: `RUST_LOG=portcullis_guard=debug`.
//!
//! # Around it
//!
//! Some things have to see every request first and every answer last, refusals no less. They are declared on the builder, and
//! a [`GuardedRouter`] or a [`RouteTable`] brings them along, in an order that nothing can change; otherwise
//! [`Guard::edge`] is the layer of them all.
//!
//! 1. [`RequestId`]: a name for each request, in its answer and in the log.
//! 2. [`SecurityHeaders`]: what a browser may do with an answer. A profile for data, one for pages with a [nonce](CspNonce).
//! 3. [`Cors`]: which other origins may ask, and read what they are answered. Preflights end here, without a token.
//! 4. [`Caps`]: how long a body may be and a request may take, and how many may be at work.
//!
//! A handler that panics, or a layer inside the edge, is answered 500 with the code `internal`, by the guard itself and without any of
//! this being declared. The answer tells nothing of the panic and is dressed and named as any other; what was held for the request is
//! given back, and an error in the log says what the panic said. A body that panics while it is sent breaks off.
//!
//! ```no_run
//! # async fn run() -> Result<(), portcullis_guard::BuildError> {
//! use std::time::Duration;
//! use portcullis_guard::{Caps, CookieTokens, Cors, Csrf, Guard, Issuer, SecurityHeaders};
//!
//! let guard = Guard::builder()
//!     .issuer(Issuer::oidc("https://id.example.com"))
//!     .audience("https://shop.example.com")
//!     .request_ids()
//!     .headers(SecurityHeaders::api().hsts(Duration::from_hours(2 * 365 * 24)))
//!     .cors(Cors::origins(["https://app.example.com"]))
//!     .caps(Caps::new().head_within(Duration::from_secs(10)).in_flight(512).spare("/health"))
//!     // Pages of the shop itself, which keep the token in a cookie.
//!     .cookie_tokens(CookieTokens::named("__Host-shop"))
//!     .csrf(Csrf::origins(["https://shop.example.com"]))
//!     .build()
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Sign-in
//!
//! With the feature `login`, a service with pages, or the backend of a single-page application, signs people in by itself:
//! [`GuardBuilder::login`] takes a [`Login`], which makes it a client of the issuer, and [`Guard::login_routes`] has the routes. The tokens stay
//! with the service. The access token of a session is the token of each request that comes with its cookie, so whatever is said here
//! of tokens holds for sessions, and `examples/webapp.rs` is all there is to it.
//!
//! # Routes
//!
//! [`GuardedRouter`] takes only routes that state what they require, so none can be forgotten. Where routes
//! are built in another way, wrap each in [`Guard::require`]. The [`Guard`] itself is a layer too: around a
//! whole router it lets every good token pass, and nobody at all once a policy is configured, since a route
//! that states no requirement is then a route that was forgotten.
//!
//! [`GuardedRouter::coverage`] lists what each route has, and a test can hold a finished router to it: what was added behind the
//! back of the guard, or is answered by a fallback, ends the test.
//!
//! A guard whose policy comes from a server tells it of the routes of each [`GuardedRouter`], so that the server can list
//! routes that no rule opens and rules that no route asks for. [`GuardBuilder::service_version`] keeps versions of a service
//! apart, [`GuardBuilder::hide_routes`] keeps the routes at home.
//!
//! # Several issuers
//!
//! A guard may trust several ([`GuardBuilder::issuer`]). A token is looked at by the keys of the one that it names, and by no
//! others, and by the [form](TokenForm) in which that one writes its tokens; a name that is not known leads to no key at all. Subjects and roles are known to the policy by their names alone, so
//! routes say with [`issuer`] whose tokens are meant.
//!
//! # While the issuer is away
//!
//! A guard goes on with what it knows, and what it knows gets old. Past a limit, whoever needs it is answered 503:
//!
//! | what | limit | set by |
//! |---|---|---|
//! | keys | an hour | [`Issuer::keys_max_age`]; asked for every minute, or as [`Issuer::keys_cached_for`] says |
//! | policy | a day | [`PolicyEndpoint::policy_max_age`] |
//! | revocations | none | [`PolicyEndpoint::revocations_max_stale`] |
//! | what it said of a token when it was asked | half a minute | [`Introspection::remember_for`] |
//!
//! Ages count from when the issuer said last that it holds, which it is asked all the time, and not from the last
//! change. A route can [`serve_stale`](Requirement::serve_stale) up to a longer bound of its own, or ask the issuer about
//! tokens while nobody says what was revoked ([`introspect_when_stale`](Requirement::introspect_when_stale)); the others fail closed.
//! [`GuardBuilder::cache_dir`] keeps keys, policy and revocations on disk, so that a guard can also start meanwhile; its ages
//! go on across the restart; what was said of tokens is kept nowhere. [`Guard::status`] says how old everything is and where it came from.
//!
//! # Limits
//!
//! [`Limits`] of the whole guard, and limits and costs of single routes ([`Requirement::limit`], [`Requirement::cost`]), count in
//! the memory of the process. With the feature `redis`, replicas share them: each borrows a few requests at a time, so that most
//! cost no round trip, and counts for itself, up to its share, while the server is away: whoever the share refuses is answered
//! 503 instead of 429. A guard or a limit may say that everybody passes meanwhile, or nobody ([`WhileAway`]).
//!
//! With the same feature, replicas take a [DPoP](Dpop) proof once together. While that server is away, requests with a proof are
//! answered 503, unless each replica is told to go on alone.
//!
//! # Input
//!
//! Escape on output: that is the fence against cross-site scripting. The [`InputPolicy`] is the second one.
//! It refuses what is malformed, holds [declared fields](Field) to what they were declared to be, cleans those that are HTML, and
//! changes nothing else: `AT&T`, `a<b && c>d` and `0.10` reach the handler byte for byte.
//!
//! ```
//! use portcullis_guard::{Field, Html, InputPolicy, Uploads};
//!
//! # fn run() -> Result<(), portcullis_guard::InputError> {
//! let articles = InputPolicy::strict()
//!     .field("/title", Field::line().length(1..=120).trimmed().rewrite())
//!     .field("/body", Field::html(Html::rich()))
//!     .field("/tags/*", Field::ident().length(..=30))
//!     .field("/source", Field::url(["https"]).report())
//!     .query("draft", Field::one_of(["true", "false"]))
//!     .path("article", Field::integer(1..=999_999))
//!     .required_header("x-tenant", Field::ident().length(..=40))
//!     .uploads(Uploads::new().types(["image/png", "image/jpeg"]).max_file(5 << 20).max_body(6 << 20))
//!     .build()?;
//! # Ok(())
//! # }
//! # run().unwrap();
//! ```
//!
//! | where | what is declared | what is never done |
//! |---|---|---|
//! | body | [`field`](InputPolicy::field), [`html`](InputPolicy::html), by JSON Pointer; [`uploads`](InputPolicy::uploads) | |
//! | query | [`query`](InputPolicy::query), by name | rewritten |
//! | path | [`path`](InputPolicy::path), by the name in the template: `article` of `/articles/{article}` | rewritten |
//! | headers | [`header`](InputPolicy::header), [`required_header`](InputPolicy::required_header) | rewritten |
//!
//! To rewrite a path or a header would be to change what a proxy, a router, a limit, a signature and a log have gone by already: the
//! handler would then act on something else than they did. A field that would do so there is an error when the policy is built. Where
//! the guard does not know the template of a route whose parameters are declared, it refuses everybody and says so in the log, rather
//! than let pass what nobody looked at.
//!
//! Request types can say what bodies and queries hold themselves: see [`InputFields`].
//!
//! What is refused here is a problem document (`application/problem+json`). What the extractors of axum refuse behind it, `Json` and `Path`
//! of `axum::extract`, is text (`text/plain`), in axum's own words.
//!
//! A rule that is new on a service that has users starts with [`report`](Field::report): [`Guard::status`] counts what it would refuse.
//! For what was stored before, and comes from elsewhere, [`HtmlCleaner`] cleans on the way out and makes a [`SafeHtml`].
//!
//! # Features
//!
//! | feature | what it brings |
//! |---|---|
//! | `axum`, on by default | [`GuardedRouter`], [`Guard::metadata_router`], what handlers take as arguments (their extractors), [`OnAxum`] and a [`Body`] that is one of axum and back, the address of the peer from `ConnectInfo` |
//! | `casbin` | `Policy::compared`: one in so many decisions is made by Casbin as well; and Casbin interprets models that are not recognised |
//! | `derive` | `#[derive(InputFields)]`: request types that say what their fields may hold |
//! | `html` | cleaning of HTML: [`Field::html`], [`HtmlCleaner`], [`SafeHtml`] |
//! | `login` | sign-in at an issuer, and sessions: [`Login`], [`SignedIn`], `Guard::login_routes` |
//! | `redis` | limits and used proofs that replicas share: [`RedisLimits`], [`RedisProofs`]; with `login`, sessions: [`RedisSessions`] |
//! | `test-util` | [`test_util`], for the tests of services |
//!
//! A service of plain tower or hyper, of tonic for example, leaves all of them out: a [`RouteTable`] states what its routes require,
//! its server says by [`PeerAddress`] who is at the other end, and it answers [`Guard::metadata`] itself. It gets requests with a [`Body`] of the
//! guard, finds the [`Principal`] in their extensions, and no type of a framework is in what it sees. Rust 1.95 is the oldest that
//! builds this crate.

/// The blocks of the README are compiled as those of the documentation are.
#[cfg(all(doctest, feature = "test-util"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// Those of this page as well.
#[cfg(all(doctest, feature = "test-util"))]
#[doc = include_str!("../docs/other-issuers.md")]
struct OtherIssuers;

mod authorize;
mod binding;
mod body;
mod builder;
mod cache_control;
mod challenge;
mod client_address;
mod client_origin;
mod clock;
#[cfg(feature = "casbin")]
mod comparison;
mod coverage;
mod credentials;
mod csrf;
mod decision;
mod decision_id;
mod details;
mod disk;
mod edge;
mod ended;
mod entropy;
#[cfg(feature = "axum")]
mod extract;
mod fetch;
mod guard;
mod header;
mod input;
mod introspection;

mod jwks;
mod layer;
mod limit;
#[cfg(feature = "redis")]
mod link;
#[cfg(feature = "login")]
mod login;
mod login_ground;
#[cfg(feature = "login")]
mod login_routes;
mod media_type;
#[cfg(feature = "axum")]
mod on_axum;
mod origin;
mod outage;
mod panicked;
mod path;
mod policy;
mod records;
mod refusal;
mod resource;
mod revocation;
mod route_options;
mod route_table;
#[cfg(feature = "axum")]
mod router;
mod routes;
mod schedule;
mod sign_in;
mod status;
#[cfg(feature = "test-util")]
pub mod test_util;
mod token;
mod token_form;
#[cfg(not(feature = "casbin"))]
mod uncompared;
#[cfg(not(feature = "login"))]
mod unlogged;
#[cfg(test)]
mod vectors;

pub use authorize::{
    Requirement, RequirementError, authenticated, details, issuer, optional, public, rbac, scope,
};
#[cfg(feature = "redis")]
pub use binding::RedisProofs;
pub use binding::{
    CertificateHeader, ClientCertificates, Dpop, DpopError, PeerCertificate, ProofOfKey, ProofRefused,
    ProofVerifier,
};
pub use body::{Body, HttpBody};
pub use builder::{BuildError, GuardBuilder};
pub use client_address::{ClientAddress, ForwardedHeader, NotANetwork, PeerAddress, Proxies};
pub use client_origin::{ClientOrigin, NotAClientOrigin};
pub use clock::Clock;
#[cfg(feature = "casbin")]
pub use comparison::OneIn;
#[cfg(feature = "axum")]
pub use coverage::Unguarded;
pub use coverage::{Coverage, CoveredRoute};
pub use csrf::{Csrf, CsrfError};
pub use decision::{AccessDenied, Decision};
pub use decision_id::DecisionId;
pub use disk::CacheDirError;
pub use edge::{
    Caps, Cors, CorsError, CspNonce, Edge, EdgeFuture, Edged, EmbedderPolicy, EmptyCap, HeadersError,
    OpenerPolicy, ReferrerPolicy, RequestId, ResourcePolicy, RouteHeaders, SecurityHeaders,
};
pub use ended::Ended;
pub use entropy::Entropy;
#[cfg(feature = "axum")]
pub use extract::{Claims, OptionalPrincipal};
pub use fetch::{FetchError, UrlRefused};
pub use guard::{Decider, Guard, Permit, RenewError};
pub use input::{
    Duplicates, Field, FieldFault, FieldList, FieldReports, InputError, InputFields, InputPolicy,
    InputReport, NotAPointer, ReportedField, RouteInput, Uploads,
};
#[cfg(feature = "html")]
pub use input::{Html, HtmlCleaner, HtmlTooLong, NotHarmless, SafeHtml};
pub use introspection::{Introspection, IntrospectionError};
pub use jwks::{Algorithm, Issuer, IssuerError, JwkSet, JwksError, KeyFault, NotAnIssuer, SharedKeys};
pub use layer::{GuardFuture, GuardLayer, Guarded};
pub use limit::{Key, Limit, LimitError, Limits, Quota};
#[cfg(feature = "redis")]
pub use limit::{RedisLimits, WhileAway};
#[cfg(feature = "login")]
pub use login::{
    Login, LoginError, MemorySessions, SessionStore, SignedIn, StoreFault, StoreFuture, StoreKey,
    StoredSession, StoredSignIn, Term,
};
#[cfg(all(feature = "login", feature = "redis"))]
pub use login::{NotARedisUrl, RedisSessions};
#[cfg(feature = "axum")]
pub use on_axum::OnAxum;
pub use origin::NotAnOrigin;
pub use policy::{FilesError, Policy, PolicyEndpoint, PolicyError, SharedPolicy};
#[cfg(feature = "derive")]
pub use portcullis_guard_derive::InputFields;
pub use portcullis_policy::PolicySource;
pub use records::DecisionRecords;
pub use refusal::Rejection;
pub use resource::{NotAResource, ProtectedResource};
pub use route_table::{RouteFault, RouteTable, TableGuarded, TableLayer};
#[cfg(feature = "axum")]
pub use router::{GuardExt, GuardedRoute, GuardedRouter};
pub use status::{
    ComparisonStatus, IntrospectionStatus, KeysStatus, PolicyStatus, Source, Status, StoreState,
};
pub use token::{CookieTokens, NotAHostCookie, Principal, TokenPolicy};
pub use token_form::TokenForm;
