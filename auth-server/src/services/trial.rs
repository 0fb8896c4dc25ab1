//! The admin use cases over a real database, for the tests beside them.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::config::{self, Passwords, Records, SignUp};
use crate::domain::ciba::CibaGrant;
use crate::domain::client_protocol::DeviceGrant;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::ids::{ApiId, RoleId, UserId};
use crate::domain::issuer::Issuer;
use crate::domain::rbac::Api;
use crate::domain::secret::Entropy;
use crate::keys::master::MasterKey;
use crate::keys::ring::KeyRing;
use crate::keys::rotate::Schedule;
use crate::keys::seal::Sealer;
use crate::outbound::{Outbound, Resolver};
use crate::services::access_trail::AccessTrail;
use crate::services::apis::{ApiForm, ApiService};
use crate::services::assignments::{AssignmentForm, AssignmentService};
use crate::services::audit::AuditService;
use crate::services::backchannel::LogoutNotices;
use crate::services::caller::{Authority, Caller};
use crate::services::callers::CallerService;
use crate::services::clients::ClientService;
use crate::services::clients::authentication::Abilities;
use crate::services::invitations::{InvitationParts, InvitationService};
use crate::services::mailing::MailService;
use crate::services::organisations::OrganisationService;
use crate::services::owners::{OWNER, Owners};
use crate::services::paging::PageQuery;
use crate::services::password::PasswordHasher;
use crate::services::policies::PolicyService;
use crate::services::policies::inventory::InventoryService;
use crate::services::policies::live::AdminPolicy;
use crate::services::policies::notes::{DecisionNotes, Pseudonyms};
use crate::services::policies::records::RecordService;
use crate::services::roles::RoleService;
use crate::services::users::form::UserForm;
use crate::services::users::{UserParts, UserService};
use crate::storage::{Store, StoreOptions};

/// When every trial begins.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// A server that finds out all that there is to find out, and gives every grant.
pub(crate) const ABLE: Abilities = Abilities {
    sees_certificates: true,
    knows_authorities: true,
    device_grant: DeviceGrant::Allowed,
    ciba_grant: CibaGrant::Allowed,
};

/// The services over a database of their own that is gone when this is dropped.
pub(crate) struct Trial {
    pub(crate) store: Store,
    pub(crate) issuer: Issuer,
    pub(crate) owners: Owners,
    pub(crate) live: AdminPolicy,
    pub(crate) users: UserService,
    pub(crate) clients: ClientService,
    pub(crate) apis: ApiService,
    pub(crate) entropy: Entropy,
    /// Kept while the database is in use.
    _folder: Arc<TempDir>,
}

impl Trial {
    /// What is decided here, on its way to the records.
    pub(crate) fn notes(&self, pseudonyms: Option<Pseudonyms>) -> DecisionNotes {
        let clock = Clock::manual(START);
        let records = RecordService::new(self.store.clone(), Records::default(), &clock, &self.entropy);
        DecisionNotes::new(records, pseudonyms, clock, &self.entropy)
    }

