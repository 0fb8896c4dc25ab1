//! Judging what is in a declared field.

use std::ops::RangeInclusive;

use super::fault::{Breach, Rule};
use super::form::has_control;
use super::html::HtmlCleaner;
use super::kind::{Kind, has_invisible};

/// What happens to a field that is wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    Reject,
    Report,
    Rewrite,
}

/// A declared field at work.
pub(crate) struct Check {
    pub(crate) kind: Kind,
    pub(crate) action: Action,
    /// In characters.
    pub(crate) length: RangeInclusive<usize>,
    pub(crate) trimmed: bool,
    pub(crate) visible: bool,
}

/// What is to become of a text that is not refused.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Becomes(String),
    Stays,
    /// It is HTML, and the cleaner has to see it.
    ToClean,
}

impl Check {
    /// Judges a text that stands where any value is a text: in a form or in the query.
    pub(crate) fn text(&self, text: &str, has_control: bool) -> Result<Verdict, Breach> {
        self.judge(text, has_control).map_err(|rule| self.breach(rule))
    }

    /// Judges a text of a document that has numbers, too.
    pub(crate) fn string(&self, text: &str, has_control: bool) -> Result<Verdict, Breach> {
        if self.kind.is_numeric() { Err(self.breach(Rule::Type)) } else { self.text(text, has_control) }
    }

    /// Judges a number of such a document.
    pub(crate) fn number(&self, number: &str) -> Result<(), Breach> {
        match &self.kind {
            Kind::Opaque => Ok(()),
            kind if kind.is_numeric() => kind.check(number).map_err(|rule| self.breach(rule)),
            _ => Err(self.breach(Rule::Type)),
        }
    }

    /// Judges a value that is neither a text nor a number.
    pub(crate) fn other(&self) -> Result<(), Breach> {
        if matches!(self.kind, Kind::Opaque) { Ok(()) } else { Err(self.breach(Rule::Type)) }
    }

    /// Cleans HTML, and judges it then.
    pub(crate) fn clean(&self, html: &str) -> Result<Option<String>, Breach> {
        self.cleaned(html).map_err(|rule| self.breach(rule))
    }

    pub(crate) fn breach(&self, rule: Rule) -> Breach {
        Breach { kind: Some(self.kind.name()), rule }
    }

    fn judge(&self, text: &str, has_control: bool) -> Result<Verdict, Rule> {
        if matches!(self.kind, Kind::Opaque) {
            return self.check_length(text).map(|()| Verdict::Stays);
        }
        if has_control {
            return Err(Rule::Control);
        }
        if self.visible && has_invisible(text) {
            return Err(Rule::Invisible);
        }
        if matches!(self.kind, Kind::Html(_)) && HtmlCleaner::concerns(text).map_err(|_| Rule::HtmlLength)? {
            return Ok(Verdict::ToClean);
        }
        let right = self.put_right(text)?;
        let now = right.as_deref().unwrap_or(text);
        self.kind.check(now)?;
        self.check_length(now)?;
        Ok(right.map_or(Verdict::Stays, Verdict::Becomes))
    }

    /// The text as it should be, where it is not and where that is what is wanted.
    fn put_right(&self, text: &str) -> Result<Option<String>, Rule> {
        let trimmed = if self.trimmed { text.trim() } else { text };
        let is_trimmed = trimmed.len() == text.len();
        if self.action == Action::Rewrite {
            let normal = self.kind.normal(trimmed);
            return Ok(normal.or_else(|| (!is_trimmed).then(|| trimmed.to_owned())));
        }
        if is_trimmed { Ok(None) } else { Err(Rule::SurroundingSpace) }
    }

    fn cleaned(&self, html: &str) -> Result<Option<String>, Rule> {
        let Kind::Html(cleaner) = &self.kind else { return Ok(None) };
        let clean = cleaner.rewrite(html).map_err(|_| Rule::HtmlLength)?;
        // A reference such as `&#1;` becomes the character that no text may have. Taken out, what is around it could become a
        // scheme that the cleaner did not see.
        if clean.as_deref().is_some_and(has_control) {
            return Err(Rule::Control);
        }
        if clean.is_some() && self.action != Action::Rewrite {
            return Err(Rule::Html);
        }
        self.check_length(clean.as_deref().unwrap_or(html))?;
        Ok(clean)
    }

