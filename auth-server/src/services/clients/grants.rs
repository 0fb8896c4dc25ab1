//! What an admin says about the grants that a client gets beyond those of its preset, checked against the rest of it.

use crate::domain::client::{Client, ClientSettings, GrantType, Preset};
use crate::domain::client_protocol::{AssertionIssuer, DeviceGrant, TokenExchange};
use crate::domain::ids::ApiId;
use crate::keys::jwks::ExternalKeys;
use crate::services::clients::authentication::Abilities;
use crate::services::clients::ciba::MODE;
use crate::services::fields::FieldErrors;

/// Where it is said that a client signs people in on devices.
const DEVICE: &str = "/options/protocol/device_grant";

/// Where it is said what tokens may be exchanged for.
const EXCHANGE: &str = "/options/protocol/token_exchange";

/// The most APIs that tokens may be exchanged for.
const MAX_APIS: usize = 100;

/// The most issuers whose assertions one client may show.
const MAX_ISSUERS: usize = 5;

/// The most subjects of one of them.
const MAX_SUBJECTS: usize = 100;

/// The longest name of an issuer or a subject.
const MAX_IDENTIFIER: usize = 512;

/// An issuer whose assertions a client may show, as text from any edge.
#[derive(Clone, Debug, Default)]
pub struct AssertionIssuerForm {
    /// The `iss` of the assertions.
    pub issuer: String,
    /// The public keys that they are signed with, as a JWK set in JSON.
    pub jwks: String,
    /// The `sub` of those that mean this client.
    pub subjects: Vec<String>,
}

/// Whose assertions a client may show: one that acts for itself.
pub(super) fn assertion_issuers(
    forms: &[AssertionIssuerForm],
    preset: Preset,
    errors: &mut FieldErrors,
) -> Option<Vec<AssertionIssuer>> {
    const POINTER: &str = "/options/protocol/assertion_issuers";
    if !forms.is_empty() && preset != Preset::M2m {
        errors.refuse(POINTER, "contradiction", "only the preset `m2m` is known by what others say of it");
    }
    if forms.len() > MAX_ISSUERS {
        errors.refuse(POINTER, "too-many", format!("must not have more than {MAX_ISSUERS} entries"));
        return None;
    }
    let mut issuers = Vec::new();
    for (position, form) in forms.iter().enumerate() {
        let at = format!("{POINTER}/{position}");
        if forms.iter().take(position).any(|other| other.issuer == form.issuer) {
            errors.refuse(format!("{at}/issuer"), "contradiction", "is named twice");
        }
        issuers.push(form.parse(&at, errors));
    }
    issuers.into_iter().collect()
}

impl AssertionIssuerForm {
    fn parse(&self, at: &str, errors: &mut FieldErrors) -> Option<AssertionIssuer> {
        let issuer = errors.take(&format!("{at}/issuer"), identifier(&self.issuer));
        let keys = errors.take(&format!("{at}/jwks"), ExternalKeys::parse(&self.jwks));
        let pointer = format!("{at}/subjects");
        if self.subjects.is_empty() {
            errors.refuse(pointer.as_str(), "required", "name the subjects that mean this client");
        }
        if self.subjects.len() > MAX_SUBJECTS {
            errors.refuse(pointer, "too-many", format!("must not have more than {MAX_SUBJECTS} entries"));
            return None;
        }
        let subjects = errors.take_each(&pointer, &self.subjects, |subject| identifier(subject));
        keys?;
        Some(AssertionIssuer { issuer: issuer?, jwks: self.jwks.clone(), subjects: subjects? })
    }
}

/// An identifier is compared as it is, so one that nobody can see the whole of is refused. A star means nothing, and whoever writes
/// one means something.
fn identifier(raw: &str) -> Result<String, &'static str> {
    let visible =
        !raw.is_empty() && raw.len() <= MAX_IDENTIFIER && raw.bytes().all(|byte| byte.is_ascii_graphic());
    if !visible {
        Err("must be 1 to 512 visible characters of ASCII")
    } else if raw.contains('*') {
        Err("is compared as it is: a star stands for nothing else")
    } else {
        Ok(raw.to_owned())
    }
}

/// What a client may exchange tokens for, as text from any edge.
#[derive(Clone, Debug, Default)]
pub struct TokenExchangeForm {
    /// Which of its APIs.
    pub apis: Vec<String>,
    /// Whether it may pass for the user.
    pub impersonation: bool,
}

