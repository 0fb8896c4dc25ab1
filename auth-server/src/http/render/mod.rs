//! Templates, and the headers that every page carries.

pub(crate) mod assets;
#[cfg(test)]
mod contrast;
pub(crate) mod error_page;
mod text;

use std::sync::Arc;

use axum::response::{Html, IntoResponse as _, Response};
use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use serde::Serialize;

use crate::domain::issuer::Issuer;
use crate::http::render::assets::Assets;
use crate::http::render::error_page::ErrorPage;
use crate::http::render::text::{BadTexts, Texts};

const TEMPLATES: [(&str, &str); 46] = [
    ("account.html", include_str!("../../../templates/account.html")),
    ("activation.html", include_str!("../../../templates/activation.html")),
    ("approvals.html", include_str!("../../../templates/approvals.html")),
    ("apps.html", include_str!("../../../templates/apps.html")),
    ("base.html", include_str!("../../../templates/base.html")),
    ("code.html", include_str!("../../../templates/code.html")),
    ("consent.html", include_str!("../../../templates/consent.html")),
    ("data.html", include_str!("../../../templates/data.html")),
    ("deletion.html", include_str!("../../../templates/deletion.html")),
    ("device.html", include_str!("../../../templates/device.html")),
    ("device_confirm.html", include_str!("../../../templates/device_confirm.html")),
    ("device_end.html", include_str!("../../../templates/device_end.html")),
    ("email.html", include_str!("../../../templates/email.html")),
    ("error.html", include_str!("../../../templates/error.html")),
    ("form_post.html", include_str!("../../../templates/form_post.html")),
    ("leaving.html", include_str!("../../../templates/leaving.html")),
    ("letter.html", include_str!("../../../templates/letter.html")),
    ("letter_code.html", include_str!("../../../templates/letter_code.html")),
    ("log.html", include_str!("../../../templates/log.html")),
    ("logged_out.html", include_str!("../../../templates/logged_out.html")),
    ("history.html", include_str!("../../../templates/history.html")),
    ("login.html", include_str!("../../../templates/login.html")),
    ("logout.html", include_str!("../../../templates/logout.html")),
    ("parts.html", include_str!("../../../templates/parts.html")),
    ("passkeys.html", include_str!("../../../templates/passkeys.html")),
    ("password.html", include_str!("../../../templates/password.html")),
    ("policies.html", include_str!("../../../templates/policies.html")),
    ("profile.html", include_str!("../../../templates/profile.html")),
    ("recovery_codes.html", include_str!("../../../templates/recovery_codes.html")),
    ("recover.html", include_str!("../../../templates/recover.html")),
    ("recover_address.html", include_str!("../../../templates/recover_address.html")),
    ("recover_new.html", include_str!("../../../templates/recover_new.html")),
    ("recover_sent.html", include_str!("../../../templates/recover_sent.html")),
    ("revision.html", include_str!("../../../templates/revision.html")),
    ("routes.html", include_str!("../../../templates/routes.html")),
    ("rulebooks.html", include_str!("../../../templates/rulebooks.html")),
    ("second_step.html", include_str!("../../../templates/second_step.html")),
    ("security.html", include_str!("../../../templates/security.html")),
    ("sessions.html", include_str!("../../../templates/sessions.html")),
    ("setup.html", include_str!("../../../templates/setup.html")),
    ("sign_up.html", include_str!("../../../templates/sign_up.html")),
    ("sign_up_new.html", include_str!("../../../templates/sign_up_new.html")),
    ("sign_up_sent.html", include_str!("../../../templates/sign_up_sent.html")),
    ("told.html", include_str!("../../../templates/told.html")),
    ("try.html", include_str!("../../../templates/try.html")),
    ("verify.html", include_str!("../../../templates/verify.html")),
];

/// What a template is given.
pub(crate) trait Page: Serialize {
    /// The template's file name.
    const TEMPLATE: &'static str;
    /// Where the forms of the page end.
    const FORMS: Forms = Forms::StayHere;
    /// What the scripts of the page may do.
    const SCRIPTS: Scripts = Scripts::Stay;
}

