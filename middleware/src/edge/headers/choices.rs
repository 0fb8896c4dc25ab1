//! Headers that have a few values, in the order of how strict they are.

use http::HeaderName;
use http::header::REFERRER_POLICY;

use super::write::Ranked;

/// `Referrer-Policy`: what is told to where links lead. Those that tell other origins more than where somebody came from are not
/// to be had.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReferrerPolicy {
    /// Nothing.
    NoReferrer,
    /// The whole address, to the same origin only.
    SameOrigin,
    /// The origin, never from `https` to `http`.
    StrictOrigin,
    /// The whole address to the same origin, and the origin to others.
    StrictOriginWhenCrossOrigin,
}

/// `Cross-Origin-Resource-Policy`: whose pages may load an answer without asking. Scripts that ask are a matter of
/// [`Cors`](crate::Cors).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ResourcePolicy {
    /// Those of everybody.
    CrossOrigin,
    /// Those of the same origin.
    SameOrigin,
    /// Those of the same site.
    SameSite,
}

/// `Cross-Origin-Opener-Policy`: which windows may reach into a page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum OpenerPolicy {
    /// Those of the same origin.
    SameOrigin,
    /// The same, and those that the page opens, as for a payment in a window of its own.
    SameOriginAllowPopups,
    /// Every one.
    UnsafeNone,
}

/// `Cross-Origin-Embedder-Policy`: what a page may load of other origins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EmbedderPolicy {
    /// Everything, but without cookies where it does not say that it may be loaded.
    Credentialless,
    /// What says that it may be loaded.
    RequireCorp,
}

impl ReferrerPolicy {
    const ORDER: &[&str] =
        &["no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin"];

    pub(super) const fn ranked(self) -> Ranked {
        let declared = match self {
            Self::NoReferrer => "no-referrer",
            Self::SameOrigin => "same-origin",
            Self::StrictOrigin => "strict-origin",
            Self::StrictOriginWhenCrossOrigin => "strict-origin-when-cross-origin",
        };
        Ranked { name: REFERRER_POLICY, declared, order: Self::ORDER }
    }
}

impl ResourcePolicy {
    const ORDER: &[&str] = &["same-origin", "same-site", "cross-origin"];

    pub(super) const fn ranked(self) -> Ranked {
        let declared = match self {
            Self::CrossOrigin => "cross-origin",
            Self::SameOrigin => "same-origin",
            Self::SameSite => "same-site",
        };
        let name = HeaderName::from_static("cross-origin-resource-policy");
        Ranked { name, declared, order: Self::ORDER }
    }
}

impl OpenerPolicy {
    const ORDER: &[&str] = &["same-origin", "same-origin-allow-popups", "unsafe-none"];

    pub(super) const fn ranked(self) -> Ranked {
        let declared = match self {
            Self::SameOrigin => "same-origin",
            Self::SameOriginAllowPopups => "same-origin-allow-popups",
            Self::UnsafeNone => "unsafe-none",
        };
        let name = HeaderName::from_static("cross-origin-opener-policy");
        Ranked { name, declared, order: Self::ORDER }
    }
}

impl EmbedderPolicy {
    const ORDER: &[&str] = &["require-corp", "credentialless"];

    pub(super) const fn ranked(self) -> Ranked {
        let declared = match self {
            Self::Credentialless => "credentialless",
            Self::RequireCorp => "require-corp",
        };
        let name = HeaderName::from_static("cross-origin-embedder-policy");
        Ranked { name, declared, order: Self::ORDER }
    }
}
