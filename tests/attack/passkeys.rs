//! Group MF: passkeys.

use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::passkey::{Manner, PASSKEYS, Passkey, passkey_form};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::Visitor;
use rstest::rstest;
use serde_json::{Value, json};

/// Somebody with a passkey, and the browser in which it was added.
async fn victim(server: &TestServer) -> (Passkey, Visitor) {
    let ada = server.admin.user("ada").await;
    let mut own = server.visitor();
    own.sign_in(&ada).await;
    let passkey = Passkey::add(&mut own, &server.issuer).await;
    (passkey, own)
}

/// Whether a passkey that answers so gets in.
async fn gets_in(server: &TestServer, passkey: &Passkey, manner: &Manner) -> bool {
    let mut thief = server.visitor();
    let answer = thief.show_passkey(passkey, &server.issuer, manner).await;
    let is_in = thief.session().is_some();
    assert_eq!(answer.status.as_u16(), if is_in { 303 } else { 422 }, "{}", answer.text());
    is_in
}

#[rstest]
#[tokio::test]
async fn mf_06_a_page_of_another_origin_gets_nobody_in(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (passkey, _own) = victim(&server).await;
    let port = server.issuer.rsplit_once(':').unwrap().1.to_owned();
    let origins = [
        format!("http://badlocalhost:{port}"),
        format!("http://evil.localhost:{port}"),
        format!("http://localhost.evil.example:{port}"),
        format!("https://localhost:{port}"),
        format!("http://127.0.0.1:{port}"),
        "http://localhost:1".to_owned(),
        "http://localhost".to_owned(),
        "null".to_owned(),
        String::new(),
        format!("http://localhost:{port}@evil.example"),
    ];
    for origin in origins {
        let manner = Manner { origin: Some(origin.clone()), ..Manner::default() };
        assert!(!gets_in(&server, &passkey, &manner).await, "{origin}");
    }
    for domain in ["evil.example", "badlocalhost", "", "LOCALHOST"] {
        let manner = Manner { domain: Some(domain.to_owned()), ..Manner::default() };
        assert!(!gets_in(&server, &passkey, &manner).await, "{domain}");
    }
    let manner = Manner { is_framed: true, ..Manner::default() };
    assert!(!gets_in(&server, &passkey, &manner).await, "a page within a page");
    assert!(gets_in(&server, &passkey, &Manner::default()).await, "the passkey is good");
}

#[rstest]
#[tokio::test]
async fn mf_07_a_passkey_that_nobody_unlocked_gets_nobody_in(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (passkey, mut own) = victim(&server).await;
    let manner = Manner { is_verified: false, ..Manner::default() };
    assert!(!gets_in(&server, &passkey, &manner).await);
    // The browser asks for less: what was asked stays with the server.
    let mut thief = server.visitor();
    let page = thief.open("/login").await;
    let mut question = thief.passkey_question(&page).await;
    question["options"]["userVerification"] = json!("discouraged");
    let answer = passkey.sign(&question, &server.issuer, &manner);
    let refused = thief.give_passkey(&page, &question, &answer).await;
    assert_eq!((refused.status.as_u16(), thief.session()), (422, None));
    // Nor is one added.
    let page = own.open(PASSKEYS).await;
    let question = own.passkey_question(&page).await;
    let (_, answer) = Passkey::make(&question, &server.issuer, &manner);
    assert_eq!(own.give_passkey(&page, &question, &answer).await.status, 422);
    assert!(gets_in(&server, &passkey, &Manner::default()).await, "the passkey is good");
}

/// An answer in which one member of `response` is other bytes.
fn with(answer: &Value, member: &str, bytes: &[u8]) -> Value {
    use base64::Engine as _;
    let mut answer = answer.clone();
    answer["response"][member] = json!(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes));
    answer
}

