//! Declaring what a field holds.

use std::ops::{Bound, RangeBounds, RangeInclusive};

use regex::RegexBuilder;

use super::check::{Action, Check};
use super::html::Html;
#[cfg(feature = "html")]
use super::html::NotHarmless;
use super::kind::Kind;

/// The most that a compiled pattern may take, in bytes.
const MAX_PATTERN: usize = 256 * 1024;

/// What a field of a body, a parameter or a header holds, and what happens when it holds something else.
///
/// Whatever is not declared is [`text`](Self::text). Unless said otherwise, a field that is wrong is refused (422), with its place
/// and the rule that it breaks, and never with its value.
///
/// ```
/// use portcullis_guard::{Field, Html, InputPolicy};
///
/// let policy = InputPolicy::strict()
///     .field("/title", Field::line().length(1..=80).trimmed().rewrite())
///     .field("/quantity", Field::integer(1..=99))
///     .field("/website", Field::url(["https"]).report())
///     .field("/comments/*/body", Field::html(Html::rich()).length(..=4000))
///     .field("/password", Field::opaque());
/// ```
#[derive(Clone, Debug)]
pub struct Field {
    shape: Shape,
    /// None: as the kind has it.
    action: Option<Action>,
    length: RangeInclusive<usize>,
    trimmed: bool,
    visible: bool,
}

#[derive(Clone, Debug)]
enum Shape {
    Choice(Vec<String>),
    Email,
    #[cfg_attr(not(feature = "html"), expect(dead_code, reason = "nothing is HTML without the feature"))]
    Html(Html),
    Ident,
    Integer(RangeInclusive<i64>),
    Line,
    Number(RangeInclusive<f64>),
    Opaque,
    Pattern(String),
    Text,
    Url(Vec<String>),
}

/// Why a field cannot be declared so.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FieldFault {
    /// A type stands in itself: its fields have no end. Such places are declared by a pointer with `**`.
    #[error("the type stands in itself, so its fields have no end: declare them by a pointer with `**`")]
    EndlessType,
    /// HTML is declared in a query, which is never changed.
    #[error("the query is never changed, so there is no cleaning HTML in it")]
    HtmlInQuery,
    /// A profile of HTML allows what is not harmless.
    #[cfg(feature = "html")]
    #[error(transparent)]
    Html(#[from] NotHarmless),
    /// A query has names and values, and nothing within them.
    #[error("a query has names and values, and nothing within them")]
    NestedInQuery,
    /// `*` and `**` stand for any name, so no place is that of a field of this name alone.
    #[error("a field of the name `*` or `**` has no place of its own")]
    NoPlace,
    /// No value at all could stand in it.
    #[error("there is no value that it could hold")]
    NothingAllowed,
    /// Only HTML, identifiers and white space around a text are ever rewritten.
    #[error("only HTML, identifiers and white space around a text can be rewritten")]
    NothingToRewrite,
    /// The pattern is none, or too large.
    #[error("the pattern cannot be used: {0}")]
    Pattern(String),
    /// A scheme that runs what stands behind it.
    #[error("addresses with the scheme `{0}` are programs")]
    Scheme(String),
    /// The path and the headers are never changed, and a field is declared that would be.
    #[error("the path and the headers are never changed: what is wrong in them is refused or reported")]
    Unchanging,
    /// It is not a text that white space could stand around.
    #[error("white space around it cannot be told from what is in it")]
    Untrimmable,
}

impl Field {
    const fn of(shape: Shape) -> Self {
        Self { shape, action: None, length: 0..=usize::MAX, trimmed: false, visible: false }
    }

    /// Text: anything without control characters, of which tabs and line breaks may stand.
    pub const fn text() -> Self {
        Self::of(Shape::Text)
    }

    /// Text without line breaks.
    pub const fn line() -> Self {
        Self::of(Shape::Line)
    }

    /// HTML, which is cleaned unless it is to be [rejected](Self::reject) when it is not clean.
    #[cfg(feature = "html")]
    pub const fn html(html: Html) -> Self {
        Self::of(Shape::Html(html))
    }

    /// An absolute address with one of these schemes, as `["https"]`.
    pub fn url<S: Into<String>>(schemes: impl IntoIterator<Item = S>) -> Self {
        let lower = |scheme: S| scheme.into().to_ascii_lowercase();
        Self::of(Shape::Url(schemes.into_iter().map(lower).collect()))
    }

