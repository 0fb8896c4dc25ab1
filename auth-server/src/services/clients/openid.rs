//! What an admin says about what a client wants of OpenID Connect.

use url::{Host, Url};

use crate::domain::claim_text;
use crate::domain::claims::OPENID;
use crate::domain::client::{Client, Preset};
use crate::domain::client_openid::{ApplicationType, OpenIdSettings, SubjectType};
use crate::domain::redirect_uri::RedirectUri;
use crate::domain::signing::SigningAlg;
use crate::services::clients::ciba::CibaForm;
use crate::services::clients::signatures::REQUEST_ALG;
use crate::services::fields::FieldErrors;

/// How long ago somebody may have signed in.
pub(super) const DEFAULT_MAX_AGE: &str = "/options/protocol/default_max_age";

/// Where somebody is led who is to sign in there.
const INITIATE: &str = "/options/protocol/initiate_login_uri";
/// By which subject the client knows people.
const TYPE: &str = "/options/protocol/subject_type";
/// What answers about people are signed with.
const USERINFO_ALG: &str = "/options/protocol/userinfo_signed_response_alg";

/// What a client wants of OpenID Connect, as text from any edge.
#[derive(Clone, Debug, Default)]
pub struct OpenIdForm {
    /// `public` (the default) or `pairwise`.
    pub subject_type: Option<String>,
    /// The host whose clients share pairwise subjects. Without it: that of the redirect URIs.
    pub sector_identifier: Option<String>,
    /// What answers of the userinfo endpoint are signed with. Without it they are not.
    pub userinfo_signed_response_alg: Option<String>,
    /// Where others may send somebody who is to sign in there.
    pub initiate_login_uri: Option<String>,
    /// How many seconds ago somebody may have signed in, where a request does not say it.
    pub default_max_age: Option<u32>,
    /// What its request objects are signed by. Without it: whatever its keys sign by.
    pub request_object_signing_alg: Option<String>,
    /// Whether and how it may start sign-ins from behind.
    pub ciba: CibaForm,
    /// `native` or `web`: what kind of application it says that it is.
    pub application_type: Option<String>,
}

/// What else is said of the client, and has to fit.
#[derive(Clone, Copy)]
pub(super) struct Rest<'a> {
    pub(super) preset: Preset,
    pub(super) redirect_uris: &'a [String],
    pub(super) apis: &'a [String],
}

impl OpenIdForm {
    /// Checks it as a part of the whole client.
    pub(super) fn parse(&self, errors: &mut FieldErrors, rest: Rest<'_>) -> Option<OpenIdSettings> {
        if !rest.preset.signs_people_in() {
            self.refuse_without_people(errors);
        }
        let alg = self.userinfo_signed_response_alg.as_deref().map(str::parse::<SigningAlg>).transpose();
        let alg = errors.take(USERINFO_ALG, alg);
        let uri = self.initiate_login_uri.as_deref().map(claim_text::address_of_a_page).transpose();
        let uri = errors.take(INITIATE, uri);
        let request_alg =
            self.request_object_signing_alg.as_deref().map(str::parse::<SigningAlg>).transpose();
        let request_alg = errors.take(REQUEST_ALG, request_alg);
        if !rest.preset.sends_browsers() {
            self.refuse_without_browsers(errors);
        }
        let application_type =
            self.application_type.as_deref().map(str::parse::<ApplicationType>).transpose();
        let application_type = errors.take("/options/protocol/application_type", application_type);
        if application_type == Some(Some(ApplicationType::Web)) {
            refuse_off_the_web(errors, rest.redirect_uris);
        }
        let ciba = self.ciba.parse(errors, rest.preset);
        let subject = self.subject(errors, rest);
        uri?;
        Some(OpenIdSettings {
            subject: subject?,
            userinfo_alg: alg?,
            initiate_login_uri: self.initiate_login_uri.clone(),
            default_max_age_secs: self.default_max_age,
            request_object_alg: request_alg?,
            ciba,
            application_type: application_type?,
        })
    }

