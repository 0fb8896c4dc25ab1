//! What an admin says about a client, and the checks that make a working client of it.
//!
//! A client is checked as a whole: a redirect URI on a machine client, or a browser application with a secret, is a
//! mistake that no single field shows.

use crate::domain::claims::{OPENID, PERSONAL, SIGN_IN_SCOPES};
use crate::domain::client::{Client, ClientSettings, FirstParty, GrantType, Preset};
use crate::domain::client_authentication::{AuthMethod, ClientKeys};
use crate::domain::client_concessions::Concessions;
use crate::domain::client_url::ClientUrl;
use crate::domain::details::kind::DetailsTypeName;
use crate::domain::ids::{ApiId, OrganisationId};
use crate::domain::redirect_uri::RedirectUri;
use crate::domain::scope::ScopeSet;
use crate::domain::security_profile::SecurityProfile;
use crate::domain::signing::SigningAlg;
use crate::domain::spared::PkceNeed;
use crate::keys::jwks::ExternalKeys;
use crate::services::clients::authentication::AuthenticationForm;
use crate::services::clients::concessions::{self, ConcessionsForm};
use crate::services::clients::grants;
use crate::services::clients::openid::Rest;
use crate::services::clients::protocol::ProtocolForm;
use crate::services::fields::{FieldErrors, display_name};

/// The longest name of a client, in characters: it has to fit on the consent page.
const MAX_NAME: usize = 100;

/// The most entries of each list of a client.
const MAX_ENTRIES: usize = 100;

/// Where the address is at which keys are published.
pub(super) const JWKS_URI: &str = "/options/jwks_uri";

/// Where it is said what ID tokens are signed with.
const ID_TOKEN_ALG: &str = "/options/id_token_alg";

/// What they are signed with unless something else is said.
const USUAL_ALG: SigningAlg = SigningAlg::Es256;

/// Where the types of details are that a client may ask for.
pub(super) const DETAILS_TYPES: &str = "/options/authorization_details_types";

/// A client, as text from any edge.
#[derive(Clone, Debug, Default)]
pub struct ClientForm {
    /// What people call it.
    pub name: String,
    /// `web`, `spa`, `native`, `device`, `m2m` or `service`.
    pub preset: String,
    /// The organisation that owns it.
    pub organisation: Option<String>,
    /// Where answers may be sent.
    pub redirect_uris: Vec<String>,
    /// Where people may be sent after signing out.
    pub post_logout_redirect_uris: Vec<String>,
    /// Space-delimited. Without it: what the preset gives.
    pub scopes: Option<String>,
    /// The APIs that the client may ask tokens for.
    pub apis: Vec<String>,
    /// The API that the client serves: for `service` only.
    pub serves: Option<String>,
    /// Its public keys: what it signs with. Unless another method is named, it proves by them who it is (`private_key_jwt`).
    pub jwks: Option<String>,
    /// The rarely touched part.
    pub options: ClientOptions,
}

/// The rarely touched part of a client.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// `fapi2`, `none` or `oauth21`: what it is held to as a whole. Without it: what it was before, or nothing.
    pub profile: Option<String>,
    /// Whether it belongs to us, so that nobody is asked for consent.
    pub first_party: bool,
    /// `ES256` (the default), `EdDSA`, `PS256` or `RS256`.
    pub id_token_alg: Option<String>,
    /// Where it publishes its public keys, instead of registering them.
    pub jwks_uri: Option<String>,
    /// How it proves who it is.
    pub authentication: AuthenticationForm,
    /// What it is held to in the protocol.
    pub protocol: ProtocolForm,
    /// What it is spared that every other client is held to.
    pub concessions: ConcessionsForm,
    /// The types of details that it may ask for (RFC 9396 §10).
    pub authorization_details_types: Vec<String>,
}

/// A client that can work: everything but its id and its secret.
#[derive(Clone, Debug)]
pub(crate) struct Blueprint {
    /// What people call it.
    pub(crate) name: String,
    /// The organisation that owns it.
    pub(crate) organisation: Option<OrganisationId>,
    /// How it is to prove who it is, if that is said.
    pub(crate) method: Option<AuthMethod>,
    /// What it is to be held to as a whole, if that is said.
    pub(crate) profile: Option<SecurityProfile>,
    /// Its public keys, if any are given.
    pub(crate) keys: Option<ClientKeys>,
    /// The grants it may use.
    pub(crate) grants: Vec<GrantType>,
    /// Where answers may be sent.
    pub(crate) redirects: Vec<RedirectUri>,
    /// Where people may be sent after signing out.
    pub(crate) post_logout_redirects: Vec<RedirectUri>,
    /// The scopes it may ask for.
    pub(crate) scopes: ScopeSet,
    /// The rest.
    pub(crate) settings: ClientSettings,
}

