//! Puts the services of OAuth and OpenID Connect together.

use portcullis_guard::DpopError;

use crate::app::ground::Ground;
use crate::http::advertised::Advertised;
use crate::http::decision_point::DecisionPoint;
use crate::http::dpop::Proofs;
use crate::http::extract::certificate::Certificates;
use crate::http::metadata::Discovery;
use crate::http::protocol::{Decoupled, Documents, Evidence, Protocol};
use crate::keys::certificate::authorities::Authorities;
use crate::services::authorize::limits::FlowLimits;
use crate::services::authorize::{AuthorizeService, AuthorizeSettings, Surroundings};
use crate::services::ciba::limits::PeopleLimits;
use crate::services::ciba::ping::{PingParts, PingSender};
use crate::services::ciba::{CibaKeys, CibaLimits, CibaOptions, CibaService};
use crate::services::client_auth::limits::ClientLimits;
use crate::services::client_auth::uses::SecretUses;
use crate::services::client_auth::{ClientAuthenticator, Witnesses};
use crate::services::client_keys::ClientKeys;
use crate::services::details::DetailsCatalogue;
use crate::services::device::limits::CodeLimits;
use crate::services::device::{DeviceLimits, DeviceService, DeviceSettings};
use crate::services::introspect::IntrospectionService;
use crate::services::login::LoginService;
use crate::services::logout::LogoutService;
use crate::services::mint::Minter;
use crate::services::registration::documents::DocumentService;
use crate::services::revocations::RevocationService;
use crate::services::token::access::AccessTokens;
use crate::services::token::{TokenService, TokenSettings};
use crate::services::userinfo::UserInfoService;

/// Builds the services from what the server stands on.
pub(super) fn build(
    ground: &Ground,
    login: &LoginService,
    (authorities, documents): (Option<Authorities>, DocumentService),
) -> Result<Protocol, DpopError> {
    let Ground { config, clock, entropy, keys, sealer, store, .. } = ground;
    let issuer = config.issuer();
    let tokens = &config.tokens;
    let access = AccessTokens::new(store.clone(), keys.clone(), issuer.clone());
    let minter = Minter::new(keys.clone(), issuer.clone(), entropy.clone(), tokens.id_ttl());
    let lifetimes = TokenSettings {
        access_ttl: tokens.access_ttl(),
        refresh_ttl: tokens.refresh_ttl(),
        refresh_absolute: tokens.refresh_absolute(),
        refresh_retry_window: tokens.refresh_retry_window(),
        ciba_grant: config.protocol.ciba_grant.into(),
        device_grant: config.protocol.device_grant.into(),
    };
    let limits = ClientLimits::new(&config.limits, clock, entropy);
    let client_keys = ClientKeys::new(ground.outbound.clone(), clock.clone());
    let flow_limits = FlowLimits::new(&config.limits, clock, entropy);
    let evidence = evidence(ground)?;
    let witnesses = Witnesses {
        keys: client_keys.clone(),
        authorities,
        documents: documents.clone(),
        uses: SecretUses::new(store.clone()),
    };
    let surroundings = Surroundings {
        limits: flow_limits.clone(),
        pushes: limits.clone(),
        client_keys: client_keys.clone(),
        documents: documents.clone(),
    };
    Ok(Protocol {
        authorize: AuthorizeService::new(
            store.clone(),
            keys.clone(),
            entropy.clone(),
            flows(ground),
            surroundings,
        ),
        clients: ClientAuthenticator::new(store.clone(), issuer.clone(), limits.clone(), witnesses),
        decoupled: decoupled(ground, flow_limits, (limits.clone(), client_keys)),
        documents: Documents {
            decision_point: DecisionPoint::of(&issuer),
            discovery: Advertised::new(
                Discovery::of(&issuer, config, &evidence.proofs),
                DetailsCatalogue::new(store.clone()),
            ),
        },
        evidence,
        introspection: IntrospectionService::new(store.clone(), access.clone()),
        logout: LogoutService::new(store.clone(), keys.clone(), issuer, login.clone(), documents),
        revocations: RevocationService::new(store.clone(), access.clone()),
        tokens: TokenService::new(store.clone(), minter, sealer.clone(), lifetimes, limits),
        userinfo: UserInfoService::new(store.clone(), access),
    })
}

/// What authorization requests are held to.
fn flows(ground: &Ground) -> AuthorizeSettings {
    let config = &ground.config;
    AuthorizeSettings {
        issuer: config.issuer(),
        code_ttl: config.tokens.code_ttl(),
        interaction_ttl: config.sessions.interaction_ttl(),
        pushed_request_ttl: config.tokens.pushed_request_ttl(),
        pushed_requests: config.protocol.require_pushed_requests.into(),
        sign_up: config.reach.accounts.sign_up,
    }
}

/// What finds out what the senders of requests hold.
fn evidence(ground: &Ground) -> Result<Evidence, DpopError> {
    let Ground { config, clock, .. } = ground;
    Ok(Evidence {
        certificates: Certificates::of(&config.server),
        proofs: Proofs::new(&config.addresses(), nonce_secret(ground), clock.clone())?,
    })
}

/// What nonces of proofs are made from, if there are to be any: the same on every replica.
pub(super) fn nonce_secret(ground: &Ground) -> Option<[u8; 32]> {
    ground.config.protocol.require_dpop_nonces.then(|| ground.sealer.derive("nonces of DPoP proofs"))
}

/// What is decided elsewhere than where it is asked for.
fn decoupled(
    ground: &Ground,
    flows: FlowLimits,
    (clients, client_keys): (ClientLimits, ClientKeys),
) -> Decoupled {
    Decoupled { ciba: ciba(ground, clients.clone(), client_keys), devices: devices(ground, flows, clients) }
}

/// What takes requests that are approved elsewhere. It counts with the others what they count, and by itself whom clients ask for.
fn ciba(ground: &Ground, clients: ClientLimits, client_keys: ClientKeys) -> CibaService {
    let Ground { config, clock, entropy, keys, sealer, store, outbound, .. } = ground;
    let options = CibaOptions {
        issuer: config.issuer(),
        grant: config.protocol.ciba_grant.into(),
        request_ttl: config.tokens.ciba_request_ttl(),
    };
    let limits = CibaLimits { clients, people: PeopleLimits::new(&config.limits, clock, entropy) };
    let pings = PingSender::new(PingParts {
        store: store.clone(),
        sealer: sealer.clone(),
        outbound: outbound.clone(),
        clock: clock.clone(),
        entropy: entropy.clone(),
    });
    let keys = CibaKeys { ours: keys.clone(), clients: client_keys };
    CibaService::new((store.clone(), entropy.clone()), keys, options, limits, pings)
}

/// What gives devices their codes. It counts with the others what they count, and by itself who types codes.
fn devices(ground: &Ground, flows: FlowLimits, clients: ClientLimits) -> DeviceService {
    let Ground { config, clock, entropy, sealer, store, .. } = ground;
    let settings = DeviceSettings {
        issuer: config.issuer(),
        grant: config.protocol.device_grant.into(),
        code_ttl: config.tokens.device_code_ttl(),
        interaction_ttl: config.sessions.interaction_ttl(),
    };
    let codes = CodeLimits::new(&config.limits, clock, entropy);
    let limits = DeviceLimits { clients, codes, flows };
    DeviceService::new(store.clone(), entropy.clone(), sealer.clone(), settings, limits)
}
