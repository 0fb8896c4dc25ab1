//! Whether a client is what its profile asks, as far as its settings show.

use crate::domain::ciba::CibaSettings;
use crate::domain::client::{Client, KeySource};
use crate::domain::client_authentication::AuthMethod;
use crate::domain::rbac::Api;
use crate::domain::security_profile::SecurityProfile;
use crate::domain::signing::SigningAlg;
use crate::keys::jwks::ExternalKeys;
use crate::services::clients::authentication::METHOD;
use crate::services::clients::ciba;
use crate::services::clients::form::JWKS_URI;
use crate::services::clients::protocol::{BACKCHANNEL_URI, INTROSPECTION_ALG};
use crate::services::clients::signatures::{ASSERTION_ALG, REQUEST_ALG};
use crate::services::fields::FieldErrors;

/// Refuses each setting that the profile of a client forbids.
pub(super) fn check(errors: &mut FieldErrors, client: &Client) {
    let profile = client.settings.profile;
    if profile == SecurityProfile::None {
        return;
    }
    let mut refuse = |pointer: &str, why: &str| {
        errors.refuse(pointer, "contradiction", format!("the profile {profile} {why}"));
    };
    check_method(profile, client, &mut refuse);
    check_addresses(profile, client, &mut refuse);
    check_signatures(profile, client, &mut refuse);
    check_keys(profile, client, &mut refuse);
}

/// Whether what was issued before may be less than what the profile asks now.
pub(super) fn is_tightened(before: &Client, after: &Client) -> bool {
    after.settings.profile.demands_bound_tokens() && !before.settings.profile.demands_bound_tokens()
}

fn check_method(profile: SecurityProfile, client: &Client, refuse: &mut impl FnMut(&str, &str)) {
    if profile.permits_method(client.authentication.method) {
        return;
    }
    if client.settings.preset.is_public() {
        refuse("/preset", "is for clients that prove who they are: `web`, `m2m` and `service`");
    } else {
        refuse(
            METHOD,
            "has a client prove who it is by private_key_jwt, tls_client_auth or self_signed_tls_client_auth",
        );
    }
}

fn check_addresses(profile: SecurityProfile, client: &Client, refuse: &mut impl FnMut(&str, &str)) {
    let home = client.settings.preset.home();
    for (position, redirect) in client.redirects.iter().enumerate() {
        if !profile.permits_redirect(redirect, home) {
            let why = "sends answers by https, beside the loopback addresses of applications on a device";
            refuse(&format!("/redirect_uris/{position}"), why);
        }
    }
    if !profile.demands_tls() {
        return;
    }
    let is_plain = |url: &str| !url.starts_with("https://");
    if let Some(KeySource::At(url)) = client.keys()
        && is_plain(url.as_str())
    {
        refuse(JWKS_URI, "has keys fetched by https");
    }
    let told = client.settings.protocol.backchannel_logout.as_ref();
    if told.is_some_and(|told| is_plain(told.uri.as_str())) {
        refuse(BACKCHANNEL_URI, "has sign-outs told by https");
    }
    let pinged = client.settings.protocol.openid.ciba.as_ref().and_then(CibaSettings::endpoint);
    if pinged.is_some_and(|url| is_plain(url.as_str())) {
        refuse(ciba::ENDPOINT, "has decisions told by https");
    }
}

/// What the server signs for the client, and what the client says that it signs with.
fn check_signatures(profile: SecurityProfile, client: &Client, refuse: &mut impl FnMut(&str, &str)) {
    let (settings, protocol) = (&client.settings, &client.settings.protocol);
    for (pointer, alg) in [
        ("/options/id_token_alg", Some(settings.id_token_alg)),
        ("/options/protocol/authorization_signed_response_alg", protocol.answers.authorization_response_alg),
        (INTROSPECTION_ALG, protocol.answers.introspection_response_alg),
        ("/options/protocol/userinfo_signed_response_alg", protocol.openid.userinfo_alg),
        (ciba::ALG, protocol.openid.ciba.as_ref().and_then(|ciba| ciba.request_alg)),
        (ASSERTION_ALG, protocol.proof.assertion_alg),
        (REQUEST_ALG, protocol.openid.request_object_alg),
    ] {
        if alg.is_some_and(|alg| !profile.permits_alg(alg)) {
            refuse(pointer, "permits the algorithms ES256, EdDSA and PS256");
        }
    }
}

/// What the tokens for an API are signed with that the client may ask for.
pub(super) fn check_api(errors: &mut FieldErrors, client: &Client, position: usize, api: &Api) {
    let (profile, alg) = (client.settings.profile, api.access_tokens.alg);
    if !profile.permits_alg(alg) {
        let message = format!(
            "the profile {profile} permits the algorithms ES256, EdDSA and PS256, and tokens for this API are signed by {alg}"
        );
        errors.refuse(format!("/apis/{position}"), "contradiction", message);
    }
}

