//! What the handlers of the admin API are given: each takes the one service it calls.

use axum::extract::FromRef;

use crate::services::apis::ApiService;
use crate::services::assignments::AssignmentService;
use crate::services::audit::AuditService;
use crate::services::clients::ClientService;
use crate::services::invitations::InvitationService;
use crate::services::organisations::OrganisationService;
use crate::services::policies::PolicyService;
use crate::services::policies::inventory::InventoryService;
use crate::services::policies::questions::QuestionService;
use crate::services::registration::admin::RegistrationAdmin;
use crate::services::roles::RoleService;
use crate::services::sign_outs::SignOutService;
use crate::services::users::UserService;

/// The services behind the admin API.
#[derive(Clone)]
pub(crate) struct AdminState {
    pub(crate) apis: ApiService,
    pub(crate) assignments: AssignmentService,
    pub(crate) programs: Programs,
    pub(crate) inventories: InventoryService,
    pub(crate) organisations: OrganisationService,
    pub(crate) people: People,
    pub(crate) policies: PolicyService,
    pub(crate) questions: QuestionService,
    pub(crate) records: Records,
    pub(crate) roles: RoleService,
}

/// The people who sign in.
#[derive(Clone)]
pub(crate) struct People {
    pub(crate) invitations: InvitationService,
    pub(crate) users: UserService,
}

/// The programs that ask for tokens.
#[derive(Clone)]
pub(crate) struct Programs {
    pub(crate) clients: ClientService,
    pub(crate) registrations: RegistrationAdmin,
}

/// What only shows what happened.
#[derive(Clone)]
pub(crate) struct Records {
    pub(crate) audit: AuditService,
    pub(crate) sign_outs: SignOutService,
}

impl FromRef<AdminState> for ApiService {
    fn from_ref(state: &AdminState) -> Self {
        state.apis.clone()
    }
}

impl FromRef<AdminState> for AssignmentService {
    fn from_ref(state: &AdminState) -> Self {
        state.assignments.clone()
    }
}

impl FromRef<AdminState> for AuditService {
    fn from_ref(state: &AdminState) -> Self {
        state.records.audit.clone()
    }
}

impl FromRef<AdminState> for ClientService {
    fn from_ref(state: &AdminState) -> Self {
        state.programs.clients.clone()
    }
}

impl FromRef<AdminState> for InventoryService {
    fn from_ref(state: &AdminState) -> Self {
        state.inventories.clone()
    }
}

impl FromRef<AdminState> for InvitationService {
    fn from_ref(state: &AdminState) -> Self {
        state.people.invitations.clone()
    }
}

impl FromRef<AdminState> for OrganisationService {
    fn from_ref(state: &AdminState) -> Self {
        state.organisations.clone()
    }
}

impl FromRef<AdminState> for PolicyService {
    fn from_ref(state: &AdminState) -> Self {
        state.policies.clone()
    }
}

impl FromRef<AdminState> for QuestionService {
    fn from_ref(state: &AdminState) -> Self {
        state.questions.clone()
    }
}

impl FromRef<AdminState> for RegistrationAdmin {
    fn from_ref(state: &AdminState) -> Self {
        state.programs.registrations.clone()
    }
}

impl FromRef<AdminState> for RoleService {
    fn from_ref(state: &AdminState) -> Self {
        state.roles.clone()
    }
}

impl FromRef<AdminState> for SignOutService {
    fn from_ref(state: &AdminState) -> Self {
        state.records.sign_outs.clone()
    }
}

impl FromRef<AdminState> for UserService {
    fn from_ref(state: &AdminState) -> Self {
        state.people.users.clone()
    }
}
