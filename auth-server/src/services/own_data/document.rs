//! The shape of the document, which `docs/your-data.md` describes: a member that is added changes nothing for whoever reads it, one that
//! goes or means something else takes another [`FORMAT`].

use serde::Serialize;
use serde_json::Value;

use crate::domain::claim::Claim;
use crate::domain::clock::Timestamp;
use crate::domain::organisation::Organisation;
use crate::domain::rbac::OrganisationScope;
use crate::domain::session::Session;
use crate::domain::user::{Email, User};
use crate::services::account::apps::{AppPlace, OwnApp};
use crate::services::account::log::LogEntry;
use crate::services::visit::LiveSession;
use crate::storage::assignments::OwnRole;
use crate::storage::passkeys::Passkey;
use crate::storage::second_steps::SecondStep;

/// What the document calls its shape.
pub(super) const FORMAT: &str = "portcullis-account-data/1";

/// What this server knows a person by.
#[derive(Serialize)]
pub(crate) struct OwnData {
    pub(super) format: &'static str,
    pub(super) issuer: String,
    pub(super) made_at: String,
    pub(super) account: AccountPart,
    pub(super) organisation: Option<OrganisationPart>,
    pub(super) roles: Listed<RolePart>,
    pub(super) sign_in: SignInPart,
    pub(super) sessions: Listed<SessionPart>,
    pub(super) applications: Listed<ApplicationPart>,
    pub(super) security_log: Listed<LogPart>,
}

/// Some of what there is, and whether it is all.
#[derive(Serialize)]
pub(super) struct Listed<T> {
    pub(super) complete: bool,
    pub(super) items: Vec<T>,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { complete: false, items: Vec::new() }
    }
}

#[derive(Serialize)]
pub(super) struct AccountPart {
    id: String,
    sub: String,
    username: String,
    name: String,
    email: Option<String>,
    email_verified_at: Option<String>,
    created_at: String,
    /// By the names of the claims (OpenID Connect Core §5.1), the address of a house among them.
    profile: Value,
}

impl From<&User> for AccountPart {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.to_string(),
            sub: user.sub.to_string(),
            username: user.username.to_string(),
            name: user.name.clone(),
            email: user.email.as_ref().map(Email::as_str).map(str::to_owned),
            email_verified_at: user.email_verified_at.map(Timestamp::rfc3339),
            created_at: user.created_at.rfc3339(),
            profile: user.profile.to_json(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct OrganisationPart {
    id: String,
    name: String,
}

impl From<Organisation> for OrganisationPart {
    fn from(organisation: Organisation) -> Self {
        Self { id: organisation.id.to_string(), name: organisation.name }
    }
}

#[derive(Serialize)]
pub(super) struct RolePart {
    role: String,
    /// The audience of the API.
    api: String,
    api_name: String,
    /// Where it counts; without one, everywhere.
    organisation: Option<OrganisationPart>,
}

impl From<OwnRole> for RolePart {
    fn from(own: OwnRole) -> Self {
        let organisation = match own.organisation {
            OrganisationScope::Every => None,
            OrganisationScope::One(id) => {
                Some(OrganisationPart { id: id.to_string(), name: own.organisation_name.unwrap_or_default() })
            }
        };
        Self { role: own.role.to_string(), api: own.audience, api_name: own.api, organisation }
    }
}

#[derive(Serialize)]
pub(super) struct SignInPart {
    /// Whether there is one.
    pub(super) password: bool,
    pub(super) second_step: Option<StepPart>,
    pub(super) passkeys: Vec<PasskeyPart>,
}

#[derive(Serialize)]
pub(super) struct StepPart {
    since: String,
    recovery_codes_left: u32,
}

pub(super) fn step(step: &SecondStep, left: u32) -> StepPart {
    StepPart { since: step.created_at.rfc3339(), recovery_codes_left: left }
}

#[derive(Serialize)]
pub(super) struct PasskeyPart {
    name: String,
    created_at: String,
    last_used_at: Option<String>,
}

impl From<Passkey> for PasskeyPart {
    fn from(passkey: Passkey) -> Self {
        Self {
            name: passkey.name,
            created_at: passkey.created_at.rfc3339(),
            last_used_at: passkey.last_used_at.map(Timestamp::rfc3339),
        }
    }
}

#[derive(Serialize)]
pub(super) struct SessionPart {
    /// Whether the document was asked for in it.
    current: bool,
    began_at: String,
    /// When the person last proved who they are in it.
    signed_in_at: String,
    last_seen_at: String,
    expires_at: String,
    /// By what (RFC 8176).
    methods: Vec<&'static str>,
    address: Option<String>,
    /// What the browser called itself.
    user_agent: String,
}

pub(super) fn session(session: &Session, live: &LiveSession) -> SessionPart {
    SessionPart {
        current: session.id == live.session.id,
        began_at: session.created_at.rfc3339(),
        signed_in_at: session.auth_time.rfc3339(),
        last_seen_at: session.last_seen_at.rfc3339(),
        expires_at: session.expires_at.rfc3339(),
        methods: session.methods.iter().map(|method| method.as_str()).collect(),
        address: session.origin.address.map(|address| address.to_string()),
        user_agent: session.origin.user_agent.clone(),
    }
}

#[derive(Serialize)]
pub(super) struct ApplicationPart {
    client_id: String,
    name: String,
    since: String,
    allowed: Vec<PlacePart>,
}

#[derive(Serialize)]
struct PlacePart {
    /// What the API is called; without one, this server.
    api: Option<String>,
    scopes: Vec<String>,
    claims: Vec<&'static str>,
    details: Vec<DetailPart>,
}

#[derive(Serialize)]
struct DetailPart {
    title: String,
    members: Vec<MemberPart>,
}

#[derive(Serialize)]
struct MemberPart {
    name: String,
    values: Vec<String>,
}

impl From<OwnApp> for ApplicationPart {
    fn from(app: OwnApp) -> Self {
        Self {
            client_id: app.client.to_string(),
            name: app.title,
            since: app.since.rfc3339(),
            allowed: app.places.into_iter().map(PlacePart::from).collect(),
        }
    }
}

impl From<AppPlace> for PlacePart {
    fn from(place: AppPlace) -> Self {
        let member = |(name, values)| MemberPart { name, values };
        let detail = |detail: crate::services::details::DetailView| DetailPart {
            title: detail.title,
            members: detail.members.into_iter().map(member).collect(),
        };
        Self {
            api: place.api,
            scopes: place.scopes.iter().map(str::to_owned).collect(),
            claims: place.claims.iter().map(Claim::as_str).collect(),
            details: place.details.into_iter().map(detail).collect(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct LogPart {
    at: String,
    what: &'static str,
    by: &'static str,
    /// What the application is called that it is about.
    application: Option<String>,
    /// What was changed.
    fields: Vec<String>,
    /// From where, unless it was somebody else.
    address: Option<String>,
}

impl From<LogEntry> for LogPart {
    fn from(entry: LogEntry) -> Self {
        Self {
            at: entry.at.rfc3339(),
            what: entry.what,
            by: entry.by.name(),
            application: entry.client,
            fields: entry.fields,
            address: entry.address.map(|address| address.to_string()),
        }
    }
}
