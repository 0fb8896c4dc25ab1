//! What an admin says about sign-ins that a client starts from behind, checked against the rest of it (CIBA §4).

use crate::domain::ciba::{CibaSettings, Delivery};
use crate::domain::claims::OPENID;
use crate::domain::client::{Client, Preset};
use crate::domain::client_url::ClientUrl;
use crate::domain::scope::ScopeSet;
use crate::domain::signing::SigningAlg;
use crate::outbound::Rules;
use crate::services::fields::FieldErrors;

/// Whether it starts any, and how it hears of decisions.
pub(super) const MODE: &str = "/options/protocol/backchannel_token_delivery_mode";
/// Where the client is told of decisions.
pub(super) const ENDPOINT: &str = "/options/protocol/backchannel_client_notification_endpoint";
/// What it signs its requests with.
pub(super) const ALG: &str = "/options/protocol/backchannel_authentication_request_signing_alg";

/// What a client wants that starts sign-ins from behind, as text from any edge.
#[derive(Clone, Debug, Default)]
pub struct CibaForm {
    /// `poll` or `ping`. Without it: it may start none.
    pub delivery_mode: Option<String>,
    /// Where it is told that somebody decided: for `ping`.
    pub notification_endpoint: Option<String>,
    /// What its requests are signed with. Without it they are not.
    pub request_signing_alg: Option<String>,
}

impl From<Option<CibaSettings>> for CibaForm {
    fn from(settings: Option<CibaSettings>) -> Self {
        let Some(CibaSettings { delivery, request_alg }) = settings else { return Self::default() };
        Self {
            delivery_mode: Some(delivery.as_str().to_owned()),
            notification_endpoint: match delivery {
                Delivery::Ping { endpoint } => Some(endpoint.into()),
                Delivery::Poll => None,
            },
            request_signing_alg: request_alg.map(|alg| alg.as_str().to_owned()),
        }
    }
}

impl CibaForm {
    /// Checks it as a part of the whole client. What is wrong about it is noted, and refuses the whole.
    pub(super) fn parse(&self, errors: &mut FieldErrors, preset: Preset) -> Option<CibaSettings> {
        let Some(mode) = &self.delivery_mode else {
            for (pointer, said) in [(ENDPOINT, &self.notification_endpoint), (ALG, &self.request_signing_alg)]
            {
                if said.is_some() {
                    let message = "says how sign-ins are started from behind: give `backchannel_token_delivery_mode` as well";
                    errors.refuse(pointer, "contradiction", message);
                }
            }
            return None;
        };
        match preset {
            Preset::Web => {}
            Preset::Device | Preset::Native | Preset::Spa => {
                errors.refuse(MODE, "contradiction", "a client that cannot keep a secret starts no sign-ins");
            }
            Preset::M2m | Preset::Service => {
                errors.refuse(MODE, "contradiction", "a client without people signs nobody in");
            }
        }
        let alg = self.request_signing_alg.as_deref().map(str::parse::<SigningAlg>).transpose();
        let alg = errors.take(ALG, alg);
        let delivery = self.delivery(mode, errors);
        Some(CibaSettings { delivery: delivery?, request_alg: alg? })
    }

    fn delivery(&self, mode: &str, errors: &mut FieldErrors) -> Option<Delivery> {
        match (mode, &self.notification_endpoint) {
            ("poll", None) => Some(Delivery::Poll),
            ("poll", Some(_)) => {
                errors.refuse(ENDPOINT, "contradiction", "a client that polls is not told of decisions");
                None
            }
            ("ping", Some(endpoint)) => {
                errors.take(ENDPOINT, ClientUrl::parse(endpoint)).map(|endpoint| Delivery::Ping { endpoint })
            }
            ("ping", None) => {
                errors.refuse(ENDPOINT, "required", "say where the client is told of decisions");
                None
            }
            ("push", _) => {
                errors.refuse(MODE, "unsupported", "tokens are not pushed: choose `poll` or `ping`");
                None
            }
            _ => {
                errors.refuse(MODE, "invalid", "expected one of ping, poll");
                None
            }
        }
    }
}

/// Whether the server can do what the client wants: call it, and give it ID tokens.
pub(super) fn check_reach(
    errors: &mut FieldErrors,
    settings: &CibaSettings,
    scopes: &ScopeSet,
    rules: &Rules,
) {
    if let Delivery::Ping { endpoint } = &settings.delivery
        && let Err(refused) = rules.check(endpoint.url())
    {
        errors.refuse(ENDPOINT, "unreachable", refused.to_string());
    }
    if !scopes.contains(OPENID) {
        errors.refuse(MODE, "contradiction", "a client without the scope `openid` can start no sign-in");
    }
}

/// Whether it can sign what it is to sign. Its keys may be older than the rest of it.
pub(super) fn check_keys(errors: &mut FieldErrors, client: &Client) {
    let ciba = client.settings.protocol.openid.ciba.as_ref();
    if ciba.is_some_and(|settings| settings.request_alg.is_some()) && client.keys().is_none() {
        let message = "a client that signs its requests registers its public keys: give them as `jwks`, or say where they are (`jwks_uri`)";
        errors.refuse(ALG, "contradiction", message);
    }
}
