//! Accounts that come from another system, with the hashes of their passwords.

use std::fmt::Write as _;
use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

use aws_lc_rs::{digest, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::database::{dump, texts};
use portcullis_tests::process::{Place, ServerProcess};
use portcullis_tests::visitor::{Person, SESSION, Visitor};
use rstest::rstest;
use serde_json::{Value, json};

use crate::commands::{json, place_on, said};

const KINDS: [&str; 8] =
    ["argon2", "bcrypt", "firebase", "pbkdf2", "pbkdf2-sha512", "scrypt", "ssha", "ssha512"];
const SIGNER: &[u8; 64] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// How many of each kind: more where `PORTCULLIS_IMPORT` asks for them.
fn many() -> usize {
    std::env::var("PORTCULLIS_IMPORT").ok().and_then(|many| many.parse().ok()).unwrap_or(3)
}

/// The hash that a system of this kind keeps of a password.
fn hash(kind: &str, password: &str, salt: [u8; 16]) -> String {
    let secret = password.as_bytes();
    let (encoded, once) = (STANDARD_NO_PAD.encode(salt), NonZeroU32::new(1_000).unwrap());
    let derived = |algorithm| {
        let mut output = [0; 32];
        pbkdf2::derive(algorithm, once, &salt, secret, &mut output);
        STANDARD_NO_PAD.encode(output)
    };
    let salted = |algorithm| {
        let digest = digest::digest(algorithm, &[secret, &salt[..8]].concat());
        STANDARD.encode([digest.as_ref(), &salt[..8]].concat())
    };
    match kind {
        "argon2" => {
            let params = argon2::Params::new(64, 2, 1, Some(32)).unwrap();
            let function = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
            let mut output = [0; 32];
            function.hash_password_into(secret, &salt, &mut output).unwrap();
            format!("$argon2id$v=19$m=64,t=2,p=1${encoded}${}", STANDARD_NO_PAD.encode(output))
        }
        "bcrypt" => bcrypt::hash_with_salt(password, 4, salt).unwrap().to_string(),
        "firebase" => format!(
            "$firebase-scrypt$ln=4,r=8,sk={},ss=Bw${encoded}${}",
            STANDARD_NO_PAD.encode(SIGNER),
            STANDARD_NO_PAD.encode(firebase(secret, salt)),
        ),
        "pbkdf2" => format!("$pbkdf2-sha256$i=1000${encoded}${}", derived(pbkdf2::PBKDF2_HMAC_SHA256)),
        "pbkdf2-sha512" => format!("$pbkdf2-sha512$1000${encoded}${}", derived(pbkdf2::PBKDF2_HMAC_SHA512)),
        "scrypt" => {
            let mut output = [0; 32];
            scrypt::scrypt(secret, &salt, &scrypt::Params::new(4, 8, 1).unwrap(), &mut output).unwrap();
            format!("$scrypt$ln=4,r=8,p=1${encoded}${}", STANDARD_NO_PAD.encode(output))
        }
        "ssha" => format!("{{SSHA}}{}", salted(&digest::SHA1_FOR_LEGACY_USE_ONLY)),
        "ssha512" => format!("{{SSHA512}}{}", salted(&digest::SHA512)),
        other => panic!("{other}"),
    }
}

/// The key that signs, encrypted under what scrypt gives, with one byte between salt and end.
fn firebase(secret: &[u8], salt: [u8; 16]) -> Vec<u8> {
    use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
    let mut key = [0; 32];
    let params = scrypt::Params::new(4, 8, 1).unwrap();
    scrypt::scrypt(secret, &[&salt[..], &[7]].concat(), &params, &mut key).unwrap();
    let key = EncryptingKey::ctr(UnboundCipherKey::new(&AES_256, &key).unwrap()).unwrap();
    let mut output = SIGNER.to_vec();
    key.less_safe_encrypt(&mut output, EncryptionContext::Iv128([0; 16].into())).unwrap();
    output
}

/// Everybody, and the lines that say so.
fn everybody() -> (Vec<Person>, String) {
    let mut people = Vec::new();
    let mut lines = "username,name,email,password_hash\n".to_owned();
    for kind in KINDS {
        for number in 0..many() {
            let username = format!("{kind}-{number}");
            let password = format!("walnut {number} fortnight {kind}");
            let mut salt = [7; 16];
            for (byte, from) in salt.iter_mut().zip(username.bytes()) {
                *byte = from;
            }
            let hash = hash(kind, &password, salt);
            writeln!(lines, "{username},Somebody,{username}@example.org,\"{hash}\"").unwrap();
            people.push(Person { id: String::new(), sub: String::new(), username, password });
        }
    }
    (people, lines)
}

/// Everything in a folder but this file, which nothing was written into.
fn files_beside(folder: &Path, file: &str) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.is_file() && path.file_name().is_some_and(|name| name != file));
    files.map(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()).collect()
}

fn import(place: &Place, name: &str, content: &str, more: &[&str]) -> Value {
    let file = written(place, name, content);
    let from = name.rsplit('.').next().unwrap();
    json(place, &[&["user", "import", &file, "--from", from], more].concat())
}

