//! The page in each of its states.

use super::*;
use crate::domain::clock::Timestamp;
use crate::http::pages::rules::page::sample_api;
use crate::http::pages::rules::routes::NOTICES;
use crate::http::pages::rules::shown::sample_who;

fn time() -> TimeShown {
    TimeShown::of(Timestamp::from_secs(1_800_000_000))
}

fn inventory(state: &'static str, version: Option<&str>) -> InventoryShown {
    let is_pending = state == "pending";
    let route = || RouteShown {
        methods: "*".to_owned(),
        path: "/<b>/{id}".to_owned(),
        requires: "rbac(<b>, read)".to_owned(),
    };
    InventoryShown {
        digest: "5f".repeat(32),
        seen: "v".to_owned(),
        version: version.map(str::to_owned),
        state,
        count: 2,
        announced_by: sample_who("client"),
        announced_at: time(),
        decided: (!is_pending).then(|| DecidedShown { by: sample_who("person"), at: time() }),
        routes: if is_pending { vec![route(), route()] } else { Vec::new() },
        more: usize::from(is_pending),
    }
}

fn report(state: &'static str, count: usize) -> ReportShown {
    let unruled = |place: usize| UnruledShown {
        methods: "GET HEAD".to_owned(),
        path: "/<b>".to_owned(),
        object: "<b>".to_owned(),
        action: "<b>".to_owned(),
        denied_by: (place == 0).then_some(4),
        closed: place == 1,
    };
    let unrouted = |place: usize| UnroutedShown {
        line: 3,
        effect: if place == 0 { "deny" } else { "allow" },
        grantee: "<b>".to_owned(),
        object: "<b>".to_owned(),
        action: "*".to_owned(),
    };
    ReportShown {
        state,
        rules: RulesHeld {
            of: if count > 0 { "draft" } else { "active" },
            has_draft: count > 0,
            in_editor: count > 2,
        },
        routes: 9,
        unruled: (0..count).map(unruled).collect(),
        unruled_count: count,
        unrouted: (0..count).map(unrouted).collect(),
        unrouted_count: count,
        more: count,
        complete: count < 3,
    }
}

fn page(report: ReportShown, may: bool) -> RoutesPage {
    RoutesPage {
        problem: None,
        notice: None,
        api: sample_api(),
        active_number: Some(7),
        pending: vec![inventory("pending", Some("<b>1.0</b>")), inventory("pending", None)],
        known: vec![inventory("approved", Some("<b>0.9</b>")), inventory("rejected", None)],
        report,
        may,
        csrf_token: "token".to_owned(),
    }
}

pub(in crate::http::pages) fn samples() -> Vec<impl Page> {
    let states = ["no_active", "none_approved", "unusable", "ready"];
    let empty = || RoutesPage {
        pending: Vec::new(),
        known: Vec::new(),
        active_number: None,
        ..page(report("none_approved", 0), true)
    };
    let mut all: Vec<RoutesPage> = states.map(|state| page(report(state, 0), true)).into_iter().collect();
    all.extend([page(report("ready", 2), false), page(report("ready", 3), true), empty()]);
    all.extend(NOTICES.map(|notice| empty().saying(Some(notice))));
    let problems = ["decided", "gone", "owners_only", "stale", "too_many"];
    all.extend(problems.map(|problem| page(report("ready", 3), true).refusing(problem)));
    all.extend(problems.map(|problem| empty().refusing(problem)));
    all
}
