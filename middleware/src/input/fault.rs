//! What an input policy found wrong, and where.

use std::fmt;

use http::StatusCode;

/// Why a request was refused. It never holds what was sent: only where, and which rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Fault {
    pub(crate) part: Part,
    /// The JSON Pointer to the place, empty for the whole part.
    pub(crate) pointer: String,
    /// What the field was declared to be, where it is the field that is wrong.
    pub(crate) kind: Option<&'static str>,
    pub(crate) rule: Rule,
    /// Whether the log was told of the same often enough.
    pub(crate) is_old_news: bool,
}

impl Fault {
    pub(crate) const fn whole(rule: Rule) -> Self {
        Self { part: Part::Body, pointer: String::new(), kind: None, rule, is_old_news: false }
    }

    pub(crate) fn of_query(self) -> Self {
        Self { part: Part::Query, ..self }
    }

    /// The name of the parameter that is wrong, where the fault is in the path or the query.
    pub(crate) fn parameter(&self) -> Option<String> {
        matches!(self.part, Part::Path | Part::Query).then(|| self.name()).flatten()
    }

    /// The name of the header that is wrong, where the fault is in one.
    pub(crate) fn header(&self) -> Option<String> {
        (self.part == Part::Header).then(|| self.name()).flatten()
    }

    fn name(&self) -> Option<String> {
        let name = self.pointer.strip_prefix('/')?;
        Some(name.replace("~1", "/").replace("~0", "~"))
    }

    /// Whether it is the program that has to change, and no request could be right.
    pub(crate) const fn is_ours(&self) -> bool {
        matches!(self.rule, Rule::NoParameter | Rule::NoTemplate)
    }

    /// Whether the body broke off.
    pub(crate) const fn is_interrupted(&self) -> bool {
        matches!(self.rule, Rule::Interrupted)
    }
}

/// As the log says it: the place is quoted, for it is made of names that a stranger chose.
impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match self.part {
            Part::Body => "body",
            Part::Header => "head",
            Part::Path => "path",
            Part::Query => "query",
        };
        write!(out, "{}: {} in the {part}", self.rule.code(), self.rule)?;
        if self.pointer.is_empty() { Ok(()) } else { write!(out, " at {:?}", self.pointer) }
    }
}

/// The part of a request that is wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    Body,
    Header,
    Path,
    Query,
}

/// What is wrong at a place that the reader knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Breach {
    pub(crate) kind: Option<&'static str>,
    pub(crate) rule: Rule,
}

impl Breach {
    pub(crate) fn at(self, pointer: String) -> Fault {
        Fault { pointer, kind: self.kind, ..Fault::whole(self.rule) }
    }
}

impl From<Rule> for Breach {
    fn from(rule: Rule) -> Self {
        Self { kind: None, rule }
    }
}

/// The rules of the input policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Rule {
    #[error("the body cannot be unpacked")]
    BrokenCoding,
    #[error("the body starts with a byte order mark")]
    ByteOrderMark,
    #[error("the charset is not UTF-8")]
    Charset,
    #[error("the value is none of those that are allowed")]
    Choice,
    #[error("the body has a content coding, and is not decoded here")]
    ContentCoding,
    #[error("the request has more than one content type")]
    ContentType,
    #[error("the text holds a control character")]
    Control,
    #[error("containers are nested too deeply")]
    Depth,
    #[error("a field is given twice")]
    DuplicateField,
    #[error("a header is given twice")]
    DuplicateHeader,
    #[error("an object has two members of the same name")]
    DuplicateMember,
    #[error("the text is not an e-mail address")]
    Email,
    #[error("what was sent is not valid UTF-8")]
    Encoding,
    #[error("there are too many files")]
    FileCount,
    #[error("the name of a file is more than a name")]
    FileName,
    #[error("a file is too long")]
    FileSize,
    #[error("a file may not have its type, or does not have it")]
    FileType,
    #[error("the HTML would have to be cleaned")]
    Html,
    #[error("a field of HTML is too long")]
    HtmlLength,
    #[error("the text is not an identifier")]
    Identifier,
    #[error("the body ended early")]
    Interrupted,
    #[error("the text holds characters that nobody sees")]
    Invisible,
    #[error("the text has more than one line")]
    LineBreak,
    #[error("a \\u escape is half of a surrogate pair")]
    LoneSurrogate,
    #[error("there are too many members or fields")]
    Members,
    #[error("a header that has to be there is not")]
    Missing,
    #[error("the route does not have a parameter that is declared for it")]
    NoParameter,
    #[error("the parameters of the path are not known where they are declared")]
    NoTemplate,
    #[error("the text is not in its normal form")]
    NotNormal,
    #[error("the value is not a number")]
    Number,
    #[error("the head of a part is not well-formed")]
    PartHead,
    #[error("the text does not have the form that is asked for")]
    Pattern,
    #[error("the number is too small or too large")]
    Range,
    #[error("the body is far longer than it was when it was packed")]
    Ratio,
    #[error("a field would have to be changed, but its part says how long it is")]
    PartLength,
    #[error("a field would have to be changed, but the body is signed")]
    SignedBody,
    #[error("the body is too long")]
    Size,
    #[error("the text begins or ends with white space")]
    SurroundingSpace,
    #[error("what was sent is not well-formed")]
    Syntax,
    #[error("the text is too long")]
    TooLong,
    #[error("the text is too short")]
    TooShort,
    #[error("something follows the document")]
    Trailing,
    #[error("the value is of another type")]
    Type,
    #[error("the body has a content coding that is not known here")]
    UnknownCoding,
    #[error("the text is not an address that may stand here")]
    Url,
}