impl Blueprint {
    /// How a new client proves who it is.
    pub(crate) fn method_of_new(&self) -> AuthMethod {
        self.method.unwrap_or(match &self.keys {
            _ if self.settings.preset.is_public() => AuthMethod::None,
            Some(_) => AuthMethod::PrivateKeyJwt,
            // What a trusted issuer says of it is its proof.
            None if !self.settings.protocol.assertion_issuers.is_empty() => AuthMethod::None,
            None => AuthMethod::ClientSecret,
        })
    }

    /// Spares a new client what is offered, as far as it can be spared it.
    pub(crate) fn spare(&mut self, offered: Concessions) {
        let (method, profile) = (self.method_of_new(), self.profile.unwrap_or_default());
        let need = PkceNeed::of(method, profile, &self.grants, &self.redirects);
        self.settings.concessions = concessions::bounded(offered, need, (method, profile));
    }
}

impl ClientForm {
    /// Checks every field and then the client as a whole.
    pub(crate) fn parse(&self) -> Result<Blueprint, FieldErrors> {
        let mut errors = FieldErrors::default();
        let preset = errors.take("/preset", self.preset.parse::<Preset>());
        let name = errors.take("/name", display_name(&self.name, MAX_NAME));
        let organisation = self.organisation.as_deref().map(OrganisationId::parse).transpose();
        let organisation = errors.take("/organisation", organisation);
        let redirects = uris(&mut errors, "/redirect_uris", &self.redirect_uris);
        let after_logout = uris(&mut errors, "/post_logout_redirect_uris", &self.post_logout_redirect_uris);
        let settings = preset.and_then(|preset| self.settings(&mut errors, preset));
        let way = preset.and_then(|preset| {
            self.options.authentication.parse(
                &mut errors,
                preset,
                !self.options.protocol.assertion_issuers.is_empty(),
            )
        });
        let scopes = preset.and_then(|preset| self.scopes(&mut errors, preset));
        let profile = self.options.profile.as_deref().map(str::parse::<SecurityProfile>).transpose();
        let profile = errors.take("/options/profile", profile);
        if let Some(preset) = preset {
            self.check_whole(&mut errors, preset);
        }
        let parsed = (|| {
            let (mut settings, way) = (settings?, way?);
            settings.protocol.proof = way.proof;
            Some(Blueprint {
                name: name?,
                organisation: organisation?,
                method: way.named,
                profile: profile?,
                keys: self.keys(),
                grants: grants::of(&settings),
                redirects: redirects?,
                post_logout_redirects: after_logout?,
                scopes: scopes?,
                settings,
            })
        })();
        errors.finish(parsed)
    }

    fn settings(&self, errors: &mut FieldErrors, preset: Preset) -> Option<ClientSettings> {
        let apis = errors.take_each("/apis", &self.apis, |id| ApiId::parse(id));
        let serves = errors.take("/serves", self.serves.as_deref().map(ApiId::parse).transpose());
        let alg = match self.options.id_token_alg.as_deref() {
            None => Some(USUAL_ALG),
            Some(name) => errors.take(ID_TOKEN_ALG, name.parse::<SigningAlg>()),
        };
        if self.apis.len() > MAX_ENTRIES {
            errors.refuse("/apis", "too-many", format!("must not have more than {MAX_ENTRIES} entries"));
        }
        let types = &self.options.authorization_details_types;
        let details_types = errors.take_each(DETAILS_TYPES, types, |name| DetailsTypeName::parse(name));
        if types.len() > MAX_ENTRIES {
            errors.refuse(
                DETAILS_TYPES,
                "too-many",
                format!("must not have more than {MAX_ENTRIES} entries"),
            );
        }
        let first_party = if self.options.first_party { FirstParty::Yes } else { FirstParty::No };
        let rest = Rest { preset, redirect_uris: &self.redirect_uris, apis: &self.apis };
        let protocol = self.options.protocol.parse(errors, rest);
        let concessions = self.options.concessions.parse(errors);
        Some(ClientSettings {
            first_party,
            id_token_alg: alg?,
            apis: apis?,
            details_types: details_types?,
            serves: serves?,
            preset,
            profile: SecurityProfile::None,
            protocol: protocol?,
            concessions: concessions?,
        })
    }