    /// An address of e-mail, in ASCII.
    pub const fn email() -> Self {
        Self::of(Shape::Email)
    }

    /// A name by which something is told from others: letters and digits of any script and visible ASCII, without white space, in
    /// its normal form (NFKC). [`rewrite`](Self::rewrite) brings it into that form.
    pub const fn ident() -> Self {
        Self::of(Shape::Ident)
    }

    /// One of these texts.
    pub fn one_of<S: Into<String>>(values: impl IntoIterator<Item = S>) -> Self {
        Self::of(Shape::Choice(values.into_iter().map(Into::into).collect()))
    }

    /// Text that matches a regular expression from its beginning to its end. The time that takes is linear in its length.
    pub fn pattern(expression: impl Into<String>) -> Self {
        Self::of(Shape::Pattern(expression.into()))
    }

    /// A password, a token, bytes in base64: never changed, and only its length is looked at.
    pub const fn opaque() -> Self {
        Self::of(Shape::Opaque)
    }

    /// A number without a fraction. In JSON it is a number and no string.
    pub const fn integer(range: RangeInclusive<i64>) -> Self {
        Self::of(Shape::Integer(range))
    }

    /// A number. In JSON it is a number and no string.
    pub const fn number(range: RangeInclusive<f64>) -> Self {
        Self::of(Shape::Number(range))
    }

