//! Proofs that are not for this request, not for this token, not new, or of somebody else (RFC 9449 §4.3).

use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderName;
use serde_json::{Value, json};

use super::proving::Proving;
use super::target::{Attempt, Target};
use crate::binding::Nonces;
use crate::test_util::keys::{ProofKey, encoded, insert};

const HEADER: HeaderName = HeaderName::from_static("dpop");

pub(super) fn attacks(target: &Target) -> Vec<(String, Attempt)> {
    let Some(proving) = &target.proving else { return Vec::new() };
    let with = |proof: Option<&str>| target.good().only(&HEADER, proof);
    let mut all = vec![("no proof".to_owned(), with(None)), ("an empty proof".to_owned(), with(Some("")))];
    all.push(("two proofs".to_owned(), target.good().header("dpop", good(target, proving))));
    let bearer = HeaderName::from_static("authorization");
    let bearer = target.good().only(&bearer, Some(&format!("Bearer {}", target.token)));
    all.push(("a bound token as a bearer token".to_owned(), bearer.clone()));
    all.push(("a bound token as a bearer token without a proof".to_owned(), bearer.only(&HEADER, None)));
    let proofs = claims(target, proving).into_iter().chain(headers(target, proving));
    for (name, proof) in proofs.chain(nonces(target, proving)) {
        all.push((format!("a proof {name}"), with(Some(&proof))));
    }
    all
}

/// A request that is good once.
pub(super) fn replay(target: &Target) -> Option<Attempt> {
    target.proving.is_some().then(|| target.good())
}

fn good(target: &Target, proving: &Proving) -> String {
    proving.proof(target.method.as_str(), &target.path, &target.token)
}

fn claims(target: &Target, proving: &Proving) -> Vec<(String, String)> {
    let claims = || proving.claims(target.method.as_str(), &target.path, &target.token);
    let (now, origin) = (proving.now(), proving.origin.as_str());
    let other = encoded(digest(&SHA256, b"a.b.c"));
    let mut all = Vec::new();
    for (name, value) in [
        ("htm", json!("DELETE")),
        ("htm", json!(target.method.as_str().to_ascii_lowercase())),
        ("htm", json!([target.method.as_str()])),
        ("htu", json!(format!("{origin}{}/other", target.path))),
        ("htu", json!(format!("{origin}/"))),
        ("htu", json!(format!("https://evil.example{}", target.path))),
        ("htu", json!(format!("{origin}.evil.example{}", target.path))),
        ("htu", json!(target.path)),
        ("htu", json!("")),
        ("iat", json!(now.saturating_sub(3_600))),
        ("iat", json!(now + 3_600)),
        ("iat", json!(now.to_string())),
        ("ath", json!(other)),
        ("ath", json!("")),
        ("jti", json!("")),
        ("jti", json!(1)),
        ("jti", json!("x".repeat(2_000))),
    ] {
        let mut claims = claims();
        insert(&mut claims, name, value.clone());
        let shown: String = value.to_string().chars().take(60).collect();
        all.push((format!("whose {name} is {shown}"), proving.key.proof_of(&claims)));
    }
    for name in ["ath", "htm", "htu", "iat", "jti"] {
        let mut claims = claims();
        claims.as_object_mut().map(|claims| claims.remove(name));
        all.push((format!("without {name}"), proving.key.proof_of(&claims)));
    }
    all
}

/// Where the service asks for a nonce: with none, with others than it gave, and with one that it gave long ago.
fn nonces(target: &Target, proving: &Proving) -> Vec<(String, String)> {
    let Some(good) = &proving.nonce else { return Vec::new() };
    let with = |nonce: Option<Value>| {
        let mut claims = proving.claims(target.method.as_str(), &target.path, &target.token);
        match nonce {
            Some(nonce) => insert(&mut claims, "nonce", nonce),
            None => claims.as_object_mut().into_iter().for_each(|claims| {
                claims.remove("nonce");
            }),
        }
        proving.key.proof_of(&claims)
    };
    let mut all = vec![
        ("without a nonce".to_owned(), with(None)),
        ("with the nonce of another guard".to_owned(), with(Some(json!(foreign(proving.now()))))),
        ("with half a nonce".to_owned(), with(Some(json!(good.get(..good.len() / 2))))),
        ("with a nonce and more".to_owned(), with(Some(json!(format!("{good}A"))))),
    ];
    for nonce in [json!(""), json!("made-up"), json!(null), json!(1), json!([good])] {
        let shown = nonce.to_string();
        all.push((format!("whose nonce is {}", shown.replace(good, "..")), with(Some(nonce))));
    }
    all.extend(proving.old_nonce.iter().map(|old| ("with an old nonce".to_owned(), with(Some(json!(old))))));
    all
}

/// What a guard with another secret would ask for now.
fn foreign(now: u64) -> String {
    let mut secret = [0; 32];
    let digest = digest(&SHA256, ProofKey::new().thumbprint().as_bytes());
    secret.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    Nonces::new(&secret).current(now).to_str().unwrap_or_default().to_owned()
}

fn headers(target: &Target, proving: &Proving) -> Vec<(String, String)> {
    let claims = || proving.claims(target.method.as_str(), &target.path, &target.token);
    let (key, stranger) = (&proving.key, ProofKey::new());
    let header = |name: &str, value: Value| {
        let mut header = key.proof_header();
        insert(&mut header, name, value);
        header
    };
    let mut all = vec![
        ("of a stranger".to_owned(), stranger.proof_of(&claims())),
        ("of a stranger in our name".to_owned(), stranger.signed(&key.proof_header(), &claims())),
        ("of ours in the name of a stranger".to_owned(), key.signed(&stranger.proof_header(), &claims())),
    ];
    for (name, value) in [
        ("typ", json!("JWT")),
        ("typ", json!("at+jwt")),
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("ES384")),
        ("alg", json!("RS256")),
        ("crit", json!(["exp"])),
        ("jwk", json!(null)),
        ("jwk", json!("https://evil.example/jwk")),
    ] {
        all.push((format!("with {name} {value}"), key.signed(&header(name, value), &claims())));
    }
    let proof = good(target, proving);
    let (signed, signature) = proof.rsplit_once('.').unwrap_or_default();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    all.push(("without a signature".to_owned(), format!("{signed}.")));
    let turned = format!("{signed}.{other}{}", signature.get(1..).unwrap_or_default());
    all.push(("with a bit of its signature turned".to_owned(), turned));
    all.push(("that is the token".to_owned(), target.token.clone()));
    all
}
