//! Cleaning of fields that are declared to be HTML.

mod attributes;
mod markup;
mod steps;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Deref;

use serde::Serialize;
use url::{ParseError, Url};

/// The longest HTML field, in bytes: cleaning nested tags takes time quadratic in their number.
const MAX_FIELD: usize = 16 * 1024;

/// How often HTML is cleaned before it is refused for never being the same.
const MAX_ROUNDS: usize = 6;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Which HTML a field may hold. Everything else is taken out of it; its text stays.
///
/// ```
/// use portcullis_guard::Html;
///
/// # fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let answers = Html::inline().element("blockquote", ["cite"]).cleaner()?;
/// let answer = answers.clean("<blockquote onclick=steal()>I <3 you</blockquote><script>steal()</script>")?;
/// assert_eq!(answer.as_str(), "<blockquote>I &lt;3 you</blockquote>");
/// # Ok(())
/// # }
/// # run().unwrap();
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Html {
    profile: Profile,
    /// Elements beside those of the profile, each with its attributes.
    elements: Vec<(&'static str, Vec<&'static str>)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Profile {
    Custom,
    Inline,
    Rich,
}

/// An element or an attribute that no profile may allow.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is not among what is known to be harmless in HTML of strangers")]
pub struct NotHarmless(&'static str);

/// A text that would take too long to clean, grow too long, or never be the same twice. What cleaning takes is counted before: an
/// element with more than a hundred attributes, or thousands of elements in each other, are too much at any length.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the HTML is too long, or has too many attributes, elements in each other or tags that are never closed"
)]
pub struct HtmlTooLong;

impl Html {
    /// The version of what cleaning does, for any profile. Keep it beside what was cleaned: when it has changed, clean again.
    pub const VERSION: u32 = 2;

    /// Words with emphasis, code and links: a comment, a note.
    pub const fn inline() -> Self {
        Self { profile: Profile::Inline, elements: Vec::new() }
    }

    /// Also headings, lists, quotations, tables, images: an article.
    pub const fn rich() -> Self {
        Self { profile: Profile::Rich, elements: Vec::new() }
    }

    /// Nothing but what is added by [`element`](Self::element).
    pub const fn custom() -> Self {
        Self { profile: Profile::Custom, elements: Vec::new() }
    }

    /// Allows one more element, with these attributes. Only what runs no program and loads no frame can be allowed, never a
    /// style or a handler: the rest is an error when the profile is put to work.
    #[must_use]
    pub fn element(mut self, name: &'static str, attributes: impl IntoIterator<Item = &'static str>) -> Self {
        self.elements.push((name, attributes.into_iter().collect()));
        self
    }

    /// The profile at work. Making one is dear, using one is not: make it once.
    pub fn cleaner(&self) -> Result<HtmlCleaner, NotHarmless> {
        let mut builder = ammonia::Builder::default();
        let harmless = builder.clone_tags();
        builder.url_schemes(HashSet::from(SCHEMES));
        // Which attributes hold an address, ammonia has a list of, and this one is not in it.
        builder.attribute_filter(|_, attribute, value| {
            (attribute != "cite" || is_harmless_address(value)).then_some(Cow::Borrowed(value))
        });
        builder.link_rel(Some("noopener noreferrer nofollow"));
        match self.profile {
            Profile::Custom => {
                builder.tags(HashSet::new()).tag_attributes(HashMap::new());
            }
            Profile::Inline => {
                builder.tags(HashSet::from(INLINE_ELEMENTS));
                builder.tag_attributes(HashMap::from([("a", HashSet::from(["href"]))]));
            }
            Profile::Rich => {}
        }
        for (name, attributes) in &self.elements {
            if !harmless.contains(name) {
                return Err(NotHarmless(name));
            }
            if let Some(attribute) = attributes.iter().find(|own| !HARMLESS_ATTRIBUTES.contains(own)) {
                return Err(NotHarmless(attribute));
            }
            builder.add_tags([*name]);
            builder.add_tag_attributes(*name, attributes.iter().copied());
        }
        Ok(HtmlCleaner(builder))
    }
}

const INLINE_ELEMENTS: [&str; 20] = [
    "a", "abbr", "b", "br", "code", "del", "em", "i", "ins", "kbd", "mark", "p", "q", "s", "small", "span",
    "strong", "sub", "sup", "u",
];

