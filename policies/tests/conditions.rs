//! Rules with conditions: decided as the same rules are without those that are not met, and told as they are decided.

mod question;
mod random;

use portcullis_policy::{
    Analysis, Assurance, Cases, Decision, Page, PolicySource, Reason, Replay, Request, Roles, RuleEffect,
    Snapshot, Standing, Terms, Turn,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::question::Asked;
use crate::random::{OBJECTS, ROLES, USERS, analysis, line};

const CONDITIONS: [&str; 9] =
    ["acr=a", "acr=a|b", "acr=b|a", "acr=b", "max_age=0", "max_age=60", "max_age=600", "dpop", "mtls"];

/// A rule that may have conditions, or a line of any other kind.
fn any_line() -> impl Strategy<Value = String> {
    (line(), subsequence(CONDITIONS.to_vec(), 0..3)).prop_map(|(line, mut conditions)| {
        // Each kind once.
        let kind = |condition: &&str| condition.split('=').next().map(str::to_owned);
        conditions.dedup_by_key(|condition| kind(&*condition));
        if line.ends_with(", allow") { [vec![line.as_str()], conditions].concat().join(", ") } else { line }
    })
}

fn rules() -> impl Strategy<Value = String> {
    vec(any_line(), 0..16).prop_map(|lines| lines.join("\n"))
}

fn shown() -> impl Strategy<Value = Assurance<'static>> {
    let acr = select(vec![None, Some("a"), Some("b"), Some("c"), Some("a|b"), Some("")]);
    let age = select(vec![None, Some(0), Some(60), Some(61), Some(600), Some(u64::MAX)]);
    (acr, age, any::<bool>(), any::<bool>()).prop_map(|(acr, age, dpop, mtls)| Assurance {
        acr,
        age,
        dpop,
        mtls,
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    let objects: Vec<&str> =
        OBJECTS.into_iter().chain(["/orders/18", "stock", "/docs/a/b", "", "/a/../b"]).collect();
    let subject = select(USERS.into_iter().chain(["bob", ""]).collect::<Vec<_>>());
    let roles = vec(select(ROLES.to_vec()), 0..12);
    let domain = select(vec!["acme", "umbrella", "other", ""]);
    (subject, roles, domain, select(objects), select(vec!["read", "write", "pay", "*", ""]))
        .prop_map(|(subject, roles, domain, object, action)| Asked { subject, roles, domain, object, action })
}

/// Whether a condition, as it is written, is met.
fn is_met(condition: &str, shown: &Assurance<'_>) -> bool {
    match condition.split_once('=') {
        Some(("acr", classes)) => classes.split('|').any(|class| shown.acr == Some(class)),
        Some(("max_age", secs)) => shown.age.is_some_and(|age| age <= secs.parse().expect("a number")),
        _ if condition == "dpop" => shown.dpop,
        _ => shown.mtls,
    }
}

/// The rules with each line as `keep` has it: what is left out is a comment, so that every line stays where it is.
fn plain(rules: &str, mut keep: impl FnMut(usize, &[&str]) -> bool) -> Snapshot {
    let line = |(number, line): (usize, &str)| {
        let fields: Vec<&str> = line.split(", ").collect();
        let (rule, conditions) = fields.split_at(fields.len().min(6));
        if conditions.is_empty() || keep(number, conditions) { rule.join(", ") } else { "#".to_owned() }
    };
    let text = rules.split('\n').enumerate().map(line).collect::<Vec<_>>().join("\n");
    Snapshot::compile(&PolicySource::with_default_model(text), 0).expect("the same rules with fewer fields")
}

fn outcome(decision: Decision) -> (bool, Option<u32>) {
    (decision.allowed, decision.rule.map(|rule| rule.line))
}

/// What this crate decides of rules without conditions is known to be right, so rules with some are put down to those.
fn expected(rules: &str, asked: &Asked, shown: &Assurance<'_>) -> (bool, Option<u32>, bool) {
    let decide = |policy: &Snapshot| outcome(policy.decide(&asked.request()));
    let (allowed, line) = decide(&plain(rules, |_, _| false));
    if line.is_some() {
        return (allowed, line, false);
    }
    if let (true, line) = decide(&plain(rules, |_, all| all.iter().all(|one| is_met(one, shown)))) {
        return (true, line, false);
    }
    let first =
        (0..rules.split('\n').count()).find(|wanted| decide(&plain(rules, |line, _| line == *wanted)).0);
    (false, first.map(|line| u32::try_from(line).expect("few lines") + 1), first.is_some())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_rule_allows_whoever_meets_its_condition_and_otherwise_the_first_one_is_told(
        rules in rules(), questions in vec((asked(), shown()), 8),
    ) {
        let analysis = analysis(&rules);
        let snapshot = analysis.snapshot();
        for (asked, shown) in questions {
            let decision = snapshot.decide_with(&asked.request(), &shown);
            let (allowed, line, wanting) = expected(&rules, &asked, &shown);
            prop_assert_eq!(outcome(decision), (allowed, line), "{:?} with {:?} under\n{}", asked, shown, rules);
            let wanted = snapshot.wanting(decision);
            prop_assert_eq!(wanted.is_some(), wanting);
            prop_assert!(wanted.is_none_or(|condition| !condition.is_met_by(&shown)));
            let nothing = snapshot.decide(&asked.request());
            prop_assert_eq!(nothing, snapshot.decide_with(&asked.request(), &Assurance::NOTHING));
            let by_name = ["17", "alice", "a"].map(|user| snapshot.enforce(&[&format!("user:{user}"), "acme", "orders", "read"]));
            let asked_by_name = ["17", "alice", "a"].map(|subject| {
                snapshot.decide(&Request { subject, roles: Roles::NONE, domain: "acme", object: "orders", action: "read" })
            });
            prop_assert_eq!(by_name, asked_by_name.map(Ok));
        }
    }

    #[test]
    fn terms_are_met_exactly_by_what_is_allowed(rules in rules(), asked in asked(), all in vec(shown(), 12)) {
        let snapshot = Snapshot::compile(&PolicySource::with_default_model(rules.as_str()), 3).expect("a policy");
        let terms = snapshot.terms(&asked.request());
        for shown in all {
            let meets = match &terms {
                Terms::Always => true,
                Terms::If(conditions) => conditions.iter().any(|condition| condition.is_met_by(&shown)),
                _ => false,
            };
            prop_assert_eq!(snapshot.decide_with(&asked.request(), &shown).allowed, meets, "{}", terms);
        }
    }

    #[test]
    fn what_is_told_is_what_is_decided(rules in rules(), asked in asked(), shown in shown()) {
        let analysis = analysis(&rules);
        let (request, snapshot) = (asked.request(), analysis.snapshot());
        let decision = snapshot.decide_with(&request, &shown);
        let told = analysis.explain_with(&request, &shown);
        prop_assert_eq!(told.allowed, decision.allowed);
        let line = match &told.reason {
            Reason::Allowed { rule } | Reason::Denied { rule, .. } => Some(rule.line),
            Reason::Conditional { rule } => {
                prop_assert_eq!(rule.condition.as_ref(), snapshot.wanting(decision));
                prop_assert!(rule.condition.is_some());
                Some(rule.line)
            }
            _ => None,
        };
        prop_assert_eq!(line, decision.rule.map(|rule| rule.line));
        if let Reason::Denied { otherwise, otherwise_if, .. } = &told.reason {
            let asks = otherwise.and_then(|line| snapshot.condition(line));
            prop_assert_eq!(otherwise_if.as_ref(), asks);
        }
        let who = analysis.who_can(asked.object, asked.action, asked.domain, Page::FIRST);
        for access in who.allowed {
            let user = access.grantee.to_string();
            let (subject, roles) = match user.strip_prefix("user:") {
                Some(user) => (user, Vec::new()),
                None => (analysis.nobody(), vec![user.as_str()]),
            };
            let decision = snapshot.decide(&Request { subject, roles: Roles::from(roles.as_slice()), ..request });
            prop_assert_eq!(decision.allowed, access.rule.condition.is_none(), "{:?}", access);
            prop_assert_eq!(snapshot.wanting(decision), access.rule.condition.as_ref());
        }
    }

    #[test]
    fn a_difference_tells_every_change_of_a_condition(
        old in rules(), new in rules(), asked in vec((select(ROLES.to_vec()), asked()), 8),
    ) {
        let (old, new) = (analysis(&old), analysis(&new));
        let difference = old.diff(&new);
        prop_assert!(difference.complete);
        for (role, asked) in asked {
            let request = Request { subject: "bob", roles: Roles::from(std::slice::from_ref(&role)), ..asked.request() };
            let said = [&old, &new].map(|side| side.snapshot().terms(&request).to_string());
            if said[0] != said[1] {
                let told = difference.changes.iter().any(|change| change.grantee.to_string() == role);
                prop_assert!(told, "{}: {:?} {:?}", role, said, asked);
            }
        }
        for change in &difference.changes {
            prop_assert!(change.before != change.after);
            if let (Standing::Conditional { condition: before, .. }, Standing::Conditional { condition: after, .. }) =
                (&change.before, &change.after)
            {
                prop_assert!(before != after && !change.is_gain() && !change.is_loss());
            }
        }
        prop_assert!(new.diff(&new).changes.is_empty());
    }
}

const PAYING: &str = "p, clerk, *, payments, create, allow, acr=phrh|phr, max_age=300";

fn clerk() -> Request<'static> {
    Request {
        subject: "ada",
        roles: Roles::Borrowed(&["clerk"]),
        domain: "",
        object: "payments",
        action: "create",
    }
}

#[test]
fn what_is_wanting_is_said_in_words_wherever_somebody_asks_why() {
    let policy =
        analysis(&format!("{PAYING}\np, chief, *, payments, create\np, stopped, *, payments, create, deny"));
    let why = |roles: &[&str]| policy.explain(&Request { roles: Roles::from(roles), ..clerk() }).to_string();
    let words = "the user signed in by phrh or phr within 300 s";
    assert_eq!(
        why(&["clerk"]),
        format!(
            "conditional: allowed by line 1, by clerk, if {words}\n  role chief has it by line 2; the caller does not hold it"
        )
    );
    assert_eq!(
        why(&["clerk", "stopped"]),
        format!("denied by line 3, by stopped; without it, line 1 would allow, if {words}")
    );
    assert_eq!(
        why(&["viewer"]),
        format!(
            "denied: no rule allows it\n  role clerk has it by line 1, if {words}; the caller does not hold it\n  \
             role chief has it by line 2; the caller does not hold it"
        )
    );
    let read = policy.explain(&Request { action: "read", ..clerk() }).to_string();
    assert!(read.contains(&format!("line 1 would match if the action were create and {words}")), "{read}");
    let shown = Assurance { acr: Some("phr"), age: Some(300), ..Assurance::NOTHING };
    assert!(policy.explain_with(&clerk(), &shown).allowed);
    let who = policy.who_can("payments", "create", "", Page::FIRST);
    let told: Vec<_> = who.allowed.iter().map(|access| access.rule.to_string()).collect();
    assert_eq!(told, [format!("line 1, by clerk, if {words}"), "line 2, by chief".to_owned()]);
    let what = policy.what_can(None, Roles::from(&["clerk"]), "", Page::FIRST);
    assert_eq!(what.permissions[0].rule.to_string(), told[0]);
    let effects = |role: &str| {
        let what = policy.what_can(None, Roles::from(&[role]), "", Page::FIRST);
        what.permissions.iter().map(|one| one.effect).collect::<Vec<_>>()
    };
    let [clerk, chief, stopped] = ["clerk", "chief", "stopped"].map(effects);
    assert_eq!((clerk, chief), (vec![RuleEffect::Conditional], vec![RuleEffect::Allow]));
    assert_eq!(stopped, [RuleEffect::Deny]);
    let both = policy.what_can(None, Roles::from(&["clerk", "stopped"]), "", Page::FIRST);
    assert!(both.permissions.iter().all(|one| one.effect == RuleEffect::Deny));
}

#[test]
fn a_condition_that_comes_or_goes_is_a_change() {
    let plain = analysis("p, clerk, *, payments, create");
    let (asking, other) = (analysis(PAYING), analysis("p, clerk, *, payments, create, allow, dpop"));
    let told = |old: &Analysis, new: &Analysis| {
        let [change] = <[_; 1]>::try_from(old.diff(new).changes).expect("one change");
        (change.to_string(), change.is_gain(), change.is_loss())
    };
    let words = "the user signed in by phrh or phr within 300 s";
    let place = "clerk in *: create payments";
    assert_eq!(
        told(&plain, &asking),
        (format!("{place}: allowed by line 1 -> allowed by line 1 if {words}"), false, true)
    );
    assert_eq!(
        told(&asking, &plain),
        (format!("{place}: allowed by line 1 if {words} -> allowed by line 1"), true, false)
    );
    let bound = "the token is bound to a key";
    assert_eq!(
        told(&asking, &other),
        (format!("{place}: allowed by line 1 if {words} -> allowed by line 1 if {bound}"), false, false)
    );
    assert!(told(&analysis(""), &asking).1 && told(&asking, &analysis("")).2);
    let inherited =
        "g, chief, clerk, *\np, clerk, *, /x/*, read, allow, dpop\np, clerk, *, /x/y, read, allow, mtls";
    let found = analysis("g, chief, clerk, *\np, clerk, *, /x/*, read").diff(&analysis(inherited)).changes;
    let of = |who: &str| found.iter().filter(|change| change.grantee.to_string() == who).count();
    assert_eq!((of("clerk"), of("chief")), (2, 2), "{found:?}");
}

#[test]
fn what_recorded_requests_showed_is_not_known_so_only_a_rule_that_goes_altogether_is_a_loss() {
    let replayed = |old: &str, new: &str| {
        let (old, new) = (analysis(old), analysis(new));
        let mut replay = Replay::new(&old, &new);
        replay.add(&clerk(), 17);
        replay.finish()
    };
    let plain = "p, clerk, *, payments, create";
    for (old, new) in [(plain, PAYING), (PAYING, plain), ("", PAYING)] {
        let found = replayed(old, new);
        assert_eq!(
            (found.conditional.decisions, found.denied.decisions, found.allowed.decisions),
            (17, 0, 0)
        );
        assert_eq!((found.changes[0].turn, found.losers), (Turn::Conditional, 0));
        let said = "clerk has another condition for payments create: 17 decisions, 1 caller";
        assert_eq!(found.changes[0].to_string(), said);
    }
    let moved = format!("# moved\n{PAYING}\n{PAYING}, dpop");
    assert!(replayed(PAYING, &moved).changes.is_empty());
    let denied = format!("{PAYING}\n{plain}, deny");
    for (old, new) in [(plain, ""), (PAYING, ""), (PAYING, denied.as_str())] {
        let found = replayed(old, new);
        assert_eq!((found.denied.decisions, found.conditional.decisions, found.losers), (17, 0, 1));
        assert_eq!(found.changes[0].to_string(), "clerk loses payments create: 17 decisions, 1 caller");
    }
}

#[test]
fn cases_say_what_the_token_shows() {
    let policy = analysis(&format!("{PAYING}\np, clerk, *, payments, approve, allow, dpop, mtls"));
    let cases = Cases::parse(
        "deny, clerk, acme, payments, create\n\
         allow, clerk, acme, payments, create, acr=phr, age=300\n\
         deny, clerk, acme, payments, create, age=301, acr = phr\n\
         deny, clerk, acme, payments, approve, dpop\n\
         allow, clerk, acme, payments, approve, dpop, mtls\n\
         allow, clerk, acme, payments, create, dpop",
    )
    .expect("cases");
    let outcome = policy.test(&cases);
    assert_eq!((outcome.passed, outcome.failed.len()), (5, 1));
    assert_eq!(outcome.failed[0].case.line, 6);
    let why = outcome.failed[0].explanation.to_string();
    assert_eq!(
        why,
        "conditional: allowed by line 1, by clerk, if the user signed in by phrh or phr within 300 s"
    );
    for bad in [
        "acr",
        "acr=",
        "acr=a, acr=b",
        "age=x",
        "age=1, age=1",
        "dpop=1",
        "dpop, dpop",
        "max_age=5",
        "mtls, mtls",
    ] {
        let report = Cases::parse(&format!("allow, clerk, acme, payments, create, {bad}")).expect_err(bad);
        assert_eq!(report.findings[0].code, "unknown-assurance", "{bad}");
    }
}

#[test]
fn another_model_has_no_conditions() {
    let model = "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act, eft\n[policy_effect]\n\
                 e = some(where (p.eft == allow))\n[matchers]\nm = r.sub == p.sub && r.obj == p.obj && r.act == p.act";
    let compile = |rules: &str| {
        Snapshot::compile(&PolicySource { model: model.to_owned(), rules: rules.to_owned() }, 1)
    };
    let report = compile("p, clerk, payments, create, allow, dpop").expect_err("too many fields");
    assert_eq!(report.findings[0].code, "field-count");
    assert!(compile("p, clerk, payments, create, allow").is_ok_and(|policy| policy.condition(1).is_none()));
}

#[test]
fn many_lines_of_one_condition_are_one_and_the_first_of_them_is_told() {
    let lines: Vec<String> =
        (0..5_000).map(|number| format!("{PAYING}{}", ["", ", dpop"][number % 2])).collect();
    let policy = analysis(&format!("# first\n{}\n{PAYING}, mtls", lines.join("\n")));
    let snapshot = policy.snapshot();
    let line = |shown: &Assurance<'_>| {
        let decision = snapshot.decide_with(&clerk(), shown);
        (decision.allowed, decision.rule.map(|rule| rule.line))
    };
    let shown = Assurance { acr: Some("phr"), age: Some(1), ..Assurance::NOTHING };
    assert_eq!(line(&Assurance::NOTHING), (false, Some(2)));
    assert_eq!(line(&shown), (true, Some(2)));
    assert_eq!(snapshot.terms(&clerk()).to_string(), "the user signed in by phrh or phr within 300 s");
    // Every line still says what it asks for.
    assert!(snapshot.condition(5_001).is_some_and(|condition| condition.dpop));
    let turned = analysis(&format!("{PAYING}, mtls\n{}", lines.join("\n")));
    let decision = turned.snapshot().decide_with(&clerk(), &shown);
    assert_eq!((decision.allowed, decision.rule.map(|rule| rule.line)), (true, Some(2)));
}
