//! A `Content-Security-Policy` that is checked when it is declared: a browser ignores what it does not understand, and says nothing.

use http::HeaderValue;
use url::Url;

use super::HeadersError;
use crate::fetch::is_secure;

/// The directives whose sources are looked at (CSP level 3), and how closely.
const DIRECTIVES: [(&str, Sources); 18] = [
    ("base-uri", Sources::Exact),
    ("child-src", Sources::Exact),
    ("connect-src", Sources::Exact),
    ("default-src", Sources::Exact),
    ("font-src", Sources::Passive),
    ("form-action", Sources::Exact),
    ("frame-ancestors", Sources::Exact),
    ("frame-src", Sources::Exact),
    ("img-src", Sources::Passive),
    ("manifest-src", Sources::Exact),
    ("media-src", Sources::Passive),
    ("object-src", Sources::Exact),
    ("script-src", Sources::Exact),
    ("script-src-attr", Sources::Exact),
    ("script-src-elem", Sources::Exact),
    ("style-src", Sources::Exact),
    ("style-src-elem", Sources::Exact),
    ("worker-src", Sources::Exact),
];

/// What a directive may name.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Sources {
    /// `'none'`, `'self'`, digests, and origins that are written out.
    Exact,
    /// Schemes and families of hosts as well: nothing that it loads can run.
    Passive,
}

/// The directives in their order, each with its sources.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy(Vec<Directive>);

#[derive(Clone, Debug)]
struct Directive {
    name: String,
    sources: Vec<String>,
}

impl Policy {
    /// What no answer of an API needs is denied: everything.
    pub(crate) fn of_api() -> Self {
        Self::default().with("default-src", &["'none'"]).with("frame-ancestors", &["'none'"])
    }

    /// Pages of their own origin, whose scripts are marked by a nonce.
    pub(crate) fn of_pages() -> Self {
        let own = ["style-src", "img-src", "font-src", "connect-src", "form-action"];
        let nothing = ["base-uri", "object-src", "frame-ancestors"];
        let start = Self::default().with("default-src", &["'none'"]).with("script-src", &[]);
        let policy = own.into_iter().fold(start, |policy, name| policy.with(name, &["'self'"]));
        nothing.into_iter().fold(policy, |policy, name| policy.with(name, &["'none'"]))
    }

    fn with(mut self, name: &str, sources: &[&str]) -> Self {
        self.set(name, sources.iter().map(|&source| source.to_owned()).collect());
        self
    }

    /// Puts a directive in place of the one of that name.
    pub(crate) fn set(&mut self, name: &str, sources: Vec<String>) {
        match self.0.iter_mut().find(|directive| directive.name == name) {
            Some(directive) => directive.sources = sources,
            None => self.0.push(Directive { name: name.to_owned(), sources }),
        }
    }

    /// Who may show this in a frame.
    pub(crate) fn frame_ancestors(&self) -> Vec<&str> {
        let found = self.0.iter().find(|directive| directive.name == "frame-ancestors");
        found.into_iter().flat_map(|directive| directive.sources.iter().map(String::as_str)).collect()
    }

    /// The text of the header. Scripts that a marked one loads are trusted as well, unless the policy names sources of scripts.
    pub(crate) fn text(&self, nonce: Option<&str>) -> String {
        let mut text = String::with_capacity(256);
        for Directive { name, sources } in &self.0 {
            text.push_str(if text.is_empty() { "" } else { "; " });
            text.push_str(name);
            let marked = nonce.filter(|_| takes_nonce(name));
            for source in sources.iter().filter(|source| marked.is_none() || *source != "'none'") {
                text.extend([" ", source]);
            }
            match marked {
                Some(nonce) if sources.is_empty() => {
                    text.extend([" 'nonce-", nonce, "' 'strict-dynamic'"]);
                }
                Some(nonce) => text.extend([" 'nonce-", nonce, "'"]),
                None if sources.is_empty() && name.ends_with("-src") => text.push_str(" 'none'"),
                None => {}
            }
        }
        text
    }

    pub(crate) fn header(&self, nonce: Option<&str>) -> Result<HeaderValue, HeadersError> {
        let text = self.text(nonce);
        HeaderValue::try_from(text.as_str())
            .map_err(|_| HeadersError::policy(&text, "is not the text of a header"))
    }
}

fn takes_nonce(name: &str) -> bool {
    matches!(name, "script-src" | "script-src-elem" | "style-src" | "style-src-elem")
}

/// Whether a directive may name these sources.
pub(crate) fn check(name: &str, sources: &[String]) -> Result<(), HeadersError> {
    let Some((_, kind)) = DIRECTIVES.iter().find(|(own, _)| *own == name) else {
        return Err(HeadersError::policy(name, "is no directive that is known here"));
    };
    if sources.is_empty() && name != "script-src" {
        return Err(HeadersError::policy(name, "names nothing: 'none' says so"));
    }
    if sources.len() > 1 && sources.iter().any(|source| source == "'none'") {
        return Err(HeadersError::policy("'none'", "stands beside other sources"));
    }
    let bad = |source: &&String| !is_source(source, *kind);
    match sources.iter().find(bad) {
        Some(source) => Err(HeadersError::policy(source, "is wider than this directive may be")),
        None => Ok(()),
    }
}

