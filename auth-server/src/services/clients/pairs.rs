//! Every two settings of a client, for every preset and profile: they go together, or the reason is told at one of the two.
//!
//! What goes together is kept in `docs/client-settings.md`, so that a rule that is added or lost shows there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::domain::client::{Client, Preset};
use crate::domain::client_authentication::ClientAuthentication;
use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientId;
use crate::domain::secret::Entropy;
use crate::domain::security_profile::SecurityProfile;
use crate::outbound::Rules;
use crate::services::clients::form::ClientForm;
use crate::services::clients::grants::{AssertionIssuerForm, TokenExchangeForm};
use crate::services::clients::{built, check_settings, reach};
use crate::services::fields::FieldErrors;
use crate::services::trial::ABLE;

const PAGE: &str = "docs/client-settings.md";
const ACCEPTS: &str = "PORTCULLIS_ACCEPT_SETTINGS";
const HOW: &str = "PORTCULLIS_ACCEPT_SETTINGS=1 cargo test -p portcullis-server every_pair_of_settings";

const API: &str = "api_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c";
const METHOD: &str = "/options/authentication/token_endpoint_auth_method";
/// A key that signs by ES256, and names a certificate.
const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","x5t#S256":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}"#;

/// One thing that is said of a client.
struct Setting {
    /// As the page has it. What stands before `:` is the member: a client has one value of each.
    name: &'static str,
    /// Where its refusals may point.
    pointers: &'static [&'static str],
    /// Says it, after all that stands before it in the list.
    say: fn(&mut ClientForm),
}

impl Setting {
    fn member(&self) -> &'static str {
        self.name.split(':').next().unwrap_or_default()
    }

    fn owns(&self, pointer: &str) -> bool {
        self.pointers
            .iter()
            .any(|own| pointer.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }
}

