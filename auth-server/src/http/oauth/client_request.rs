//! A form that a client sent, with the client that sent it; or a request without a form, and its client.

use axum::body::Body;
use axum::extract::{FromRef, FromRequest, FromRequestParts, Request};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http_body_util::BodyExt;

use crate::domain::clock::Clock;
use crate::domain::parameters::{Parameters, ParametersError};
use crate::http::extract::address::ClientAddress;
use crate::http::extract::certificate::Certificates;
use crate::http::extract::form::is_form;
use crate::http::noted::Noted;
use crate::http::oauth::error::{OAuthError, Unreadable};
use crate::services::client_auth::credential::{ClientCredential, CredentialError};
use crate::services::client_auth::{ClientAuthError, ClientAuthenticator, Presented};
use crate::services::possession::Possession;
use crate::services::registration::Arrival;
use crate::services::token::TokenCaller;

/// What must never be in an address: addresses are logged and remembered everywhere (RFC 6749 §2.3.1).
const SECRETS: [&str; 14] = [
    "access_token",
    "actor_token",
    "assertion",
    "auth_req_id",
    "client_assertion",
    "client_notification_token",
    "client_secret",
    "code",
    "code_verifier",
    "device_code",
    "password",
    "refresh_token",
    "subject_token",
    "token",
];

/// A request to one of the endpoints for clients. A handler that takes it cannot forget to authenticate.
pub(crate) struct ClientRequest {
    pub(crate) caller: TokenCaller,
    pub(crate) parameters: Parameters,
}

impl<S> FromRequest<S> for ClientRequest
where
    S: Send + Sync,
    Certificates: FromRef<S>,
    ClientAuthenticator: FromRef<S>,
    Clock: FromRef<S>,
{
    type Rejection = OAuthError;

    async fn from_request(request: Request, state: &S) -> Result<Self, OAuthError> {
        let Self { caller, parameters } = Self::unsettled(request, state).await?;
        Ok(Self { caller: settled(caller, state).await?, parameters })
    }
}

impl ClientRequest {
    /// A request whose caller may show an assertion that was used before: who answers it has to use that up.
    pub(super) async fn unsettled<S>(request: Request, state: &S) -> Result<Self, OAuthError>
    where
        S: Send + Sync,
        Certificates: FromRef<S>,
        ClientAuthenticator: FromRef<S>,
        Clock: FromRef<S>,
    {
        let (mut parts, body) = request.into_parts();
        let parameters = match form(&parts, body).await {
            Ok(parameters) => parameters,
            Err(error) => {
                note(&parts, &Parameters::default(), None);
                return Err(OAuthError::unreadable(error));
            }
        };
        // Before anything is believed of it: what was sent twice may mean one thing here and another elsewhere.
        // `resource` is the exception of RFC 8707 §2.
        let caller = if parameters.has_repeats("resource") {
            Err(OAuthError::unreadable(ParametersError::Repeated.into()))
        } else {
            identify(&mut parts, &parameters, state).await
        };
        note(&parts, &parameters, caller.as_ref().ok());
        Ok(Self { caller: caller?, parameters })
    }

    /// Writes down which client a request says it is of that is refused before that is found out.
    pub(super) async fn note_claimed(parts: &Parts, body: Body) {
        if let Ok(body) = body.collect().await {
            note(parts, &Parameters::parse(&body.to_bytes()).unwrap_or_default(), None);
        }
    }

    /// The `token` that introspection and revocation are about. There is no other exception to "not more than once" than the
    /// `resource` of a token request.
    pub(super) fn token(&self) -> Result<&str, OAuthError> {
        if self.parameters.has_repeats("") {
            return Err(OAuthError::unreadable(ParametersError::Repeated.into()));
        }
        let token = self.parameters.get("token").map_err(|error| OAuthError::unreadable(error.into()))?;
        token.ok_or_else(|| OAuthError::unreadable(Unreadable::Token))
    }
}

/// A client that sent its credentials in the `Authorization` header, and no form.
pub(crate) struct HeaderClient(pub(crate) TokenCaller);

impl<S> FromRequestParts<S> for HeaderClient
where
    S: Send + Sync,
    Certificates: FromRef<S>,
    ClientAuthenticator: FromRef<S>,
    Clock: FromRef<S>,
{
    type Rejection = OAuthError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, OAuthError> {
        let no_form = Parameters::default();
        if let Err(error) = refuse_secrets_in_query(parts) {
            note(parts, &no_form, None);
            return Err(OAuthError::unreadable(error));
        }
        let caller = identify(parts, &no_form, state).await;
        note(parts, &no_form, caller.as_ref().ok());
        settled(caller?, state).await.map(Self)
    }
}

