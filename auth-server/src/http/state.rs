//! What handlers are given: each takes the one service it calls.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRef;

use crate::config::Config;
use crate::domain::clock::Clock;
use crate::domain::issuer::Issuer;
use crate::domain::secret::Entropy;
use crate::http::advertised::Advertised;
use crate::http::decision_point::DecisionPoint;
use crate::http::dpop::Proofs;
use crate::http::extract::certificate::Certificates;
use crate::http::extract::form::FormGuard;
use crate::http::protocol::Protocol;
use crate::http::render::Pages;
use crate::keys::ring::KeyRing;
use crate::services::access_trail::AccessTrail;
use crate::services::account::AccountService;
use crate::services::addresses::AddressService;
use crate::services::apis::ApiService;
use crate::services::authorize::AuthorizeService;
use crate::services::callers::CallerService;
use crate::services::ciba::CibaService;
use crate::services::client_auth::ClientAuthenticator;
use crate::services::device::DeviceService;
use crate::services::events::EventService;
use crate::services::health::HealthService;
use crate::services::introspect::IntrospectionService;
use crate::services::leaving::LeavingService;
use crate::services::login::LoginService;
use crate::services::logout::LogoutService;
use crate::services::names::NameService;
use crate::services::own_data::OwnDataService;
use crate::services::passkeys::own::PasskeyService;
use crate::services::policies::PolicyService;
use crate::services::policies::decide::DecisionService;
use crate::services::policies::inventory::InventoryService;
use crate::services::policies::live::AdminPolicy;
use crate::services::policies::questions::QuestionService;
use crate::services::policies::records::RecordService;
use crate::services::policies::snapshot::SnapshotService;
use crate::services::recovery::RecoveryService;
use crate::services::registration::RegistrationService;
use crate::services::registration::logo::LogoService;
use crate::services::revocations::RevocationService;
use crate::services::second_step::enrol::SecondStepService;
use crate::services::setup::SetupService;
use crate::services::sign_up::SignUpService;
use crate::services::token::TokenService;
use crate::services::userinfo::UserInfoService;

/// Everything that handlers may ask for. A handler names the part that it uses: `State(clock): State<Clock>`.
///
/// The router copies it for every request, so it is one pointer; only the part that is asked for is copied whole.
#[derive(Clone)]
pub(crate) struct AppState(Arc<Parts>);

impl AppState {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for AppState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The parts of [`AppState`].
pub(crate) struct Parts {
    pub(crate) clock: Clock,
    pub(crate) config: Arc<Config>,
    pub(crate) console: Console,
    pub(crate) entropy: Entropy,
    pub(crate) front: Front,
    pub(crate) keys: KeyRing,
    pub(crate) protocol: Protocol,
    pub(crate) newcomers: Newcomers,
    pub(crate) rulings: Rulings,
    pub(crate) health: HealthService,
}

/// Clients that come by themselves, and what they look like.
pub(crate) struct Newcomers {
    pub(crate) registrations: RegistrationService,
    pub(crate) logos: LogoService,
}

/// What services get: policies to decide by, when to fetch them, and decisions; and where they tell of their routes.
pub(crate) struct Rulings {
    pub(crate) decisions: DecisionService,
    pub(crate) events: EventService,
    pub(crate) inventories: InventoryService,
    pub(crate) records: RecordService,
    pub(crate) snapshots: SnapshotService,
}

impl FromRef<AppState> for Clock {
    fn from_ref(state: &AppState) -> Self {
        state.clock.clone()
    }
}

impl FromRef<AppState> for Arc<Config> {
    fn from_ref(state: &AppState) -> Self {
        Self::clone(&state.config)
    }
}

impl FromRef<AppState> for Issuer {
    fn from_ref(state: &AppState) -> Self {
        state.config.issuer()
    }
}

impl FromRef<AppState> for Entropy {
    fn from_ref(state: &AppState) -> Self {
        state.entropy.clone()
    }
}

impl FromRef<AppState> for KeyRing {
    fn from_ref(state: &AppState) -> Self {
        state.keys.clone()
    }
}

impl FromRef<AppState> for LogoService {
    fn from_ref(state: &AppState) -> Self {
        state.newcomers.logos.clone()
    }
}

impl FromRef<AppState> for HealthService {
    fn from_ref(state: &AppState) -> Self {
        state.health.clone()
    }
}

impl FromRef<AppState> for EventService {
    fn from_ref(state: &AppState) -> Self {
        state.rulings.events.clone()
    }
}

impl FromRef<AppState> for DecisionService {
    fn from_ref(state: &AppState) -> Self {
        state.rulings.decisions.clone()
    }
}

impl FromRef<AppState> for RecordService {
    fn from_ref(state: &AppState) -> Self {
        state.rulings.records.clone()
    }
}

impl FromRef<AppState> for InventoryService {
    fn from_ref(state: &AppState) -> Self {
        state.rulings.inventories.clone()
    }
}

impl FromRef<AppState> for SnapshotService {
    fn from_ref(state: &AppState) -> Self {
        state.rulings.snapshots.clone()
    }
}

/// What people see, and what signs them in.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) pages: Pages,
    pub(crate) forms: FormGuard,
    pub(crate) login: LoginService,
    pub(crate) account: AccountService,
    pub(crate) data: OwnDataService,
    pub(crate) leaving: LeavingService,
    pub(crate) passkeys: PasskeyService,
    pub(crate) steps: SecondStepService,
    pub(crate) by_letter: Arc<ByLetter>,
}

