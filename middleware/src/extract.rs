//! What handlers of axum take as arguments, and are refused by.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::IntoResponse;
use http::Response;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::client_address::ClientAddress;
use crate::decision::Decision;
use crate::edge::{CspNonce, RequestId};
use crate::guard::{Decider, Permit};
#[cfg(feature = "login")]
use crate::login::SignedIn;
use crate::refusal::{Outage, Refusal, Rejection};
use crate::token::Principal;

impl IntoResponse for Rejection {
    fn into_response(self) -> Response<Body> {
        Response::from(self).map(Body::from)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Refusal::Anonymous.into())
    }
}

/// The caller, on a route that also serves requests without a token.
///
/// A token that is there and not good is answered 401, not taken for none.
#[derive(Clone, Debug)]
pub struct OptionalPrincipal(pub Option<Principal>);

impl<S: Send + Sync> FromRequestParts<S> for OptionalPrincipal {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<Principal>().cloned()))
    }
}

/// The claims of the verified token, as a type of the application.
///
/// A token whose claims do not fit the type is answered 403.
#[derive(Clone, Debug)]
pub struct Claims<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Claims<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let principal = Principal::from_request_parts(parts, state).await?;
        principal.claims().map(Self).ok_or_else(|| Refusal::ClaimsMismatch.into())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        parts.extensions.get::<Self>().copied().ok_or_else(|| Refusal::Unavailable(Outage::Address).into())
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Decision {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get::<Self>().copied())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CspNonce {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        Self::of(&parts.extensions).ok_or_else(|| Refusal::Unavailable(Outage::Nonce).into())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Refusal::Unavailable(Outage::RequestId).into())
    }
}

/// A route without a guard answers 401.
impl<S: Send + Sync> FromRequestParts<S> for Permit {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        let is_guarded = parts.extensions.get::<Decision>().is_some();
        if is_guarded { Ok(Self::of(&parts.extensions)) } else { Err(Refusal::Anonymous.into()) }
    }
}

#[cfg(feature = "login")]
impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        Self::of(&parts.extensions).ok_or_else(|| Refusal::Anonymous.into())
    }
}

#[cfg(feature = "login")]
impl<S: Send + Sync> OptionalFromRequestParts<S> for SignedIn {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}

/// A route without a guard answers 401.
impl<S: Send + Sync> FromRequestParts<S> for Decider {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        let is_guarded = parts.extensions.get::<Decision>().is_some();
        if is_guarded { Ok(Self::of(&parts.extensions)) } else { Err(Refusal::Anonymous.into()) }
    }
}
