//! Section 10: codes that are bound to a key.

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::holder::Holder;
use portcullis_tests::server::TestServer;
use rstest::rstest;

use super::{redemption, refused, told};

#[rstest]
#[tokio::test]
async fn section_10_a_code_is_redeemed_by_the_key_that_the_request_named(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let app = server.admin.native_client(&[]).await;
    let (holder, thief) = (Holder::generate(), Holder::generate());
    let request = AuthorizeRequest::of(&app).with("dpop_jkt", &holder.jkt());
    let callback = server.visitor().authorize(&request, &ada).await;
    let fields = redemption(&request, &callback);
    let stolen = thief.post(&server, &app, "/token", &fields).await;
    assert_eq!(told(&stolen), refused(400, "invalid_grant"), "{}", stolen.text());
    let bare = server.machine.redeem(&app, &request, &callback).await;
    assert_eq!(told(&bare), refused(400, "invalid_grant"), "{}", bare.text());
    let tokens = holder.post(&server, &app, "/token", &fields).await;
    assert_eq!(tokens.status, 200, "nothing was spent: {}", tokens.text());
    for odd in ["x", &"A".repeat(42), &format!("{}=", "A".repeat(43))] {
        let request = AuthorizeRequest::of(&app).with("dpop_jkt", odd);
        let callback = server.visitor().authorize(&request, &ada).await;
        assert_eq!(callback.error(), "invalid_request", "{odd}");
    }
}

#[rstest]
#[tokio::test]
async fn section_10_1_a_proof_beside_a_pushed_request_names_the_key(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let app = server.admin.native_client(&[]).await;
    let (holder, thief) = (Holder::generate(), Holder::generate());
    holder.greet(&server).await;
    let request = AuthorizeRequest::of(&app);
    let fields = request.fields_without("client_id");
    let proof = holder.proof(&holder.claims(&server, "POST", "/par"));
    let push = |proof: &str| server.machine.form_of(&app, "/par", &fields).header("dpop", proof.to_owned());
    server.machine.post_as(&app, "/par", &fields).await;
    let before = server.statements();
    let pushed = Answer::to(push(&proof)).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    assert_eq!(server.statements() - before, 1, "handle and proof are one statement");
    assert!(!pushed.header("dpop-nonce").is_empty());
    let again = Answer::to(push(&proof)).await;
    assert_eq!(told(&again), refused(400, "invalid_dpop_proof"), "{}", again.text());
    let elsewhere = holder.proof(&holder.claims(&server, "POST", "/token"));
    assert_eq!(told(&Answer::to(push(&elsewhere)).await), refused(400, "invalid_dpop_proof"));
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("client_id", &app.id).append_pair("request_uri", &pushed.member("request_uri"));
    let callback = server.visitor().walk(&format!("/authorize?{}", query.finish()), &ada).await;
    let code = redemption(&request, &callback);
    assert_eq!(told(&thief.post(&server, &app, "/token", &code).await), refused(400, "invalid_grant"));
    assert_eq!(holder.post(&server, &app, "/token", &code).await.status, 200);
    let named = request.clone().with("dpop_jkt", &thief.jkt());
    let both = holder.post(&server, &app, "/par", &named.fields_without("client_id")).await;
    assert_eq!(told(&both), refused(400, "invalid_request"), "{}", both.text());
    let named = request.clone().with("dpop_jkt", &holder.jkt());
    let both = holder.post(&server, &app, "/par", &named.fields_without("client_id")).await;
    assert_eq!(both.status, 201, "{}", both.text());
}
