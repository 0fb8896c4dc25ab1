//! Group JW, as far as this server takes its own tokens: at the userinfo endpoint, at introspection, at its admin API.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::authorize::{AuthorizeRequest, random_text};
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::jwt::{claims, header, private_members};
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::Victim;

const ADMIN: &str = "/api/v1/users";

/// Tokens that are good, each at its own door.
struct Good {
    victim: Victim,
    hers: String,
    own: String,
}

impl Good {
    async fn at(server: &TestServer) -> Self {
        let victim = Victim::of(server).await;
        let hers = victim.redeem(server).await.member("access_token");
        Self { victim, hers, own: server.admin.token().await }
    }

    /// Both doors are open for what is good, and shut for what `forge` makes of it; nor is it called active.
    async fn is_good_and_not(&self, server: &TestServer, what: &str, forge: impl Fn(&str) -> String) {
        for (path, token) in [("/userinfo", &self.hers), (ADMIN, &self.own)] {
            assert_eq!(show(server, path, token).await.status, 200, "{path}");
            let forged = forge(token);
            let refused = show(server, path, &forged).await;
            let shown: String = forged.chars().take(200).collect();
            assert!(matches!(refused.status.as_u16(), 400 | 401 | 431), "{what}: {path} {shown}");
            let told = server.machine.introspect(&self.victim.shop, &forged).await;
            assert!(
                told.status.is_client_error() || told.json() == json!({ "active": false }),
                "{what}: {shown}"
            );
        }
        assert!(server.machine.is_active(&self.victim.shop, &self.hers).await);
    }
}

async fn show(server: &TestServer, path: &str, token: &str) -> Answer {
    Answer::to(server.machine.request(Method::GET, path).bearer_auth(token)).await
}

/// The claims of a token under another header, signed anew.
fn forged(token: &str, header: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let claims = token.split('.').nth(1).unwrap();
    let signed = format!("{}.{claims}", URL_SAFE_NO_PAD.encode(header.to_string()));
    let signature = URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// The header of a token with one member changed, or taken out.
fn bent(token: &str, member: &str, value: &Value) -> Value {
    let mut header = header(token);
    if value.is_null() {
        header.as_object_mut().unwrap().remove(member);
    } else {
        header[member] = value.clone();
    }
    header
}

#[rstest]
#[tokio::test]
async fn jw_01_an_unsigned_token_opens_nothing(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let good = Good::at(&server).await;
    for alg in [json!("none"), json!("None"), json!("nOnE"), json!("NONE"), json!(""), json!([]), Value::Null]
    {
        good.is_good_and_not(&server, &format!("{alg}, no signature"), |token| {
            forged(token, &bent(token, "alg", &alg), |_| Vec::new())
        })
        .await;
        good.is_good_and_not(&server, &format!("{alg}, the same signature"), |token| {
            let signature = token.rsplit('.').next().unwrap();
            forged(token, &bent(token, "alg", &alg), |_| URL_SAFE_NO_PAD.decode(signature).unwrap())
        })
        .await;
    }
}

/// The forms in which other programs hold the public key that a token names.
fn forms_of(key: &Value) -> Vec<Vec<u8>> {
    // RFC 5480: the header of a key on the curve P-256, up to its point.
    const HEAD: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE";
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    let (x, y) = (coordinate("x"), coordinate("y"));
    let der = [STANDARD.decode(HEAD).unwrap(), x.clone(), y.clone()].concat();
    let text = STANDARD.encode(&der);
    let pem =
        format!("-----BEGIN PUBLIC KEY-----\n{}\n{}\n-----END PUBLIC KEY-----", &text[..64], &text[64..]);
    let texts = [pem.clone(), format!("{pem}\n"), format!("\n {pem}\n"), key.to_string(), String::new()];
    let point = [x.clone(), y].concat();
    texts.into_iter().map(String::into_bytes).chain([der, point, x]).collect()
}

#[rstest]
#[tokio::test]
async fn jw_02_a_public_key_is_no_shared_secret(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let good = Good::at(&server).await;
    let jwks = server.machine.get("/jwks").await.json();
    let kid = header(&good.hers)["kid"].clone();
    let key = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == kid).unwrap();
    for secret in forms_of(key) {
        let mac = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        good.is_good_and_not(&server, &format!("{secret:?}"), |token| {
            forged(token, &bent(token, "alg", &json!("HS256")), |signed| {
                hmac::sign(&mac, signed).as_ref().to_vec()
            })
        })
        .await;
    }
}

