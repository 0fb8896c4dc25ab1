//! What holds of all bytes holds of the seeds of `fuzz/`, of what was found with it, and of mixtures of their pieces.

mod properties;

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// What stands in the seeds of a target.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is"))
        .join("fuzz/seeds")
        .join(target);
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files.iter().map(|file| fs::read(file).expect("a file")).collect()
}

fn try_seeds(target: &str, holds: fn(&[u8])) {
    for seed in seeds(target) {
        holds(&seed);
    }
}

/// Pieces of the seeds in any order: words, and what stands between them.
fn mixed(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let mut pieces = Vec::new();
    for seed in seeds(target) {
        let parts =
            seed.chunk_by(|left, right| left.is_ascii_alphanumeric() && right.is_ascii_alphanumeric());
        pieces.extend(parts.map(<[u8]>::to_vec));
    }
    vec(select(pieces), 0..24).prop_map(|pieces| pieces.concat())
}

/// A seed, one piece of which is another one.
fn touched(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    (select(seeds(target)), any::<prop::sample::Index>(), 0..8_usize, mixed(target)).prop_map(
        |(seed, at, length, piece)| {
            let start = at.index(seed.len() + 1);
            let rest = seed.get(start + length..).unwrap_or_default();
            [seed.get(..start).unwrap_or_default(), piece.get(..4).unwrap_or(&piece), rest].concat()
        },
    )
}

#[test]
fn bodies() {
    try_seeds("json", properties::json);
}

#[test]
fn paths() {
    try_seeds("path", properties::path);
}

#[test]
fn addresses() {
    try_seeds("forwarded", properties::forwarded);
}

#[test]
fn key_sets() {
    try_seeds("jwks", properties::jwks);
}

#[test]
fn proofs() {
    try_seeds("proof", properties::proof);
}

#[test]
fn tokens_of_another_form() {
    try_seeds("form", properties::form);
}

#[test]
fn tokens() {
    try_seeds("token", properties::token);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_body(body in prop_oneof![mixed("json"), touched("json")]) {
        properties::json(&body);
    }

    #[test]
    fn any_path(path in prop_oneof![mixed("path"), touched("path")]) {
        properties::path(&path);
    }

    #[test]
    fn any_address(lines in prop_oneof![mixed("forwarded"), touched("forwarded")]) {
        properties::forwarded(&lines);
    }

    #[test]
    fn any_key_set(keys in prop_oneof![mixed("jwks"), touched("jwks")]) {
        properties::jwks(&keys);
    }

    #[test]
    fn any_proof(proof in prop_oneof![mixed("proof"), touched("proof")]) {
        properties::proof(&proof);
    }

    #[test]
    fn any_token_of_another_form(token in prop_oneof![mixed("form"), touched("form")]) {
        properties::form(&token);
    }

    #[test]
    fn any_token(token in prop_oneof![mixed("token"), touched("token")]) {
        properties::token(&token);
    }
}