fn bytes(answer: &Value, member: &str) -> Vec<u8> {
    use base64::Engine as _;
    let text = answer["response"][member].as_str().unwrap();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// Broken forms of what an authenticator says in CBOR.
fn broken(whole: &[u8]) -> Vec<Vec<u8>> {
    let mut broken: Vec<Vec<u8>> = [0, 1, 10, 30, 36, 37, 60, whole.len() - 1]
        .into_iter()
        .filter(|length| *length < whole.len())
        .filter_map(|length| whole.get(..length).map(<[u8]>::to_vec))
        .collect();
    broken.push([whole, &[0x00]].concat());
    // Deep nesting, and lengths that nothing has.
    broken.push(vec![0x81; 4_000]);
    broken.push(vec![0xa1; 4_000]);
    broken.push(b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff".to_vec());
    broken.push(b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff\x00".to_vec());
    broken.push([&whole[..whole.len() / 2], &[0x81; 4_000]].concat());
    broken.push(b"\xbf".to_vec());
    broken
}

#[rstest]
#[tokio::test]
async fn mf_10_broken_cbor_is_refused_and_breaks_nothing(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (passkey, mut own) = victim(&server).await;
    let page = own.open(PASSKEYS).await;
    let refused = |answer: &Answer| {
        assert!(matches!(answer.status.as_u16(), 400 | 422), "{}: {}", answer.status, answer.text());
    };
    let question = own.passkey_question(&page).await;
    let (_, whole) = Passkey::make(&question, &server.issuer, &Manner::default());
    for object in broken(&bytes(&whole, "attestationObject")) {
        let question = own.passkey_question(&page).await;
        let (_, answer) = Passkey::make(&question, &server.issuer, &Manner::default());
        let answer = with(&answer, "attestationObject", &object);
        refused(&own.give_passkey(&page, &question, &answer).await);
    }
    // A kind of signature that nobody asked for.
    let question = own.passkey_question(&page).await;
    let (_, answer) = Passkey::make(&question, &server.issuer, &Manner::default());
    let object = bytes(&answer, "attestationObject");
    let at = object.windows(5).position(|part| part == b"\xa5\x01\x02\x03\x26").unwrap();
    for algorithm in [0x05, 0x28, 0x00] {
        let mut object = object.clone();
        object[at + 4] = algorithm;
        let question = own.passkey_question(&page).await;
        refused(&own.give_passkey(&page, &question, &with(&answer, "attestationObject", &object)).await);
    }
    let mut thief = server.visitor();
    let login = thief.open("/login").await;
    let question = thief.passkey_question(&login).await;
    let said = bytes(&passkey.sign(&question, &server.issuer, &Manner::default()), "authenticatorData");
    for said in broken(&said) {
        let question = thief.passkey_question(&login).await;
        let answer =
            with(&passkey.sign(&question, &server.issuer, &Manner::default()), "authenticatorData", &said);
        refused(&thief.give_passkey(&login, &question, &answer).await);
        assert_eq!(thief.session(), None);
    }
    for member in ["clientDataJSON", "signature"] {
        for other in [vec![], vec![0x5b; 9_000], b"{}".to_vec(), b"{\"type\":\"webauthn.get\"}".to_vec()] {
            let question = thief.passkey_question(&login).await;
            let answer = with(&passkey.sign(&question, &server.issuer, &Manner::default()), member, &other);
            refused(&thief.give_passkey(&login, &question, &answer).await);
            assert_eq!(thief.session(), None);
        }
    }
    let huge = thief.submit(&passkey_form(&login, &question, &"x".repeat(1 << 20))).await;
    assert!(matches!(huge.status.as_u16(), 400 | 413), "{}", huge.status);
    assert!(gets_in(&server, &passkey, &Manner::default()).await, "the passkey is good");
    assert!(!server.log.text().contains("panicked"), "nothing broke");
}

#[rstest]
#[tokio::test]
async fn pw_07_whoever_has_a_passkey_is_not_kept_out_by_tries_of_others(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_with(database, |config| {
        config.limits.login_per_account_per_minute = 5;
    })
    .await;
    let (passkey, _own) = victim(&server).await;
    let mut statuses = Vec::new();
    for _ in 0..20 {
        let mut stranger = server.visitor();
        let page = stranger.open("/login").await;
        let form = portcullis_tests::visitor::login_form(&page, "ada", "not the password");
        statuses.push(stranger.submit(&form).await.status.as_u16());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    assert!(gets_in(&server, &passkey, &Manner::default()).await);
}
