//! Tokens that are bound to a key, at two gateways.

use std::fs;
use std::path::Path;

use portcullis_guard::test_util::{Issuer, ProofKey};
use portcullis_server::domain::clock::Clock;
use portcullis_tests::agent::Answer;
use portcullis_tests::process::eventually;
use portcullis_tests::proxied::{self, Listening, free_port};
use tempfile::tempdir;

use super::started::forwarded;
use crate::commands::ORDERS;

const HTU: &str = "https://api.example.com/orders";

/// A gateway on a file of its own.
async fn gateway(folder: &Path, issuer: &Issuer, dpop: &str) -> Listening {
    let port = free_port();
    let file = folder.join(format!("{port}.toml"));
    let start = format!(
        "[gateway]\nlisten = \"127.0.0.1:{port}\"\nissuer = \"{}\"\naudience = \"{ORDERS}\"\n",
        issuer.url()
    );
    let rest = "[[route]]\npath = \"/orders\"\nrequire = \"authenticated\"\n";
    fs::write(&file, format!("{start}[dpop]\norigins = [\"https://api.example.com\"]\n{dpop}{rest}"))
        .unwrap();
    proxied::gateway(&file, port).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_that_share_a_redis_take_a_proof_once_together_and_others_once_each() {
    let (issuer, key, folder) = (Issuer::start().await.unwrap(), ProofKey::new(), tempdir().unwrap());
    let token = issuer.mint(ORDERS).bound_to(&key).token();
    let now = Clock::system().now().as_secs().cast_unsigned();
    let asked = async |gateway: &Listening, proof: &str| {
        let request = forwarded(gateway, "GET", "/orders")
            .header("authorization", format!("DPoP {token}"))
            .header("dpop", proof);
        let answer = Answer::to(request).await;
        (answer.status.as_u16(), answer.header("www-authenticate").to_owned())
    };
    let ready = async |gateway: &Listening| {
        let bearer = issuer.mint(ORDERS).token();
        let asks = || forwarded(gateway, "GET", "/orders").bearer_auth(&bearer);
        eventually("keys have come", async || Answer::to(asks()).await.status == 200).await;
    };

    let secret = folder.path().join("secret");
    fs::write(&secret, "of two gateways, and of nobody else").unwrap();
    let redis = proxied::redis(folder.path(), free_port()).await;
    let url = redis.address.replace("http://", "redis://");
    let shared = format!("redis_url = \"{url}\"\nredis_secret_file = \"{}\"\n", secret.display());
    let pair =
        [gateway(folder.path(), &issuer, &shared).await, gateway(folder.path(), &issuer, &shared).await];
    ready(&pair[0]).await;
    ready(&pair[1]).await;
    let proof = key.proof(("GET", HTU), &token, now);
    assert_eq!(asked(&pair[0], &proof).await.0, 200, "{}", pair[0].log());
    let (status, challenge) = asked(&pair[1], &proof).await;
    assert_eq!((status, challenge.contains("invalid_dpop_proof")), (401, true), "{challenge}");
    assert_eq!(asked(&pair[1], &key.proof(("GET", HTU), &token, now + 1)).await.0, 200);
    // While it is away, nobody knows what was used elsewhere.
    drop(redis);
    assert_eq!(asked(&pair[1], &key.proof(("GET", HTU), &token, now + 2)).await.0, 503);
    ready(&pair[1]).await;

    // Those that share nothing do not know of each other.
    let alone = [gateway(folder.path(), &issuer, "").await, gateway(folder.path(), &issuer, "").await];
    let proof = key.proof(("GET", HTU), &token, now + 3);
    for one in &alone {
        ready(one).await;
        assert_eq!((asked(one, &proof).await.0, asked(one, &proof).await.0), (200, 401));
    }
}
