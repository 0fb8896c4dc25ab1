//! What holds of every text holds of the seeds of `fuzz/`, of what was found with it, and of mixtures of their lines.

mod properties;

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// What stands in the seeds of a target.
fn seeds(target: &str) -> Vec<String> {
    read(target, |_| true)
}

fn read(target: &str, wanted: impl Fn(&Path) -> bool) -> Vec<String> {
    let folder = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is"))
        .join("fuzz/seeds")
        .join(target);
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path()).collect();
    files.retain(|file| wanted(file));
    files.sort();
    assert!(!files.is_empty());
    // A fuzz target leaves what is no text alone.
    files.iter().filter_map(|file| String::from_utf8(fs::read(file).expect("a file")).ok()).collect()
}

fn try_seeds(target: &str, holds: fn(&str)) {
    for seed in seeds(target) {
        holds(&seed);
    }
}

/// Lines of the seeds in any order, mostly without those that are mistakes: one of these and nothing is decided.
fn lines(target: &str) -> impl Strategy<Value = String> + use<> {
    let sound = read(target, |file| !file.ends_with("mistakes"));
    prop_oneof![3 => mixed(&sound), 1 => mixed(&seeds(target))]
}

fn mixed(texts: &[String]) -> impl Strategy<Value = String> + use<> {
    let lines: Vec<String> = texts.iter().flat_map(|text| text.split('\n')).map(str::to_owned).collect();
    vec(select(lines), 0..24).prop_map(|lines| lines.join("\n"))
}

/// A whole model of the seeds, with any of their other lines as rules and requests.
fn whole_models() -> impl Strategy<Value = String> {
    let models: Vec<String> =
        seeds("model").iter().filter_map(|seed| Some(seed.split_once("----")?.0.to_owned())).collect();
    (select(models), lines("model"), lines("model"))
        .prop_map(|(model, rules, requests)| format!("{model}----\n{rules}\n----\n{requests}"))
}

#[test]
fn rules() {
    try_seeds("rules", properties::rules);
}

#[test]
fn models() {
    try_seeds("model", properties::model);
}

#[test]
fn cases() {
    try_seeds("cases", properties::cases);
}

#[test]
fn snapshots() {
    try_seeds("snapshot", properties::snapshot);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_lines_of_rules(text in lines("rules")) {
        properties::rules(&text);
    }

    #[test]
    fn any_lines_of_models(text in prop_oneof![1 => lines("model"), 3 => whole_models()]) {
        properties::model(&text);
    }

    #[test]
    fn any_lines_of_cases(text in lines("cases")) {
        properties::cases(&text);
    }
}
