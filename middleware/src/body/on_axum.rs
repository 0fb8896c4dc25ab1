//! Bodies where axum is at hand: each is held as one of axum, so that it becomes one again with nothing wrapped around it.

use axum::body::Body as Axum;
use tower::BoxError;

use super::{Body, HttpBody};

pub(super) type Held = Axum;

pub(super) fn hold<B: HttpBody>(body: B) -> Held {
    Axum::new(body)
}

pub(super) fn reason(error: axum::Error) -> BoxError {
    error.into_inner()
}

impl From<Axum> for Body {
    fn from(body: Axum) -> Self {
        Self(body)
    }
}

/// For handlers and layers of axum, which know its bodies alone. Nothing is wrapped.
impl From<Body> for Axum {
    fn from(body: Body) -> Self {
        body.0
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    #[tokio::test]
    async fn a_body_of_axum_stays_one_on_the_way_through() {
        let there = Body::new(Axum::from("ab"));
        let back = Axum::from(Body::from(Axum::from(there)));
        assert_eq!(back.collect().await.unwrap().to_bytes(), "ab");
        let made = Axum::from(Body::new(Full::from("cd")));
        assert_eq!(made.collect().await.unwrap().to_bytes(), "cd");
    }
}