/// What is verified for it. A key that only carries a certificate signs nothing.
fn check_keys(profile: SecurityProfile, client: &Client, refuse: &mut impl FnMut(&str, &str)) {
    let protocol = &client.settings.protocol;
    let signs = client.authentication.method == AuthMethod::PrivateKeyJwt
        || protocol.request_objects.are_required()
        || protocol.openid.ciba.as_ref().is_some_and(|ciba| ciba.request_alg.is_some());
    let why =
        "permits keys of the algorithms ES256, EdDSA and PS256, which an RSA key has to name as its `alg`";
    if let Some(KeySource::Registered(jwks)) = client.keys()
        && signs
        && has_other_keys(profile, jwks)
    {
        refuse("/jwks", why);
    }
    for (position, trusted) in protocol.assertion_issuers.iter().enumerate() {
        if has_other_keys(profile, &trusted.jwks) {
            refuse(&format!("/options/protocol/assertion_issuers/{position}/jwks"), why);
        }
    }
}

/// Whether a set has a key whose signatures would be refused. What cannot be read is told elsewhere.
fn has_other_keys(profile: SecurityProfile, jwks: &str) -> bool {
    let permitted = |alg: SigningAlg| profile.permits_alg(alg);
    ExternalKeys::parse(jwks).is_ok_and(|keys| !keys.algorithms().all(permitted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::backchannel::BackchannelLogout;
    use crate::domain::ciba::Delivery;
    use crate::domain::client::Preset;
    use crate::domain::client_authentication::ClientKeys;
    use crate::domain::client_protocol::AnswerAlgs;
    use crate::domain::client_url::ClientUrl;
    use crate::domain::redirect_uri::RedirectUri;

    fn bank() -> Client {
        let mut client = Client::sample();
        client.settings.profile = SecurityProfile::Fapi2;
        client.authentication.method = AuthMethod::TlsClientAuth;
        client.redirects = vec![RedirectUri::parse("https://bank.example/cb").unwrap()];
        client
    }

    fn refused(change: impl FnOnce(&mut Client)) -> Vec<String> {
        let mut client = bank();
        change(&mut client);
        let mut errors = FieldErrors::default();
        check(&mut errors, &client);
        errors.iter().map(|error| error.pointer.clone()).collect()
    }

    #[test]
    fn what_fapi2_forbids_is_refused_by_the_name_of_its_field() {
        assert_eq!(refused(|_| {}), [""; 0]);
        for method in [
            AuthMethod::ClientSecret,
            AuthMethod::ClientSecretBasic,
            AuthMethod::ClientSecretPost,
            AuthMethod::None,
        ] {
            assert_eq!(refused(|client| client.authentication.method = method), [METHOD], "{method:?}");
        }
        let public = refused(|client| {
            client.authentication.method = AuthMethod::None;
            client.settings.preset = Preset::Spa;
        });
        assert_eq!(public, ["/preset"]);
        let loopback = || RedirectUri::parse("http://127.0.0.1/cb").unwrap();
        assert_eq!(refused(|client| client.redirects.push(loopback())), ["/redirect_uris/1"]);
        assert_eq!(
            refused(|client| client.settings.id_token_alg = SigningAlg::Rs256),
            ["/options/id_token_alg"]
        );
        let response = "/options/protocol/authorization_signed_response_alg";
        let rs256 = Some(SigningAlg::Rs256);
        let answers = |change: fn(&mut AnswerAlgs, Option<SigningAlg>)| {
            refused(|client| change(&mut client.settings.protocol.answers, rs256))
        };
        assert_eq!(answers(|algs, alg| algs.authorization_response_alg = alg), [response]);
        assert_eq!(answers(|algs, alg| algs.introspection_response_alg = alg), [INTROSPECTION_ALG]);
        let userinfo = "/options/protocol/userinfo_signed_response_alg";
        assert_eq!(refused(|client| client.settings.protocol.openid.userinfo_alg = rs256), [userinfo]);
        let own = refused(|client| {
            client.settings.protocol.proof.assertion_alg = rs256;
            client.settings.protocol.openid.request_object_alg = rs256;
        });
        assert_eq!(own, [ASSERTION_ALG, REQUEST_ALG]);
        let plain = || ClientUrl::parse("http://127.0.0.1/x").unwrap();
        assert_eq!(refused(|client| client.authentication.keys = Some(ClientKeys::At(plain()))), [JWKS_URI]);
        let told = || Some(BackchannelLogout { uri: plain(), session_required: false });
        assert_eq!(refused(|client| client.settings.protocol.backchannel_logout = told()), [BACKCHANNEL_URI]);
        let asks = |delivery, request_alg| Some(CibaSettings { delivery, request_alg });
        let pinged = asks(Delivery::Ping { endpoint: plain() }, None);
        assert_eq!(refused(|client| client.settings.protocol.openid.ciba = pinged), [ciba::ENDPOINT]);
        let signs = asks(Delivery::Poll, rs256);
        assert_eq!(refused(|client| client.settings.protocol.openid.ciba = signs), [ciba::ALG]);
    }

    #[test]
    fn only_a_change_to_bound_tokens_takes_back_what_was_issued() {
        let with = |profile| {
            let mut client = bank();
            client.settings.profile = profile;
            client
        };
        for before in SecurityProfile::ALL {
            for after in SecurityProfile::ALL {
                let expected = after == SecurityProfile::Fapi2 && before != after;
                assert_eq!(is_tightened(&with(before), &with(after)), expected, "{before} {after}");
            }
        }
    }
}