    /// How many characters it has, once it is rewritten if it is: `..=80`, `1..=80`.
    #[must_use]
    pub fn length(mut self, characters: impl RangeBounds<usize>) -> Self {
        let least = match characters.start_bound() {
            Bound::Included(least) => *least,
            Bound::Excluded(below) => below.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let most = match characters.end_bound() {
            Bound::Included(most) => Some(*most),
            Bound::Excluded(above) => above.checked_sub(1),
            Bound::Unbounded => Some(usize::MAX),
        };
        // Nothing is shorter than nothing: no length at all.
        self.length = most.map_or(RangeInclusive::new(1, 0), |most| least..=most);
        self
    }

    /// Without white space around it. [`rewrite`](Self::rewrite) takes that away.
    #[must_use]
    pub const fn trimmed(mut self) -> Self {
        self.trimmed = true;
        self
    }

    /// Without characters that nobody sees and that change how a text reads: overrides of direction, spaces without a width.
    #[must_use]
    pub const fn visible(mut self) -> Self {
        self.visible = true;
        self
    }

    /// What is wrong is refused, HTML that is not clean as well.
    #[must_use]
    pub const fn reject(mut self) -> Self {
        self.action = Some(Action::Reject);
        self
    }

    /// What can be put right is: HTML is cleaned, identifiers are normalised, [trimmed](Self::trimmed) texts are trimmed. What is
    /// still wrong then is refused. For other fields this is an error when the policy is built.
    #[must_use]
    pub const fn rewrite(mut self) -> Self {
        self.action = Some(Action::Rewrite);
        self
    }

    /// What is wrong is counted, said to the log and let through as it is: to find out what a rule would refuse.
    #[must_use]
    pub const fn report(mut self) -> Self {
        self.action = Some(Action::Report);
        self
    }

    pub(crate) fn build_for_query(&self) -> Result<Check, FieldFault> {
        match (&self.shape, self.action) {
            (Shape::Html(_), _) => Err(FieldFault::HtmlInQuery),
            (_, Some(Action::Rewrite)) => Err(FieldFault::NothingToRewrite),
            _ => self.build(),
        }
    }

    /// For what whoever was here before has acted on, as it stands.
    pub(crate) fn build_for_head(&self) -> Result<Check, FieldFault> {
        match (&self.shape, self.action) {
            (Shape::Html(_), _) | (_, Some(Action::Rewrite)) => Err(FieldFault::Unchanging),
            _ => self.build(),
        }
    }

    pub(crate) fn build(&self) -> Result<Check, FieldFault> {
        let is_ident = matches!(self.shape, Shape::Ident);
        let is_html = matches!(self.shape, Shape::Html(_));
        let action = self.action.unwrap_or(if is_html { Action::Rewrite } else { Action::Reject });
        if action == Action::Rewrite && !(is_html || is_ident || self.trimmed) {
            return Err(FieldFault::NothingToRewrite);
        }
        let untrimmable =
            matches!(self.shape, Shape::Html(_) | Shape::Integer(_) | Shape::Number(_) | Shape::Opaque);
        if self.trimmed && untrimmable {
            return Err(FieldFault::Untrimmable);
        }
        if self.length.is_empty() {
            return Err(FieldFault::NothingAllowed);
        }
        Ok(Check {
            kind: self.shape.build()?,
            action,
            length: self.length.clone(),
            trimmed: self.trimmed,
            visible: self.visible,
        })
    }
}

impl Shape {
    fn build(&self) -> Result<Kind, FieldFault> {
        let some = |kind, some| if some { Ok(kind) } else { Err(FieldFault::NothingAllowed) };
        match self {
            Self::Choice(values) => some(Kind::Choice(values.clone()), !values.is_empty()),
            Self::Email => Ok(Kind::Email),
            Self::Html(html) => Ok(Kind::Html(Box::new(html.cleaner()?))),
            Self::Ident => Ok(Kind::Ident),
            Self::Integer(range) => some(Kind::Integer(range.clone()), !range.is_empty()),
            Self::Line => Ok(Kind::Line),
            Self::Number(range) => some(Kind::Number(range.clone()), !range.is_empty()),
            Self::Opaque => Ok(Kind::Opaque),
            // The engine is linear in the text, whatever the expression.
            Self::Pattern(expression) => {
                let compile =
                    |expression: &str| RegexBuilder::new(expression).size_limit(MAX_PATTERN).build();
                // By itself first: what closes a group that it did not open would end the one around it.
                let whole = compile(expression).and_then(|_| compile(&format!(r"\A(?:{expression})\z")));
                whole.map(Kind::Pattern).map_err(|error| FieldFault::Pattern(error.to_string()))
            }
            Self::Text => Ok(Kind::Text),
            Self::Url(schemes) => {
                let program = schemes.iter().find(|own| PROGRAMS.contains(&own.as_str()));
                match program {
                    Some(scheme) => Err(FieldFault::Scheme(scheme.clone())),
                    None => some(Kind::Url(schemes.clone()), !schemes.is_empty()),
                }
            }
        }
    }
}

/// Schemes whose addresses run when somebody follows them.
const PROGRAMS: [&str; 4] = ["blob", "data", "javascript", "vbscript"];

#[cfg(test)]
#[cfg(feature = "html")]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_not_built() {
        let refused = [
            (Field::text().rewrite(), "NothingToRewrite"),
            (Field::email().rewrite(), "NothingToRewrite"),
            (Field::opaque().rewrite(), "NothingToRewrite"),
            (Field::opaque().trimmed(), "Untrimmable"),
            (Field::html(Html::rich()).trimmed(), "Untrimmable"),
            (Field::integer(0..=9).trimmed(), "Untrimmable"),
            (Field::integer(RangeInclusive::new(9, 0)), "NothingAllowed"),
            (Field::number(f64::NAN..=1.0), "NothingAllowed"),
            (Field::text().length(RangeInclusive::new(9, 1)), "NothingAllowed"),
            (Field::text().length(..0), "NothingAllowed"),
            (Field::one_of([""; 0]), "NothingAllowed"),
            (Field::pattern("("), "Pattern"),
            (Field::pattern("\\w{5000}"), "Pattern"),
            (Field::url(["https", "JavaScript"]), "Scheme"),
            (Field::html(Html::custom().element("script", [])), "Html"),
        ];
        for (field, expected) in refused {
            let fault = format!("{:?}", field.build().err().unwrap());
            assert!(fault.starts_with(expected), "{fault} of {field:?}");
        }
        for attribute in ["onclick", "style", "srcdoc", "id", "name", "formaction", "ping"] {
            assert!(Html::rich().element("a", [attribute]).cleaner().is_err(), "{attribute}");
        }
    }

    #[test]
    fn lengths_are_ranges_of_any_kind() {
        for (field, length) in [
            (Field::text().length(..=4), 0..=4),
            (Field::text().length(..5), 0..=4),
            (Field::text().length(2..), 2..=usize::MAX),
            (Field::text().length(2..=4), 2..=4),
        ] {
            assert_eq!(field.length, length);
        }
    }
}