    /// A database with the admin API and nothing else.
    pub(crate) async fn begin() -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let url = format!("sqlite:{}", folder.path().join("trial.db").display());
        let store = Store::open(&StoreOptions::new(url), Clock::manual(START)).await.unwrap();
        store.migrate().await.unwrap();
        let issuer = Issuer::parse("https://id.example.com").unwrap();
        let owners = Owners::of(&issuer).unwrap();
        let entropy = Entropy::seeded(7);
        let settings = Passwords { memory_kib: 64, iterations: 1, workers: Some(1), ..Passwords::default() };
        let hasher = PasswordHasher::start(&settings, entropy.clone()).unwrap();
        let apis = ApiService::new(store.clone(), entropy.clone(), owners.clone());
        apis.ensure_admin_api(&Caller::system(START)).await.unwrap();
        let live = AdminPolicy::open(store.clone(), owners.clone()).await.unwrap();
        Self {
            users: UserService::new(
                store.clone(),
                UserParts {
                    hasher,
                    entropy: entropy.clone(),
                    owners: owners.clone(),
                    notices: LogoutNotices::new(entropy.clone()),
                    mail: MailService::off(),
                },
            ),
            clients: ClientService::new(
                store.clone(),
                entropy.clone(),
                owners.clone(),
                Outbound::new(&config::Outbound::default(), Resolver::System, Clock::manual(START)).unwrap(),
                ABLE,
            ),
            apis,
            store,
            issuer,
            owners,
            live,
            entropy,
            _folder: folder,
        }
    }

    /// Where people may be invited, and nobody is written to.
    pub(crate) fn invitations(&self) -> InvitationService {
        let parts = InvitationParts {
            how: SignUp::Invitation,
            entropy: self.entropy.clone(),
            owners: self.owners.clone(),
            policy: self.live.clone(),
            mail: MailService::off(),
        };
        InvitationService::new(self.store.clone(), parts)
    }

    pub(crate) fn roles(&self) -> RoleService {
        RoleService::new(self.store.clone(), self.entropy.clone())
    }

    pub(crate) fn assignments(&self) -> AssignmentService {
        AssignmentService::new(self.store.clone(), self.entropy.clone(), self.owners.clone())
    }

    pub(crate) fn organisations(&self) -> OrganisationService {
        OrganisationService::new(self.store.clone(), self.entropy.clone())
    }

    pub(crate) fn policies(&self) -> PolicyService {
        PolicyService::new(self.store.clone(), self.entropy.clone(), self.owners.clone(), self.live.clone())
    }

    pub(crate) fn inventories(&self) -> InventoryService {
        InventoryService::new(self.store.clone(), &Clock::manual(START), &self.entropy)
    }

    pub(crate) fn access_trail(&self) -> AccessTrail {
        AccessTrail::new(self.store.clone(), &Clock::manual(START), &self.entropy)
    }

    pub(crate) fn callers(&self) -> CallerService {
        CallerService::new(self.store.clone(), self.owners.clone())
    }

    /// Signing keys.
    pub(crate) async fn ring(&self) -> KeyRing {
        let sealer = Sealer::from_master(&MasterKey::generate(&self.entropy), self.entropy.clone());
        let day = Duration::from_hours(24);
        let schedule = Schedule { rotate_after: 90 * day, overlap: day };
        KeyRing::open(self.store.clone(), sealer, Clock::manual(START), schedule).await.unwrap()
    }

    /// Makes a user.
    pub(crate) async fn user(&self, name: &str) -> UserId {
        let form = UserForm { username: name.to_owned(), ..UserForm::default() };
        self.users.create(form, &operator()).await.unwrap().value.id
    }

    /// Makes a user who owns the server and can sign in.
    pub(crate) async fn owner(&self, name: &str) -> UserId {
        let user = self.user(name).await;
        self.users.set_password(&user, "correct horse battery", &operator()).await.unwrap();
        self.grant(&self.admin_api().await.id, OWNER, user.as_str()).await;
        user
    }

    /// Gives a role.
    pub(crate) async fn grant(&self, api: &ApiId, role: &str, subject: &str) {
        let form = AssignmentForm { role: role.to_owned(), subject: subject.to_owned(), organisation: None };
        self.assignments().grant(api, &form, &operator()).await.unwrap();
    }

    /// Makes an API.
    pub(crate) async fn api(&self, audience: &str) -> Api {
        let form = ApiForm { audience: audience.to_owned(), name: "Orders".to_owned(), ..ApiForm::default() };
        self.apis.create(&form, &operator()).await.unwrap().value
    }

    pub(crate) async fn admin_api(&self) -> Api {
        self.apis.admin_api().await.unwrap()
    }

    /// The role of an API that has this name.
    pub(crate) async fn role(&self, api: &ApiId, name: &str) -> RoleId {
        let roles = self.roles().list(api).await.unwrap();
        roles.into_iter().find(|role| role.name.as_str() == name).unwrap().id
    }

    /// What the audit trail says, newest first.
    pub(crate) async fn trail(&self) -> Vec<&'static str> {
        let page =
            AuditService::new(self.store.clone()).list(&PageQuery::new(None, Some(200))).await.unwrap();
        page.items.into_iter().map(|record| record.event.action.as_str()).collect()
    }
}

/// Somebody who may do everything.
pub(crate) fn operator() -> Caller {
    Caller::operator(START)
}

/// An administrator who does not own the server.
pub(crate) fn delegate() -> Caller {
    Caller { authority: Authority::Delegate, ..operator() }
}