/// Of absolute addresses, what they may begin with.
const SCHEMES: [&str; 3] = ["http", "https", "mailto"];

/// Whether an address leads to a page: a relative one, or one of these schemes.
fn is_harmless_address(address: &str) -> bool {
    match Url::parse(address) {
        Ok(url) => SCHEMES.contains(&url.scheme()),
        Err(fault) => fault == ParseError::RelativeUrlWithoutBase,
    }
}

/// Addresses among them are checked for their scheme. Names that scripts of the page go by (`id`, `name`) are not here.
const HARMLESS_ATTRIBUTES: [&str; 19] = [
    "align", "alt", "cite", "class", "colspan", "datetime", "dir", "height", "href", "hreflang", "lang",
    "rowspan", "scope", "span", "src", "start", "title", "type", "width",
];

/// Cleans HTML by one profile: of what is stored, on its way out, too. Made by [`Html::cleaner`].
#[derive(Debug)]
pub struct HtmlCleaner(ammonia::Builder<'static>);

impl HtmlCleaner {
    /// The harmless part of a text. What is clean already comes out as it is.
    pub fn clean(&self, text: &str) -> Result<SafeHtml, HtmlTooLong> {
        let clean = if Self::concerns(text)? { self.rewrite(text)? } else { None };
        Ok(SafeHtml(clean.unwrap_or_else(|| text.to_owned())))
    }

    /// Whether a text has to be cleaned at all.
    pub(crate) fn concerns(text: &str) -> Result<bool, HtmlTooLong> {
        if text.len() > MAX_FIELD {
            return Err(HtmlTooLong);
        }
        // These six are the only characters that ammonia ever changes in a text.
        let bytes = text.as_bytes();
        if memchr::memchr(b'<', bytes).is_some() && !markup::is_bounded(text) {
            return Err(HtmlTooLong);
        }
        Ok(memchr::memchr3(b'<', b'&', b'>', bytes).is_some()
            || memchr::memchr3(b'\0', b'\r', 0xc2, bytes).is_some())
    }

    /// The clean form of a text that concerns the cleaner, or `None` when it is clean.
    ///
    /// What was taken out may leave elements in each other that the parser parts, or moves out of a table: it is cleaned until it stays
    /// what it is, so that whoever reads it next finds what was found here.
    pub(crate) fn rewrite(&self, text: &str) -> Result<Option<String>, HtmlTooLong> {
        let mut last = None;
        for _ in 0..MAX_ROUNDS {
            let before = last.as_deref().unwrap_or(text);
            let clean = self.cleaned(before)?;
            if clean == before {
                return Ok(last);
            }
            if !markup::is_bounded(&clean) {
                break;
            }
            last = Some(clean);
        }
        Err(HtmlTooLong)
    }

    fn cleaned(&self, text: &str) -> Result<String, HtmlTooLong> {
        let mut clean = self.0.clean(text).to_string();
        // Every open tag may be closed again for every one after it, so output can outgrow input.
        if clean.len() > MAX_FIELD * 2 {
            return Err(HtmlTooLong);
        }
        // The parser takes a byte order mark for one where nothing stands before it, which may be so only now.
        if clean.starts_with(BYTE_ORDER_MARK) {
            clean.drain(..clean.len() - clean.trim_start_matches(BYTE_ORDER_MARK).len());
        }
        Ok(clean)
    }
}

/// HTML that a [cleaner](HtmlCleaner) made, and that may therefore be written into a page as it is: a template that takes nothing
/// else there cannot be given what nobody cleaned.
///
/// It can be written down, and not read back: what comes from a database or a client has to go through the cleaner again.
///
/// ```compile_fail
/// let safe: portcullis_guard::SafeHtml = serde_json::from_str("\"<script>\"").unwrap();
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct SafeHtml(String);

impl SafeHtml {
    /// The HTML as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The HTML as text. That it is clean is not known any more.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl Deref for SafeHtml {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SafeHtml {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod evasions;
#[cfg(test)]
mod fixpoint;
#[cfg(test)]
mod outcomes;
#[cfg(test)]
mod tests;