#[rstest]
#[tokio::test]
async fn jw_03_a_key_id_is_a_name_and_nothing_else(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let good = Good::at(&server).await;
    let stranger = SigningKeys::generate();
    let own = stranger.public_jwks()["keys"][0]["kid"].clone();
    let long = "k".repeat(64 * 1024);
    for kid in [
        json!("../../../../../../dev/null"),
        json!("' OR 1=1--"),
        json!("a' UNION SELECT 'AAAA'--"),
        json!("\u{0}"),
        json!(long),
        json!(7),
        json!(["a"]),
        own,
        Value::Null,
    ] {
        good.is_good_and_not(&server, "kid", |token| {
            stranger.sign_with(&bent(token, "kid", &kid), &claims(token))
        })
        .await;
    }
    good.is_good_and_not(&server, "a kid that is known", |token| {
        stranger.sign_with(&header(token), &claims(token))
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn jw_04_a_key_that_comes_with_a_token_is_neither_used_nor_fetched(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_with(database, |config| {
        // So that nothing but the rule keeps it from fetching.
        config.reach.outbound.allow = vec!["127.0.0.1".parse().expect("an address")];
    })
    .await;
    let good = Good::at(&server).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let place = json!(format!("http://{address}/keys"));
    let stranger = SigningKeys::generate();
    let jwks = stranger.public_jwks();
    for (member, value) in [
        ("jwk", jwks["keys"][0].clone()),
        ("jku", place.clone()),
        ("x5u", place.clone()),
        ("x5c", json!(["MIIB"])),
        ("kid", place),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
    ] {
        good.is_good_and_not(&server, member, |token| {
            stranger.sign_with(&bent(token, member, &value), &claims(token))
        })
        .await;
    }
    let own = tokio::net::TcpStream::connect(address).await.unwrap();
    let (_, first) = listener.accept().await.unwrap();
    assert_eq!(first, own.local_addr().unwrap(), "nobody connected before");
}

#[rstest]
#[tokio::test]
async fn jw_09_a_token_opens_the_door_that_it_is_for_and_no_other(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let good = Good::at(&server).await;
    let orders = server.admin.api("https://orders.test").await;
    let shop = server.admin.web_client(&[&orders]).await;
    let request = AuthorizeRequest::of(&shop).with("resource", &orders.audience);
    let for_orders = server.tokens(&shop, &request, &good.victim.person).await.member("access_token");
    for (token, door) in
        [(&good.hers, ADMIN), (&good.own, "/userinfo"), (&for_orders, ADMIN), (&for_orders, "/userinfo")]
    {
        let refused = show(&server, door, token).await;
        assert_eq!(refused.status, 401, "{door} {}", claims(token));
    }
}

#[rstest]
#[tokio::test]
async fn jw_14_a_token_ends_in_the_second_that_it_names(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let good = Good::at(&server).await;
    let left = claims(&good.hers)["exp"].as_i64().unwrap() - server.clock.now().as_secs();
    let secs = |secs: i64| std::time::Duration::from_secs(u64::try_from(secs).unwrap());
    server.wait(secs(left - 1));
    assert_eq!(show(&server, "/userinfo", &good.hers).await.status, 200);
    assert_eq!(show(&server, ADMIN, &good.own).await.status, 200);
    server.wait(secs(1));
    assert_eq!(show(&server, "/userinfo", &good.hers).await.status, 401);
    assert!(!server.machine.is_active(&good.victim.shop, &good.hers).await);
    // The guard of the admin API allows for clocks that differ by seconds.
    server.wait(secs(50));
    assert_eq!(show(&server, ADMIN, &good.own).await.status, 401);
}

/// It is no token long before somebody would look at its signature, or for what is known of it.
#[rstest]
#[tokio::test]
async fn jw_17_a_token_of_a_megabyte_is_refused_unread(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let good = Good::at(&server).await;
    assert_eq!(show(&server, ADMIN, &good.own).await.status, 200);
    let before = server.statements();
    let host = server.issuer.trim_start_matches("http://");
    for (path, token) in [("/userinfo", &good.hers), (ADMIN, &good.own)] {
        for huge in ["x".repeat(1 << 20), format!("{token}{}", "A".repeat(1 << 20))] {
            let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {huge}\r\n\r\n");
            assert_eq!(server.machine.raw(head.as_bytes()).await, 431, "{path}");
        }
        // As long as a head may be.
        let long = show(&server, path, &format!("{token}{}", "A".repeat(9_000))).await;
        assert_eq!(long.status, 401, "{path}: {}", long.text());
    }
    assert_eq!(server.statements(), before, "the database was asked nothing");
    let told = server.machine.introspect(&good.victim.shop, &"x".repeat(900_000)).await;
    assert_eq!((told.status.as_u16(), &*told.error()), (400, "invalid_request"), "{}", told.text());
    assert_eq!(show(&server, "/userinfo", &good.hers).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn jw_20_one_request_shows_one_token_and_not_in_its_address(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let good = Good::at(&server).await;
    for (path, token) in [("/userinfo", &good.hers), (ADMIN, &good.own)] {
        let get = |path: &str| server.machine.request(Method::GET, path);
        let twice = get(path).bearer_auth(token).bearer_auth(token);
        let with_another = get(path).bearer_auth("x").bearer_auth(token);
        let list = get(path).header("authorization", format!("Bearer {token}, Bearer {token}"));
        for request in [twice, with_another, list] {
            let refused = Answer::to(request).await;
            assert!(matches!(refused.status.as_u16(), 400 | 401), "{path}: {}", refused.status);
        }
        let in_address = format!("{path}?access_token={token}");
        let refused = Answer::to(get(&in_address)).await;
        assert!(matches!(refused.status.as_u16(), 400 | 401), "{path}: {}", refused.status);
        let refused = Answer::to(get(&in_address).bearer_auth("x")).await;
        assert!(matches!(refused.status.as_u16(), 400 | 401), "{path}: {}", refused.status);
    }
    // What stands in an address counts for nothing, beside a good one as well.
    let ignored = show(&server, "/userinfo?access_token=x", &good.hers).await;
    assert_eq!(ignored.status, 200, "{}", ignored.text());
    assert_eq!(server.log.lines_with(&good.hers), Vec::<String>::new());
}

#[rstest]
#[tokio::test]
async fn jw_24_a_signature_that_fits_every_key_fits_none(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let good = Good::at(&server).await;
    assert_eq!(header(&good.hers)["alg"], "ES256");
    let half = |last: u8| [vec![0; 31], vec![last]].concat();
    for signature in [
        vec![0; 64],
        [half(0), half(1)].concat(),
        [half(1), half(0)].concat(),
        [half(1), half(1)].concat(),
        vec![0xff; 64],
        vec![0; 63],
        vec![0; 65],
        vec![0x30, 6, 2, 1, 0, 2, 1, 0],
        Vec::new(),
    ] {
        good.is_good_and_not(&server, &format!("{signature:?}"), |token| {
            forged(token, &header(token), |_| signature.clone())
        })
        .await;
    }
}

#[rstest]
#[tokio::test]
async fn jw_27_the_keys_of_one_server_sign_for_no_other(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let (server, other) = (TestServer::start_on(database).await, TestServer::start_on(database).await);
    let good = Good::at(&server).await;
    let stranger = Good::at(&other).await;
    for (path, token) in [("/userinfo", &stranger.hers), (ADMIN, &stranger.own)] {
        assert_eq!(show(&other, path, token).await.status, 200);
        assert_eq!(show(&server, path, token).await.status, 401, "{path}");
        let told = server.machine.introspect(&good.victim.shop, token).await;
        assert_eq!(told.json(), json!({ "active": false }));
    }
}

#[rstest]
#[tokio::test]
async fn jw_29_no_private_key_is_shown_kept_or_logged(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let mut shared = SigningKeys::generate().public_jwks();
    let signer = json!({ "name": "Signer", "preset": "m2m", "jwks": shared });
    let signer = server.admin.client(signer).await;
    // What a client sends by mistake is not taken, so that it cannot be shown later.
    let half = random_text();
    shared["keys"][0]["d"] = json!(half);
    let mistaken = json!({ "name": "Mistaken", "preset": "m2m", "jwks": shared });
    let refused = server.admin.send(Method::POST, "/clients", &mistaken).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(!refused.text().contains(&half), "{}", refused.text());
    assert_eq!(server.log.lines_with(&half), Vec::<String>::new());
    let mut shown = vec![
        server.machine.get("/jwks").await,
        server.machine.get("/.well-known/openid-configuration").await,
        server.machine.get("/api/openapi.json").await,
        server.admin.get(&format!("/clients/{}", signer.id)).await,
    ];
    for list in ["/users", "/clients", "/apis", "/organisations", "/audit?limit=200"] {
        shown.push(server.admin.get(list).await);
    }
    for answer in shown {
        assert_eq!(answer.status, 200, "{}", answer.url);
        assert_eq!(private_members(&answer.json()), Vec::<String>::new(), "{}", answer.url);
        assert!(!answer.text().contains("PRIVATE KEY"), "{}", answer.url);
    }
    assert_eq!(server.log.lines_with("PRIVATE KEY"), Vec::<String>::new());
}