impl Rule {
    /// The stable name of the rule.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::BrokenCoding => "broken-coding",
            Self::ByteOrderMark => "byte-order-mark",
            Self::Charset => "charset",
            Self::Choice => "choice",
            Self::ContentCoding => "content-coding",
            Self::ContentType => "content-type",
            Self::Control => "control-character",
            Self::Depth => "depth",
            Self::DuplicateField => "duplicate-field",
            Self::DuplicateHeader => "duplicate-header",
            Self::DuplicateMember => "duplicate-member",
            Self::Email => "email",
            Self::Encoding => "encoding",
            Self::FileCount => "file-count",
            Self::FileName => "file-name",
            Self::FileSize => "file-size",
            Self::FileType => "file-type",
            Self::Html => "html",
            Self::HtmlLength => "html-length",
            Self::Identifier => "identifier",
            Self::Interrupted => "interrupted",
            Self::Invisible => "invisible-character",
            Self::LineBreak => "line-break",
            Self::LoneSurrogate => "lone-surrogate",
            Self::Members => "members",
            Self::Missing => "missing",
            Self::NoParameter => "no-parameter",
            Self::NoTemplate => "no-template",
            Self::NotNormal => "not-normal",
            Self::Number => "number",
            Self::PartHead => "part-head",
            Self::Pattern => "pattern",
            Self::Range => "range",
            Self::Ratio => "ratio",
            Self::PartLength => "part-length",
            Self::SignedBody => "signed-body",
            Self::Size => "size",
            Self::SurroundingSpace => "surrounding-space",
            Self::Syntax => "syntax",
            Self::TooLong => "too-long",
            Self::TooShort => "too-short",
            Self::Trailing => "trailing",
            Self::Type => "type",
            Self::UnknownCoding => "unknown-coding",
            Self::Url => "url",
        }
    }

    /// What a body may be packed by, where that is what is wrong (RFC 9110 §15.5.16).
    pub(crate) const fn accepted_codings(self) -> Option<&'static str> {
        match self {
            Self::ContentCoding => Some("identity"),
            Self::UnknownCoding => Some("gzip, deflate"),
            _ => None,
        }
    }

    /// 400 where the request cannot be read in one way only; 422 where it can, and says what it may not.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::FileSize | Self::Ratio | Self::Size => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoParameter | Self::NoTemplate => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Charset | Self::ContentCoding | Self::UnknownCoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Choice
            | Self::Control
            | Self::DuplicateField
            | Self::Email
            | Self::FileCount
            | Self::FileName
            | Self::FileType
            | Self::Html
            | Self::HtmlLength
            | Self::Identifier
            | Self::Invisible
            | Self::LineBreak
            | Self::LoneSurrogate
            | Self::Missing
            | Self::NotNormal
            | Self::Number
            | Self::Pattern
            | Self::Range
            | Self::PartLength
            | Self::SignedBody
            | Self::SurroundingSpace
            | Self::TooLong
            | Self::TooShort
            | Self::Type
            | Self::Url => StatusCode::UNPROCESSABLE_ENTITY,
            Self::BrokenCoding
            | Self::ByteOrderMark
            | Self::ContentType
            | Self::Depth
            | Self::DuplicateHeader
            | Self::DuplicateMember
            | Self::Encoding
            | Self::Members
            | Self::Interrupted
            | Self::PartHead
            | Self::Syntax
            | Self::Trailing => StatusCode::BAD_REQUEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One in each list of `code` and of the page about refusals, so that neither is forgotten.
    #[test]
    fn the_page_about_refusals_names_every_rule() {
        let (page, source) = (include_str!("../../docs/refusals.md"), include_str!("fault.rs"));
        let codes =
            source.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => \""));
        let codes: Vec<&str> = codes.filter_map(|(_, rest)| rest.strip_suffix("\",")).collect();
        assert!(codes.len() > 40, "{codes:?}");
        for code in codes {
            assert!(page.contains(&format!("`{code}`")), "{code}");
        }
    }

    #[test]
    fn the_log_says_it_in_words_and_quotes_the_place() {
        assert_eq!(
            Fault::whole(Rule::Depth).to_string(),
            "depth: containers are nested too deeply in the body"
        );
        let line = "/a\nb".to_owned();
        let fault = Fault { pointer: line, ..Fault::whole(Rule::Email) }.of_query();
        assert_eq!(fault.to_string(), "email: the text is not an e-mail address in the query at \"/a\\nb\"");
    }
}
