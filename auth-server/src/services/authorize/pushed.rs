//! Pushed authorization requests ([RFC 9126](https://www.rfc-editor.org/rfc/rfc9126)): a client sends its request to us first,
//! and the browser brings a handle of it.

use std::time::Duration;

use serde::de::IgnoredAny;

use crate::domain::client::Client;
use crate::domain::oauth_error::OAuthErrorCode;
use crate::domain::parameters::{Parameters, ParametersError};
use crate::domain::secret::{OpaqueToken, TokenKind};
use crate::services::authorize::flow::Flow;
use crate::services::authorize::refusal::{PageError, RequestError};
use crate::services::authorize::request::{self, AuthorizeRequest};
use crate::services::authorize::way::Way;
use crate::services::authorize::{AuthorizeError, AuthorizeService, Stop};
use crate::services::client_auth::{ClientAuthError, replays};
use crate::services::possession::Possession;
use crate::services::registration::Arrival;
use crate::services::token::TokenCaller;
use crate::services::visit::Visit;
use crate::storage::single_use::Purpose;
use crate::storage::{StoreError, Unique, single_use};

/// What stands before a handle (RFC 9126 §2.2).
const URN: &str = "urn:ietf:params:oauth:request_uri:";

/// A request that was taken.
#[derive(Debug)]
pub(crate) struct PushedRequest {
    pub(crate) request_uri: String,
    pub(crate) expires_in: Duration,
}

/// Why a request is not taken. The client hears of all of it at once: there is no browser yet (RFC 9126 §2.3).
#[derive(Debug, thiserror::Error)]
pub(crate) enum PushError {
    #[error("{parameter} {0}", parameter = .0.parameter())]
    Address(PageError),
    /// Found only here: what the client showed who it is by was used before.
    #[error(transparent)]
    Client(ClientAuthError),
    #[error(transparent)]
    Fault(StoreError),
    #[error("the DPoP proof is signed by an algorithm that the profile of the client does not permit")]
    ProofAlgorithm,
    #[error("the DPoP proof was used before")]
    ProofUsed,
    #[error("request_uri is not for the endpoint that makes them")]
    Handle,
    #[error(transparent)]
    Request(RequestError),
    #[error("too many requests of this client")]
    Throttled { retry_after: Duration },
}

impl PushError {
    /// What the client is told.
    pub(crate) const fn code(&self) -> OAuthErrorCode {
        match self {
            Self::Fault(error) if error.is_temporary() => OAuthErrorCode::TemporarilyUnavailable,
            Self::Fault(_) => OAuthErrorCode::ServerError,
            Self::Throttled { .. } => OAuthErrorCode::TemporarilyUnavailable,
            Self::Client(error) => error.code(),
            Self::ProofAlgorithm | Self::ProofUsed => OAuthErrorCode::InvalidDpopProof,
            Self::Request(error) => error.code(),
            Self::Address(error) => error.code(),
            Self::Handle => OAuthErrorCode::InvalidRequest,
        }
    }

    /// In words that say nothing of what was sent.
    pub(crate) fn description(&self) -> String {
        match self {
            Self::Fault(_) => "the server cannot answer now".to_owned(),
            told => told.to_string(),
        }
    }
}

/// Two handles never meet: what was used is the proof, or the assertion beside it, of which is asked next.
impl From<StoreError> for PushError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(Unique::Once) => Self::ProofUsed,
            error => Self::Fault(error),
        }
    }
}

impl From<Stop> for PushError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Fault(error) => Self::Fault(error),
            Stop::Refused(error) => Self::Request(error),
        }
    }
}

/// The handle that a request brings, if it brings one of ours.
///
/// Whatever else is in `request_uri` is no handle: such a request goes on, and is refused by the name of what it asks for.
pub(crate) fn handle(parameters: &Parameters) -> Result<Option<OpaqueToken>, PageError> {
    let uri = parameters.get("request_uri").map_err(|_: ParametersError| PageError::HandleRepeated)?;
    if uri.is_some() && parameters.get("request").ok().flatten().is_some() {
        return Err(PageError::HandleBesideObject);
    }
    let Some(raw) = uri.and_then(|uri| uri.strip_prefix(URN)) else { return Ok(None) };
    OpaqueToken::parse_as(TokenKind::PushedRequest, raw).map(Some).map_err(|_| PageError::HandleUnknown)
}

/// RFC 9449 §10.1: the proof that comes with a request names the key that the code is bound to.
fn bind(request: &mut AuthorizeRequest, held: &Possession) -> Result<(), RequestError> {
    let Some(proof) = &held.proof else { return Ok(()) };
    match &request.binding.jkt {
        Some(named) if *named != proof.key => Err(RequestError::KeyMismatch),
        Some(_) => Ok(()),
        None => {
            request.binding.jkt = Some(proof.key.clone());
            Ok(())
        }
    }
}