    fn scopes(&self, errors: &mut FieldErrors, preset: Preset) -> Option<ScopeSet> {
        let preset_scopes = if preset.signs_people_in() { SIGN_IN_SCOPES } else { "" };
        let raw = self.scopes.as_deref().unwrap_or(preset_scopes);
        let scopes = errors.take("/scopes", ScopeSet::parse(raw))?;
        if !preset.signs_people_in() && (scopes.contains("openid") || scopes.contains("offline_access")) {
            errors.refuse(
                "/scopes",
                "contradiction",
                "`openid` and `offline_access` are for clients that sign people in",
            );
        }
        Some(scopes)
    }

    /// What no single field shows.
    fn check_whole(&self, errors: &mut FieldErrors, preset: Preset) {
        if preset.sends_browsers() {
            if self.redirect_uris.is_empty() {
                errors.refuse(
                    "/redirect_uris",
                    "required",
                    "a client that signs people in needs at least one",
                );
            }
            if preset != Preset::Native {
                self.check_web_schemes(errors);
            }
        } else {
            for (pointer, uris) in [
                ("/redirect_uris", &self.redirect_uris),
                ("/post_logout_redirect_uris", &self.post_logout_redirect_uris),
            ] {
                if !uris.is_empty() {
                    errors.refuse(pointer, "contradiction", "a client that sends no browsers gets none back");
                }
            }
            if self.options.first_party {
                errors.refuse(
                    "/options/first_party",
                    "contradiction",
                    "people who type the code of a device are always asked, and a client without people asks nobody",
                );
            }
        }
        match (preset, &self.serves) {
            (Preset::Service, None) => {
                errors.refuse("/serves", "required", "name the API that this service serves");
            }
            (Preset::Service, Some(_)) | (_, None) => {}
            (_, Some(_)) => {
                errors.refuse("/serves", "contradiction", "only the preset `service` serves an API");
            }
        }
        self.check_keys(errors, preset);
    }

    /// A private scheme leads to an application on a device, never to a web site (RFC 8252 §7.1).
    fn check_web_schemes(&self, errors: &mut FieldErrors) {
        let lists = [
            ("/redirect_uris", &self.redirect_uris),
            ("/post_logout_redirect_uris", &self.post_logout_redirect_uris),
        ];
        for (pointer, uris) in lists {
            for (position, uri) in uris.iter().enumerate() {
                if !uri.starts_with("https://") && !uri.starts_with("http://") {
                    let message = "a web application is reached by https";
                    errors.refuse(format!("{pointer}/{position}"), "contradiction", message);
                }
            }
        }
    }

    fn check_keys(&self, errors: &mut FieldErrors, preset: Preset) {
        let uri = &self.options.jwks_uri;
        let pointer = if self.jwks.is_some() { "/jwks" } else { JWKS_URI };
        if preset.is_public() && (self.jwks.is_some() || uri.is_some()) {
            let message = "a client on a person's device cannot keep a private key secret";
            errors.refuse(pointer, "contradiction", message);
        }
        if self.jwks.is_some() && uri.is_some() {
            errors.refuse(
                JWKS_URI,
                "contradiction",
                "its keys are registered as `jwks`: give one of the two",
            );
        }
        if let Some(jwks) = &self.jwks {
            errors.take("/jwks", ExternalKeys::parse(jwks));
        }
        if let Some(uri) = uri {
            errors.take(JWKS_URI, ClientUrl::parse(uri));
        }
    }

    fn keys(&self) -> Option<ClientKeys> {
        let published = self.options.jwks_uri.as_deref().and_then(|uri| ClientUrl::parse(uri).ok());
        self.jwks.clone().map(ClientKeys::Registered).or(published.map(ClientKeys::At))
    }
}

/// Refuses what is about people who sign in, of a client to which nobody does.
pub(super) fn check(errors: &mut FieldErrors, client: &Client) {
    let (settings, signs_people_in) = (&client.settings, client.settings.preset.signs_people_in());
    // The usual one is what every client has of which nothing is said.
    if settings.id_token_alg != USUAL_ALG && !client.scopes.contains(OPENID) {
        let message = if signs_people_in {
            "without the scope `openid` the client gets no ID token: add it to `scopes`"
        } else {
            "a client without people gets no ID token"
        };
        errors.refuse(ID_TOKEN_ALG, "contradiction", message);
    }
    for scope in client.scopes.iter().filter(|scope| !signs_people_in && PERSONAL.contains(scope)) {
        errors.refuse("/scopes", "contradiction", format!("`{scope}` is for clients that sign people in"));
    }
}

