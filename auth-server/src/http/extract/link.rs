//! What the address of a page says; what cannot be read is answered with a page, like everything that people see.

use axum::extract::{FromRef, FromRequestParts, Path, Query};
use axum::response::Response;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::http::extract::request_id::RequestId;
use crate::http::render::Pages;
use crate::http::render::error_page::{ErrorKind, ErrorPage};

/// The query of a page.
pub(crate) struct LinkQuery<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for LinkQuery<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
    Pages: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let query = Query::try_from_uri(&parts.uri).ok();
        match query {
            Some(Query(query)) => Ok(Self(query)),
            None => Err(refused(parts, state, ErrorKind::BadRequest).await),
        }
    }
}

/// The variable parts of a page's path.
pub(crate) struct LinkPath<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for LinkPath<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
    Pages: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let path = Path::from_request_parts(parts, state).await.ok();
        match path {
            Some(Path(path)) => Ok(Self(path)),
            None => Err(refused(parts, state, ErrorKind::NotFound).await),
        }
    }
}

async fn refused<S>(parts: &mut Parts, state: &S, kind: ErrorKind) -> Response
where
    S: Send + Sync,
    Pages: FromRef<S>,
{
    let Ok(id) = RequestId::from_request_parts(parts, state).await;
    Pages::from_ref(state).error(&ErrorPage::new(kind).reference(id.as_str()))
}
