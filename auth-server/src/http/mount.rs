//! Where the server is found, when its issuer has a path.
//!
//! A proxy in front may strip the path of the issuer or leave it: `https://example.org/auth/login` arrives as `/login` or as
//! `/auth/login`. Both are the same page. The metadata of RFC 8414 lies elsewhere, at an address that the issuer's path ends
//! ([RFC 8414 §3.1]), so a proxy cannot strip it.
//!
//! [RFC 8414 §3.1]: https://www.rfc-editor.org/rfc/rfc8414#section-3.1

use http::Uri;
use http::uri::PathAndQuery;

use crate::domain::issuer::Issuer;

/// Where the metadata of an issuer without a path is.
pub(crate) const OAUTH_METADATA: &str = "/.well-known/oauth-authorization-server";

/// Where `AuthZEN` looks for the metadata; below an issuer with a path, before that path as well.
pub(crate) const AUTHZEN_METADATA: &str = "/.well-known/authzen-configuration";

/// The first parts of our own paths. Below an issuer that is called like one of them nothing can be told apart, so its proxy has to
/// strip the path.
const OURS: [&str; 22] = [
    ".well-known",
    "access",
    "account",
    "admin",
    "api",
    "approvals",
    "authorize",
    "bc-authorize",
    "consent",
    "healthz",
    "introspect",
    "jwks",
    "logged-out",
    "login",
    "logout",
    "par",
    "policies",
    "revoke",
    "setup",
    "static",
    "token",
    "userinfo",
];

/// The path of the issuer, as requests carry it.
pub(crate) struct Mount {
    /// Empty, or with a leading and without a trailing slash.
    base: String,
    strip: Strip,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Strip {
    Here,
    InFront,
}

impl Mount {
    pub(crate) fn of(issuer: &Issuer) -> Self {
        let base = issuer.path().to_owned();
        let first = base.split('/').nth(1).unwrap_or_default();
        let strip = if base.is_empty() || OURS.contains(&first) { Strip::InFront } else { Strip::Here };
        Self { base, strip }
    }

    /// Turns the address of a request into one of our routes.
    pub(crate) fn enter(&self, uri: &mut Uri) {
        let Some(path) = self.route(uri.path()) else { return };
        let rest = match uri.query() {
            Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
            None => PathAndQuery::try_from(path),
        };
        let mut parts = uri.clone().into_parts();
        // A part of a path is a path; if it were not, the request would go on under the name that it came with.
        let Ok(rest) = rest else { return };
        parts.path_and_query = Some(rest);
        if let Ok(entered) = Uri::from_parts(parts) {
            *uri = entered;
        }
    }

    /// The path of the route, where it is not the path of the request.
    fn route<'a>(&self, path: &'a str) -> Option<&'a str> {
        if self.base.is_empty() {
            return None;
        }
        for metadata in [OAUTH_METADATA, AUTHZEN_METADATA] {
            if path.strip_prefix(metadata) == Some(&self.base) {
                return Some(metadata);
            }
        }
        let rest = path.strip_prefix(&self.base).filter(|_| self.strip == Strip::Here)?;
        match rest {
            "" => Some("/"),
            rest => rest.starts_with('/').then_some(rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entered(issuer: &str, uri: &str) -> String {
        let mut uri: Uri = uri.parse().unwrap();
        Mount::of(&Issuer::parse(issuer).unwrap()).enter(&mut uri);
        uri.to_string()
    }

    #[test]
    fn a_path_of_the_issuer_may_be_stripped_in_front_or_here() {
        let issuer = "https://example.org/auth/eu";
        for (sent, route) in [
            ("/auth/eu/login?next=password", "/login?next=password"),
            ("/login?next=password", "/login?next=password"),
            ("/auth/eu", "/"),
            ("/auth/eu?x=1", "/?x=1"),
            ("/auth/eu/", "/"),
            ("/auth/eu/static/a/b%20c", "/static/a/b%20c"),
            ("/auth/euro/login", "/auth/euro/login"),
            ("/auth/login", "/auth/login"),
            ("/auth/eu/.well-known/openid-configuration", "/.well-known/openid-configuration"),
            ("http://example.org/auth/eu/login", "http://example.org/login"),
        ] {
            assert_eq!(entered(issuer, sent), route, "{sent}");
        }
        assert_eq!(entered("https://example.org", "/auth/eu/login"), "/auth/eu/login");
    }

    #[test]
    fn the_metadata_lies_where_rfc_8414_puts_it() {
        let issuer = "https://example.org/auth/eu";
        let inserted = format!("{OAUTH_METADATA}/auth/eu");
        assert_eq!(entered(issuer, &inserted), OAUTH_METADATA);
        assert_eq!(entered(issuer, &format!("{AUTHZEN_METADATA}/auth/eu")), AUTHZEN_METADATA);
        for other in [format!("{OAUTH_METADATA}/auth"), format!("{OAUTH_METADATA}/auth/eu/x")] {
            assert_eq!(entered(issuer, &other), other);
        }
        assert_eq!(entered("https://example.org", &inserted), inserted);
    }

    #[test]
    fn an_issuer_that_is_called_like_one_of_our_paths_is_stripped_in_front() {
        let issuer = "https://example.org/api";
        assert_eq!(entered(issuer, "/api/v1/users"), "/api/v1/users");
        assert_eq!(entered(issuer, &format!("{OAUTH_METADATA}/api")), OAUTH_METADATA);
    }
}