/// What the scripts of a page may do beside what they do on it.
#[derive(Clone, Copy)]
pub(crate) enum Scripts {
    /// They may ask this server something.
    AskHere,
    /// Nothing.
    Stay,
}

/// Where the forms of a page end.
#[derive(Clone, Copy)]
pub(crate) enum Forms {
    /// At the application that the answer to the form redirects to.
    ///
    /// Browsers hold `form-action` against every redirect that follows a form, and a client may redirect onwards to
    /// hosts that we do not know: no list can be right. These pages go without the directive; what it would stop, a
    /// form injected into the page, is stopped by escaping.
    LeadAway,
    /// Here.
    StayHere,
}

/// Why the pages cannot be shown at all.
#[derive(Debug, thiserror::Error)]
pub enum PagesError {
    /// The sentences of the pages.
    #[error(transparent)]
    Texts(#[from] BadTexts),
    /// A template.
    #[error("a template cannot be read: {0}")]
    Template(#[from] minijinja::Error),
}

/// Shows pages.
#[derive(Clone)]
pub(crate) struct Pages(Arc<Inner>);

struct Inner {
    templates: Environment<'static>,
    assets: Assets,
    /// What stands before every path: the path of the issuer.
    base: String,
}

impl Pages {
    /// Reads every template.
    pub(crate) fn open(issuer: &Issuer) -> Result<Self, PagesError> {
        let texts = Texts::english()?;
        let assets = Assets::new();
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_auto_escape_callback(|_| AutoEscape::Html);
        let (addresses, base) = (assets.clone(), issuer.path().to_owned());
        templates.add_global("base", Value::from_safe_string(base.clone()));
        let place = base.clone();
        templates.add_function("asset", move |name: &str| asset_address(&addresses, &place, name));
        templates.add_function("t", move |key: &str, places: Kwargs| texts.say(key, &places));
        for (name, source) in TEMPLATES {
            templates.add_template(name, source)?;
        }
        Ok(Self(Arc::new(Inner { templates, assets, base })))
    }

    /// Answers with a page.
    pub(crate) fn show<P: Page>(&self, status: StatusCode, page: &P) -> Response {
        match self.render(page) {
            Ok(html) => with_headers((status, Html(html)).into_response(), (P::FORMS, P::SCRIPTS)),
            Err(error) => {
                tracing::error!(template = P::TEMPLATE, error = %error, "a page cannot be rendered");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }

    /// Answers with an error page.
    pub(crate) fn error(&self, page: &ErrorPage) -> Response {
        let mut response = self.show(page.status(), page);
        response.extensions_mut().insert(page.cause());
        if let Some(seconds) = page.retry_after_secs() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// Sends the browser to another page of ours. `303`: it asks for that one with GET.
    pub(crate) fn go(&self, path: &str) -> Response {
        Self::leave(&format!("{}{path}", self.0.base))
    }

    /// Sends the browser to an address that was checked before: one that a client registered.
    pub(crate) fn leave(address: &str) -> Response {
        let Ok(location) = HeaderValue::from_str(address) else {
            tracing::error!("an address that was checked before fits no header");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let headers = [
            (header::LOCATION, location),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        ];
        (StatusCode::SEE_OTHER, headers).into_response()
    }

    pub(super) fn assets(&self) -> &Assets {
        &self.0.assets
    }

    fn render<P: Page>(&self, page: &P) -> Result<String, minijinja::Error> {
        self.0.templates.get_template(P::TEMPLATE)?.render(context! { page => Serde(page) })
    }
}

fn asset_address(assets: &Assets, base: &str, name: &str) -> Result<Value, minijinja::Error> {
    let unknown =
        || minijinja::Error::new(minijinja::ErrorKind::UndefinedError, format!("there is no file `{name}`"));
    assets.address(name).map(|path| Value::from_safe_string(format!("{base}{path}"))).ok_or_else(unknown)
}

/// Nothing but our own files, no frames, no script sinks. CSP level 3, ASVS 3.4.3 and 3.4.6.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; \
     frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The same for pages whose forms lead away: see [`Forms::LeadAway`].
const POLICY_LEADING_AWAY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // For browsers that do not know `frame-ancestors`.
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// What a policy has beside that where scripts may ask.
const ASKING: &str = "; connect-src 'self'";

fn with_headers(mut response: Response, (forms, scripts): (Forms, Scripts)) -> Response {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let policy = match forms {
        Forms::LeadAway => POLICY_LEADING_AWAY,
        Forms::StayHere => POLICY,
    };
    let policy = match scripts {
        Scripts::AskHere => HeaderValue::try_from(format!("{policy}{ASKING}")),
        Scripts::Stay => Ok(HeaderValue::from_static(policy)),
    };
    // Nothing at all may be loaded where that could not be written.
    let nothing = HeaderValue::from_static("default-src 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.unwrap_or(nothing));
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt as _;

    use super::*;
    use crate::http::render::error_page::ErrorKind;

    fn pages(issuer: &str) -> Pages {
        Pages::open(&Issuer::parse(issuer).unwrap()).unwrap()
    }

    async fn text(response: Response) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn every_error_page_is_whole_and_says_its_status_and_reference() {
        for kind in ErrorKind::ALL {
            let page = ErrorPage::new(kind).retry_after(Duration::from_millis(1500)).reference("abc123");
            let status = page.status();
            let response = pages("http://localhost:8080").error(&page);
            assert_eq!(response.status(), status, "{kind:?}");
            assert_eq!(response.headers()[header::RETRY_AFTER], "2", "{kind:?}");
            let html = text(response).await;
            assert!(html.contains("<title>Error: "), "{kind:?}: {html}");
            assert!(
                html.contains("abc123") && html.contains(status.as_str()) && html.ends_with("</html>"),
                "{kind:?}"
            );
        }
    }

    #[tokio::test]
    async fn what_comes_from_outside_is_text_on_a_page_and_nothing_else() {
        let page =
            ErrorPage::new(ErrorKind::BadClient).parameter("redirect_uri", "\"'><script>alert(1)</script>");
        let html = text(pages("http://localhost:8080").error(&page)).await;
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("&lt;script&gt;"), "{html}");
    }

    #[test]
    fn every_page_is_protected_by_its_headers() {
        let response = pages("http://localhost:8080").error(&ErrorPage::new(ErrorKind::NotFound));
        let headers = response.headers();
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.split("; ").any(|found| found.trim() == part), "{part} in {policy}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
        assert_eq!(headers[header::X_FRAME_OPTIONS], "DENY");
        assert_eq!(headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
    }

    #[test]
    fn no_template_holds_a_script_or_a_style_of_its_own() {
        for (name, source) in TEMPLATES {
            for inline in ["<style", " style=", " onclick=", " onload=", "javascript:"] {
                assert!(!source.contains(inline), "{inline} in {name}");
            }
            for tag in source.split("<script").skip(1) {
                assert!(tag.starts_with(" type=\"module\" src=\"{{ asset("), "{name}: {tag}");
            }
            assert!(!source.contains("|safe"), "{name}");
        }
    }

    #[tokio::test]
    async fn an_issuer_below_a_path_stands_before_every_link() {
        let pages = pages("https://example.org/auth");
        let html = text(pages.error(&ErrorPage::new(ErrorKind::NotFound))).await;
        assert!(
            html.contains("href=\"/auth&#x2f;account\"") && html.contains("href=\"/auth/static/"),
            "{html}"
        );
        assert_eq!(pages.go("/login").headers()[header::LOCATION], "/auth/login");
        assert_eq!(
            Pages::leave("https://rp.test/cb?x=1").headers()[header::LOCATION],
            "https://rp.test/cb?x=1"
        );
    }
}