/// What people do with the links of letters.
pub(crate) struct ByLetter {
    pub(crate) recovery: RecoveryService,
    pub(crate) addresses: AddressService,
    pub(crate) sign_up: SignUpService,
}

impl FromRef<AppState> for OwnDataService {
    fn from_ref(state: &AppState) -> Self {
        state.front.data.clone()
    }
}

impl FromRef<AppState> for LeavingService {
    fn from_ref(state: &AppState) -> Self {
        state.front.leaving.clone()
    }
}

impl FromRef<AppState> for PasskeyService {
    fn from_ref(state: &AppState) -> Self {
        state.front.passkeys.clone()
    }
}

impl FromRef<AppState> for SecondStepService {
    fn from_ref(state: &AppState) -> Self {
        state.front.steps.clone()
    }
}

impl FromRef<AppState> for AccountService {
    fn from_ref(state: &AppState) -> Self {
        state.front.account.clone()
    }
}

impl FromRef<AppState> for Arc<ByLetter> {
    fn from_ref(state: &AppState) -> Self {
        Self::clone(&state.front.by_letter)
    }
}

impl FromRef<AppState> for AddressService {
    fn from_ref(state: &AppState) -> Self {
        state.front.by_letter.addresses.clone()
    }
}

impl FromRef<AppState> for RecoveryService {
    fn from_ref(state: &AppState) -> Self {
        state.front.by_letter.recovery.clone()
    }
}

impl FromRef<AppState> for Pages {
    fn from_ref(state: &AppState) -> Self {
        state.front.pages.clone()
    }
}

impl FromRef<AppState> for FormGuard {
    fn from_ref(state: &AppState) -> Self {
        state.front.forms.clone()
    }
}

impl FromRef<AppState> for LoginService {
    fn from_ref(state: &AppState) -> Self {
        state.front.login.clone()
    }
}

/// What the pages of administrators, and the one that makes the first of them, work with.
#[derive(Clone)]
pub(crate) struct Console {
    pub(crate) apis: ApiService,
    pub(crate) callers: CallerService,
    pub(crate) inventories: InventoryService,
    pub(crate) names: NameService,
    pub(crate) policies: PolicyService,
    pub(crate) policy: AdminPolicy,
    pub(crate) questions: QuestionService,
    pub(crate) setup: SetupService,
    pub(crate) trail: AccessTrail,
}

impl FromRef<AppState> for Console {
    fn from_ref(state: &AppState) -> Self {
        state.console.clone()
    }
}

impl FromRef<AppState> for AuthorizeService {
    fn from_ref(state: &AppState) -> Self {
        state.protocol.authorize.clone()
    }
}

impl FromRef<AppState> for ClientAuthenticator {
    fn from_ref(state: &AppState) -> Self {
        state.protocol.clients.clone()
    }
}

impl FromRef<AppState> for DecisionPoint {
    fn from_ref(state: &AppState) -> Self {
        state.protocol.documents.decision_point.clone()
    }
}

impl FromRef<AppState> for CibaService {
    fn from_ref(state: &AppState) -> Self {
        state.protocol.decoupled.ciba.clone()
    }
}

impl FromRef<AppState> for DeviceService {
    fn from_ref(state: &AppState) -> Self {
        state.protocol.decoupled.devices.clone()
    }
}

impl FromRef<AppState> for Advertised {
    fn from_ref(state: &AppState) -> Self {
        state.protocol.documents.discovery.clone()
    }
}

impl FromRef<AppState> for Certificates {
    fn from_ref(state: &AppState) -> Self {
        state.protocol.evidence.certificates.clone()
    }
}

impl FromRef<AppState> for Proofs {
    fn from_ref(state: &AppState) -> Self {
        state.protocol.evidence.proofs.clone()
    }
}

impl FromRef<AppState> for IntrospectionService {
    fn from_ref(state: &AppState) -> Self {
        state.protocol.introspection.clone()
    }
}

impl FromRef<AppState> for LogoutService {
    fn from_ref(state: &AppState) -> Self {
        state.protocol.logout.clone()
    }
}

impl FromRef<AppState> for RegistrationService {
    fn from_ref(state: &AppState) -> Self {
        state.newcomers.registrations.clone()
    }
}

impl FromRef<AppState> for RevocationService {
    fn from_ref(state: &AppState) -> Self {
        state.protocol.revocations.clone()
    }
}

impl FromRef<AppState> for TokenService {
    fn from_ref(state: &AppState) -> Self {
        state.protocol.tokens.clone()
    }
}

impl FromRef<AppState> for UserInfoService {
    fn from_ref(state: &AppState) -> Self {
        state.protocol.userinfo.clone()
    }
}
