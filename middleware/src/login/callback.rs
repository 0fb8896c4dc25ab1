//! The page to which the issuer leads back.

use http::header::{HeaderMap, REFERRER_POLICY, SET_COOKIE};
use http::{HeaderValue, Response};

use super::attempt::Attempt;
use super::fields::Fields;
use super::id_token::{self, Expected, IdTokenFault, Who};
use super::navigation::see_other;
use super::page::Failure;
use super::provider::{ExchangeFault, Tokens, shown};
use super::seal::Handle;
use super::session::HeldTokens;
use super::signed::SignedFault;
use super::store::StoreFault;
use super::{Rules, Sessions};
use crate::body::Body;
use crate::jwks::{MetadataFault, SignInPlaces};
use crate::outage::{FORGOTTEN, OutageReport};
use crate::token::{Principal, TokenFault};

/// Why the guard does not take an access token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessFault {
    #[error("it is bound to a key")]
    Bound,
    #[error("it is about somebody else")]
    OtherSubject,
    #[error("it is refused: {0}")]
    Refused(TokenFault),
    #[error("it cannot be verified at the moment")]
    Unavailable,
}

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
enum CallbackFault {
    #[error("the access token is not one for this service: {0}")]
    AccessToken(AccessFault),
    #[error("the issuer signed nobody in: {error} ({description})")]
    Error { error: String, description: String },
    #[error("no tokens: {0}")]
    Exchange(#[from] ExchangeFault),
    #[error("the ID token is refused: {0}")]
    IdToken(#[from] IdTokenFault),
    #[error("the answer is malformed")]
    Malformed,
    #[error("where the issuer is cannot be found out: {0}")]
    Metadata(#[from] MetadataFault),
    #[error("there is no ID token")]
    NoIdToken,
    #[error("the answer is that of another issuer, or does not say whose it is")]
    OtherIssuer,
    #[error("the issuer ended the session before it began")]
    SignedOut,
    #[error("this browser began no such sign-in, or long ago, or finished it")]
    Stale,
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl CallbackFault {
    fn failure(&self) -> Failure {
        match self {
            Self::Error { error, .. } => match error.as_str() {
                "access_denied"
                | "account_selection_required"
                | "consent_required"
                | "interaction_required"
                | "login_required" => Failure::Denied,
                "unmet_authentication_requirements" => Failure::NotStrong,
                "temporarily_unavailable" => Failure::Away,
                _ => Failure::Distrusted,
            },
            Self::Exchange(fault) if fault.is_final() => Failure::Stale,
            Self::Exchange(ExchangeFault::Refused { .. }) => Failure::Distrusted,
            Self::IdToken(IdTokenFault::Ask) => Failure::NotStrong,
            Self::Exchange(_)
            | Self::IdToken(IdTokenFault::Signed(SignedFault::Unavailable))
            | Self::Metadata(_)
            | Self::Store(_)
            | Self::AccessToken(AccessFault::Unavailable) => Failure::Away,
            Self::AccessToken(_) | Self::IdToken(_) | Self::NoIdToken | Self::OtherIssuer => {
                Failure::Distrusted
            }
            Self::Malformed => Failure::BadRequest,
            Self::SignedOut | Self::Stale => Failure::Stale,
        }
    }

    /// Whether anybody can bring it about: with a code that was made up or shown twice, or in the name of another issuer.
    fn may_be_made_up(&self) -> bool {
        matches!(self, Self::Error { .. } | Self::OtherIssuer)
            || matches!(self, Self::Exchange(fault) if fault.is_final())
    }
}

/// What the issuer gave for a code, before it is known whether the guard takes it.
pub(crate) struct Redeemed {
    tokens: Tokens,
    id_token: String,
    who: Who,
    attempt: Attempt,
    slot: u8,
}

impl Redeemed {
    pub(crate) fn access_token(&self) -> &str {
        &self.tokens.access_token
    }
}

impl Sessions {
    /// Trades what a browser came back with for tokens; or gives the answer that says why not.
    pub(crate) async fn redeem(&self, query: &str, headers: &HeaderMap) -> Result<Redeemed, Response<Body>> {
        let (fields, attempt, slot) = match self.resumed(query, headers).await {
            Ok(resumed) => resumed,
            Err(fault) => {
                self.tell(&fault);
                return Err(fault.failure().answered(headers, &self.start_over()));
            }
        };
        match self.exchange(&fields, &attempt).await {
            Ok((tokens, id_token, who)) => Ok(Redeemed { tokens, id_token, who, attempt, slot }),
            Err(fault) => Err(self.failed(&fault, (&attempt, slot), headers)),
        }
    }

    /// Signs somebody in, if the guard takes their access token. Were it found out only later that it does not, the browser would
    /// go round for ever.
    pub(crate) async fn admit(
        &self,
        redeemed: Redeemed,
        access: Result<Principal, AccessFault>,
        headers: &HeaderMap,
    ) -> Response<Body> {
        let Redeemed { tokens, id_token, who, attempt, slot } = redeemed;
        let handle = match self.check_access(access, &who) {
            Ok(()) => self.opened((tokens, id_token), who, &attempt).await,
            Err(fault) => Err(CallbackFault::AccessToken(fault)),
        };
        match handle {
            Ok(handle) => {
                self.end_former(headers).await;
                let mut response = see_other(attempt.return_to.as_str());
                response.headers_mut().append(SET_COOKIE, self.rules().cookies.set_session(&handle));
                self.parted(response, slot)
            }
            Err(fault) => self.failed(&fault, (&attempt, slot), headers),
        }
    }

    async fn resumed(
        &self,
        query: &str,
        headers: &HeaderMap,
    ) -> Result<(Fields, Attempt, u8), CallbackFault> {
        let fields = Fields::read(query.as_bytes()).ok_or(CallbackFault::Malformed)?;
        let state = fields.get("state").ok_or(CallbackFault::Malformed)?;
        let (attempt, slot) = self.resume(headers, state).await?.ok_or(CallbackFault::Stale)?;
        Ok((fields, attempt, slot))
    }

    /// Checks the answer of the issuer, from the outside in.
    async fn exchange(
        &self,
        fields: &Fields,
        attempt: &Attempt,
    ) -> Result<(Tokens, String, Who), CallbackFault> {
        let rules = self.rules();
        let places = rules.provider.places().await?;
        // Before anything goes anywhere: a code must not reach an issuer that it is not of (RFC 9207 §2.4, RFC 9700 §4.4).
        self.check_issuer(fields, &places)?;
        let tokens = rules.provider.redeem(read_code(fields)?, &attempt.verifier).await?;
        let id_token = tokens.id_token.clone().ok_or(CallbackFault::NoIdToken)?;
        let expected = Expected {
            client_id: rules.provider.client.id(),
            nonce: Some(&attempt.nonce),
            access_token: &tokens.access_token,
            ask: &attempt.ask,
        };
        let who = id_token::verify(&rules.signatures, &id_token, &expected).await?;
        Ok((tokens, id_token, who))
    }

    fn check_issuer(&self, fields: &Fields, places: &SignInPlaces) -> Result<(), CallbackFault> {
        let is_own = |iss: &str| iss == self.rules().signatures.issuer;
        let fits = fields.get("iss").map_or(!places.names_itself, is_own);
        if fits { Ok(()) } else { Err(CallbackFault::OtherIssuer) }
    }

    fn check_access(&self, access: Result<Principal, AccessFault>, who: &Who) -> Result<(), AccessFault> {
        let caller = access?;
        if caller.confirmation().is_some() {
            return Err(AccessFault::Bound);
        }
        if self.is_about(&caller, who) { Ok(()) } else { Err(AccessFault::OtherSubject) }
    }

    async fn opened(
        &self,
        (tokens, id_token): (Tokens, String),
        who: Who,
        attempt: &Attempt,
    ) -> Result<Handle, CallbackFault> {
        let held = HeldTokens::of(tokens, id_token, None, self.rules().clock.unix_secs());
        self.open(held, who, attempt.ask.clone()).await?.ok_or(CallbackFault::SignedOut)
    }

    /// Ends the session that the browser had before: whoever knows its id has nothing of the new one.
    async fn end_former(&self, headers: &HeaderMap) {
        if let Some(former) = self.rules().cookies.session(headers)
            && let Err(fault) = self.end(former).await
        {
            tracing::warn!(%fault, "a session that is replaced could not be ended: it ends by itself");
        }
    }

    /// Says why nobody is signed in: of what a stranger can make up as well, ever more rarely.
    fn tell(&self, fault: &CallbackFault) {
        match fault {
            CallbackFault::Malformed | CallbackFault::Stale => {
                return tracing::debug!(cause = %fault, "nobody is signed in");
            }
            CallbackFault::SignedOut => return tracing::info!(cause = %fault, "nobody is signed in"),
            fault if !fault.may_be_made_up() => return self.rules().say_away(fault, "nobody is signed in"),
            _ => {}
        }
        let Rules { underway, clock, .. } = self.rules();
        let now = clock.steady();
        underway.misled.calmed(now, FORGOTTEN);
        match (underway.misled.failed(now, fault, true), fault) {
            // What the issuer says is often what somebody wanted.
            (Some(OutageReport { attempts, .. }), CallbackFault::Error { .. }) => {
                tracing::info!(cause = %fault, attempts, "nobody is signed in");
            }
            (Some(OutageReport { attempts, .. }), _) => {
                tracing::warn!(cause = %fault, attempts, "nobody is signed in");
            }
            (None, _) => tracing::debug!(cause = %fault, "nobody is signed in"),
        }
    }

    fn failed(
        &self,
        fault: &CallbackFault,
        (attempt, slot): (&Attempt, u8),
        headers: &HeaderMap,
    ) -> Response<Body> {
        self.tell(fault);
        let again = self.login_path(&attempt.return_to, &attempt.ask);
        self.parted(fault.failure().answered(headers, &again), slot)
    }

    /// The answer at the end of a sign-in, however that went.
    fn parted(&self, mut response: Response<Body>, slot: u8) -> Response<Body> {
        response.headers_mut().append(SET_COOKIE, self.rules().cookies.clear_begun(slot));
        // The code is in the address.
        response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        response
    }
}

fn read_code(fields: &Fields) -> Result<&str, CallbackFault> {
    match (fields.get("code"), fields.get("error")) {
        (Some(code), None) if !code.is_empty() => Ok(code),
        (None, Some(error)) => Err(CallbackFault::Error {
            error: shown(error),
            description: shown(fields.get("error_description").unwrap_or_default()),
        }),
        _ => Err(CallbackFault::Malformed),
    }
}
