//! What the command line prints for other programs: each of them can read it, and no secret is in it.

use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::process::Place;
use portcullis_tests::registered::Registered;
use rstest::rstest;
use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

use crate::commands::{ORDERS, json, place_on, registered, said};

fn create(place: &Place, preset: &str, more: &[&str]) -> Registered {
    let named = ["client", "create", "--preset", preset, "--name", "Shop", "--api", ORDERS];
    let made: Value = json(place, &[&named[..], more].concat());
    registered(&made)
}

/// What is printed, without the secret of the client.
fn printed(place: &Place, program: &str, client: &Registered) -> String {
    let output = place.run(&["client", "snippet", program, &client.id]);
    assert!(output.status.success(), "{program}: {}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("pck_") && !text.contains(client.secret.as_deref().unwrap()), "{text}");
    assert!(text.contains("CLIENT_SECRET"), "the variable is named: {text}");
    text
}

fn yaml(text: &str) -> Yaml {
    let mut documents = YamlLoader::load_from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

fn at<'y>(document: &'y Yaml, path: &[&str]) -> &'y Yaml {
    path.iter().fold(document, |inside, name| &inside[*name])
}

#[rstest]
#[tokio::test]
async fn each_program_can_read_what_is_printed_for_it(#[values(Sqlite, Postgres)] database: Database) {
    let (_folder, place) = place_on(database).await;
    let issuer = place.address();
    let service = create(&place, "service", &[]);
    let robot = create(&place, "m2m", &[]);
    let redirects =
        ["https://shop.example/oauth2/callback", "https://shop.example/login/oauth2/code/portcullis"];
    let shop = create(&place, "web", &["--redirect-uri", redirects[0], "--redirect-uri", redirects[1]]);
    let pages = create(&place, "web", &["--redirect-uri", "http://127.0.0.1:3000/auth/callback"]);

    let proxy: toml::Table = toml::from_str(&printed(&place, "oauth2-proxy", &shop)).unwrap();
    assert_eq!(proxy["client_id"].as_str(), Some(shop.id.as_str()));
    assert_eq!(proxy["oidc_issuer_url"].as_str(), Some(issuer.as_str()));

    let registration = ["spring", "security", "oauth2", "client", "registration", "portcullis"];
    for (client, grant) in [(&shop, "authorization_code"), (&robot, "client_credentials")] {
        let spring = yaml(&printed(&place, "spring", client));
        let of = at(&spring, &registration);
        assert_eq!(of["client-id"].as_str(), Some(client.id.as_str()));
        assert_eq!(of["client-secret"].as_str(), Some("${PORTCULLIS_CLIENT_SECRET}"));
        assert_eq!(of["authorization-grant-type"].as_str(), Some(grant));
        let provider = at(&spring, &["spring", "security", "oauth2", "client", "provider", "portcullis"]);
        assert_eq!(provider["issuer-uri"].as_str(), Some(issuer.as_str()));
    }
    let spring = printed(&place, "spring", &shop);
    let comes_back = at(&yaml(&spring), &registration)["redirect-uri"].as_str().map(str::to_owned);
    assert_eq!(comes_back.as_deref(), Some(redirects[1]), "where Spring listens: {spring}");
    let spring = printed(&place, "spring", &robot);
    assert!(
        spring.contains(&format!("A token for {ORDERS} takes it as the parameter `resource`")),
        "{spring}"
    );
    let spring = yaml(&printed(&place, "spring", &service));
    let opaque = at(&spring, &["spring", "security", "oauth2", "resourceserver", "opaquetoken"]);
    assert_eq!(opaque["introspection-uri"].as_str(), Some(format!("{issuer}/introspect").as_str()));

    let envoy = printed(&place, "envoy", &service);
    let listeners = &yaml(&envoy)["static_resources"]["listeners"];
    assert_eq!(listeners.as_vec().map(Vec::len), Some(1), "{envoy}");
    assert!(envoy.contains(&service.id) && envoy.contains(ORDERS) && envoy.contains(&issuer));

    let axum = printed(&place, "axum", &service);
    for named in [&service.id, &issuer, ORDERS] {
        assert!(axum.contains(&format!("\"{named}\";")), "{named}: {axum}");
    }
    let axum = printed(&place, "axum", &pages);
    assert!(axum.contains("const LISTEN: &str = \"127.0.0.1:3000\";"), "where people come back: {axum}");
}

#[rstest]
#[tokio::test]
async fn a_client_that_a_program_cannot_be_is_refused_with_the_reason(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (_folder, place) = place_on(database).await;
    // The service makes the API that the robot calls.
    create(&place, "service", &[]);
    let robot = create(&place, "m2m", &[]);
    for (program, reason) in
        [("axum", "`service` and `web`"), ("oauth2-proxy", "`web`"), ("envoy", "`service`")]
    {
        let refused = place.run(&["client", "snippet", program, &robot.id]);
        assert_eq!(refused.status.code(), Some(1), "{program}: {}", said(&refused));
        assert!(said(&refused).contains(reason), "{program}: {}", said(&refused));
    }
    let shop = create(&place, "web", &["--redirect-uri", "https://shop.example/cb"]);
    for (program, reason) in [
        ("axum", "/auth/callback"),
        ("oauth2-proxy", "/callback"),
        ("spring", "/login/oauth2/code/portcullis"),
    ] {
        let refused = place.run(&["client", "snippet", program, &shop.id]);
        assert_eq!(refused.status.code(), Some(1), "{program}: {}", said(&refused));
        assert!(said(&refused).contains(reason), "{program}: {}", said(&refused));
    }
    for (client, code) in [("cli_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c", 1), ("somebody", 2)] {
        let refused = place.run(&["client", "snippet", "axum", client]);
        assert_eq!(refused.status.code(), Some(code), "{}", said(&refused));
    }
}

#[rstest]
#[tokio::test]
async fn a_profile_is_given_on_the_command_line_and_refuses_what_does_not_fit(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (_folder, place) = place_on(database).await;
    let bank = [
        "client",
        "create",
        "--preset",
        "web",
        "--name",
        "Bank",
        "--redirect-uri",
        "https://bank.example/cb",
    ];
    let refused = place.run(&[&bank[..], &["--profile", "fapi2"]].concat());
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("token_endpoint_auth_method: the profile fapi2"), "{}", said(&refused));
    let jwks = place.data_dir.join("bank.jwks.json");
    let keys = portcullis_tests::assertion::SigningKeys::generate().public_jwks();
    std::fs::write(&jwks, keys.to_string()).unwrap();
    let made = json(&place, &[&bank[..], &["--profile", "fapi2", "--jwks", jwks.to_str().unwrap()]].concat());
    assert_eq!(made["client_secret"], Value::Null);
}
