//! The page in each of its states.

use super::*;
use crate::domain::clock::Timestamp;
use crate::http::pages::rules::activation::NOTICES;
use crate::http::pages::rules::page::sample_api;
use crate::http::pages::rules::shown::{sample_difference, sample_who};

const ENDINGS: [Ending; 8] = [
    Ending::Activated,
    Ending::BaseMoved,
    Ending::Cancelled,
    Ending::FailingCases,
    Ending::Lockout,
    Ending::NotApproved,
    Ending::NotPermitted,
    Ending::Unusable,
];

const PROBLEMS: [&str; 13] = [
    "failing_cases",
    "findings",
    "lockout",
    "message",
    "no_time",
    "nothing",
    "owners_only",
    "past",
    "self_approval",
    "stale",
    "too_far",
    "too_late",
    "waits_already",
];

fn time() -> TimeShown {
    TimeShown::of(Timestamp::from_secs(1_800_000_000))
}

fn draft(state: &'static str, difference: Option<DifferenceShown>) -> DraftShown {
    let own = state == "ready";
    let glance = match state {
        "ready" => Some(GlanceShown { losers: 3, conditional: 0, partial: false }),
        "forbidden" => Some(GlanceShown { losers: 3, conditional: 5, partial: true }),
        _ => None,
    };
    DraftShown {
        state,
        version: 8,
        saved_by: sample_who("unknown"),
        own,
        saved_at: time(),
        difference,
        glance,
    }
}

fn ending(how: Ending) -> EndedShown {
    EndedShown {
        at: time(),
        how: ended(how),
        revision: (how == Ending::Activated).then_some(7),
        message: "<b>".to_owned(),
        requested_by: sample_who("client"),
    }
}

fn page(problem: Option<&'static str>, notice: Option<&'static str>, on: bool) -> ActivationPage {
    ActivationPage {
        problem,
        notice,
        api: sample_api(),
        active_number: "7".to_owned(),
        waiting: None,
        draft: draft("ready", Some(sample_difference())),
        order: Order::of("<b>", "<b>"),
        ended: ENDINGS.map(ending).into_iter().collect(),
        four_eyes: FourEyesShown { on, may_turn: on, version: "v".to_owned() },
        csrf_token: "token".to_owned(),
    }
}

fn waiting(approval: &'static str, own: bool, cancel: Option<&'static str>) -> ActivationPage {
    let shown = WaitingShown {
        id: "sch_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c".to_owned(),
        activate_at: time(),
        message: "<b>".to_owned(),
        request: RequestShown {
            written_by: sample_who("person"),
            requested_by: sample_who("operator"),
            requested_at: time(),
        },
        approval,
        approved_by: (approval == "given").then(|| sample_who("person")),
        base: Some(7),
        overtaken: own,
        may: MayShown { approve: !own && approval == "missing", own, cancel },
        difference: (!own).then(sample_difference),
    };
    ActivationPage { waiting: Some(shown), draft: draft("blocked", None), ..page(None, None, !own) }
}

pub(in crate::http::pages) fn samples() -> Vec<impl Page> {
    let mut all = vec![
        ActivationPage { draft: draft("same", None), ended: Vec::new(), ..page(None, None, false) },
        ActivationPage { draft: draft("forbidden", None), ..page(None, None, true) },
        ActivationPage {
            draft: DraftShown {
                glance: Some(GlanceShown { losers: 0, conditional: 0, partial: false }),
                ..draft("ready", None)
            },
            ..page(None, None, true)
        },
        ActivationPage {
            draft: DraftShown {
                glance: Some(GlanceShown { losers: 0, conditional: 5, partial: true }),
                ..draft("ready", None)
            },
            ..page(None, None, true)
        },
        ActivationPage {
            draft: DraftShown { glance: None, ..draft("ready", Some(sample_difference())) },
            ..page(None, None, true)
        },
        waiting("missing", false, Some("decline")),
        waiting("missing", true, Some("cancel")),
        waiting("given", false, Some("decline")),
        waiting("unneeded", true, None),
    ];
    all.extend(NOTICES.map(|notice| page(None, Some(notice), true)));
    all.extend(PROBLEMS.map(|problem| page(Some(problem), None, false)));
    all.extend(PROBLEMS.map(|problem| ActivationPage {
        problem: Some(problem),
        ..waiting("missing", false, Some("decline"))
    }));
    all
}