    fn refuse_without_people(&self, errors: &mut FieldErrors) {
        for (name, said) in [
            ("subject_type", &self.subject_type),
            ("userinfo_signed_response_alg", &self.userinfo_signed_response_alg),
            ("initiate_login_uri", &self.initiate_login_uri),
        ] {
            // That everybody has one subject is true of machines, too.
            if said.as_deref().is_some_and(|said| said != "public") {
                let message = "nobody signs in to a client without people";
                errors.refuse(format!("/options/protocol/{name}"), "contradiction", message);
            }
        }
    }

    /// Both are about authorization requests.
    fn refuse_without_browsers(&self, errors: &mut FieldErrors) {
        for (pointer, is_said) in [
            (DEFAULT_MAX_AGE, self.default_max_age.is_some()),
            (REQUEST_ALG, self.request_object_signing_alg.is_some()),
        ] {
            if is_said {
                let message = "a client that sends no browsers sends no authorization requests";
                errors.refuse(pointer, "contradiction", message);
            }
        }
    }

    fn subject(&self, errors: &mut FieldErrors, rest: Rest<'_>) -> Option<SubjectType> {
        const SECTOR: &str = "/options/protocol/sector_identifier";
        match self.subject_type.as_deref() {
            None | Some("public") if self.sector_identifier.is_some() => {
                errors.refuse(SECTOR, "contradiction", "only pairwise subjects have a sector");
                None
            }
            None | Some("public") => Some(SubjectType::Public),
            // Whoever may read such a token would learn what everybody else calls the person.
            Some("pairwise") if !rest.apis.is_empty() => {
                let message = "tokens for APIs name people by the subject that everybody knows, and this client could read them";
                errors.refuse(TYPE, "contradiction", message);
                None
            }
            Some("pairwise") => {
                let sector = match &self.sector_identifier {
                    Some(host) => errors.take(SECTOR, host_name(host)),
                    None => shared_host(rest.redirect_uris).or_else(|| {
                        let message =
                            "has to be said: the redirect URIs do not all use https and have the same host";
                        errors.refuse(SECTOR, "required", message);
                        None
                    }),
                };
                sector.map(|sector| SubjectType::Pairwise { sector })
            }
            Some(_) => {
                errors.refuse(TYPE, "invalid", "expected one of pairwise, public");
                None
            }
        }
    }
}

/// Refuses what would never be said to the client, and where nobody is ever led.
pub(super) fn check(errors: &mut FieldErrors, client: &Client) {
    let (preset, openid) = (client.settings.preset, &client.settings.protocol.openid);
    let is_told = client.scopes.contains(OPENID);
    if preset.signs_people_in() && !is_told && openid.userinfo_alg.is_some() {
        let message = "without the scope `openid` userinfo tells the client nothing: add it to `scopes`";
        errors.refuse(USERINFO_ALG, "contradiction", message);
    }
    if preset.signs_people_in() && !preset.sends_browsers() && openid.initiate_login_uri.is_some() {
        let message = "who is led there is led on to an authorization request, and a client that sends no browsers sends none";
        errors.refuse(INITIATE, "contradiction", message);
    }
}

/// OpenID Connect Registration §2. What is left to an application on a device is what any address may be: a private scheme, a loopback
/// address, or https, which RFC 8252 §7.2 has it use.
fn refuse_off_the_web(errors: &mut FieldErrors, redirect_uris: &[String]) {
    for (position, _) in redirect_uris.iter().enumerate().filter(|(_, uri)| !is_on_the_web(uri)) {
        let message = "the answers of an application of the type `web` go by https, and not to localhost";
        errors.refuse(format!("/redirect_uris/{position}"), "contradiction", message);
    }
}

/// Whether answers go by https, and not to the machine that the browser runs on.
fn is_on_the_web(raw: &str) -> bool {
    let url = Url::parse(raw).ok().filter(|url| url.scheme() == "https");
    url.is_some_and(|url| match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name != "localhost" && !name.ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => !address.is_loopback(),
        Some(Host::Ipv6(address)) => !address.is_loopback(),
        None => false,
    })
}

/// The text is no host.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("has to be a host in lower case, such as shop.example.com")]
struct InvalidHost;

fn host_name(raw: &str) -> Result<String, InvalidHost> {
    match Host::parse(raw) {
        Ok(Host::Domain(host)) if host == raw && host.len() <= 253 => Ok(host),
        _ => Err(InvalidHost),
    }
}

