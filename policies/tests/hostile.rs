//! No text of a model, a rule or a request makes the engine panic.

mod thousand;

use portcullis_policy::{Options, PolicySource, Report, Request, Roles, Snapshot};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const WORDS: &[&str] = &[
    "r.sub",
    "p.sub",
    "r.obj",
    "p.obj",
    "r.act",
    "p.act",
    "p.eft",
    "r.x",
    "r2.sub",
    "r.sub.Age",
    "==",
    "!=",
    "&&",
    "||",
    "!",
    "(",
    ")",
    ",",
    "in",
    "[",
    "]",
    "\"a\"",
    "'b'",
    "\"",
    "'",
    "true",
    "false",
    "g(",
    "g2(",
    "keyMatch(",
    "keyMatch2(",
    "keyMatch3(",
    "keyMatch4(",
    "keyMatch5(",
    "regexMatch(",
    "globMatch(",
    "ipMatch(",
    "eval(",
    "> 1",
    "\\",
    "\\\n",
    "#",
    " ",
    "é",
    "loop {}",
];
const LINES: &[&str] = &[
    "[request_definition]",
    "r = sub, obj, act",
    "r = sub",
    "[policy_definition]",
    "p = sub, obj, act",
    "p = sub, obj, act, eft",
    "p = priority, sub, obj, act, eft",
    "[role_definition]",
    "g = _, _",
    "g2 = _, _, _",
    "g3 = _",
    "[policy_effect]",
    "e = some(where (p.eft == allow))",
    "e = priority(p.eft) || deny",
    "e = !some(where (p.eft == deny))",
    "[matchers]",
    "m = r.sub == p.sub",
    "m = g(r.sub, p.sub) && keyMatch2(r.obj, p.obj)",
    "m = ",
    "=",
    "[",
    "[]",
    "\\",
    "#",
    "é = é",
];
const FIELDS: &[&str] = &[
    "p",
    "g",
    "g2",
    "a",
    "b",
    "/a/:x",
    "/a/{x}",
    "/{x}{y}",
    "*",
    "/*",
    "/a*b",
    "{",
    "}",
    ":",
    "(",
    "[a",
    "a{9999999}",
    "(a*)*",
    "\\p{L}",
    "10.0.0.0/8",
    "::/0",
    "1.2.3.4/99",
    "allow",
    "deny",
    "1",
    "-",
    "é",
    "\u{202e}",
    "\"",
    "",
];

fn matcher() -> impl Strategy<Value = String> {
    vec(select(WORDS), 0..20).prop_map(|words| words.join(" "))
}

/// A condition that is well formed, and deep.
fn condition() -> impl Strategy<Value = String> {
    let operand = || {
        select(vec!["r.sub", "p.sub", "r.obj", "p.obj", "r.act", "p.act", "'a'", "\"/a/:x\"", "'10.0.0.0/8'"])
    };
    let functions = vec![
        "keyMatch",
        "keyMatch2",
        "keyMatch3",
        "keyMatch4",
        "keyMatch5",
        "regexMatch",
        "globMatch",
        "ipMatch",
        "g",
    ];
    let leaf = prop_oneof![
        (operand(), operand()).prop_map(|(a, b)| format!("{a} == {b}")),
        (operand(), operand()).prop_map(|(a, b)| format!("{a} != {b}")),
        operand().prop_map(|a| format!("{a} in ['a', \"b\"]")),
        (select(functions), operand(), operand())
            .prop_map(|(function, a, b)| format!("{function}({a}, {b})")),
        Just("true".to_owned()),
    ];
    leaf.prop_recursive(6, 40, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..4).prop_map(|parts| format!("({})", parts.join(" && "))),
            vec(inner.clone(), 1..4).prop_map(|parts| format!("({})", parts.join(" || "))),
            inner.prop_map(|part| format!("!({part})")),
        ]
    })
}

fn model() -> impl Strategy<Value = String> {
    let whole = |matcher: String, effect: &str| {
        format!(
            "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n[role_definition]\ng = _, _\n\
             [policy_effect]\ne = {effect}\n[matchers]\nm = {matcher}"
        )
    };
    let effects = select(vec!["some(where (p.eft == allow))", "priority(p.eft) || deny"]);
    prop_oneof![
        4 => (condition(), effects).prop_map(move |(matcher, effect)| whole(matcher, effect)),
        3 => matcher().prop_map(move |matcher| whole(matcher, "some(where (p.eft == allow))")),
        2 => vec(select(LINES), 0..24).prop_map(|lines| lines.join("\n")),
        1 => ".{0,200}",
    ]
}

fn rules() -> impl Strategy<Value = String> {
    let sound = vec(select(vec!["a", "b", "/a/:x", "/a/{x}", "*", "10.0.0.0/8", "é"]), 3);
    let sound = prop_oneof![4 => sound.prop_map(|fields| format!("p, {}", fields.join(", "))), 1 => Just("g, a, b".to_owned())];
    prop_oneof![
        3 => vec(sound, 0..8).prop_map(|lines| lines.join("\n")),
        2 => vec(vec(select(FIELDS), 0..6), 0..8).prop_map(|lines| {
            lines.iter().map(|fields| fields.join(", ")).collect::<Vec<_>>().join("\n")
        }),
        1 => ".{0,200}",
    ]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![4 => select(FIELDS).prop_map(str::to_owned), 1 => select(vec!["1.2.3.4", "/a/é", "a\0"]).prop_map(str::to_owned), 1 => ".{0,8}"]
}

proptest! {
    #![proptest_config(thousand::config())]

    #[test]
    fn any_model_with_any_rules_and_any_request_is_answered(
        model in model(), rules in rules(), requests in vec(vec(value(), 0..5), 4), enforce_only: bool,
    ) {
        let source = PolicySource { model, rules };
        let options = Options { enforce_only, ..Options::default() };
        match Snapshot::compile_with(&source, 1, options) {
            Err(report) => prop_assert!(report.has_errors(), "a policy that is refused says why"),
            Ok(snapshot) => for request in requests {
                let values: Vec<&str> = request.iter().map(String::as_str).collect();
                let _ = snapshot.enforce(&values);
                let word = |at: usize| values.get(at).copied().unwrap_or_default();
                let roles = Roles::from(values.as_slice());
                snapshot.decide(&Request { subject: word(0), roles, domain: word(3), object: word(1), action: word(2) });
            },
        }
    }
}

#[test]
fn deep_and_endless_matchers_are_refused() {
    let with = |matcher: &str| {
        let model = format!(
            "[request_definition]\nr = sub\n[policy_definition]\np = sub\n[policy_effect]\n\
             e = some(where (p.eft == allow))\n[matchers]\nm = {matcher}"
        );
        let codes = |report: Report| report.errors().map(|error| error.code).collect::<Vec<_>>();
        Snapshot::compile(&PolicySource { model, rules: "p, a".to_owned() }, 1)
            .map(|snapshot| snapshot.rule_count())
            .map_err(codes)
    };
    assert_eq!(with("(((r.sub == p.sub)))"), Ok(1));
    for matcher in [
        format!("{}r.sub == p.sub{}", "(".repeat(20_000), ")".repeat(20_000)),
        format!("{}(r.sub == p.sub)", "!".repeat(20_000)),
        vec!["r.sub == p.sub"; 2_000].join(" || "),
        format!("r.sub in [{}]", vec!["'a'"; 5_000].join(",")),
    ] {
        assert_eq!(with(&matcher), Err(vec!["model-unsupported"]), "{matcher:.40}");
    }
}
