//! What a declared field may hold.

mod email;
mod ident;
mod link;
mod number;

use std::ops::RangeInclusive;

use regex::Regex;

use super::fault::Rule;
use super::html::HtmlCleaner;

/// The rule of one kind, ready for use.
pub(crate) enum Kind {
    Choice(Vec<String>),
    Email,
    Html(Box<HtmlCleaner>),
    Ident,
    Integer(RangeInclusive<i64>),
    Line,
    Number(RangeInclusive<f64>),
    Opaque,
    Pattern(Regex),
    Text,
    Url(Vec<String>),
}

impl Kind {
    /// The stable name of the kind.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Choice(_) => "enum",
            Self::Email => "email",
            Self::Html(_) => "html",
            Self::Ident => "ident",
            Self::Integer(_) => "integer",
            Self::Line => "line",
            Self::Number(_) => "number",
            Self::Opaque => "opaque",
            Self::Pattern(_) => "pattern",
            Self::Text => "text",
            Self::Url(_) => "url",
        }
    }

    pub(crate) const fn is_numeric(&self) -> bool {
        matches!(self, Self::Integer(_) | Self::Number(_))
    }

    /// Whether a text may be a value of this kind. HTML is not judged here: that takes the cleaner.
    pub(crate) fn check(&self, text: &str) -> Result<(), Rule> {
        let holds = |holds, rule| if holds { Ok(()) } else { Err(rule) };
        match self {
            Self::Choice(allowed) => holds(allowed.iter().any(|own| own == text), Rule::Choice),
            Self::Email => holds(email::is_address(text), Rule::Email),
            Self::Html(_) | Self::Opaque | Self::Text => Ok(()),
            Self::Ident => ident::check(text),
            Self::Integer(range) => number::check_integer(text, range),
            Self::Line => holds(!text.contains(LINE_BREAKS), Rule::LineBreak),
            Self::Number(range) => number::check(text, range),
            Self::Pattern(pattern) => holds(pattern.is_match(text), Rule::Pattern),
            Self::Url(schemes) => holds(link::is_address(text, schemes), Rule::Url),
        }
    }

    /// The normal form of a text, where this kind has one that is not the text itself.
    pub(crate) fn normal(&self, text: &str) -> Option<String> {
        matches!(self, Self::Ident).then(|| ident::normal(text)).filter(|normal| normal != text)
    }
}

/// What ends a line in one reader of text or another.
const LINE_BREAKS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

/// Whether a text holds characters that change how it reads and that nobody sees: overrides of its direction, spaces without a
/// width. The joiners stay allowed, since emoji and whole scripts need them, and so do the plain marks of direction.
pub(crate) fn has_invisible(text: &str) -> bool {
    text.contains(|character| {
        matches!(character,
            '\u{ad}' | '\u{180e}' | '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_takes_its_own_and_nothing_else() {
        let choice = Kind::Choice(vec!["asc".into(), "desc".into()]);
        let pattern = Kind::Pattern(Regex::new(r"\A(?:[A-Z]{3}-\d{4}|x)\z").unwrap());
        let table = [
            (&choice, "asc", Ok(())),
            (&choice, "Asc", Err(Rule::Choice)),
            (&choice, "", Err(Rule::Choice)),
            (&pattern, "ABC-1234", Ok(())),
            (&pattern, "ABC-1234\n", Err(Rule::Pattern)),
            (&pattern, "xABC-1234", Err(Rule::Pattern)),
            (&Kind::Line, "tab\tin a line", Ok(())),
            (&Kind::Line, "a\nb", Err(Rule::LineBreak)),
            (&Kind::Line, "a\r", Err(Rule::LineBreak)),
            (&Kind::Line, "a\u{2028}b", Err(Rule::LineBreak)),
            (&Kind::Text, "a\r\nb <script>", Ok(())),
        ];
        for (kind, text, expected) in table {
            assert_eq!(kind.check(text), expected, "{} {text:?}", kind.name());
        }
    }

    #[test]
    fn what_nobody_sees_is_seen() {
        for text in ["a\u{202e}b", "a\u{2066}b", "zero\u{200b}width", "\u{feff}x", "so\u{ad}ft"] {
            assert!(has_invisible(text), "{text:?}");
        }
        for text in ["👩‍👩‍👧‍👦", "می‌خواهم", "\u{200f}rtl", "e\u{301}", "a\u{a0}b"]
        {
            assert!(!has_invisible(text), "{text:?}");
        }
    }
}
