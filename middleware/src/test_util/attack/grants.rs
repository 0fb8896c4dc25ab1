//! Tokens that are good and open nothing.

use serde_json::{Value, json};

use super::target::{Attempt, Target};
use crate::test_util::issuer::Issuer;

pub(super) fn attacks(issuer: &Issuer, target: &Target) -> Vec<(String, Attempt)> {
    let token = super::tokens::Good::read(issuer, &target.token);
    let mut all = Vec::new();
    for claim in &target.grants {
        let less = match token.claim(claim) {
            Value::Array(_) => [json!([]), json!(["nobody"]), json!([""])],
            _ => [json!(""), json!("nobody"), json!(" ")],
        };
        all.push((format!("a token without {claim}"), target.with(Some(&token.without_claim(claim)))));
        for value in less {
            let name = format!("a token with {claim} {value}");
            all.push((name, target.with(Some(&token.with_claim(claim, value)))));
        }
    }
    all
}