const fn setting(name: &'static str, pointers: &'static [&'static str], say: fn(&mut ClientForm)) -> Setting {
    Setting { name, pointers, say }
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

fn with_api(form: &mut ClientForm) {
    form.apis = vec![API.to_owned()];
}

fn with_keys(form: &mut ClientForm) {
    if form.options.jwks_uri.is_none() {
        form.jwks = text(KEYS);
    }
}

fn by_method(form: &mut ClientForm, method: &str) {
    form.options.authentication.token_endpoint_auth_method = text(method);
}

/// Who the client is, and what it may ask for.
const PLAIN: &[Setting] = &[
    setting("`redirect_uris`: at a loopback address", &["/redirect_uris"], |form| {
        form.redirect_uris = vec!["http://127.0.0.1/cb".to_owned()];
    }),
    setting("`redirect_uris`: of a private scheme", &["/redirect_uris"], |form| {
        form.redirect_uris = vec!["com.example.app:/cb".to_owned()];
    }),
    setting("`post_logout_redirect_uris`", &["/post_logout_redirect_uris"], |form| {
        form.post_logout_redirect_uris = vec!["https://app.example/bye".to_owned()];
    }),
    setting("`scopes`: `openid`", &["/scopes"], |form| form.scopes = text("openid")),
    setting("`scopes`: `email`", &["/scopes"], |form| form.scopes = text("email")),
    setting("`scopes`: `orders:read`", &["/scopes"], |form| form.scopes = text("orders:read")),
    setting("`apis`", &["/apis"], with_api),
    setting("`jwks`: keys", &["/jwks"], |form| form.jwks = text(KEYS)),
    setting("`first_party`", &["/options/first_party"], |form| form.options.first_party = true),
    setting("`id_token_alg`: `EdDSA`", &["/options/id_token_alg"], |form| {
        form.options.id_token_alg = text("EdDSA");
    }),
    setting("`id_token_alg`: `RS256`", &["/options/id_token_alg"], |form| {
        form.options.id_token_alg = text("RS256");
    }),
    setting("`jwks_uri`", &["/options/jwks_uri"], |form| {
        form.jwks = None;
        form.options.jwks_uri = text("https://app.example/keys");
    }),
    setting(
        "`authorization_details_types`, with its API",
        &["/options/authorization_details_types"],
        |form| {
            with_api(form);
            form.options.authorization_details_types = vec!["payment".to_owned()];
        },
    ),
];

/// How it proves who it is, and what its tokens are bound to.
const PROOFS: &[Setting] = &[
    setting("`token_endpoint_auth_method`: `none`", &[METHOD], |form| by_method(form, "none")),
    setting("`token_endpoint_auth_method`: `client_secret_basic`", &[METHOD], |form| {
        by_method(form, "client_secret_basic");
    }),
    setting("`token_endpoint_auth_method`: `private_key_jwt`, with keys", &[METHOD, "/jwks"], |form| {
        with_keys(form);
        by_method(form, "private_key_jwt");
    }),
    setting(
        "`token_endpoint_auth_method`: `self_signed_tls_client_auth`, with its certificate",
        &[METHOD, "/jwks"],
        |form| {
            with_keys(form);
            by_method(form, "self_signed_tls_client_auth");
        },
    ),
    setting("`token_endpoint_auth_method`: `tls_client_auth`, with a name", &[METHOD], |form| {
        form.options.authentication.tls_client_auth_san_dns = text("app.example");
        by_method(form, "tls_client_auth");
    }),
    setting(
        "`token_endpoint_auth_signing_alg`",
        &["/options/authentication/token_endpoint_auth_signing_alg"],
        |form| form.options.authentication.token_endpoint_auth_signing_alg = text("ES256"),
    ),
    setting("`assertion_audience`: `endpoint`", &["/options/protocol/assertion_audience"], |form| {
        form.options.concessions.assertion_audience = text("endpoint");
    }),
    setting("`require_pkce`: `false`", &["/options/protocol/require_pkce"], |form| {
        form.options.concessions.require_pkce = Some(false);
    }),
    setting("`dpop_bound_access_tokens`", &["/options/protocol/dpop_bound_access_tokens"], |form| {
        form.options.protocol.sender_constraint.dpop_bound_access_tokens = true;
    }),
    setting(
        "`tls_client_certificate_bound_access_tokens`",
        &["/options/protocol/tls_client_certificate_bound_access_tokens"],
        |form| form.options.protocol.sender_constraint.tls_client_certificate_bound_access_tokens = true,
    ),
];

/// How it asks, and what it is answered.
const REQUESTS: &[Setting] = &[
    setting("`require_pushed_requests`", &["/options/protocol/require_pushed_requests"], |form| {
        form.options.protocol.require_pushed_requests = true;
    }),
    setting(
        "`require_signed_request_object`",
        &["/options/protocol/require_signed_request_object"],
        |form| {
            form.options.protocol.require_signed_request_object = true;
        },
    ),
    setting("`request_object_signing_alg`", &["/options/protocol/request_object_signing_alg"], |form| {
        form.options.protocol.openid.request_object_signing_alg = text("ES256");
    }),
    setting(
        "`authorization_signed_response_alg`",
        &["/options/protocol/authorization_signed_response_alg"],
        |form| form.options.protocol.answers.authorization_signed_response_alg = text("ES256"),
    ),
    setting(
        "`introspection_signed_response_alg`",
        &["/options/protocol/introspection_signed_response_alg"],
        |form| form.options.protocol.answers.introspection_signed_response_alg = text("ES256"),
    ),
    setting("`userinfo_signed_response_alg`", &["/options/protocol/userinfo_signed_response_alg"], |form| {
        form.options.protocol.openid.userinfo_signed_response_alg = text("ES256");
    }),
    setting("`subject_type`: `pairwise`", &["/options/protocol/subject_type"], |form| {
        form.options.protocol.openid.subject_type = text("pairwise");
        // Said as well, so that it does not matter where answers go.
        form.options.protocol.openid.sector_identifier = text("app.example");
    }),
    setting("`sector_identifier`", &["/options/protocol/sector_identifier"], |form| {
        form.options.protocol.openid.sector_identifier = text("app.example");
    }),
    setting("`initiate_login_uri`", &["/options/protocol/initiate_login_uri"], |form| {
        form.options.protocol.openid.initiate_login_uri = text("https://app.example/begin");
    }),
    setting("`default_max_age`", &["/options/protocol/default_max_age"], |form| {
        form.options.protocol.openid.default_max_age = Some(600);
    }),
    setting("`application_type`: `web`", &["/options/protocol/application_type"], |form| {
        form.options.protocol.openid.application_type = text("web");
    }),
    setting("`backchannel_logout_uri`", &["/options/protocol/backchannel_logout_uri"], |form| {
        form.options.protocol.backchannel_logout_uri = text("https://app.example/gone");
    }),
    setting(
        "`backchannel_logout_session_required`",
        &["/options/protocol/backchannel_logout_session_required"],
        |form| form.options.protocol.backchannel_logout_session_required = true,
    ),
];

/// The grants beyond those of its preset.
const GRANTS: &[Setting] = &[
    setting("`device_grant`", &["/options/protocol/device_grant"], |form| {
        form.options.protocol.device_grant = true;
    }),
    setting("`token_exchange`, with its API", &["/options/protocol/token_exchange"], |form| {
        with_api(form);
        form.options.protocol.token_exchange =
            Some(TokenExchangeForm { apis: vec![API.to_owned()], impersonation: false });
    }),
    setting("`assertion_issuers`", &["/options/protocol/assertion_issuers"], |form| {
        form.options.protocol.assertion_issuers = vec![AssertionIssuerForm {
            issuer: "https://builds.example".to_owned(),
            jwks: KEYS.to_owned(),
            subjects: vec!["main".to_owned()],
        }];
    }),
    setting(
        "`backchannel_token_delivery_mode`: `poll`",
        &["/options/protocol/backchannel_token_delivery_mode"],
        |form| form.options.protocol.openid.ciba.delivery_mode = text("poll"),
    ),
    setting(
        "`backchannel_token_delivery_mode`: `ping`, with its endpoint",
        &[
            "/options/protocol/backchannel_token_delivery_mode",
            "/options/protocol/backchannel_client_notification_endpoint",
        ],
        |form| {
            form.options.protocol.openid.ciba.delivery_mode = text("ping");
            form.options.protocol.openid.ciba.notification_endpoint = text("https://app.example/ciba");
        },
    ),
    setting(
        "`backchannel_authentication_request_signing_alg`",
        &["/options/protocol/backchannel_authentication_request_signing_alg"],
        |form| form.options.protocol.openid.ciba.request_signing_alg = text("ES256"),
    ),
];

/// All of them. What is said later may take what was said before as given.
fn settings() -> Vec<&'static Setting> {
    [PLAIN, PROOFS, REQUESTS, GRANTS].into_iter().flatten().collect()
}

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
    said.iter().for_each(|setting| (setting.say)(&mut form));
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

/// What was found: by reason, where it holds.
type Reasons = BTreeMap<String, BTreeSet<Place>>;

/// All outcomes.
#[derive(Default)]
struct Table {
    /// Kinds of clients that there are.
    kinds: BTreeSet<Place>,
    alone: BTreeMap<usize, BTreeSet<Place>>,
    alone_refused: BTreeMap<usize, Reasons>,
    excluded: BTreeMap<(usize, usize), Reasons>,
    needed: BTreeMap<(usize, usize), BTreeSet<Place>>,
}

fn reasons(errors: &FieldErrors) -> impl Iterator<Item = String> {
    errors.iter().map(|error| error.message.clone())
}

/// A refusal has a reason, and points at what was said, or at what kind of client it is.
fn assert_told(errors: &FieldErrors, place: Place, said: &[&Setting]) {
    let names: Vec<&str> = said.iter().map(|setting| setting.name).collect();
    assert!(!errors.is_empty(), "{place:?} {names:?}");
    for error in errors.iter() {
        let is_kind = ["/preset", "/options/profile"].contains(&error.pointer.as_str());
        let is_said = said.iter().any(|setting| setting.owns(&error.pointer));
        assert!(is_kind || is_said, "{place:?} {names:?} points elsewhere: {error:?}");
        assert!(error.message.len() > 10, "{place:?} {names:?} has no reason: {error:?}");
    }
}

impl Table {
    fn filled(settings: &[&Setting]) -> Self {
        let mut table = Self::default();
        for place in places() {
            match outcome(place, &[]) {
                Ok(()) => _ = table.kinds.insert(place),
                Err(errors) => assert_told(&errors, place, &[]),
            }
            for (first, one) in settings.iter().enumerate() {
                table.add_alone(place, (first, one));
            }
            for (first, one) in settings.iter().enumerate() {
                for (second, other) in settings.iter().enumerate().skip(first + 1) {
                    if one.member() != other.member() {
                        table.add_pair(place, (first, one), (second, other));
                    }
                }
            }
        }
        table
    }

    fn add_alone(&mut self, place: Place, (position, one): (usize, &Setting)) {
        match outcome(place, &[one]) {
            Ok(()) => {
                assert!(self.kinds.contains(&place), "{place:?} {}", one.name);
                self.alone.entry(position).or_default().insert(place);
            }
            Err(errors) => {
                assert_told(&errors, place, &[one]);
                let found = self.alone_refused.entry(position).or_default();
                for reason in reasons(&errors).filter(|_| self.kinds.contains(&place)) {
                    found.entry(reason).or_default().insert(place);
                }
            }
        }
    }

    fn works_alone(&self, position: usize, place: Place) -> bool {
        self.alone.get(&position).is_some_and(|works| works.contains(&place))
    }

    fn add_pair(&mut self, place: Place, one: (usize, &Setting), other: (usize, &Setting)) {
        let (pair, said) = ((one.0, other.0), [one.1, other.1]);
        let both_work = self.works_alone(one.0, place) && self.works_alone(other.0, place);
        match outcome(place, &said) {
            Ok(()) if both_work => {}
            Ok(()) => {
                assert!(self.kinds.contains(&place), "{place:?} {} {}", one.1.name, other.1.name);
                self.needed.entry(pair).or_default().insert(place);
            }
            Err(errors) => {
                assert_told(&errors, place, &said);
                let found = reasons(&errors).filter(|_| both_work);
                for reason in found {
                    self.excluded.entry(pair).or_default().entry(reason).or_default().insert(place);
                }
            }
        }
    }

    /// Profiles of a preset, in words.
    fn profiles(&self, preset: Preset, places: &BTreeSet<Place>) -> Option<String> {
        let of = |places: &BTreeSet<Place>| -> Vec<String> {
            let here = places.iter().filter(|place| place.0 == preset);
            here.map(|place| format!("`{}`", place.1)).collect()
        };
        let (here, all) = (of(places), of(&self.kinds));
        if here.is_empty() {
            return None;
        }
        Some(if here == all { String::new() } else { here.join(", ") })
    }

    /// Places, in words.
    fn told(&self, places: &BTreeSet<Place>) -> String {
        let named = Preset::ALL.into_iter().filter_map(|preset| {
            let profiles = self.profiles(preset, places)?;
            let profiles = if profiles.is_empty() { profiles } else { format!(" ({profiles})") };
            Some(format!("`{}`{profiles}", preset.as_str()))
        });
        named.collect::<Vec<_>>().join(", ")
    }

    fn page(&self, settings: &[&Setting]) -> String {
        let mut page = HEAD.replace("{HOW}", HOW);
        let mut line = |text: &str| {
            page.push_str(text);
            page.push('\n');
        };
        line("## Profiles\n\n| preset | profiles |\n|---|---|");
        for preset in Preset::ALL {
            let all = self.kinds.iter().filter(|place| place.0 == preset);
            let all: Vec<String> = all.map(|place| format!("`{}`", place.1)).collect();
            line(&format!("| `{}` | {} |", preset.as_str(), all.join(", ")));
        }
        let heads = Preset::ALL.map(|preset| format!(" `{}` |", preset.as_str())).concat();
        line(&format!(
            "\n## Each by itself\n\n| setting |{heads}\n|---|{}",
            "---|".repeat(Preset::ALL.len())
        ));
        let nowhere = BTreeSet::new();
        for (position, setting) in settings.iter().enumerate() {
            let works = self.alone.get(&position).unwrap_or(&nowhere);
            let cells = Preset::ALL.map(|preset| match self.profiles(preset, works) {
                None => " no |".to_owned(),
                Some(profiles) if profiles.is_empty() => " yes |".to_owned(),
                Some(profiles) => format!(" {profiles} |"),
            });
            line(&format!("| {} |{}", setting.name, cells.concat()));
        }
        line("\n## Why not\n\n| setting | where | why |\n|---|---|---|");
        for (position, reasons) in &self.alone_refused {
            for (reason, places) in reasons {
                line(&format!("| {} | {} | {reason} |", settings[*position].name, self.told(places)));
            }
        }
        line(PAIRS);
        for ((one, other), reasons) in &self.excluded {
            for (reason, places) in reasons {
                let (one, other) = (settings[*one].name, settings[*other].name);
                line(&format!("| {one} | {other} | {} | {reason} |", self.told(places)));
            }
        }
        line(NEEDS);
        for ((one, other), places) in &self.needed {
            let (one, other) = (settings[*one].name, settings[*other].name);
            line(&format!("| {one} | {other} | {} |", self.told(places)));
        }
        page
    }
}

const HEAD: &str = "# Which settings of a client go together

For each preset and profile, what can be set by itself, and which two things can be set together. What cannot is refused with the reason below and the place of one of the two \
(`/options/protocol/..`). The members are those of the [document of a client](clients.md#everything-about-a-client-in-one-file). Of what stands before a colon a client has one value; what \
needs something else to be said with it stands here with that.

Two settings go together in each place where each of them goes by itself, unless they stand under [What excludes each other](#what-excludes-each-other), and in those places that are named under \
[What needs the other](#what-needs-the-other). Nowhere else. What depends on the configuration is not here: certificates have to be seen, and `protocol.device_grant` and `protocol.ciba_grant` have to be on. Nor is what depends on other \
things that are registered, such as what an [API](clients.md#what-access-tokens-are-signed-with) has its tokens signed with.

This page is made by `{HOW}`, and the test fails without the variable where the page differs.

";

const PAIRS: &str = "
## What excludes each other

Each of the two goes by itself there.

| one | other | where | why |
|---|---|---|---|";

const NEEDS: &str = "
## What needs the other

There, one of the two does not go by itself.

| one | other | where |
|---|---|---|";

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
    let said: Vec<&Setting> =
        all.into_iter().filter(|setting| names.iter().any(|name| setting.name == *name)).collect();
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
        (Web, &[PLAIN_SCOPES, "`subject_type`: `pairwise`"], protocol("subject_type")),
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
    for works in [&[EXCHANGE][..], &["`subject_type`: `pairwise`"], &[DETAILS, "`device_grant`"]] {
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
