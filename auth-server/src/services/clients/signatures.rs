//! What a client says that it signs by, checked against how it proves who it is and what it can sign with (OpenID Connect Registration §2).

use crate::domain::client::{Client, KeySource, Preset};
use crate::domain::client_authentication::AuthMethod;
use crate::domain::signing::SigningAlg;
use crate::keys::jwks::ExternalKeys;
use crate::services::fields::FieldErrors;

/// What its assertions are signed by.
pub(super) const ASSERTION_ALG: &str = "/options/authentication/token_endpoint_auth_signing_alg";
/// What its request objects are signed by.
pub(super) const REQUEST_ALG: &str = "/options/protocol/request_object_signing_alg";

/// Where it is said that it signs all of them.
pub(super) const SIGNED_REQUESTS: &str = "/options/protocol/require_signed_request_object";

/// Refuses an algorithm by which the client never signs, or could not, and requests that it could not sign.
pub(super) fn check(errors: &mut FieldErrors, client: &Client) {
    let protocol = &client.settings.protocol;
    let signs_assertions = client.authentication.method == AuthMethod::PrivateKeyJwt;
    for (pointer, alg, signs, otherwise) in [
        (
            ASSERTION_ALG,
            protocol.proof.assertion_alg,
            signs_assertions,
            "only a client that proves who it is by private_key_jwt signs assertions",
        ),
        (
            REQUEST_ALG,
            protocol.openid.request_object_alg,
            client.keys().is_some(),
            why_unsigned(client.settings.preset),
        ),
    ] {
        let Some(alg) = alg else { continue };
        if !signs {
            errors.refuse(pointer, "contradiction", otherwise);
        } else if !has_key(client, alg) {
            let message = format!("none of its registered keys signs by {alg}");
            errors.refuse(pointer, "contradiction", message);
        }
    }
    // Whoever sends no authorization requests at all is told that.
    let preset = client.settings.preset;
    if protocol.request_objects.are_required() && client.keys().is_none() && preset.sends_browsers() {
        errors.refuse(SIGNED_REQUESTS, "contradiction", why_unsigned(preset));
    }
}

/// Why a client without keys signs no requests. Not everybody can have some.
const fn why_unsigned(preset: Preset) -> &'static str {
    if preset.is_public() {
        "a client on a person's device cannot keep a private key secret, so it signs no requests"
    } else {
        "a client that signs its requests registers its public keys: give them as `jwks`, or say where they are (`jwks_uri`)"
    }
}

/// Whether one of its keys signs by this. Of keys that it publishes, it may publish others tomorrow; what is missing is told elsewhere.
fn has_key(client: &Client, alg: SigningAlg) -> bool {
    match client.keys() {
        Some(KeySource::Registered(jwks)) => {
            ExternalKeys::parse(jwks).is_ok_and(|keys| keys.algorithms().any(|known| known == alg))
        }
        Some(KeySource::At(_)) | None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::client_authentication::ClientKeys;
    use crate::domain::client_url::ClientUrl;

    const P256: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

    fn refused(method: AuthMethod, keys: Option<ClientKeys>, algs: [Option<SigningAlg>; 2]) -> Vec<String> {
        let mut client = Client::sample();
        client.authentication.method = method;
        client.authentication.keys = keys;
        let [assertions, requests] = algs;
        client.settings.protocol.proof.assertion_alg = assertions;
        client.settings.protocol.openid.request_object_alg = requests;
        let mut errors = FieldErrors::default();
        check(&mut errors, &client);
        errors.iter().map(|error| error.pointer.clone()).collect()
    }

    #[test]
    fn an_algorithm_is_one_by_which_the_client_signs() {
        let keys = || Some(ClientKeys::Registered(P256.to_owned()));
        let published = || Some(ClientKeys::At(ClientUrl::parse("https://shop.example/keys").unwrap()));
        let (es256, rs256) = (Some(SigningAlg::Es256), Some(SigningAlg::Rs256));
        let nothing: [&str; 0] = [];
        assert_eq!(refused(AuthMethod::PrivateKeyJwt, keys(), [es256, es256]), nothing);
        assert_eq!(refused(AuthMethod::PrivateKeyJwt, published(), [rs256, es256]), nothing);
        assert_eq!(refused(AuthMethod::PrivateKeyJwt, keys(), [rs256, rs256]), [ASSERTION_ALG, REQUEST_ALG]);
        for method in AuthMethod::NAMED.into_iter().filter(|method| *method != AuthMethod::PrivateKeyJwt) {
            assert_eq!(refused(method, keys(), [es256, es256]), [ASSERTION_ALG], "{method:?}");
            assert_eq!(refused(method, None, [None, es256]), [REQUEST_ALG], "{method:?}");
            assert_eq!(refused(method, None, [None, None]), nothing, "{method:?}");
        }
    }
}