/// Whether a client may ask for sign-ins on devices: one that is made for that always does.
pub(super) fn device_grant(wish: bool, preset: Preset, errors: &mut FieldErrors) -> DeviceGrant {
    let message = match preset {
        Preset::Device | Preset::Native | Preset::Web => return (wish || preset == Preset::Device).into(),
        Preset::Spa => "an application in a browser sends people to the sign-in page itself",
        Preset::M2m | Preset::Service => "a client without people signs nobody in",
    };
    if wish {
        errors.refuse(DEVICE, "contradiction", message);
    }
    DeviceGrant::Refused
}

impl TokenExchangeForm {
    /// Which tokens a client may have: `apis` are all that it may ask tokens for.
    pub(super) fn parse(
        &self,
        preset: Preset,
        apis: &[String],
        errors: &mut FieldErrors,
    ) -> Option<TokenExchange> {
        const POINTER: &str = "/options/protocol/token_exchange/apis";
        if matches!(preset, Preset::Device | Preset::Native | Preset::Spa) {
            let message = "a client that cannot keep a secret exchanges no tokens";
            errors.refuse(EXCHANGE, "contradiction", message);
        }
        if self.apis.is_empty() {
            errors.refuse(POINTER, "required", "name the APIs that tokens may be exchanged for");
        }
        if self.apis.len() > MAX_APIS {
            errors.refuse(POINTER, "too-many", format!("must not have more than {MAX_APIS} entries"));
            return None;
        }
        for (position, api) in self.apis.iter().enumerate().filter(|(_, api)| !apis.contains(api)) {
            // What is no id at all is told by its parser.
            if ApiId::parse(api).is_ok() {
                let message = "is none of the APIs that this client may ask tokens for: add it to `apis`";
                errors.refuse(format!("{POINTER}/{position}"), "contradiction", message);
            }
        }
        let apis = errors.take_each(POINTER, &self.apis, |api| ApiId::parse(api))?;
        Some(TokenExchange { apis, impersonation: self.impersonation.into() })
    }
}

/// Refuses an exchange for which the client could never show a token (RFC 8693 §2.1).
pub(super) fn check_exchange(errors: &mut FieldErrors, client: &Client) {
    let settings = &client.settings;
    if settings.protocol.token_exchange.is_none() {
        return;
    }
    let constraint = settings.protocol.sender_constraint;
    let are_bound = constraint.dpop_bound_access_tokens
        || constraint.tls_client_certificate_bound_access_tokens
        || settings.profile.demands_bound_tokens();
    let message = match settings.preset {
        Preset::M2m => {
            "a client without people has no token of a user, and nobody calls it with one: make it a `service`, which is called"
        }
        Preset::Web if are_bound => {
            "such a client has its own tokens to show and no others, all of these are bound to a key or a certificate, and none that is bound is exchanged"
        }
        // What cannot keep a secret is refused as it is read.
        Preset::Device | Preset::Native | Preset::Service | Preset::Spa | Preset::Web => return,
    };
    errors.refuse(EXCHANGE, "contradiction", message);
}

/// Refuses what this server gives nobody.
pub(super) fn check_given(errors: &mut FieldErrors, client: &Client, abilities: Abilities) {
    let protocol = &client.settings.protocol;
    if protocol.device_grant.is_allowed() && !abilities.device_grant.is_allowed() {
        let pointer = if client.settings.preset == Preset::Device { "/preset" } else { DEVICE };
        let message = "no device signs anybody in at this server: protocol.device_grant is switched off";
        errors.refuse(pointer, "contradiction", message);
    }
    if protocol.openid.ciba.is_some() && !abilities.ciba_grant.is_allowed() {
        let message =
            "nobody starts sign-ins from behind at this server: protocol.ciba_grant is switched off";
        errors.refuse(MODE, "contradiction", message);
    }
}

