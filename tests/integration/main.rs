//! What the server does for those who mean well, on both databases.

#[cfg(test)]
mod account_apps;
#[cfg(test)]
mod account_log;
#[cfg(test)]
mod account_profile;
#[cfg(test)]
mod account_sessions;
#[cfg(test)]
mod addresses;
#[cfg(test)]
mod admin_api;
#[cfg(test)]
mod audit_trail;
#[cfg(test)]
mod authzen;
#[cfg(test)]
mod authzen_records;
#[cfg(test)]
mod authzen_refusals;
#[cfg(test)]
mod authzen_search;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod by_mail;
#[cfg(test)]
mod client_secrets;
mod code_flow;
#[cfg(test)]
mod concessions;
#[cfg(test)]
mod consent;
#[cfg(test)]
mod decision_records;
#[cfg(test)]
mod deletion;
#[cfg(test)]
mod discovery;
#[cfg(test)]
mod edge;
#[cfg(test)]
mod fapi2;
#[cfg(test)]
mod introspection;
#[cfg(test)]
mod invitations;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod logout;
#[cfg(test)]
mod machines;
#[cfg(test)]
mod mail;
#[cfg(test)]
mod own_data;
#[cfg(test)]
mod panics;
#[cfg(test)]
mod passkeys;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod refresh;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod revocation;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod rules_activation;
#[cfg(test)]
mod rules_history;
#[cfg(test)]
mod rules_page;
#[cfg(test)]
mod rules_routes;
#[cfg(test)]
mod rules_try;
#[cfg(test)]
mod second_step;
#[cfg(test)]
mod setup;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod sign_up;
#[cfg(test)]
mod smuggling;
#[cfg(test)]
mod statements;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod tls_second;
mod tokens;
#[cfg(test)]
mod unused_clients;

use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;

/// An application and the refresh token it got from somebody.
async fn offline(server: &TestServer) -> (Registered, String) {
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop).with("scope", "openid offline_access");
    let tokens = server.tokens(&shop, &request, &ada).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    (shop, tokens.member("refresh_token"))
}