fn uris(errors: &mut FieldErrors, pointer: &str, raw: &[String]) -> Option<Vec<RedirectUri>> {
    if raw.len() > MAX_ENTRIES {
        errors.refuse(pointer, "too-many", format!("must not have more than {MAX_ENTRIES} entries"));
        return None;
    }
    errors.take_each(pointer, raw, |uri| RedirectUri::parse(uri))
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: &str = "api_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c";

    fn form(preset: &str, redirect: Option<&str>) -> ClientForm {
        ClientForm {
            name: "Shop".to_owned(),
            preset: preset.to_owned(),
            redirect_uris: redirect.map(str::to_owned).into_iter().collect(),
            ..ClientForm::default()
        }
    }

    fn pointers(form: &ClientForm) -> Vec<String> {
        form.parse().unwrap_err().iter().map(|error| error.pointer.clone()).collect()
    }

    #[test]
    fn every_preset_makes_a_client_that_can_work() {
        use GrantType::{AuthorizationCode, ClientCredentials, DeviceCode, RefreshToken};
        let people = vec![AuthorizationCode, RefreshToken];
        for (preset, redirect, serves, proof, grants) in [
            ("web", Some("https://shop.example/cb"), None, AuthMethod::ClientSecret, people.clone()),
            ("spa", Some("https://shop.example/cb"), None, AuthMethod::None, people.clone()),
            ("native", Some("http://127.0.0.1/cb"), None, AuthMethod::None, people.clone()),
            ("native", Some("com.example.shop:/cb"), None, AuthMethod::None, people),
            ("device", None, None, AuthMethod::None, vec![DeviceCode, RefreshToken]),
            ("m2m", None, None, AuthMethod::ClientSecret, vec![ClientCredentials]),
            ("service", None, Some(API.to_owned()), AuthMethod::ClientSecret, vec![]),
        ] {
            let made = ClientForm { serves, ..form(preset, redirect) }.parse().unwrap();
            assert_eq!((made.method_of_new(), &made.grants), (proof, &grants), "{preset}");
            assert_eq!(made.settings.preset.as_str(), preset);
            assert_eq!(made.scopes.contains("openid"), made.grants.contains(&RefreshToken), "{preset}");
        }
    }

    #[test]
    fn a_redirect_uri_that_could_lead_elsewhere_is_refused_under_its_own_pointer() {
        for bad in [
            "https://shop.example/cb#x",
            "https://*.shop.example/cb",
            "https://me@shop.example/cb",
            "http://shop.example/cb",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "com.example.shop:/cb",
            "shop.example/cb",
            "",
        ] {
            let mut bad_second = form("web", Some("https://shop.example/cb"));
            bad_second.redirect_uris.push(bad.to_owned());
            assert!(pointers(&bad_second).iter().all(|pointer| pointer == "/redirect_uris/1"), "{bad}");
        }
    }

    #[test]
    fn combinations_that_cannot_work_are_refused_with_their_field() {
        let served =
            |preset| ClientForm { serves: Some(API.to_owned()), ..form(preset, Some("https://a.example")) };
        let keyed = |preset, redirect| ClientForm {
            jwks: Some("{\"keys\":[]}".to_owned()),
            ..form(preset, redirect)
        };
        let scoped = |scopes: &str| ClientForm { scopes: Some(scopes.to_owned()), ..form("m2m", None) };
        assert_eq!(pointers(&form("web", None)), ["/redirect_uris"]);
        assert_eq!(pointers(&form("m2m", Some("https://a.example"))), ["/redirect_uris"]);
        assert_eq!(pointers(&form("device", Some("https://a.example"))), ["/redirect_uris"]);
        let ours = ClientOptions { first_party: true, ..ClientOptions::default() };
        assert_eq!(pointers(&ClientForm { options: ours, ..form("device", None) }), ["/options/first_party"]);
        assert_eq!(pointers(&form("service", None)), ["/serves"]);
        assert_eq!(pointers(&served("web")), ["/serves"]);
        assert!(pointers(&keyed("spa", Some("https://a.example"))).contains(&"/jwks".to_owned()));
        assert_eq!(pointers(&scoped("openid")), ["/scopes"]);
        assert_eq!(pointers(&scoped("offline_access")), ["/scopes"]);
    }

    #[test]
    fn every_wrong_field_is_reported_at_once() {
        let wrong = ClientForm {
            name: " ".to_owned(),
            preset: "robot".to_owned(),
            organisation: Some("acme".to_owned()),
            ..ClientForm::default()
        };
        assert_eq!(pointers(&wrong), ["/preset", "/name", "/organisation"]);
    }
}
