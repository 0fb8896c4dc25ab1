//! Bodies of requests and responses.

mod framed;
#[cfg(feature = "axum")]
mod on_axum;
#[cfg(not(feature = "axum"))]
mod plain;

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::{Empty, Full};
use tower::BoxError;

pub(crate) use self::framed::Framed;
#[cfg(feature = "axum")]
use self::on_axum::{Held, hold, reason};
#[cfg(not(feature = "axum"))]
use self::plain::{Held, hold, reason};

/// Any body that is made of bytes: of hyper, axum, tonic or a service of your own.
pub trait HttpBody: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static {}

impl<B> HttpBody for B where B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static {}

/// The body of the requests that a service behind a guard gets, and of the answers that callers get from it.
///
/// A guard takes requests with any [body of bytes](HttpBody), and the service behind it may answer with any. What it hands on is of this
/// type in both directions, since it may have had to read a body, to change it or to end it before its time.
///
/// Its errors are those of the body that was handed on, and of the guard where that ended it ([`Ended`](crate::Ended)) or found it too long
/// (`LengthLimitError` of `http-body-util`). With the feature `axum`, the error of a body that was one of axum is taken out of what axum wraps
/// around it.
#[must_use]
pub struct Body(Held);

impl Body {
    /// A body of whatever kind; of a stream, by `StreamBody` of `http-body-util`. Nothing is wrapped around one of this type.
    pub fn new<B: HttpBody>(body: B) -> Self {
        let mut body = Some(body);
        if let Some(same) = (&mut body as &mut dyn Any).downcast_mut::<Option<Self>>().and_then(Option::take)
        {
            return same;
        }
        body.map_or_else(Self::empty, |body| Self(hold(body)))
    }

    /// A body with nothing in it.
    pub fn empty() -> Self {
        Self(hold(Empty::new()))
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(hold(Full::new(bytes)))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from(text).into()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Body").finish_non_exhaustive()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.0).poll_frame(context).map_err(reason)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures_util::stream;
    use http_body::Body as _;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    #[tokio::test]
    async fn what_is_in_a_body_comes_out_of_it() {
        assert!(Body::empty().is_end_stream() && Body::default().is_end_stream());
        let written =
            [Body::from("ab"), "ab".to_owned().into(), b"ab".to_vec().into(), Bytes::from("ab").into()];
        for body in written.map(Body::new) {
            assert_eq!(body.size_hint().exact(), Some(2));
            assert_eq!(body.collect().await.unwrap().to_bytes(), "ab");
        }
        assert_eq!(format!("{:?}", Body::from("secret")), "Body { .. }");
    }

    #[tokio::test]
    async fn why_a_body_broke_off_is_known_by_its_type_however_often_it_is_handed_on() {
        let broken = || {
            stream::iter([
                Ok(Frame::data(Bytes::from_static(b"\0a"))),
                Err(io::Error::from(io::ErrorKind::BrokenPipe)),
            ])
        };
        let within = Body::new(Framed::new(Body::new(StreamBody::new(broken()))));
        for body in [Body::new(StreamBody::new(broken())), within] {
            let error = body.collect().await.unwrap_err();
            assert_eq!(error.downcast::<io::Error>().unwrap().kind(), io::ErrorKind::BrokenPipe);
        }
    }
}
