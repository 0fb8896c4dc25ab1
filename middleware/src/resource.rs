//! What this service is, in a document that clients find by themselves (RFC 9728).

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use http::{HeaderName, HeaderValue, Response, header};
use serde::Serialize;
use url::Url;

use crate::authorize::Requirement;
use crate::binding::{Bindings, Proofs};
use crate::fetch::is_secure;

/// Where the document of a resource is, before the path of the resource.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// This service as a protected resource (RFC 9728): what its metadata says beside the issuers that it trusts and the scopes
/// that its routes ask for.
///
/// With it, challenges say where the metadata is, so that a client which knows nothing but the address of the service finds
/// out where to get a token. The Model Context Protocol asks this of every server. A [`GuardedRouter`](crate::GuardedRouter) of the
/// guard serves the metadata beside its routes, at `/.well-known/oauth-protected-resource` and the path of the service behind it.
///
/// ```no_run
/// # async fn run() -> Result<(), portcullis_guard::BuildError> {
/// use axum::routing::post;
/// use portcullis_guard::{Guard, GuardExt, GuardedRouter, Issuer, ProtectedResource, scope};
///
/// # async fn mcp() {}
/// let guard = Guard::builder()
///     .issuer(Issuer::oidc("https://id.example.com"))
///     .audience("https://tools.example.com/mcp")
///     .protected_resource(ProtectedResource::new().name("Tools"))
///     .build()
///     .await?;
/// let app: axum::Router = GuardedRouter::new()
///     .route("/mcp", post(mcp).guard(scope("tools")))
///     .guarded_by(&guard);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "it describes nothing before it is given to a builder"]
pub struct ProtectedResource {
    identifier: Option<String>,
    name: Option<String>,
    documentation: Option<String>,
    policy: Option<String>,
    terms: Option<String>,
    details: Vec<String>,
    is_apart: bool,
}

/// Why a service cannot be described.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not the identifier of a resource: an https URL without query or fragment (http only for this machine)"
)]
pub struct NotAResource(String);

impl ProtectedResource {
    /// The resource whose identifier is the audience of the guard.
    pub const fn new() -> Self {
        Self {
            identifier: None,
            name: None,
            documentation: None,
            policy: None,
            terms: None,
            details: Vec::new(),
            is_apart: false,
        }
    }

    /// The identifier, where it is not the audience: the `https` URL at which clients reach the service.
    pub fn identifier(mut self, url: impl Into<String>) -> Self {
        self.identifier = Some(url.into());
        self
    }

    /// A name for people (`resource_name`).
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Where developers read about the service (`resource_documentation`).
    pub fn documentation(mut self, url: impl Into<String>) -> Self {
        self.documentation = Some(url.into());
        self
    }

    /// Where it says how clients may use what they get (`resource_policy_uri`).
    pub fn policy_uri(mut self, url: impl Into<String>) -> Self {
        self.policy = Some(url.into());
        self
    }

    /// The terms of service (`resource_tos_uri`).
    pub fn tos_uri(mut self, url: impl Into<String>) -> Self {
        self.terms = Some(url.into());
        self
    }

    /// Types of `authorization_details` that handlers read (RFC 9396), beside those that routes require.
    pub fn authorization_details_types(mut self, types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.details.extend(types.into_iter().map(Into::into));
        self
    }

    /// Leaves it to the service to serve the metadata, by [`Guard::metadata_router`](crate::Guard::metadata_router) or
    /// [`Guard::metadata`](crate::Guard::metadata): where the routers of the guard are nested below a path, so that theirs would not
    /// be at the root, and where there are several that are merged only when they are guarded.
    pub fn served_apart(mut self) -> Self {
        self.is_apart = true;
        self
    }

    pub(crate) fn describe(
        self,
        audience: &str,
        issuers: Vec<String>,
        bindings: &Bindings,
    ) -> Result<Described, NotAResource> {
        let identifier = self.identifier.unwrap_or_else(|| audience.to_owned());
        let Some((url, path)) = locate(&identifier) else { return Err(NotAResource(identifier)) };
        let document = Document {
            resource: identifier,
            authorization_servers: issuers,
            scopes_supported: BTreeSet::new(),
            authorization_details_types_supported: self.details.into_iter().collect(),
            bearer_methods_supported: ["header"],
            bound_tokens: BoundTokens {
                dpop_signing_alg_values_supported: bindings.dpop.as_ref().map(Proofs::algorithm_names),
                dpop_bound_access_tokens_required: bindings.dpop.as_ref().is_some_and(Proofs::are_required),
                tls_client_certificate_bound_access_tokens: bindings.certificates.is_some(),
            },
            resource_name: self.name,
            resource_documentation: self.documentation,
            resource_policy_uri: self.policy,
            resource_tos_uri: self.terms,
        };
        Ok(Described { url, path, is_apart: self.is_apart, document: Mutex::new(document) })
    }
}

