//! Puts the services of administration together.

use crate::app::StartError;
use crate::app::ground::Ground;
use crate::app::tls::abilities;
use crate::http::admin::state::{People, Programs};
use crate::http::state::{Console, Rulings};
use crate::services::access_trail::AccessTrail;
use crate::services::apis::ApiService;
use crate::services::assignments::AssignmentService;
use crate::services::audit::AuditService;
use crate::services::caller::Caller;
use crate::services::callers::CallerService;
use crate::services::clients::ClientService;
use crate::services::events::EventService;
use crate::services::invitations::{InvitationParts, InvitationService};
use crate::services::names::NameService;
use crate::services::organisations::OrganisationService;
use crate::services::owners::Owners;
use crate::services::policies::PolicyService;
use crate::services::policies::decide::DecisionService;
use crate::services::policies::inventory::InventoryService;
use crate::services::policies::live::AdminPolicy;
use crate::services::policies::notes::{DecisionNotes, Pseudonyms};
use crate::services::policies::questions::QuestionService;
use crate::services::policies::records::RecordService;
use crate::services::policies::snapshot::SnapshotService;
use crate::services::registration::admin::RegistrationAdmin;
use crate::services::revocation_feed::RevocationFeed;
use crate::services::roles::RoleService;
use crate::services::setup::{self, SetupService};
use crate::services::users::{UserParts, UserService};

/// What administers the server: by its API, its pages and its commands.
#[derive(Clone)]
pub(super) struct Administration {
    pub(super) apis: ApiService,
    pub(super) assignments: AssignmentService,
    pub(super) audit: AuditService,
    pub(super) console: Console,
    pub(super) distribution: Distribution,
    pub(super) organisations: OrganisationService,
    pub(super) people: People,
    pub(super) policies: PolicyService,
    pub(super) programs: Programs,
    pub(super) roles: RoleService,
}

/// What guards get.
#[derive(Clone)]
pub(super) struct Distribution {
    pub(super) events: EventService,
    pub(super) feed: RevocationFeed,
    pub(super) decisions: DecisionService,
    pub(super) inventories: InventoryService,
    pub(super) records: RecordService,
    pub(super) snapshots: SnapshotService,
}

impl Distribution {
    /// What handlers get of it.
    pub(super) fn rulings(&self) -> Rulings {
        let Self { decisions, events, inventories, records, snapshots, .. } = self.clone();
        Rulings { decisions, events, inventories, records, snapshots }
    }
}

/// Makes sure that the admin API is there, and builds the services.
pub(super) async fn open(ground: &Ground) -> Result<Administration, StartError> {
    let owners = Owners::of(&ground.config.issuer()).map_err(StartError::Audience)?;
    let store = || ground.store.clone();
    let entropy = || ground.entropy.clone();
    let apis = ApiService::new(store(), entropy(), owners.clone());
    apis.ensure_admin_api(&Caller::system(ground.clock.now())).await?;
    let policy = AdminPolicy::open(store(), owners.clone()).await?;
    let assignments = AssignmentService::new(store(), entropy(), owners.clone());
    let policies = PolicyService::new(store(), entropy(), owners.clone(), policy.clone());
    let ownership = setup::Ownership { owners: owners.clone(), assignments: assignments.clone() };
    let setup = SetupService::new(
        store(),
        entropy(),
        ground.hasher.clone(),
        ownership,
        ground.config.server.setup_from,
    );
    let people = people(ground, &owners, &policy);
    let callers = CallerService::new(store(), owners.clone());
    let trail = AccessTrail::new(store(), &ground.clock, &ground.entropy);
    let snapshots = SnapshotService::new(store(), ground.keys.clone(), ground.config.issuer());
    let feed = RevocationFeed::new(store(), ground.clock.clone());
    feed.refresh().await?;
    let records =
        RecordService::new(store(), ground.config.journal.records.clone(), &ground.clock, &ground.entropy);
    let events = events(ground, &snapshots, &feed);
    let inventories = InventoryService::new(store(), &ground.clock, &ground.entropy);
    let console = Console {
        apis: apis.clone(),
        callers,
        inventories: inventories.clone(),
        names: NameService::new(store()),
        policies: policies.clone(),
        policy,
        // One for pages and API together: it bounds how much is worked on at once.
        questions: QuestionService::new(store()),
        setup,
        trail,
    };
    Ok(Administration {
        console,
        apis,
        distribution: Distribution {
            decisions: decisions(ground, &records),
            events,
            feed,
            inventories,
            records,
            snapshots,
        },
        assignments,
        audit: AuditService::new(store()),
        organisations: OrganisationService::new(store(), entropy()),
        people,
        policies,
        programs: programs(ground, &owners),
        roles: RoleService::new(store(), entropy()),
    })
}

/// Accounts: those that there are, and those that are offered.
fn people(ground: &Ground, owners: &Owners, policy: &AdminPolicy) -> People {
    let Ground { config, entropy, hasher, mail, notices, store, .. } = ground.clone();
    let invitations = InvitationParts {
        how: config.reach.accounts.sign_up,
        entropy: entropy.clone(),
        owners: owners.clone(),
        policy: policy.clone(),
        mail: mail.clone(),
    };
    let users = UserParts { hasher, entropy, owners: owners.clone(), notices, mail };
    People {
        invitations: InvitationService::new(store.clone(), invitations),
        users: UserService::new(store, users),
    }
}

/// Clients: those that administrators register, whose addresses are looked at and whose way to prove who they are has to work here, and
/// those that come by themselves.
fn programs(ground: &Ground, owners: &Owners) -> Programs {
    let Ground { config, entropy, outbound, store, .. } = ground;
    let abilities = abilities(config);
    let clients =
        ClientService::new(store.clone(), entropy.clone(), owners.clone(), outbound.clone(), abilities);
    Programs { clients, registrations: RegistrationAdmin::new(store.clone(), entropy.clone()) }
}

/// Tells services of what changes.
fn events(ground: &Ground, snapshots: &SnapshotService, feed: &RevocationFeed) -> EventService {
    let place = (ground.store.clone(), ground.keys.clone(), ground.clock.clone());
    // The other half is left to people and to those who ask once.
    let listeners = ground.config.server.bounds.max_connections / 2;
    EventService::new(place, snapshots.clone(), feed.clone(), listeners)
}

/// Decides for services without a guard, and keeps what was decided until it is in the records.
fn decisions(ground: &Ground, records: &RecordService) -> DecisionService {
    let Ground { clock, config, entropy, sealer, store, .. } = ground;
    let pseudonyms = config
        .journal
        .records
        .authzen_pseudonyms
        .then(|| Pseudonyms::new(&sealer.derive("decision records")));
    let notes = DecisionNotes::new(records.clone(), pseudonyms, clock.clone(), entropy);
    DecisionService::new(store.clone(), notes)
}
