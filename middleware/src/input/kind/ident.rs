//! Names that people choose and that must be told apart: user names, handles, slugs.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::input::fault::Rule;

/// The normal form: compatibility forms replaced (NFKC), white space around it gone.
pub(super) fn normal(text: &str) -> String {
    text.trim().nfkc().collect::<String>().trim().to_owned()
}

/// Whether a text is an identifier in its normal form, much as the `IdentifierClass` of RFC 8264 §4.2 has it: letters, digits and
/// their marks of any script, and whatever ASCII has that can be seen.
pub(super) fn check(text: &str) -> Result<(), Rule> {
    if normal(text) != text {
        return Err(Rule::NotNormal);
    }
    let starts = text.chars().next().is_some_and(|first| !is_combining_mark(first));
    if starts && text.chars().all(is_allowed) { Ok(()) } else { Err(Rule::Identifier) }
}

fn is_allowed(character: char) -> bool {
    character.is_ascii_graphic()
        || (!character.is_ascii() && (character.is_alphanumeric() || is_combining_mark(character)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_normal_and_visible() {
        for text in ["alice", "o'brian", "a.b-c_1@x", "Дмитрий", "李小龍", "café", "हिन्दी"]
        {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for text in [" alice", "alice\u{a0}", "ａｌｉｃｅ", "ﬁn", "cafe\u{301}", "x²"] {
            assert_eq!(check(text), Err(Rule::NotNormal), "{text}");
        }
        for text in ["", "a b", "a\u{200b}b", "a\u{202e}b", "\u{301}a", "a☃", "a\u{e000}", "a\u{7f}"] {
            assert_eq!(check(text), Err(Rule::Identifier), "{text:?}");
        }
    }

    #[test]
    fn the_normal_form_is_its_own() {
        for text in [" Ａlice\u{3000}", "ﬁ", "\u{a8}", "cafe\u{301}", "\u{2003}x\u{1680}", "ﷺ"] {
            let once = normal(text);
            assert_eq!(normal(&once), once, "{text:?}");
        }
    }
}
