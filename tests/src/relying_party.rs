//! An application that signs people in, written with a library that knows nothing of this server.

use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreProviderMetadata, CoreTokenResponse, CoreUserInfoClaims,
};
use openidconnect::{
    AccessToken, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RefreshToken, Scope, TokenResponse as _, UserInfoResponseType,
};
use url::Url;

use crate::agent::agent;
use crate::authorize::Callback;
use crate::registered::Registered;

type Discovered = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// An application.
pub struct RelyingParty {
    issuer: String,
    client: Discovered,
}

/// What an application keeps between sending somebody away and getting them back.
pub struct Begun {
    /// Where the person is sent.
    pub url: Url,
    state: CsrfToken,
    nonce: Nonce,
    verifier: PkceCodeVerifier,
}

/// Somebody who came back, after every check of the library.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who it is.
    pub subject: String,
    /// For the APIs.
    pub access_token: String,
    /// For the next access token.
    pub refresh_token: Option<String>,
    /// What proved it.
    pub id_token: String,
}

impl RelyingParty {
    /// Reads the server's own description, as an application does when it starts.
    ///
    /// # Panics
    ///
    /// When the library does not accept the description.
    pub async fn discover(issuer: &str, registered: &Registered) -> Self {
        let url = IssuerUrl::new(issuer.to_owned()).expect("an issuer is a URL");
        let metadata =
            CoreProviderMetadata::discover_async(url, &send).await.expect("the library reads discovery");
        let redirect = registered.redirect_uris.first().expect("an application has a redirect URI");
        let redirect = RedirectUrl::new(redirect.clone()).expect("a redirect URI is a URL");
        let id = ClientId::new(registered.id.clone());
        let secret = registered.secret.clone().map(ClientSecret::new);
        let client = CoreClient::from_provider_metadata(metadata, id, secret).set_redirect_uri(redirect);
        Self { issuer: issuer.to_owned(), client }
    }

    /// Sends somebody to sign in.
    pub fn begin(&self, scopes: &[&str]) -> Begun {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let request = self.client.authorize_url(flow, CsrfToken::new_random, Nonce::new_random);
        let scopes = scopes.iter().map(|scope| Scope::new((*scope).to_owned()));
        let (url, state, nonce) = request.add_scopes(scopes).set_pkce_challenge(challenge).url();
        Begun { url, state, nonce, verifier }
    }

    /// Takes somebody back: checks `state` and `iss`, redeems the code, verifies the ID token.
    ///
    /// # Panics
    ///
    /// When a check fails.
    pub async fn finish(&self, begun: Begun, callback: &Callback) -> SignedIn {
        assert_eq!(callback.get("state"), begun.state.secret(), "the state is ours");
        assert_eq!(callback.get("iss"), self.issuer, "RFC 9207: the answer names its issuer");
        let code = AuthorizationCode::new(callback.code().to_owned());
        let request = self.client.exchange_code(code).expect("discovery names a token endpoint");
        let tokens = request.set_pkce_verifier(begun.verifier).request_async(&send).await;
        self.verified(&tokens.expect("the code is redeemed"), &begun.nonce)
    }

    /// Asks for the next access token.
    ///
    /// # Panics
    ///
    /// When the server refuses.
    pub async fn refresh(&self, refresh_token: &str) -> CoreTokenResponse {
        let token = RefreshToken::new(refresh_token.to_owned());
        let request = self.client.exchange_refresh_token(&token).expect("discovery names a token endpoint");
        request.request_async(&send).await.expect("the refresh token is traded")
    }

    /// Asks who somebody is; the library checks that the answer is about the same subject.
    ///
    /// # Panics
    ///
    /// When the server refuses.
    pub async fn userinfo(&self, signed_in: &SignedIn) -> CoreUserInfoClaims {
        let token = AccessToken::new(signed_in.access_token.clone());
        let subject = openidconnect::SubjectIdentifier::new(signed_in.subject.clone());
        let request =
            self.client.user_info(token, Some(subject)).expect("discovery names a userinfo endpoint");
        request.request_async(&send).await.expect("userinfo answers")
    }

    /// Asks who somebody is, and takes only a signed answer; the library checks its signature, issuer and audience.
    ///
    /// # Panics
    ///
    /// When the server refuses, or does not sign.
    pub async fn signed_userinfo(&self, signed_in: &SignedIn) -> CoreUserInfoClaims {
        let token = AccessToken::new(signed_in.access_token.clone());
        let subject = openidconnect::SubjectIdentifier::new(signed_in.subject.clone());
        let request =
            self.client.user_info(token, Some(subject)).expect("discovery names a userinfo endpoint");
        let request = request.require_signed_response(true).set_response_type(UserInfoResponseType::Jwt);
        request.request_async(&send).await.expect("userinfo answers with a JWT")
    }

    fn verified(&self, tokens: &CoreTokenResponse, nonce: &Nonce) -> SignedIn {
        let id_token = tokens.id_token().expect("`openid` brings an ID token");
        let verifier = self.client.id_token_verifier();
        let claims = id_token.claims(&verifier, nonce).expect("the library verifies the ID token");
        SignedIn {
            subject: claims.subject().to_string(),
            access_token: tokens.access_token().secret().clone(),
            refresh_token: tokens.refresh_token().map(|token| token.secret().clone()),
            id_token: id_token.to_string(),
        }
    }
}

/// The library's requests, sent by our client.
async fn send(request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let answer = agent().execute(request.try_into()?).await?;
    let mut response = HttpResponse::new(Vec::new());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    *response.body_mut() = answer.bytes().await?.to_vec();
    Ok(response)
}
