//! What a browser is called, out of what it says of itself.
//!
//! `User-Agent` is free text that anybody may send: what is known is named by our own words, and of the rest only the first product
//! ([RFC 9110 §10.1.5](https://www.rfc-editor.org/rfc/rfc9110#section-10.1.5)) is shown, cut short. It tells people their devices apart,
//! and proves nothing.

/// A browser and the system that it runs on, as people know them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct BrowserName {
    /// The browser, or the program; `None` where nothing was said.
    pub browser: Option<String>,
    /// The system, where it is a known one.
    pub system: Option<&'static str>,
}

/// The most characters of a program that is not known.
const LONGEST: usize = 32;

/// What stands in the text of each browser. One that is made of another says the name of that as well, so it comes first.
const BROWSERS: [(&str, &str); 14] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

/// The same for systems: Android says Linux as well, and an iPhone Mac OS X.
const SYSTEMS: [(&str, &str); 8] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
];

impl BrowserName {
    /// A browser and system that are known, in our own words alone: what goes where nobody may put a text of theirs.
    pub fn known(user_agent: &str) -> Option<String> {
        let (browser, system) = (named(&BROWSERS, user_agent), named(&SYSTEMS, user_agent));
        match (browser, system) {
            (Some(browser), Some(system)) => Some(format!("{browser} on {system}")),
            (Some(name), None) | (None, Some(name)) => Some(name.to_owned()),
            (None, None) => None,
        }
    }

    /// Reads what a browser says of itself.
    pub fn of(user_agent: &str) -> Self {
        Self {
            browser: named(&BROWSERS, user_agent).map(str::to_owned).or_else(|| product(user_agent)),
            system: named(&SYSTEMS, user_agent),
        }
    }
}

fn named(names: &[(&str, &'static str)], user_agent: &str) -> Option<&'static str> {
    names.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
}

/// The first product without its version. Only what is printed in ASCII: nothing in it turns the text around it.
fn product(user_agent: &str) -> Option<String> {
    let first = user_agent.split(['/', ' ']).next().unwrap_or_default();
    let name: String = first.chars().filter(char::is_ascii_graphic).take(LONGEST).collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [(&str, &str, Option<&str>); 11] = [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox", Some("Linux")),
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0.0.0 Safari/537.36", "Chrome", Some("Linux")),
        ("Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/156.0.0.0 Safari/537.36", "Chrome", Some("Linux")),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/156.0 Safari/537.36 Edg/156.0", "Edge", Some("Windows")),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/156.0 Safari/537.36 OPR/130.0", "Opera", Some("Windows")),
        (
            "Mozilla/5.0 (Linux; Android 16; K) SamsungBrowser/29.0 Chrome/136.0 Mobile Safari/537.36",
            "Samsung Internet",
            Some("Android"),
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) Version/26.0 Safari/604.1",
            "Safari",
            Some("iPhone"),
        ),
        ("Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X) CriOS/156.0 Safari/604.1", "Chrome", Some("iPad")),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/26.0 Safari/605", "Safari", Some("macOS")),
        ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) Chrome/156.0 Safari/537.36", "Chrome", Some("ChromeOS")),
        ("curl/8.18.0", "curl", None),
    ];

    #[test]
    fn browsers_and_systems_are_known_by_name() {
        for (user_agent, browser, system) in KNOWN {
            let found = BrowserName::of(user_agent);
            assert_eq!((found.browser.as_deref(), found.system), (Some(browser), system), "{user_agent}");
        }
    }

    #[test]
    fn only_our_own_words_name_what_is_known() {
        let known = BrowserName::known;
        assert_eq!(known("Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0").as_deref(), Some("Chrome on Linux"));
        assert_eq!(known("Firefox/140.0").as_deref(), Some("Firefox"));
        assert_eq!(known("x (Windows NT 10.0)").as_deref(), Some("Windows"));
        for foreign in ["", "evil.test/1.0", "Call-0900-123456 now"] {
            assert_eq!(known(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn what_is_not_known_is_cut_short_and_turns_no_text_around() {
        let name = |user_agent: &str| BrowserName::of(user_agent).browser;
        assert_eq!(name("<script>alert(1)</script>").as_deref(), Some("<script>alert(1)<"));
        assert_eq!(name(&"x".repeat(9999)).map(|name| name.len()), Some(LONGEST));
        assert_eq!(name("a\u{202e}b\u{7}c\u{e9} d").as_deref(), Some("abc"));
        for nothing in ["", " ", "/", "\u{202e}", "\u{7}/1"] {
            assert_eq!(BrowserName::of(nothing), BrowserName::default(), "{nothing:?}");
        }
    }
}
