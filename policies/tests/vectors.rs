//! The decisions of Casbin's reference implementation, in Go: ours are equal.

use std::path::{Path, PathBuf};

use portcullis_policy::{PolicySource, Request, Roles, Snapshot};
use serde_json::Value;

/// The models and policies beside the repository, if they are there; where `PORTCULLIS_VECTORS` says that they are, they have to be.
fn folder() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("PORTCULLIS_VECTORS") {
        let folder = Path::new(&named).join("casbin-go");
        assert!(folder.is_dir(), "PORTCULLIS_VECTORS has no casbin-go");
        return Some(folder);
    }
    let beside = |folder: &Path| folder.join("shared/vectors/casbin-go");
    let package = std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where it is");
    let found = Path::new(&package).ancestors().map(beside).find(|at| at.is_dir());
    if found.is_none() {
        println!("NOT CHECKED: there is no shared/vectors/casbin-go beside the repository");
    }
    found
}

fn source(folder: &Path, group: &Value) -> PolicySource {
    let read = |file: &str| std::fs::read_to_string(folder.join("examples").join(file)).expect("an example");
    PolicySource {
        model: read(group["model"].as_str().expect("a model")),
        rules: group["policy"].as_str().map(read).unwrap_or_default(),
    }
}

#[test]
fn every_decision_of_the_reference_implementation_is_ours_or_its_model_is_refused() {
    let Some(folder) = folder() else { return };
    let text = std::fs::read_to_string(folder.join("expectations.json")).expect("expectations");
    let expectations: Value = serde_json::from_str(&text).expect("JSON");
    let (mut equal, mut refused) = (0, 0);
    for group in expectations["groups"].as_array().expect("groups") {
        let name = group["source"].as_str().expect("a name");
        let cases = group["cases"].as_array().expect("cases");
        let snapshot = match Snapshot::compile(&source(&folder, group), 1) {
            Ok(snapshot) => snapshot,
            Err(report) => {
                println!("{name} is refused: {report}");
                refused += cases.len();
                continue;
            }
        };
        for case in cases {
            let request: Vec<_> =
                case["request"].as_array().expect("a request").iter().filter_map(Value::as_str).collect();
            let decision = snapshot.enforce(&request).expect("a decision");
            assert_eq!(Value::Bool(decision.allowed), case["allow"], "{name}: {request:?}");
            equal += 1;
        }
    }
    println!("{equal} equal, {refused} refused");
    assert_eq!((equal, refused), (138, 0));
}

#[test]
fn a_guard_decides_the_examples_with_roles_from_tokens() {
    let Some(folder) = folder() else { return };
    let group = serde_json::json!({ "model": "rbac_model.conf", "policy": "rbac_policy.csv" });
    let snapshot = Snapshot::compile(&source(&folder, &group), 1).expect("a policy");
    let ask = |roles: &[&str]| {
        let roles = Roles::from(roles);
        snapshot
            .decide(&Request { subject: "alice", roles, domain: "", object: "data2", action: "read" })
            .allowed
    };
    assert!(ask(&["data2_admin"]));
    assert!(!ask(&[]), "a user is named `user:alice`, so that no role can be taken for her");
    assert!(ask(&["alice"]), "what a token calls a role is a role");
}