impl AuthorizeService {
    /// Takes a request, checked as far as it can be without the person.
    ///
    /// What came with it and counts once is used up by the statement that keeps it. Of a client that is refused the assertion is, and
    /// one that shows an assertion which was used before hears of nothing else.
    pub(crate) async fn push(
        &self,
        caller: &TokenCaller,
        parameters: &Parameters,
    ) -> Result<PushedRequest, PushError> {
        let taken = self.take(caller, parameters).await;
        let (Err(error), Some(assertion)) = (&taken, caller.assertion) else { return taken };
        if matches!(error, PushError::Fault(fault) if fault.is_temporary()) {
            return taken;
        }
        let arrival = Arrival { address: caller.address, now: caller.now };
        let (counted, client) = ((&self.store, &self.pushes), &caller.client.client().id);
        replays::use_up(counted, client, assertion, arrival).await.map_err(PushError::Client)?;
        taken
    }

    async fn take(&self, caller: &TokenCaller, parameters: &Parameters) -> Result<PushedRequest, PushError> {
        let client = caller.client.client();
        if !caller.may_sign() {
            return Err(PushError::ProofAlgorithm);
        }
        self.pushes
            .admit(client, caller.address, caller.assertion.is_none())
            .map_err(|retry_after| PushError::Throttled { retry_after })?;
        // Each request is a row. A client without a secret can be named by anybody, so its network counts too.
        if !caller.client.is_confidential() {
            self.limits.admit(caller.address).map_err(|retry_after| PushError::Throttled { retry_after })?;
        }
        // RFC 9126 §2.1.
        if parameters.has_any(&["request_uri"]) {
            return Err(PushError::Handle);
        }
        let said = self.opened(parameters, client, caller.now).await.map_err(PushError::Request)?;
        let address = request::return_address(&said, client).map_err(PushError::Address)?;
        let mut request = self.checked(&said, client, &address).await?;
        bind(&mut request, &caller.held).map_err(PushError::Request)?;
        let once = caller.once();
        let token = OpaqueToken::generate(TokenKind::PushedRequest, &self.entropy);
        let expires_in = client.settings.profile.pushed_request_ttl(self.settings.pushed_request_ttl);
        let digest = token.digest();
        let expires_at = caller.now.plus(expires_in);
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let place = (Purpose::PushedRequest, &digest);
                    single_use::issue_with(tx, place, &request, expires_at, &once).await
                })
            })
            .await?;
        Ok(PushedRequest { request_uri: format!("{URN}{}", token.expose()), expires_in })
    }

    /// Finds the request that a handle stands for (RFC 9126 §4). Only the client that pushed it can use it.
    ///
    /// Whoever shows a handle spends nothing by that: a page may be loaded again, or by a program that looks at links, and anybody may
    /// have seen the address. It is spent by whoever gets an answer first. The request may have been read beside the session.
    pub(super) async fn pushed(
        &self,
        handle: &OpaqueToken,
        client: &Client,
        visit: &Visit,
    ) -> Result<(AuthorizeRequest, Way), AuthorizeError> {
        let digest = handle.digest();
        let waiting = visit.session.as_ref().and_then(|live| live.waiting.as_ref());
        let waiting = waiting.filter(|waiting| waiting.handle == digest);
        let read = waiting.and_then(|waiting| serde_json::from_str(&waiting.request).ok());
        let found = if read.is_some() {
            read
        } else {
            let mut tx = self.store.read().await?;
            single_use::find(&mut tx, Purpose::PushedRequest, &digest, visit.now).await?
        };
        let request = taken(found.ok_or(PageError::HandleUnknown)?, client)?;
        Ok((request, Way::Pushed(digest)))
    }

    /// Spends the handle of a request that is answered by an error before anybody was asked anything.
    pub(super) async fn spend(&self, flow: &Flow<'_>) -> Result<(), StoreError> {
        let Some(digest) = flow.way.handle().copied() else { return Ok(()) };
        let now = flow.visit.now;
        let work = self.store.write(move |tx| {
            let purpose = Purpose::PushedRequest;
            Box::pin(async move { single_use::consume::<IgnoredAny>(tx, purpose, &digest, now).await })
        });
        work.await?.map(drop).ok_or(StoreError::Conflict(Unique::Once))
    }
}

/// A pushed request of the client, within what it may ask for now: it may have changed since.
fn taken(request: AuthorizeRequest, client: &Client) -> Result<AuthorizeRequest, PageError> {
    if request.client != client.id {
        return Err(PageError::HandleUnknown);
    }
    if client.redirect_for(&request.address.uri).is_none() {
        return Err(PageError::RedirectNotRegistered);
    }
    Ok(request.within(&client.scopes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(query: &str) -> Result<Option<String>, PageError> {
        let parameters = Parameters::parse(query.as_bytes()).unwrap();
        handle(&parameters).map(|handle| handle.map(|token| token.expose().to_owned()))
    }

    #[test]
    fn a_handle_of_ours_is_found_and_anything_else_is_none() {
        let token = format!("pcp_{}", "A".repeat(43));
        assert_eq!(found(&format!("request_uri={URN}{token}")), Ok(Some(token.clone())));
        for other in ["", "request_uri=", "request_uri=https://rp.test/r", "request_uri=urn:other:x"] {
            assert_eq!(found(other), Ok(None), "{other}");
        }
        for odd in ["", "x", &format!("pcc_{}", "A".repeat(43)), &format!("{token}A")] {
            assert_eq!(found(&format!("request_uri={URN}{odd}")), Err(PageError::HandleUnknown), "{odd}");
        }
        let twice = format!("request_uri={URN}{token}&request_uri={URN}{token}");
        assert_eq!(found(&twice), Err(PageError::HandleRepeated));
    }
}
