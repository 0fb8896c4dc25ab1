//! Every two settings of a client, for every preset and profile: they go together, or the reason is told at one of the two.
//!
//! What goes together is kept in `docs/client-settings.md`, so that a rule that is added or lost shows there.

mod settings;
mod table;

use std::collections::BTreeSet;
use std::path::Path;

use self::settings::{API, KEYS, Setting, settings, text};
use self::table::Table;
use crate::domain::client::{Client, Preset};
use crate::domain::client_authentication::ClientAuthentication;
use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientId;
use crate::domain::secret::Entropy;
use crate::domain::security_profile::SecurityProfile;
use crate::outbound::Rules;
use crate::services::clients::form::ClientForm;
use crate::services::clients::{built, check_settings, reach};
use crate::services::fields::FieldErrors;
use crate::services::trial::ABLE;

const PAGE: &str = "docs/client-settings.md";
const ACCEPTS: &str = "PORTCULLIS_ACCEPT_SETTINGS";
const HOW: &str = "PORTCULLIS_ACCEPT_SETTINGS=1 cargo test -p portcullis-server every_pair_of_settings";

type Place = (Preset, SecurityProfile);

fn places() -> impl Iterator<Item = Place> {
    Preset::ALL.into_iter().flat_map(|preset| SecurityProfile::ALL.map(|profile| (preset, profile)))
}

/// The least that makes a client of this preset and profile.
fn least((preset, profile): Place) -> ClientForm {
    let mut form =
        ClientForm { name: "App".to_owned(), preset: preset.as_str().to_owned(), ..ClientForm::default() };
    form.options.profile = Some(profile.to_string());
    if preset.sends_browsers() {
        form.redirect_uris = vec!["https://app.example/cb".to_owned()];
    }
    if preset == Preset::Service {
        form.serves = text(API);
    }
    // Without another proof, these have a secret, which the profile forbids.
    if profile == SecurityProfile::Fapi2 && !preset.is_public() {
        form.jwks = text(KEYS);
    }
    form
}

/// What becomes of a client of this kind of which this is said.
fn outcome(place: Place, said: &[&Setting]) -> Result<(), FieldErrors> {
    let mut form = least(place);
    for setting in said {
        (setting.say)(&mut form);
    }
    let blueprint = reach::checked(form.parse()?, &Rules::new(&[]))?;
    let authentication = ClientAuthentication {
        method: blueprint.method_of_new(),
        secrets: Vec::new(),
        keys: blueprint.keys.clone(),
    };
    let id = ClientId::generate(Timestamp::from_secs(1), &Entropy::seeded(1));
    let client: Client = built(id, blueprint, authentication);
    let mut errors = FieldErrors::default();
    check_settings(&mut errors, (None, &client), ABLE);
    errors.finish(Some(()))
}

#[test]
fn every_pair_of_settings_works_or_is_refused_with_a_reason() {
    let settings = settings();
    let names: BTreeSet<&str> = settings.iter().map(|setting| setting.name).collect();
    assert_eq!(names.len(), settings.len(), "each is named once");
    let page = Table::filled(&settings).page(&settings);
    let path = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join(PAGE);
    if std::env::var_os(ACCEPTS).is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = page.lines().zip(kept.lines()).find(|(made, kept)| made != kept);
    assert!(page == kept, "{PAGE} differs: {HOW} writes it. The first line: {differs:?}");
}

/// Refusals of a client of which all that starts with these names is said.
fn refusals(place: Place, names: &[&str]) -> Vec<(String, String)> {
    let all = settings();
    let said: Vec<&Setting> = all.into_iter().filter(|setting| names.contains(&setting.name)).collect();
    assert_eq!(said.len(), names.len(), "{names:?} are settings");
    let found = outcome(place, &said).err().unwrap_or_default();
    found.iter().map(|error| (error.pointer.clone(), error.message.clone())).collect()
}

#[test]
fn what_could_never_come_to_anything_is_refused_at_its_field() {
    use Preset::{Device, M2m, Native, Service, Spa, Web};
    const EXCHANGE: &str = "`token_exchange`, with its API";
    const DETAILS: &str = "`authorization_details_types`, with its API";
    const OBJECTS: &str = "`require_signed_request_object`";
    const PLAIN_SCOPES: &str = "`scopes`: `orders:read`";
    let options = |name: &str| format!("/options/{name}");
    let protocol = |name: &str| format!("/options/protocol/{name}");
    for (preset, names, pointer) in [
        (M2m, &[EXCHANGE][..], protocol("token_exchange")),
        (Web, &[EXCHANGE, "`dpop_bound_access_tokens`"], protocol("token_exchange")),
        (Web, &[EXCHANGE, "`tls_client_certificate_bound_access_tokens`"], protocol("token_exchange")),
        (M2m, &["`jwks`: keys", OBJECTS], protocol("require_signed_request_object")),
        (Service, &["`jwks`: keys", OBJECTS], protocol("require_signed_request_object")),
        (Device, &["`authorization_signed_response_alg`"], protocol("authorization_signed_response_alg")),
        (M2m, &["`authorization_signed_response_alg`"], protocol("authorization_signed_response_alg")),
        (Service, &["`authorization_signed_response_alg`"], protocol("authorization_signed_response_alg")),
        (Device, &["`initiate_login_uri`"], protocol("initiate_login_uri")),
        (M2m, &["`id_token_alg`: `RS256`"], options("id_token_alg")),
        (Service, &["`id_token_alg`: `EdDSA`"], options("id_token_alg")),
        (Web, &[PLAIN_SCOPES, "`id_token_alg`: `RS256`"], options("id_token_alg")),
        (Spa, &[PLAIN_SCOPES, "`userinfo_signed_response_alg`"], protocol("userinfo_signed_response_alg")),
        (M2m, &["`scopes`: `email`"], "/scopes".to_owned()),
        (Service, &["`scopes`: `email`"], "/scopes".to_owned()),
        (Device, &[DETAILS], options("authorization_details_types")),
        (Native, &[OBJECTS], protocol("require_signed_request_object")),
        (Spa, &["`request_object_signing_alg`"], protocol("request_object_signing_alg")),
    ] {
        let refused = refusals((preset, SecurityProfile::None), names);
        assert_eq!(refused.len(), 1, "{preset:?} {names:?}: {refused:?}");
        assert_eq!(refused[0].0, pointer, "{preset:?} {names:?}");
    }
    let bound = refusals((Web, SecurityProfile::Fapi2), &[EXCHANGE]);
    assert_eq!(
        bound.iter().map(|refused| refused.0.as_str()).collect::<Vec<_>>(),
        [protocol("token_exchange")]
    );
    for works in
        [&[EXCHANGE][..], &[PLAIN_SCOPES, "`subject_type`: `pairwise`"], &[DETAILS, "`device_grant`"]]
    {
        assert_eq!(refusals((Web, SecurityProfile::None), works), [], "{works:?}");
    }
}

#[test]
fn a_client_that_can_have_no_keys_is_not_told_to_give_some() {
    for preset in Preset::ALL.into_iter().filter(|preset| preset.is_public()) {
        for name in ["`require_signed_request_object`", "`request_object_signing_alg`"] {
            let refused = refusals((preset, SecurityProfile::None), &[name]);
            assert!(!refused.is_empty(), "{preset:?} {name}");
            assert!(refused.iter().all(|(_, why)| !why.contains("jwks")), "{preset:?} {name}: {refused:?}");
        }
    }
}