/// Where the metadata of a resource is (RFC 9728 §3.1): the well-known path goes between the host and the path of the
/// resource, of which a slash at its end counts unless it is all there is.
fn locate(identifier: &str) -> Option<(String, String)> {
    let url = Url::parse(identifier).ok()?;
    let is_plain = url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if !is_plain || !is_secure(&url) {
        return None;
    }
    let rest = if url.path() == "/" { "" } else { url.path() };
    let path = format!("{WELL_KNOWN}{rest}");
    Some((format!("{}{path}", url.origin().ascii_serialization()), path))
}

/// A resource with its metadata, which grows with the routes that are guarded.
pub(crate) struct Described {
    url: String,
    path: String,
    /// Whether routers leave it to the service.
    #[cfg_attr(
        not(feature = "axum"),
        expect(dead_code, reason = "only routers of axum serve it by themselves")
    )]
    is_apart: bool,
    document: Mutex<Document>,
}

/// Protected resource metadata (RFC 9728 §2).
#[derive(Serialize)]
struct Document {
    resource: String,
    authorization_servers: Vec<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    scopes_supported: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    authorization_details_types_supported: BTreeSet<String>,
    bearer_methods_supported: [&'static str; 1],
    #[serde(flatten)]
    bound_tokens: BoundTokens,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_documentation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_policy_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_tos_uri: Option<String>,
}

/// What it says of tokens that are bound to something. What is left out means no.
#[derive(Serialize)]
struct BoundTokens {
    #[serde(skip_serializing_if = "Option::is_none")]
    dpop_signing_alg_values_supported: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dpop_bound_access_tokens_required: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tls_client_certificate_bound_access_tokens: bool,
}

/// Anybody may read it, from any page, and keep it for an hour.
const METADATA_HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
    (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600")),
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];

impl Described {
    /// Where the metadata is, for challenges.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The path of the metadata at this service.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The path of the metadata, if routers serve it by themselves.
    #[cfg(feature = "axum")]
    pub(crate) fn path_in_routers(&self) -> Option<&str> {
        (!self.is_apart).then_some(self.path.as_str())
    }

    /// Takes note of scopes and types of details that routes ask for.
    pub(crate) fn note<'a>(&self, requirements: impl IntoIterator<Item = &'a Requirement>) {
        let mut document = self.document.lock().unwrap_or_else(PoisonError::into_inner);
        for requirement in requirements {
            let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
            document.scopes_supported.extend(owned(requirement.scopes_mentioned()));
            document.authorization_details_types_supported.extend(owned(requirement.details_mentioned()));
        }
    }

    /// The metadata, as it is answered to anybody.
    pub(crate) fn response(&self) -> Response<Vec<u8>> {
        // Text and lists of it: there is nothing that JSON could not say.
        let json = serde_json::to_vec(&*self.document.lock().unwrap_or_else(PoisonError::into_inner));
        let mut response = Response::new(json.unwrap_or_default());
        response.headers_mut().extend(METADATA_HEADERS);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_path_goes_between_the_host_and_the_path() {
        for (identifier, url) in [
            ("https://tools.test", "https://tools.test/.well-known/oauth-protected-resource"),
            ("https://tools.test/", "https://tools.test/.well-known/oauth-protected-resource"),
            (
                "https://tools.test:8443/mcp",
                "https://tools.test:8443/.well-known/oauth-protected-resource/mcp",
            ),
            ("https://tools.test/a/b/", "https://tools.test/.well-known/oauth-protected-resource/a/b/"),
            ("http://127.0.0.1:8081/mcp", "http://127.0.0.1:8081/.well-known/oauth-protected-resource/mcp"),
        ] {
            assert_eq!(locate(identifier).map(|(url, _)| url).as_deref(), Some(url), "{identifier}");
        }
        for identifier in [
            "orders",
            "http://tools.test",
            "https://tools.test/?a=b",
            "https://tools.test/#a",
            "https://u:p@tools.test",
            "",
        ] {
            let described = ProtectedResource::new().describe(identifier, Vec::new(), &Bindings::default());
            assert!(described.is_err(), "{identifier}");
        }
    }
}
