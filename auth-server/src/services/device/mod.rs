//! Sign-in on devices without a browser ([RFC 8628](https://www.rfc-editor.org/rfc/rfc8628)): the device gets a code, and a person
//! types it in a browser elsewhere.
//!
//! The code says which device is meant and nothing about who sits in front of it. So a person is always asked, also about our own
//! applications, and told what to compare (§5.4).

pub(crate) mod error;
pub(crate) mod limits;
pub(crate) mod person;

use std::sync::Arc;
use std::time::Duration;

use crate::domain::client::{Client, GrantType};
use crate::domain::client_protocol::DeviceGrant;
use crate::domain::decoupled::INTERVAL;
use crate::domain::details::fault::DetailsFault;
use crate::domain::device::{DeviceRequest, UserCode};
use crate::domain::issuer::Issuer;
use crate::domain::parameters::Parameters;
use crate::domain::rbac::Api;
use crate::domain::reach::scopes_of_any;
use crate::domain::secret::{Entropy, OpaqueToken, TokenKind};
use crate::keys::seal::Sealer;
use crate::services::authorize::limits::FlowLimits;
use crate::services::authorize::request::{scopes, single_resource};
use crate::services::client_auth::limits::ClientLimits;
use crate::services::details;
use crate::services::device::error::DeviceError;
use crate::services::device::limits::CodeLimits;
use crate::services::resource;
use crate::services::token::TokenCaller;
use crate::storage::device_authorizations::NewDevice;
use crate::storage::{Store, StoreError, device_authorizations};

/// Where people type the code.
pub(crate) const DEVICE_PATH: &str = "/device";
/// How many codes are drawn before it is a fault that each of them is taken.
const DRAWS: usize = 3;

/// What an administrator may set.
#[derive(Clone, Debug)]
pub(crate) struct DeviceSettings {
    pub(crate) issuer: Issuer,
    pub(crate) grant: DeviceGrant,
    pub(crate) code_ttl: Duration,
    pub(crate) interaction_ttl: Duration,
}

/// The counters of those who ask.
#[derive(Clone)]
pub(crate) struct DeviceLimits {
    pub(crate) clients: ClientLimits,
    pub(crate) codes: CodeLimits,
    pub(crate) flows: FlowLimits,
}

/// Gives devices their codes, and lets people decide about them.
#[derive(Clone)]
pub(crate) struct DeviceService {
    store: Store,
    entropy: Entropy,
    sealer: Sealer,
    settings: DeviceSettings,
    limits: DeviceLimits,
    /// What digests of codes are made with.
    key: [u8; 32],
}

/// What a device is told ([RFC 8628 §3.2](https://www.rfc-editor.org/rfc/rfc8628#section-3.2)).
#[derive(Debug)]
pub(crate) struct DeviceCodes {
    pub(crate) device_code: OpaqueToken,
    pub(crate) user_code: UserCode,
    pub(crate) verification_uri: String,
    pub(crate) expires_in: Duration,
    pub(crate) interval: Duration,
}

impl DeviceService {
    pub(crate) fn new(
        store: Store,
        entropy: Entropy,
        sealer: Sealer,
        settings: DeviceSettings,
        limits: DeviceLimits,
    ) -> Self {
        let key = sealer.derive("user codes of devices");
        Self { store, entropy, sealer, settings, limits, key }
    }

    /// Whether any device may ask here.
    pub(crate) const fn is_on(&self) -> bool {
        self.settings.grant.is_allowed()
    }

    /// Gives a device its codes.
    pub(crate) async fn begin(
        &self,
        caller: &TokenCaller,
        parameters: &Parameters,
    ) -> Result<DeviceCodes, DeviceError> {
        let client = caller.client.client();
        if !self.is_on() {
            return Err(DeviceError::Off);
        }
        if !client.allows(GrantType::DeviceCode) {
            return Err(DeviceError::NotAllowed);
        }
        self.admit(caller).map_err(|retry_after| DeviceError::Throttled { retry_after })?;
        // A request that asks for more than it would get is refused, and not answered with less.
        if parameters.get(details::PARAMETER)?.is_some() {
            return Err(DetailsFault::NotHere.into());
        }
        let asked = scopes(parameters.get("scope")?, client).map_err(|_| DeviceError::Scope)?;
        let api = self.resource(parameters, client).await?;
        let there = scopes_of_any(&asked, api.as_deref().as_slice());
        let request = DeviceRequest {
            client: client.id.clone(),
            scopes: Some(there).filter(|scopes| !scopes.is_empty()).ok_or(DeviceError::Scope)?,
            resource: api.map(|api| api.id.clone()),
            address: Some(caller.address),
            created_at: caller.now,
            expires_at: caller.now.plus(self.settings.code_ttl),
            decided_at: None,
        };
        let device_code = OpaqueToken::generate(TokenKind::DeviceCode, &self.entropy);
        let user_code = self.kept(&device_code, request).await?;
        Ok(DeviceCodes {
            device_code,
            user_code,
            verification_uri: self.settings.issuer.endpoint(DEVICE_PATH),
            expires_in: self.settings.code_ttl,
            interval: INTERVAL,
        })
    }

    /// Each code is a row. A client without a secret can be named by anybody, so its network counts too.
    fn admit(&self, caller: &TokenCaller) -> Result<(), Duration> {
        let client = caller.client.client();
        self.limits.clients.admit(client, caller.address, true)?;
        if caller.client.is_confidential() { Ok(()) } else { self.limits.flows.admit(caller.address) }
    }

    async fn resource(
        &self,
        parameters: &Parameters,
        client: &Client,
    ) -> Result<Option<Arc<Api>>, DeviceError> {
        let asked = single_resource(parameters).map_err(|_| DeviceError::Resource)?;
        Ok(resource::named(&self.store, &self.settings.issuer, asked, client).await?)
    }

    /// Keeps the request under a user code that no other device has.
    async fn kept(&self, device_code: &OpaqueToken, request: DeviceRequest) -> Result<UserCode, StoreError> {
        let codes: Vec<UserCode> = (0..DRAWS).map(|_| UserCode::generate(&self.entropy)).collect();
        let (digest, key) = (device_code.digest(), self.key);
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    for code in codes {
                        let user_code = code.digest(&key);
                        let request = request.clone();
                        let device = NewDevice { digest, user_code, request, interval: INTERVAL };
                        if device_authorizations::insert(tx, &device).await? {
                            return Ok(code);
                        }
                    }
                    Err(StoreError::Unexpected {
                        reason: "every user code that was drawn is taken".to_owned(),
                    })
                })
            })
            .await
    }
}
