//! Why a guard could not be built.

use std::error::Error;
use std::fmt;

use portcullis_policy::RoutesFault;

use crate::binding::DpopError;
use crate::csrf::CsrfError;
use crate::disk::CacheDirError;
use crate::edge::{CorsError, EmptyCap, HeadersError};
use crate::input::InputError;
use crate::introspection::IntrospectionError;
use crate::jwks::IssuerError;
use crate::limit::LimitError;
use crate::policy::PolicyError;
use crate::resource::NotAResource;
use crate::token::NotAHostCookie;

/// Why a guard could not be built.
///
/// Its `Debug` is for people as well: a `main` that ends with it prints it by that.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The cookie cannot hold a token.
    #[error(transparent)]
    Cookie(#[from] NotAHostCookie),
    /// Tokens or sessions come in a cookie, and nobody said whose pages may use it.
    #[error("a browser sends a cookie for the pages of everybody: declare by `csrf` whose may act")]
    CookieWithoutCsrf,
    /// The origins whose pages may act cannot be told from others.
    #[error(transparent)]
    Csrf(#[from] CsrfError),
    /// The cache folder is not safe.
    #[error(transparent)]
    CacheDir(#[from] CacheDirError),
    /// The rules for other origins cannot be used.
    #[error(transparent)]
    Cors(#[from] CorsError),
    /// A bound lets nothing through.
    #[error(transparent)]
    EmptyCap(#[from] EmptyCap),
    /// Proofs cannot be checked.
    #[error(transparent)]
    Dpop(#[from] DpopError),
    /// The security headers cannot be used.
    #[error(transparent)]
    Headers(#[from] HeadersError),
    /// The input policy cannot be used.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Nobody can be asked about tokens.
    #[error(transparent)]
    Introspection(#[from] IntrospectionError),
    /// An issuer cannot be used.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// A limit cannot be kept.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// Nobody could sign in.
    #[cfg(feature = "login")]
    #[error(transparent)]
    Login(#[from] crate::login::LoginError),
    /// No audience is set. Without one, a token for any service of the issuer would pass.
    #[error("a guard needs an audience: the name that tokens for this service carry")]
    NoAudience,
    /// No issuer is set.
    #[error("a guard needs an issuer")]
    NoIssuer,
    /// Certificates come in a header, and no proxy is trusted to send it.
    #[error(
        "certificates of clients come in a header, which counts from trusted proxies only, and none is trusted"
    )]
    NoProxies,
    /// The service cannot be described.
    #[error(transparent)]
    NotAResource(#[from] NotAResource),
    /// The policy cannot be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The version of the service is none that a server could keep.
    #[error("the version of the service {}", .0.message)]
    ServiceVersion(RoutesFault),
}

impl fmt::Debug for BuildError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(out, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_that_ends_prints_is_for_people() {
        assert_eq!(format!("{:?}", BuildError::NoIssuer), "a guard needs an issuer");
    }
}
