//! Bodies that are to be messages of gRPC.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tower::BoxError;

use super::HttpBody;

pin_project_lite::pin_project! {
    /// A body of gRPC, which breaks off unless it begins as a message does: with a byte that says whether it is packed. What calls
    /// itself `application/grpc+json` could else be JSON that nobody looked at, to a handler that is none of gRPC.
    pub(crate) struct Framed<B> {
        #[pin]
        inner: B,
        has_begun: bool,
    }
}

impl<B> Framed<B> {
    pub(crate) const fn new(inner: B) -> Self {
        Self { inner, has_begun: false }
    }
}

impl<B: HttpBody> Body for Framed<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(context));
        let first = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()?.first().copied());
        if let Some(first) = first
            && !std::mem::replace(this.has_begun, true)
            && first > 1
        {
            return Poll::Ready(Some(Err(io::Error::other("no message of gRPC begins so").into())));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
