//! Layers of the guard among those of axum.

use axum::body::Body as Axum;
use http::{Request, Response};
use tower::Layer;
use tower::util::{MapRequest, MapResponse};

use crate::body::Body;

/// A layer of the guard around a service that takes bodies of axum alone, and for a place that takes them alone: between layers of a
/// [`ServiceBuilder`](https://docs.rs/tower/latest/tower/struct.ServiceBuilder.html), or around what `axum::middleware::from_fn` makes.
///
/// A router of axum takes any body, so nothing of this is needed there; with it, bodies are not wrapped in each other on the way. A
/// [`GuardedRouter`](crate::GuardedRouter) sees to that by itself.
///
/// ```
/// # use axum::routing::get;
/// use axum::Router;
/// use axum::extract::Request;
/// use axum::middleware::{Next, from_fn};
/// use axum::response::Response;
/// use portcullis_guard::{Guard, OnAxum};
///
/// # async fn home() {}
/// async fn count(request: Request, next: Next) -> Response {
///     next.run(request).await
/// }
///
/// fn app(guard: &Guard) -> Router {
///     let around = (OnAxum::new(guard.edge()), from_fn(count));
///     Router::new().route("/", get(home)).layer(around)
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct OnAxum<L>(L);

impl<L> OnAxum<L> {
    /// This layer, among those of axum.
    pub const fn new(layer: L) -> Self {
        Self(layer)
    }
}

impl<S, L> Layer<S> for OnAxum<L>
where
    L: Layer<MapRequest<S, fn(Request<Body>) -> Request<Axum>>>,
{
    type Service = MapResponse<L::Service, fn(Response<Body>) -> Response<Axum>>;

    fn layer(&self, inner: S) -> Self::Service {
        MapResponse::new(self.0.layer(MapRequest::new(inner, enter)), leave)
    }
}

fn enter(request: Request<Body>) -> Request<Axum> {
    request.map(Axum::from)
}

fn leave(response: Response<Body>) -> Response<Axum> {
    response.map(Axum::from)
}