fn written(place: &Place, name: &str, content: &str) -> String {
    let path = place.data_dir.join(name);
    fs::write(&path, content).unwrap();
    path.display().to_string()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_from_elsewhere_signs_in_with_the_password_of_before(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (_folder, place) = place_on(database).await;
    let (people, lines) = everybody();
    let dry = import(&place, "people.csv", &lines, &["--dry-run"]);
    assert_eq!((&dry["created"], &dry["refused"]), (&json!(people.len()), &json!([])));
    assert_eq!(json(&place, &["user", "list"]), json!([]), "a dry run writes nothing");
    let done = import(&place, "people.csv", &lines, &[]);
    assert_eq!((&done["created"], &done["without_password"]), (&json!(people.len()), &json!(0)));
    let again = import(&place, "people.csv", &lines, &[]);
    assert_eq!(again["created"], 0);
    assert_eq!(again["existing"].as_array().unwrap().len(), people.len());
    let server = ServerProcess::start(&place).await;
    for person in &people {
        let stranger = Person { password: format!("{} ", person.password), ..person.clone() };
        let mut visitor = Visitor::new(&server.address);
        assert_eq!(visitor.sign_in(&stranger).await.status, 422, "{}", person.username);
        // Twice: by the hash of before, and by the one that took its place.
        for _ in 0..2 {
            let mut visitor = Visitor::new(&server.address);
            let answer = visitor.sign_in(person).await;
            assert!(visitor.cookie(SESSION).is_some(), "{}: {}", person.username, answer.text());
        }
    }
    let url = place.database_url.as_deref().unwrap();
    let hashes = texts(url, "SELECT secret FROM credentials").await;
    assert_eq!(hashes.len(), people.len());
    assert!(hashes.iter().all(|hash| hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$")), "each was made anew");
    let kept = match database {
        Postgres => dump(url).await,
        _ => files_beside(&place.data_dir, "people.csv"),
    };
    let log = server.log();
    for person in &people {
        assert!(!kept.contains(&person.password) && !log.contains(&person.password), "{}", person.username);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_taken_over_is_told_and_the_rest_is(#[values(Sqlite, Postgres)] database: Database) {
    let (_folder, place) = place_on(database).await;
    let secret = "{SSHA}c2VjcmV0LWJ1dC1zaG9ydA==";
    let lines = format!(
        "username,email,enabled,password_hash\nada,ada@example.org,true,{secret}\nbob,,no,\nBob,,,\ncleo,not an address,,\n\
         dora,,,$1$md5crypt$x\n",
    );
    let file = written(&place, "people.csv", &lines);
    let output = place.run(&["--format", "json", "user", "import", &file, "--from", "csv"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["created"], &told["without_password"]), (&json!(1), &json!(1)), "{told}");
    let places: Vec<_> = told["refused"].as_array().unwrap().iter().map(|one| &one["place"]).collect();
    assert_eq!(places, ["line 2", "line 4", "line 5", "line 6"]);
    assert!(!said(&output).contains("c2VjcmV0") && !said(&output).contains("md5crypt"), "{}", said(&output));
    let users = json(&place, &["user", "list"]);
    assert_eq!(
        (&users[0]["username"], users[0]["disabled_at"].is_string()),
        (&json!("bob"), true),
        "{users}"
    );
    let wrong = place.run(&["user", "import", &file, "--from", "keycloak"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(said(&wrong).contains("line 1, column 1"), "{}", said(&wrong));
    assert_eq!(
        place.run(&["user", "import", &file]).status.code(),
        Some(2),
        "how it is written is not guessed"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn realms_and_users_of_scim_are_taken_over(#[values(Sqlite, Postgres)] database: Database) {
    let (_folder, place) = place_on(database).await;
    let password = "walnut fortnight";
    let encoded = hash("pbkdf2", password, [3; 16]);
    let [salt, value] = [3, 4].map(|at| encoded.split('$').nth(at).unwrap().to_owned());
    let data = json!({ "algorithm": "pbkdf2-sha256", "hashIterations": 1000 }).to_string();
    let secret = json!({ "value": value, "salt": salt }).to_string();
    let credentials = json!([{ "type": "password", "credentialData": data, "secretData": secret }]);
    let realm = json!({ "realm": "shop", "users": [
        { "username": "ada", "email": "ada@example.org", "emailVerified": true, "firstName": "Ada",
          "lastName": "Lovelace", "credentials": credentials },
        { "username": "cleo", "credentials": credentials, "requiredActions": ["UPDATE_PASSWORD"] },
    ]});
    let done = import(&place, "realm.keycloak", &realm.to_string(), &[]);
    assert_eq!((&done["created"], &done["without_password"]), (&json!(2), &json!(1)), "{done}");
    assert!(done["notes"][0].as_str().unwrap().contains("UPDATE_PASSWORD"), "{done}");
    let users = json!({ "Resources": [{ "userName": "bea", "displayName": "Bea", "password": password }] });
    let done = import(&place, "users.scim", &users.to_string(), &[]);
    assert_eq!(done["created"], 1, "{done}");
    let server = ServerProcess::start(&place).await;
    for username in ["ada", "bea"] {
        let (id, sub) = (String::new(), String::new());
        let person = Person { id, sub, username: username.to_owned(), password: password.to_owned() };
        let mut visitor = Visitor::new(&server.address);
        let answer = visitor.sign_in(&person).await;
        assert!(visitor.cookie(SESSION).is_some(), "{username}: {}", answer.text());
    }
    // Who has to set another password gets in by none of before.
    let (id, sub, username) = (String::new(), String::new(), "cleo".to_owned());
    let cleo = Person { id, sub, username, password: password.to_owned() };
    assert_eq!(Visitor::new(&server.address).sign_in(&cleo).await.status, 422);
}