    fn check_length(&self, text: &str) -> Result<(), Rule> {
        // A text has at least a quarter as many characters as bytes, and most fields have no bounds.
        if self.length == (0..=usize::MAX) {
            return Ok(());
        }
        let characters = text.chars().count();
        if characters < *self.length.start() {
            return Err(Rule::TooShort);
        }
        if characters > *self.length.end() { Err(Rule::TooLong) } else { Ok(()) }
    }
}

#[cfg(test)]
#[cfg(feature = "html")]
mod tests {
    use super::*;
    use crate::input::field::Field;
    use crate::input::html::Html;

    fn judged(field: &Field, text: &str) -> Result<Verdict, Rule> {
        field.build().unwrap().text(text, false).map_err(|breach| breach.rule)
    }

    fn becomes(text: &str) -> Verdict {
        Verdict::Becomes(text.to_owned())
    }

    #[test]
    fn what_can_be_put_right_is_put_right_only_where_that_is_wanted() {
        let line = Field::line().trimmed().length(1..=3);
        assert_eq!(judged(&line, "abc"), Ok(Verdict::Stays));
        assert_eq!(judged(&line, " abc"), Err(Rule::SurroundingSpace));
        let line = line.rewrite();
        assert_eq!(judged(&line, "\u{3000} äöü\n"), Ok(becomes("äöü")));
        assert_eq!(judged(&line, "  "), Err(Rule::TooShort));
        assert_eq!(judged(&line, " abcd "), Err(Rule::TooLong));
        assert_eq!(judged(&line, "a\nb"), Err(Rule::LineBreak));
        assert_eq!(judged(&Field::ident(), "ａlice "), Err(Rule::NotNormal));
        assert_eq!(judged(&Field::ident().rewrite(), "ａlice "), Ok(becomes("alice")));
        assert_eq!(judged(&Field::ident().rewrite(), "a b"), Err(Rule::Identifier));
        assert_eq!(judged(&Field::text(), " a "), Ok(Verdict::Stays));
    }

    #[test]
    fn what_is_opaque_is_only_measured() {
        let secret = Field::opaque().length(8..=8).visible().build().unwrap();
        assert_eq!(secret.text(" \0\u{202e}<b>\r\n", true), Ok(Verdict::Stays));
        assert_eq!(secret.text("1234567", false).unwrap_err().rule, Rule::TooShort);
        assert_eq!((secret.other(), secret.number("1")), (Ok(()), Ok(())));
    }

    #[test]
    fn html_is_cleaned_or_refused() {
        let check = |field: Field| field.build().unwrap();
        let cleaned = check(Field::html(Html::inline()).length(1..=10));
        assert_eq!(cleaned.text("<b>x", false), Ok(Verdict::ToClean));
        assert_eq!(cleaned.clean("<b>x"), Ok(Some("<b>x</b>".into())));
        assert_eq!(cleaned.clean("<script>x</script>").unwrap_err().rule, Rule::TooShort);
        assert_eq!(cleaned.clean("&&&").unwrap_err().rule, Rule::TooLong, "&amp;&amp;&amp;");
        for reference in ["&#1", "&#x1f;", "<a href='java&#1;script:x'>x</a>"] {
            let found = check(Field::html(Html::inline())).clean(reference);
            assert_eq!(found.unwrap_err().rule, Rule::Control, "{reference}");
        }
        assert_eq!(cleaned.text("01234567890", false).unwrap_err().rule, Rule::TooLong);
        let refused = check(Field::html(Html::inline()).reject());
        assert_eq!(refused.clean("<b>x</b>"), Ok(None));
        let breach = Breach { kind: Some("html"), rule: Rule::Html };
        assert_eq!(refused.clean("<b>x"), Err(breach));
    }

    #[test]
    fn a_value_of_another_type_is_refused() {
        let number = Field::integer(1..=9).build().unwrap();
        assert_eq!(number.string("5", false).unwrap_err().rule, Rule::Type);
        assert_eq!(number.text("5", false), Ok(Verdict::Stays));
        assert_eq!(number.number("5"), Ok(()));
        assert_eq!(number.number("0").unwrap_err().rule, Rule::Range);
        let text = Field::text().build().unwrap();
        assert_eq!(text.number("5").unwrap_err().rule, Rule::Type);
        assert_eq!(text.other().unwrap_err().rule, Rule::Type);
    }
}
