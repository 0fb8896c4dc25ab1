//! Cleaning of fields that are declared to be HTML.

use std::collections::{HashMap, HashSet};

use super::fault::Rule;
use super::markup;

/// The longest HTML field, in bytes: cleaning nested tags takes time quadratic in their number.
const MAX_FIELD: usize = 16 * 1024;

/// Which HTML a field may hold. Everything else is taken out of it; its text stays.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Html(Profile);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Profile {
    Inline,
    Rich,
}

impl Html {
    /// Words with emphasis, code and links: a comment, a note.
    pub const fn inline() -> Self {
        Self(Profile::Inline)
    }

    /// Also headings, lists, quotations, tables, images: an article.
    pub const fn rich() -> Self {
        Self(Profile::Rich)
    }

    pub(crate) fn cleaner(self) -> Cleaner {
        let mut builder = ammonia::Builder::default();
        builder.url_schemes(HashSet::from(["http", "https", "mailto"]));
        builder.link_rel(Some("noopener noreferrer nofollow"));
        if self.0 == Profile::Inline {
            builder.tags(HashSet::from([
                "a", "abbr", "b", "br", "code", "del", "em", "i", "ins", "kbd", "mark", "p", "q", "s",
                "small", "span", "strong", "sub", "sup", "u",
            ]));
            builder.tag_attributes(HashMap::from([("a", HashSet::from(["href"]))]));
        }
        Cleaner(builder)
    }
}

/// Cleans HTML by one profile. Building one is dear, using one is not.
pub(crate) struct Cleaner(ammonia::Builder<'static>);

impl Cleaner {
    /// Whether a text has to be cleaned at all, or why it may not be.
    pub(crate) fn concerns(text: &str) -> Result<bool, Rule> {
        if text.len() > MAX_FIELD {
            return Err(Rule::HtmlLength);
        }
        // These six are the only characters that ammonia ever changes in a text.
        let bytes = text.as_bytes();
        if memchr::memchr(b'<', bytes).is_some() && !markup::is_bounded(text) {
            return Err(Rule::HtmlLength);
        }
        Ok(memchr::memchr3(b'<', b'&', b'>', bytes).is_some()
            || memchr::memchr3(b'\0', b'\r', 0xc2, bytes).is_some())
    }

    /// The clean form of a text, or `None` when it is clean.
    pub(crate) fn clean(&self, text: &str) -> Result<Option<String>, Rule> {
        let clean = self.0.clean(text).to_string();
        // Every open tag may be closed again for every one after it, so output can outgrow input.
        if clean.len() > MAX_FIELD * 2 {
            return Err(Rule::HtmlLength);
        }
        Ok((clean != text).then_some(clean))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(profile: Html, text: &str) -> String {
        profile.cleaner().clean(text).unwrap().unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn scripts_handlers_and_dangerous_links_go_and_text_stays() {
        let table = [
            ("<b>bold</b>", "<b>bold</b>"),
            ("<script>alert(1)</script>x", "x"),
            ("<b onclick=alert(1)>x</b>", "<b>x</b>"),
            ("<a href=\"javascript:alert(1)\">x</a>", "<a rel=\"noopener noreferrer nofollow\">x</a>"),
            ("<a href=\"data:text/html,x\">x</a>", "<a rel=\"noopener noreferrer nofollow\">x</a>"),
            ("<img src=x onerror=alert(1)>x", "x"),
            ("<p style=\"width:expression(alert(1))\">x</p>", "<p>x</p>"),
            ("<h1>x</h1>", "x"),
        ];
        for (text, expected) in table {
            assert_eq!(clean(Html::inline(), text), expected);
        }
        assert_eq!(clean(Html::rich(), "<h1 id=x>x</h1><script>y</script>"), "<h1>x</h1>");
    }

    #[test]
    fn a_text_that_does_not_concern_the_cleaner_is_not_changed_by_it() {
        for text in ["", "plain", "O'Brian \"x\"", "tab\tline\n", "é ü 😀", "a = b; c % d"] {
            assert!(!Cleaner::concerns(text).unwrap(), "{text}");
            assert_eq!(clean(Html::rich(), text), text);
        }
        for text in ["<", ">", "&", "\r", "\u{a0}", "\0"] {
            assert!(Cleaner::concerns(text).unwrap(), "{text:?}");
        }
    }

    #[test]
    fn a_field_that_is_too_long_or_grows_too_long_is_refused() {
        assert_eq!(Cleaner::concerns(&"x".repeat(MAX_FIELD + 1)), Err(Rule::HtmlLength));
        let growing = "<a>".repeat(MAX_FIELD / 3);
        assert_eq!(Html::inline().cleaner().clean(&growing), Err(Rule::HtmlLength));
    }

    /// The tags of what the cleaner wrote, which quotes every attribute.
    fn tags(html: &str) -> Vec<String> {
        let mut quoted = false;
        let mut tags = Vec::new();
        let mut tag: Option<String> = None;
        for character in html.chars() {
            match (&mut tag, character) {
                (None, '<') => tag = Some(String::new()),
                (None, _) => {}
                (Some(_), '>') if !quoted => tags.extend(tag.take()),
                (Some(text), character) => {
                    quoted ^= character == '"';
                    text.push(character);
                }
            }
        }
        tags
    }

    fn assert_harmless(html: &str, payload: &str) {
        for tag in tags(html) {
            let lower = tag.to_ascii_lowercase();
            let name = lower.trim_start_matches('/').split([' ', '/']).next().unwrap();
            let banned = [
                "script", "style", "iframe", "object", "embed", "svg", "math", "form", "base", "meta", "link",
            ];
            assert!(!banned.contains(&name), "<{tag}> of {payload}");
            for attribute in lower.split('"').step_by(2).filter_map(|part| part.trim().strip_suffix('=')) {
                assert!(!attribute.starts_with("on") && attribute != "style", "<{tag}> of {payload}");
            }
            for (position, value) in lower.split('"').enumerate().filter(|(position, _)| position % 2 == 1) {
                let name = lower.split('"').nth(position - 1).unwrap();
                let links = name.ends_with("href=") || name.ends_with("src=") || name.ends_with("cite=");
                // As a browser reads it, which knows more ways to write a scheme than can be listed.
                let page = url::Url::parse("https://page.test/").unwrap();
                let scheme = page.join(value).map_or("none".to_owned(), |url| url.scheme().to_owned());
                let harmless = ["http", "https", "mailto", "none"].contains(&scheme.as_str());
                assert!(!links || harmless, "<{tag}> of {payload}");
            }
        }
    }

    // XS-05
    #[test]
    fn the_payloads_of_dompurify_come_out_harmless_and_stay_so() {
        let file = "shared/vectors/dompurify/expect.json";
        let mut folders = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let Some(text) = folders.find_map(|folder| std::fs::read(folder.join(file)).ok()) else {
            println!("skipped: there is no {file} beside the repository");
            return;
        };
        let cases: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
        let mut cleaned = 0;
        for payload in cases.iter().filter_map(|case| case["payload"].as_str()) {
            for profile in [Html::inline(), Html::rich()] {
                let once = clean(profile, payload);
                assert_harmless(&once, payload);
                assert_eq!(clean(profile, &once), once, "of {payload}");
                cleaned += 1;
            }
        }
        assert!(cleaned > 200, "{cleaned}");
    }
}
