//! The OpenAPI 3.1 description of the admin API, and the one way to mount a route that it describes.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi as _};

/// What the security scheme is called inside the document.
const SCHEME: &str = "access_token";

/// The extension that says which permission an operation needs: `users:read`.
pub(crate) const PERMISSION: &str = "x-permission";

/// The part of the document that is not about one route.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Portcullis admin API",
        description = "Users, clients, APIs, roles and policies of one Portcullis server.\n\n\
            Send an access token whose audience is `{issuer}/api`. Every error is a problem document (RFC 9457). \
            Lists are pages: follow `next`. A PUT replaces everything that can be changed and needs the `ETag` of \
            what you read as `If-Match`."
    ),
    components(schemas(crate::http::admin::problem::Problem)),
    modifiers(&AccessToken)
)]
struct Skeleton;

struct AccessToken;

impl Modify for AccessToken {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("at+jwt").build();
        document.components.get_or_insert_default().add_security_scheme(SCHEME, SecurityScheme::Http(scheme));
    }
}

/// The document before any route is added.
pub(crate) fn skeleton() -> OpenApi {
    Skeleton::openapi()
}

/// Writes into every operation of `item` which permission it needs and how it refuses.
pub(crate) fn describe(item: &mut PathItem, permission: &str) {
    for operation in operations(item) {
        operation.security = Some(vec![SecurityRequirement::new(SCHEME, Vec::<String>::new())]);
        operation.extensions = Some(ExtensionsBuilder::new().add(PERMISSION, permission).build());
        for (status, description) in [
            ("401", "No access token, or one that is not valid here."),
            ("403", "The caller's roles do not carry the permission that this operation needs."),
            ("default", "Everything else that can go wrong."),
        ] {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
            let response =
                ResponseBuilder::new().description(description).content("application/problem+json", content);
            operation.responses.responses.entry(status.to_owned()).or_insert_with(|| response.build().into());
        }
    }
}

/// The operations of a path, whatever their methods.
pub(crate) fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten()
}

/// The finished document, ready to be sent.
#[derive(Clone)]
pub(crate) struct Description(Bytes);

impl Description {
    pub(crate) fn of(document: &OpenApi) -> Result<Self, serde_json::Error> {
        serde_json::to_vec(document).map(|text| Self(Bytes::from(text)))
    }
}

impl IntoResponse for Description {
    fn into_response(self) -> Response {
        let mut response = (StatusCode::OK, self.0).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}