/// OpenID Connect Core §8.1: the host of the redirect URIs, if it is one.
fn shared_host(redirects: &[String]) -> Option<String> {
    let host = |raw: &String| {
        RedirectUri::parse(raw).ok()?;
        let url = Url::parse(raw).ok().filter(|url| url.scheme() == "https")?;
        url.host_str().map(str::to_owned)
    };
    let mut hosts = redirects.iter().map(host);
    let first = hosts.next()??;
    hosts.all(|other| other.as_ref() == Some(&first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(form: &OpenIdForm, redirects: &[&str]) -> Result<OpenIdSettings, String> {
        let redirect_uris: Vec<String> = redirects.iter().map(|uri| (*uri).to_owned()).collect();
        let mut errors = FieldErrors::default();
        let rest = Rest { preset: Preset::Web, redirect_uris: &redirect_uris, apis: &[] };
        let parsed = form.parse(&mut errors, rest);
        let first = errors.iter().next().map(|error| format!("{} {}", error.pointer, error.code));
        errors.finish(parsed).map_err(|_| first.unwrap_or_default())
    }

    fn pairwise(sector: Option<&str>, redirects: &[&str]) -> Result<String, String> {
        let form = OpenIdForm {
            subject_type: Some("pairwise".to_owned()),
            sector_identifier: sector.map(str::to_owned),
            ..OpenIdForm::default()
        };
        parse(&form, redirects).map(|settings| settings.subject.sector().unwrap_or_default().to_owned())
    }

    #[test]
    fn a_sector_is_the_host_of_the_redirect_uris_if_it_is_one() {
        let same = ["https://shop.example/cb", "https://shop.example:8443/other"];
        assert_eq!(pairwise(None, &same).as_deref(), Ok("shop.example"));
        assert_eq!(pairwise(Some("example.com"), &same).as_deref(), Ok("example.com"));
        for several in [
            &["https://shop.example/cb", "https://forum.example/cb"][..],
            &["https://shop.example/cb", "com.example.shop:/cb"],
            &["http://127.0.0.1/cb"],
            &[],
        ] {
            let refused = pairwise(None, several).unwrap_err();
            assert_eq!(refused, "/options/protocol/sector_identifier required", "{several:?}");
            assert_eq!(pairwise(Some("example.com"), several).as_deref(), Ok("example.com"), "{several:?}");
        }
    }

    #[test]
    fn an_application_on_the_web_gets_its_answers_there() {
        let refused = |kind: &str, uri: &str| {
            let form = OpenIdForm { application_type: Some(kind.to_owned()), ..OpenIdForm::default() };
            parse(&form, &["https://shop.example/cb", uri]).err()
        };
        for uri in [
            "http://127.0.0.1/cb",
            "http://[::1]:80/cb",
            "com.example.shop:/cb",
            "https://localhost/cb",
            "https://127.0.0.1/cb",
            "https://[::1]/cb",
            "https://localhost./cb",
            "https://a.localhost/cb",
        ] {
            assert_eq!(refused("web", uri).as_deref(), Some("/redirect_uris/1 contradiction"), "{uri}");
            assert_eq!(refused("native", uri), None, "{uri}");
        }
        for kind in ["native", "web"] {
            assert_eq!(refused(kind, "https://shop.example/other"), None, "{kind}");
        }
        let unknown = refused("service", "https://shop.example/other");
        assert_eq!(unknown.as_deref(), Some("/options/protocol/application_type invalid"));
    }

    #[test]
    fn a_sector_is_a_host_and_only_where_subjects_are_pairwise() {
        for odd in [
            "",
            "https://shop.example",
            "Shop.example",
            "shop.example/",
            "shop.example:443",
            "127.0.0.1",
            "a b",
        ] {
            let refused = pairwise(Some(odd), &["https://shop.example/cb"]).unwrap_err();
            assert_eq!(refused, "/options/protocol/sector_identifier invalid", "{odd}");
        }
        let form = OpenIdForm { sector_identifier: Some("shop.example".to_owned()), ..OpenIdForm::default() };
        assert_eq!(parse(&form, &[]).unwrap_err(), "/options/protocol/sector_identifier contradiction");
        let form = OpenIdForm { subject_type: Some("Pairwise".to_owned()), ..OpenIdForm::default() };
        assert_eq!(parse(&form, &[]).unwrap_err(), "/options/protocol/subject_type invalid");
    }
}
