//! Bodies of requests and responses.

use axum_core::BoxError;
use bytes::Bytes;
use http_body::Body;

/// Any body that is made of bytes: of hyper, axum, tonic or a service of your own.
pub trait HttpBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static {}

impl<B> HttpBody for B where B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static {}
