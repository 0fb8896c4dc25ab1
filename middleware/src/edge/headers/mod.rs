//! The headers that tell a browser what an answer may do, and others what they may do with it.

mod choices;
mod nonce;
mod policy;
mod write;

use std::sync::Arc;
use std::time::Duration;

use http::header::{
    HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

pub use self::choices::{EmbedderPolicy, OpenerPolicy, ReferrerPolicy, ResourcePolicy};
pub use self::nonce::CspNonce;
use self::policy::Policy;
pub(crate) use self::write::{Dress, HeaderRules};

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// What pages may use of the machine only if somebody says so.
const FEATURES: [&str; 14] = [
    "accelerometer",
    "bluetooth",
    "camera",
    "display-capture",
    "geolocation",
    "gyroscope",
    "hid",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "serial",
    "usb",
    "xr-spatial-tracking",
];

/// The security headers of every answer, the refusals of the guard no less: given to
/// [`GuardBuilder::headers`](crate::GuardBuilder::headers), or to a route.
///
/// | header | an API | pages | where the handler sets it |
/// |---|---|---|---|
/// | `Content-Security-Policy` | `default-src 'none'; frame-ancestors 'none'` | of their own origin, with a nonce for scripts | both are in force: it can narrow, never widen |
/// | `Cache-Control` | `no-store` | `no-store` | the handler's counts, unless it took a [nonce](CspNonce) |
/// | `X-Content-Type-Options` | `nosniff` | `nosniff` | replaced |
/// | `Referrer-Policy` | `no-referrer` | `same-origin` | the stricter one |
/// | `Cross-Origin-Resource-Policy` | `same-origin` | `same-origin` | the stricter one |
/// | `Cross-Origin-Opener-Policy` | none | `same-origin` | the stricter one |
/// | `Cross-Origin-Embedder-Policy` | none | none unless declared | the stricter one |
/// | `Permissions-Policy` | none | denies camera, microphone, location and the like | replaced |
/// | `Strict-Transport-Security` | none unless declared | none unless declared | replaced |
/// | `X-Frame-Options` | `DENY` | `DENY` | replaced |
/// | `Server`, `X-Powered-By` | taken away | taken away | taken away |
///
/// What is declared here is how a header gets weaker, for the service or [for a route](crate::GuardedRoute::headers); a handler
/// alone cannot do it.
///
/// ```
/// use std::time::Duration;
/// use portcullis_guard::SecurityHeaders;
///
/// # fn run() -> Result<(), portcullis_guard::HeadersError> {
/// let api = SecurityHeaders::api().hsts(Duration::from_hours(2 * 365 * 24));
/// let pages = SecurityHeaders::html()
///     .directive("img-src", ["'self'", "data:"])
///     .trusted_types(["default"])
///     .allow_feature("camera")
///     .build()?;
/// assert!(SecurityHeaders::html().directive("script-src", ["'unsafe-inline'"]).build().is_err());
/// # Ok(())
/// # }
/// # run().unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use = "headers protect nothing before they are given to a builder or a route"]
pub struct SecurityHeaders {
    policy: Policy,
    has_pages: bool,
    transport: Option<Transport>,
    referrer: ReferrerPolicy,
    resource: ResourcePolicy,
    opener: Option<OpenerPolicy>,
    embedder: Option<EmbedderPolicy>,
    allowed_features: Vec<String>,
    fault: Option<HeadersError>,
}

/// For how long browsers insist on TLS.
#[derive(Clone, Copy, Debug)]
struct Transport {
    max_age: Duration,
    subdomains: bool,
}

/// Headers that cannot be declared so.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadersError {
    /// A feature that is not denied cannot be allowed.
    #[error("`{0}` is no feature that the headers of pages deny")]
    Feature(String),
    /// A part of the content security policy.
    #[error("in the content security policy, `{part}` {message}")]
    Policy {
        /// The part.
        part: String,
        /// What is wrong with it.
        message: &'static str,
    },
}

impl HeadersError {
    fn policy(part: &str, message: &'static str) -> Self {
        Self::Policy { part: part.to_owned(), message }
    }
}

/// [`SecurityHeaders`] at work, for one route: made by [`SecurityHeaders::build`].
#[derive(Clone, Debug)]
pub struct RouteHeaders(Arc<HeaderRules>);

impl RouteHeaders {
    pub(crate) fn into_rules(self) -> Arc<HeaderRules> {
        self.0
    }
}

impl SecurityHeaders {
    /// For answers that are data.
    pub fn api() -> Self {
        Self {
            policy: Policy::of_api(),
            has_pages: false,
            transport: None,
            referrer: ReferrerPolicy::NoReferrer,
            resource: ResourcePolicy::SameOrigin,
            opener: None,
            embedder: None,
            allowed_features: Vec::new(),
            fault: None,
        }
    }

    /// For pages: scripts run that carry the [nonce](CspNonce) of the response, and those that they load.
    ///
    /// `Referrer-Policy` is `same-origin`, because under `no-referrer` browsers call the origin of a page's own forms `null`.
    pub fn html() -> Self {
        Self {
            policy: Policy::of_pages(),
            has_pages: true,
            referrer: ReferrerPolicy::SameOrigin,
            opener: Some(OpenerPolicy::SameOrigin),
            ..Self::api()
        }
    }