/// The form of a request, which has no secret beside it.
async fn form(parts: &Parts, body: Body) -> Result<Parameters, Unreadable> {
    refuse_secrets_in_query(parts)?;
    if !is_form(&parts.headers) {
        return Err(Unreadable::ContentType);
    }
    let body = body.collect().await.map_err(|_| Unreadable::Interrupted)?;
    Ok(Parameters::parse(&body.to_bytes())?)
}

/// Writes down for the log which client a request is of, or else says it is of.
fn note(parts: &Parts, form: &Parameters, caller: Option<&TokenCaller>) {
    if let Some(caller) = caller {
        return Noted::note_client(&parts.extensions, &caller.client.client().id);
    }
    let credential =
        authorization(&parts.headers).ok().and_then(|header| ClientCredential::read(header, form).ok());
    let claimed = match &credential {
        Some(credential) => Some(credential.client_id()),
        None => form.get("client_id").ok().flatten(),
    };
    if let Some(claimed) = claimed {
        Noted::note_claimed(&parts.extensions, claimed);
    }
}

/// The caller with its assertion, if it showed one, used up.
async fn settled<S>(mut caller: TokenCaller, state: &S) -> Result<TokenCaller, OAuthError>
where
    ClientAuthenticator: FromRef<S>,
{
    if let Some(assertion) = caller.assertion.take() {
        let arrival = Arrival { address: caller.address, now: caller.now };
        ClientAuthenticator::from_ref(state).use_up(&caller.client, assertion, arrival).await?;
    }
    Ok(caller)
}

/// Finds out which client sent the request, by its header or by its form.
async fn identify<S>(parts: &mut Parts, form: &Parameters, state: &S) -> Result<TokenCaller, OAuthError>
where
    S: Send + Sync,
    Certificates: FromRef<S>,
    ClientAuthenticator: FromRef<S>,
    Clock: FromRef<S>,
{
    let address = ClientAddress::from_request_parts(parts, state).await;
    let ClientAddress(address) = address.map_err(|_| OAuthError::unreadable(Unreadable::Address))?;
    let credential = ClientCredential::read(authorization(&parts.headers)?, form);
    let credential = credential.map_err(|error| OAuthError::from(ClientAuthError::from(error)))?;
    let now = Clock::from_ref(state).now();
    let held = Possession { proof: None, certificate: Certificates::from_ref(state).shown(parts) };
    let presented = Presented { credential: &credential, held: &held, endpoint: parts.uri.path() };
    let (client, assertion) =
        ClientAuthenticator::from_ref(state).authenticate(&presented, address, now).await?;
    Ok(TokenCaller { client, assertion, address, held, now })
}

/// Other parameters in the query mean nothing here and are ignored.
fn refuse_secrets_in_query(parts: &Parts) -> Result<(), Unreadable> {
    let query = parts.uri.query().unwrap_or_default();
    let parameters = Parameters::parse(query.as_bytes())?;
    if parameters.has_any(&SECRETS) { Err(Unreadable::Query) } else { Ok(()) }
}

/// The one `Authorization` header. Of two, the next hop might read the other one.
fn authorization(headers: &HeaderMap) -> Result<Option<&str>, OAuthError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(OAuthError::unreadable(Unreadable::Credentials));
    }
    let unreadable = |_| OAuthError::from(ClientAuthError::from(CredentialError::Header));
    first.map(|value| value.to_str().map_err(unreadable)).transpose()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_secret_in_the_address_is_refused_and_anything_else_there_ignored() {
        let outcome = |uri: &str| {
            let (parts, ()) = http::Request::builder().uri(uri).body(()).unwrap().into_parts();
            refuse_secrets_in_query(&parts)
        };
        assert_eq!(outcome("/token"), Ok(()));
        assert_eq!(outcome("/token?trace=1"), Ok(()));
        for name in SECRETS {
            assert_eq!(outcome(&format!("/token?x=1&{name}=y")), Err(Unreadable::Query), "{name}");
        }
        assert_eq!(outcome("/token?client%5Fsecret=y"), Err(Unreadable::Query));
    }

    #[test]
    fn two_authorization_headers_and_one_that_is_no_text_are_refused() {
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, HeaderValue::from_static("Basic YTpi"));
        assert_eq!(authorization(&headers).unwrap(), Some("Basic YTpi"));
        headers.append(AUTHORIZATION, HeaderValue::from_static("Basic Yzpk"));
        let told = |headers: &HeaderMap| format!("{:?}", authorization(headers).unwrap_err());
        assert_eq!(told(&headers), format!("{:?}", OAuthError::unreadable(Unreadable::Credentials)));
        headers.insert(AUTHORIZATION, HeaderValue::from_bytes(b"Basic \xff").unwrap());
        let not_text = OAuthError::from(ClientAuthError::from(CredentialError::Header));
        assert_eq!(told(&headers), format!("{not_text:?}"));
    }
}