/// The grants of a client: those of its preset, and those that it is given beside them.
pub(super) fn of(settings: &ClientSettings) -> Vec<GrantType> {
    let protocol = &settings.protocol;
    let mut grants = match settings.preset {
        Preset::Device => vec![GrantType::RefreshToken],
        Preset::Native | Preset::Spa | Preset::Web => {
            vec![GrantType::AuthorizationCode, GrantType::RefreshToken]
        }
        Preset::Service if settings.apis.is_empty() => Vec::new(),
        Preset::M2m | Preset::Service => vec![GrantType::ClientCredentials],
    };
    if protocol.openid.ciba.is_some() {
        grants.push(GrantType::Ciba);
    }
    if protocol.device_grant.is_allowed() {
        grants.push(GrantType::DeviceCode);
    }
    if !protocol.assertion_issuers.is_empty() {
        grants.push(GrantType::JwtBearer);
    }
    if protocol.token_exchange.is_some() {
        grants.push(GrantType::TokenExchange);
    }
    grants.sort_unstable();
    grants
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: &str = "api_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c";
    const OTHER: &str = "api_0190c8b0a4e27f3a9d2f4b6c8e0a1b2d";

    fn pointers(errors: &FieldErrors) -> Vec<String> {
        errors.iter().map(|error| error.pointer.clone()).collect()
    }

    fn exchange(preset: Preset, apis: &[&str]) -> Vec<String> {
        let form = TokenExchangeForm {
            apis: apis.iter().map(ToString::to_string).collect(),
            ..TokenExchangeForm::default()
        };
        let mut errors = FieldErrors::default();
        let parsed = form.parse(preset, &[API.to_owned()], &mut errors);
        assert_eq!(
            parsed.is_some_and(|parsed| !parsed.apis.is_empty()) && errors.is_empty(),
            errors.is_empty()
        );
        pointers(&errors)
    }

    #[test]
    fn a_client_exchanges_tokens_for_apis_of_its_own() {
        assert_eq!(exchange(Preset::Service, &[API]), [""; 0]);
        assert_eq!(exchange(Preset::Web, &[API]), [""; 0]);
        assert_eq!(exchange(Preset::Service, &[]), ["/options/protocol/token_exchange/apis"]);
        for other in [OTHER, "x"] {
            assert_eq!(exchange(Preset::Service, &[API, other]), ["/options/protocol/token_exchange/apis/1"]);
        }
        for public in [Preset::Device, Preset::Native, Preset::Spa] {
            assert_eq!(exchange(public, &[API]), ["/options/protocol/token_exchange"]);
        }
        let many = vec![API; MAX_APIS + 1];
        assert_eq!(exchange(Preset::Service, &many), ["/options/protocol/token_exchange/apis"]);
    }

    fn keys() -> String {
        let point = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"a","x":"{point}"}}]}}"#)
    }

    fn issuers(preset: Preset, forms: &[AssertionIssuerForm]) -> Vec<String> {
        let mut errors = FieldErrors::default();
        assertion_issuers(forms, preset, &mut errors);
        pointers(&errors)
    }

    #[test]
    fn an_issuer_is_named_with_its_keys_and_the_subjects_that_are_meant() {
        const AT: &str = "/options/protocol/assertion_issuers";
        let good = AssertionIssuerForm {
            issuer: "https://builds.example".to_owned(),
            jwks: keys(),
            subjects: vec!["repo:orders:ref:main".to_owned()],
        };
        assert_eq!(issuers(Preset::M2m, std::slice::from_ref(&good)), [""; 0]);
        for preset in Preset::ALL.into_iter().filter(|preset| *preset != Preset::M2m) {
            assert_eq!(issuers(preset, std::slice::from_ref(&good)), [AT], "{preset:?}");
            assert_eq!(issuers(preset, &[]), [""; 0]);
        }
        assert_eq!(issuers(Preset::M2m, &[good.clone(), good.clone()]), [format!("{AT}/1/issuer")]);
        assert_eq!(issuers(Preset::M2m, &vec![good.clone(); MAX_ISSUERS + 1]), [AT]);
        let with = |change: fn(&mut AssertionIssuerForm)| {
            let mut form = good.clone();
            change(&mut form);
            issuers(Preset::M2m, &[form])
        };
        assert_eq!(with(|form| form.issuer.clear()), [format!("{AT}/0/issuer")]);
        assert_eq!(with(|form| form.jwks = "{}".to_owned()), [format!("{AT}/0/jwks")]);
        assert_eq!(with(|form| form.subjects.clear()), [format!("{AT}/0/subjects")]);
        assert_eq!(with(|form| form.subjects.push("repo:*".to_owned())), [format!("{AT}/0/subjects/1")]);
        assert_eq!(with(|form| form.subjects.push(String::new())), [format!("{AT}/0/subjects/1")]);
        assert_eq!(
            with(|form| form.subjects = vec!["x".to_owned(); MAX_SUBJECTS + 1]),
            [format!("{AT}/0/subjects")]
        );
    }

    #[test]
    fn only_what_signs_people_in_without_being_in_a_browser_gets_the_device_grant() {
        for (preset, asked, given) in [
            (Preset::Device, false, true),
            (Preset::Native, true, true),
            (Preset::Native, false, false),
            (Preset::Web, true, true),
        ] {
            let mut errors = FieldErrors::default();
            assert_eq!(device_grant(asked, preset, &mut errors).is_allowed(), given, "{preset:?}");
            assert!(errors.is_empty());
        }
        for preset in [Preset::M2m, Preset::Service, Preset::Spa] {
            let mut errors = FieldErrors::default();
            assert!(!device_grant(true, preset, &mut errors).is_allowed());
            assert_eq!(pointers(&errors), ["/options/protocol/device_grant"], "{preset:?}");
        }
    }
}
