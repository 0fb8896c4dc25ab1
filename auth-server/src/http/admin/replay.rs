//! What a policy would have answered to what was really asked.

use axum::extract::{Path, State};
use portcullis_policy::{AskedBy, DecisionChange, RulesUsed, Tally, Turn};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::ids::ApiId;
use crate::http::admin::answer::Answer;
use crate::http::admin::body::Parameters;
use crate::http::admin::caller::By;
use crate::http::admin::path::named;
use crate::http::admin::problem::Problem;
use crate::http::admin::questions::answers::SeenDocument;
use crate::http::admin::questions::edition;
use crate::services::admin_error::Thing;
use crate::services::names::Names;
use crate::services::policies::questions::{Edition, QuestionService};
use crate::services::policies::replay::{Simulated, Successor};

/// How many days are looked at unless it is said.
const DEFAULT_DAYS: u32 = 7;

/// Two texts and a time.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReplayQuery {
    /// The older text: `active` (unless given), `draft`, the number of a revision or the name of a scheduled activation that waits.
    from: Option<String>,
    /// The newer text: `draft` (unless given), `active`, the number of a revision or the name of a scheduled activation that waits.
    to: Option<String>,
    /// How many days are looked at, today among them: 7 unless given.
    #[param(minimum = 1, maximum = 366)]
    days: Option<u32>,
}

/// What changes for those who asked.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReplayDocument {
    from: SeenDocument,
    to: Option<SeenDocument>,
    /// Everything that was decided.
    all: TallyDocument,
    /// What was allowed and would be denied.
    denied: TallyDocument,
    /// What was denied and would be allowed.
    allowed: TallyDocument,
    /// How many different callers would be denied something that they were allowed.
    losers: usize,
    /// By who asks and for what: what would be denied first, then what is asked most. At most a thousand.
    changes: Vec<ChangeDocument>,
    /// Whether all changes are among these.
    complete: bool,
    /// Which of the newer rules decided; null under another model than the default.
    rules: Option<RulesDocument>,
    recorded: RecordedDocument,
}

/// How much of something there was.
#[derive(Serialize, ToSchema)]
pub(crate) struct TallyDocument {
    /// How often it was asked.
    decisions: u64,
    /// How many different requests a day that were.
    requests: u64,
}

/// Requests for one thing that would be answered otherwise.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangeDocument {
    /// `allow-to-deny`, `deny-to-allow` or `condition`.
    change: &'static str,
    /// The role by which the callers come by it, or `user:` and a subject; null under another model than the default.
    grantee: Option<String>,
    object: String,
    action: String,
    decisions: u64,
    /// How many different callers.
    callers: usize,
    /// Those who asked most: at most five.
    examples: Vec<ExampleDocument>,
    /// All of it for a person.
    text: String,
}

/// Somebody who asked.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExampleDocument {
    /// The subject of the token, or what stands for it.
    subject: String,
    roles: Vec<String>,
    domain: String,
    /// The client that asked this server to decide; null where a guard decided.
    asked_by: Option<AskerDocument>,
    decisions: u64,
    /// The line of the older rules that decided.
    before: Option<u32>,
    /// The line of the newer rules that decides.
    after: Option<u32>,
}

/// A client that asked.
#[derive(Serialize, ToSchema)]
pub(crate) struct AskerDocument {
    client: String,
    /// What it is called; its identifier again, if it is not known any more.
    name: String,
}

/// How many of the newer rules decided something.
#[derive(Serialize, ToSchema)]
pub(crate) struct RulesDocument {
    total: usize,
    used: usize,
    /// The lines of the others: at most a thousand.
    unused: Vec<u32>,
}

/// How much of what was decided is known.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecordedDocument {
    /// How many days have records.
    days: usize,
    /// Decisions that were made and not recorded.
    lost: u64,
    /// Decisions whose subject is not known.
    pseudonymous: u64,
    /// Decisions about what stands under a condition by one of the texts, and not under the same one by both: what tokens said of
    /// the sign-in is not recorded. What the newer text never allows is lost instead.
    conditional: u64,
    /// Whether older records were left out, because there are too many.
    partial: bool,
}

/// Decides again what services were asked in the last days, by an older and by a newer text, and tells what changes.
#[utoipa::path(get, path = "/apis/{api}/policy/replay", tag = "policies", operation_id = "replayPolicy",
    params(("api" = String, Path), ReplayQuery), responses((status = 200, body = ReplayDocument)))]
pub(crate) async fn replay(
    State(questions): State<QuestionService>,
    Path(api): Path<String>,
    By(caller): By,
    Parameters(query): Parameters<ReplayQuery>,
) -> Result<Answer<ReplayDocument>, Problem> {
    let from = edition("/from", query.from.as_deref(), Edition::Active)?;
    let to = Successor::Edition(edition("/to", query.to.as_deref(), Edition::Draft)?);
    let api = named::<ApiId>(&api, Thing::Api)?;
    let days = query.days.unwrap_or(DEFAULT_DAYS);
    let simulated = questions.replay(&api, (from, to), days, caller.now).await?;
    let names = questions.askers(&simulated.replayed).await?;
    Ok(Answer::ok(ReplayDocument::of(simulated, &names)))
}

impl ReplayDocument {
    fn of(Simulated { before, after, replayed, recorded }: Simulated, names: &Names) -> Self {
        Self {
            from: before.into(),
            to: after.map(SeenDocument::from),
            all: replayed.all.into(),
            denied: replayed.denied.into(),
            allowed: replayed.allowed.into(),
            losers: replayed.losers,
            changes: replayed.changes.into_iter().map(|change| ChangeDocument::of(change, names)).collect(),
            complete: replayed.complete,
            rules: replayed.rules.map(RulesDocument::from),
            recorded: RecordedDocument {
                days: recorded.days,
                lost: recorded.lost,
                pseudonymous: recorded.pseudonymous,
                conditional: replayed.conditional.decisions,
                partial: recorded.partial,
            },
        }
    }
}

impl From<Tally> for TallyDocument {
    fn from(tally: Tally) -> Self {
        Self { decisions: tally.decisions, requests: tally.requests }
    }
}

impl ChangeDocument {
    /// What changes, with the clients that asked by their names.
    pub(super) fn of(change: DecisionChange, names: &Names) -> Self {
        let text = change.to_string();
        Self {
            change: match change.turn {
                Turn::Denied => "allow-to-deny",
                Turn::Allowed => "deny-to-allow",
                // The engine may come to know more turns: none is sure.
                _ => "condition",
            },
            grantee: change.grantee.map(|grantee| grantee.to_string()),
            object: change.object,
            action: change.action,
            decisions: change.decisions,
            callers: change.callers,
            examples: change.examples.into_iter().map(|asked| ExampleDocument::of(asked, names)).collect(),
            text,
        }
    }
}

impl ExampleDocument {
    fn of(asked: AskedBy, names: &Names) -> Self {
        let AskedBy { subject, roles, domain, asker, decisions, before, after, .. } = asked;
        let asked_by = asker.map(|client| {
            let name = names.label(&client);
            AskerDocument { client, name }
        });
        Self { subject, roles, domain, asked_by, decisions, before, after }
    }
}

impl From<RulesUsed> for RulesDocument {
    fn from(rules: RulesUsed) -> Self {
        Self { total: rules.total, used: rules.used, unused: rules.unused }
    }
}
