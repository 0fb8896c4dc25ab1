//! What an input policy found wrong, and where.

use http::StatusCode;

/// Why a body was refused. It never holds what the body said: only where, and which rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Fault {
    /// The JSON Pointer to the place, empty for the whole document.
    pub(crate) pointer: String,
    pub(crate) rule: Rule,
}

impl Fault {
    pub(crate) const fn whole(rule: Rule) -> Self {
        Self { pointer: String::new(), rule }
    }
}

/// The rules of the input policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Rule {
    #[error("the body starts with a byte order mark")]
    ByteOrderMark,
    #[error("the body has a content coding, and is not decoded here")]
    ContentCoding,
    #[error("the request has more than one content type")]
    ContentType,
    #[error("the charset is not UTF-8")]
    Charset,
    #[error("the text holds a control character")]
    Control,
    #[error("containers are nested too deeply")]
    Depth,
    #[error("a field is given twice")]
    DuplicateField,
    #[error("an object has two members of the same name")]
    DuplicateMember,
    #[error("the body is not valid UTF-8")]
    Encoding,
    #[error("a field of HTML is too long")]
    HtmlLength,
    #[error("a \\u escape is half of a surrogate pair")]
    LoneSurrogate,
    #[error("there are too many members or fields")]
    Members,
    #[error("the body ended early")]
    Interrupted,
    #[error("a field of HTML would have to be changed, but the body is signed")]
    SignedBody,
    #[error("the body is too long")]
    Size,
    #[error("the body is not well-formed")]
    Syntax,
    #[error("something follows the document")]
    Trailing,
}

impl Rule {
    /// The stable name of the rule.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::ByteOrderMark => "byte-order-mark",
            Self::ContentCoding => "content-coding",
            Self::ContentType => "content-type",
            Self::Charset => "charset",
            Self::Control => "control-character",
            Self::Depth => "depth",
            Self::DuplicateField => "duplicate-field",
            Self::DuplicateMember => "duplicate-member",
            Self::Encoding => "encoding",
            Self::HtmlLength => "html-length",
            Self::LoneSurrogate => "lone-surrogate",
            Self::Members => "members",
            Self::Interrupted => "interrupted",
            Self::SignedBody => "signed-body",
            Self::Size => "size",
            Self::Syntax => "syntax",
            Self::Trailing => "trailing",
        }
    }

    /// 400 where the body cannot be read in one way only; 422 where it can, and says what it may not.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::Size => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ContentCoding | Self::Charset => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Control
            | Self::DuplicateField
            | Self::HtmlLength
            | Self::LoneSurrogate
            | Self::SignedBody => StatusCode::UNPROCESSABLE_ENTITY,
            Self::ByteOrderMark
            | Self::ContentType
            | Self::Depth
            | Self::DuplicateMember
            | Self::Encoding
            | Self::Members
            | Self::Interrupted
            | Self::Syntax
            | Self::Trailing => StatusCode::BAD_REQUEST,
        }
    }
}