/// Whether what somebody vouches for is at least one directive, and not two.
pub(crate) fn check_text(name: &str, sources: &[String]) -> Result<(), HeadersError> {
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    if !is_name {
        return Err(HeadersError::policy(name, "is no name of a directive"));
    }
    let is_plain = |source: &String| {
        !source.is_empty()
            && source.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b';' | b','))
    };
    match sources.iter().find(|source| !is_plain(source)) {
        Some(source) => Err(HeadersError::policy(source, "is more than a source")),
        None => Ok(()),
    }
}

fn is_source(source: &str, kind: Sources) -> bool {
    if let Some(keyword) = source.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return matches!(keyword, "none" | "self" | "report-sample") || is_digest(keyword);
    }
    if kind == Sources::Passive && matches!(source, "blob:" | "data:" | "https:") {
        return true;
    }
    let host = match source.strip_prefix("https://*.") {
        Some(rest) if kind == Sources::Passive => format!("https://{rest}"),
        _ => source.to_owned(),
    };
    is_place(&host)
}

fn is_digest(keyword: &str) -> bool {
    let digest = ["sha256-", "sha384-", "sha512-"].iter().find_map(|kind| keyword.strip_prefix(kind));
    digest.is_some_and(|digest| {
        !digest.is_empty()
            && digest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte))
    })
}

/// An origin, perhaps with a path, written out.
fn is_place(source: &str) -> bool {
    let is_plain = source.bytes().all(|byte| byte.is_ascii_graphic() && !b"*;,'\"?#@".contains(&byte));
    let web = source.replacen("wss://", "https://", 1).replacen("ws://", "http://", 1);
    is_plain && source.contains("://") && Url::parse(&web).is_ok_and(|url| url.has_host() && is_secure(&url))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(name: &str, sources: &[&str]) -> bool {
        let sources: Vec<String> = sources.iter().map(|&source| source.to_owned()).collect();
        check(name, &sources).is_ok()
    }

    #[test]
    fn a_policy_of_pages_trusts_what_is_marked_and_nothing_when_nothing_is() {
        let policy = Policy::of_pages();
        let marked = policy.text(Some("N"));
        assert!(marked.starts_with(
            "default-src 'none'; script-src 'nonce-N' 'strict-dynamic'; style-src 'self' 'nonce-N'; "
        ));
        assert!(marked.ends_with("; base-uri 'none'; object-src 'none'; frame-ancestors 'none'"));
        assert!(policy.text(None).contains("; script-src 'none'; style-src 'self'; "));
        assert_eq!(Policy::of_api().text(None), "default-src 'none'; frame-ancestors 'none'");
    }

    #[test]
    fn declared_scripts_stand_beside_the_nonce() {
        let mut policy = Policy::of_pages();
        policy.set("script-src", vec!["'self'".into(), "https://cdn.example.com".into()]);
        policy.set("style-src", vec!["'none'".into()]);
        assert!(
            policy
                .text(Some("N"))
                .contains("script-src 'self' https://cdn.example.com 'nonce-N'; style-src 'nonce-N';")
        );
        assert!(policy.text(None).contains("script-src 'self' https://cdn.example.com; style-src 'none';"));
    }

    #[test]
    fn what_opens_a_page_to_scripts_is_an_error() {
        for source in [
            "*",
            "https:",
            "http:",
            "data:",
            "blob:",
            "'unsafe-inline'",
            "'unsafe-eval'",
            "'unsafe-hashes'",
            "'wasm-unsafe-eval'",
            "'strict-dynamic'",
            "'nonce-abc'",
            "https://*.example.com",
            "*.example.com",
            "example.com",
            "http://example.com",
            "self",
            "none",
            "",
            "https://a.com;",
            "https://a.com, b",
            "https://u@a.com",
            "'sha256-'",
            "https://",
            "javascript:alert(1)",
        ] {
            assert!(!checked("script-src", &[source]), "{source}");
            assert!(!checked("default-src", &[source]), "{source}");
        }
        for source in [
            "'self'",
            "'none'",
            "'sha256-abc+/='",
            "https://a.com",
            "https://a.com:8443/js/",
            "http://localhost:3000",
        ] {
            assert!(checked("script-src", &[source]), "{source}");
        }
        assert!(checked("connect-src", &["wss://a.com"]) && !checked("connect-src", &["ws://a.com"]));
        for source in ["data:", "blob:", "https:", "https://*.a.com"] {
            assert!(checked("img-src", &[source]), "{source}");
        }
        assert!(!checked("img-src", &["*"]) && !checked("img-src", &["https://*"]));
        assert!(!checked("script-source", &["'self'"]), "a browser would ignore it");
        assert!(!checked("img-src", &["'none'", "'self'"]) && !checked("img-src", &[]));
    }

    #[test]
    fn what_somebody_vouches_for_is_still_one_directive() {
        let sources = |source: &str| [source.to_owned()];
        check_text("style-src", &sources("'unsafe-inline'")).unwrap();
        check_text("report-uri", &sources("/csp")).unwrap();
        for source in ["a;script-src", "a,b", "a b", "a\r\nb", "", "\u{e9}"] {
            assert!(check_text("style-src", &sources(source)).is_err(), "{source:?}");
        }
        assert!(check_text("a;b", &[]).is_err() && check_text("", &[]).is_err());
    }
}