    /// Puts a directive into the content security policy, in place of the one of that name. Sources of scripts stand beside the
    /// nonce and in place of `'strict-dynamic'`.
    ///
    /// Inline scripts, `eval`, wildcards, schemes, and hosts without `https` are errors, but for images, fonts and media, which
    /// may come from `data:`, `blob:`, `https:` and families of hosts.
    pub fn directive<S: Into<String>>(mut self, name: &str, sources: impl IntoIterator<Item = S>) -> Self {
        let sources: Vec<String> = sources.into_iter().map(Into::into).collect();
        let checked = policy::check(name, &sources);
        self.note(checked);
        self.policy.set(name, sources);
        self
    }

    /// Puts any directive into the content security policy. Whether that leaves a policy that protects is for the caller to know.
    pub fn danger_directive<S: Into<String>>(
        mut self,
        name: &str,
        sources: impl IntoIterator<Item = S>,
    ) -> Self {
        let sources: Vec<String> = sources.into_iter().map(Into::into).collect();
        let checked = policy::check_text(name, &sources);
        self.note(checked);
        self.policy.set(name, sources);
        self
    }

    /// Has scripts make markup only through these policies of Trusted Types; none of them: not at all.
    pub fn trusted_types<S: Into<String>>(mut self, policies: impl IntoIterator<Item = S>) -> Self {
        let mut names: Vec<String> = policies.into_iter().map(Into::into).collect();
        let checked = policy::check_text("trusted-types", &names);
        self.note(checked);
        if names.is_empty() {
            names.push("'none'".to_owned());
        }
        self.policy.set("require-trusted-types-for", vec!["'script'".to_owned()]);
        self.policy.set("trusted-types", names);
        self
    }

    /// Tells browsers to come by TLS only, for so long after each answer: for a service that clients reach by `https`. Nothing,
    /// unless set: the guard does not know what a proxy in front of it speaks.
    pub const fn hsts(mut self, max_age: Duration) -> Self {
        self.transport = Some(Transport { max_age, subdomains: false });
        self
    }

    /// The same for every name below that of the service.
    pub const fn hsts_with_subdomains(mut self, max_age: Duration) -> Self {
        self.transport = Some(Transport { max_age, subdomains: true });
        self
    }

    /// What is told to where links lead.
    pub const fn referrer(mut self, policy: ReferrerPolicy) -> Self {
        self.referrer = policy;
        self
    }

    /// Who may load an answer into a page without asking.
    pub const fn resource(mut self, policy: ResourcePolicy) -> Self {
        self.resource = policy;
        self
    }

    /// Which windows a page shares its group with.
    pub const fn opener(mut self, policy: OpenerPolicy) -> Self {
        self.opener = Some(policy);
        self
    }

    /// What a page may load that does not say that it may be loaded.
    pub const fn embedder(mut self, policy: EmbedderPolicy) -> Self {
        self.embedder = Some(policy);
        self
    }

    /// Lets pages of this origin use a feature that is denied otherwise, such as `camera`.
    pub fn allow_feature(mut self, feature: impl Into<String>) -> Self {
        let feature = feature.into();
        if self.has_pages && FEATURES.contains(&feature.as_str()) {
            self.allowed_features.push(feature);
        } else {
            self.note(Err(HeadersError::Feature(feature)));
        }
        self
    }

    /// The headers at work, for one route: see [`GuardedRoute::headers`](crate::GuardedRoute::headers).
    pub fn build(&self) -> Result<RouteHeaders, HeadersError> {
        Ok(RouteHeaders(Arc::new(self.rules()?)))
    }

    /// The first thing that is wrong is told.
    fn note(&mut self, checked: Result<(), HeadersError>) {
        if let Err(fault) = checked {
            self.fault.get_or_insert(fault);
        }
    }

    fn rules(&self) -> Result<HeaderRules, HeadersError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let plain = self.policy.header(None)?;
        let ranked = [Some(self.referrer.ranked()), Some(self.resource.ranked())]
            .into_iter()
            .chain([self.opener.map(OpenerPolicy::ranked), self.embedder.map(EmbedderPolicy::ranked)]);
        Ok(HeaderRules {
            fixed: self.fixed(),
            ranked: ranked.flatten().collect(),
            policy: self.policy.clone(),
            plain,
            has_pages: self.has_pages,
        })
    }

    fn fixed(&self) -> Vec<(HeaderName, HeaderValue)> {
        let mut fixed = vec![(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))];
        // For browsers that know no `frame-ancestors`; it cannot name anybody else.
        let framing = match self.policy.frame_ancestors().as_slice() {
            [] | ["'none'"] => Some("DENY"),
            ["'self'"] => Some("SAMEORIGIN"),
            _ => None,
        };
        fixed.extend(framing.map(|framing| (X_FRAME_OPTIONS, HeaderValue::from_static(framing))));
        if self.has_pages {
            let features = FEATURES.map(|feature| {
                let is_allowed = self.allowed_features.iter().any(|own| own == feature);
                format!("{feature}=({})", if is_allowed { "self" } else { "" })
            });
            let value = HeaderValue::try_from(features.join(", ")).ok();
            fixed.extend(value.map(|value| (PERMISSIONS_POLICY, value)));
        }
        if let Some(Transport { max_age, subdomains }) = self.transport {
            let subdomains = if subdomains { "; includeSubDomains" } else { "" };
            let value = HeaderValue::try_from(format!("max-age={}{subdomains}", max_age.as_secs())).ok();
            fixed.extend(value.map(|value| (STRICT_TRANSPORT_SECURITY, value)));
        }
        fixed
    }
}

#[cfg(test)]
mod tests;
