//! The input policy: malformed bodies are refused, declared HTML is cleaned, nothing else is touched.
//!
//! This is the second fence. The first one is the application's own: escape on output.

mod fault;
mod form;
mod html;
mod json;
mod markup;
mod media;
mod pointer;
mod splice;

use std::sync::Arc;

use axum_core::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};

pub(crate) use fault::{Fault, Rule};
pub use form::Duplicates;
use html::Cleaner;
pub use html::Html;
pub(crate) use json::{Bounds, read as read_json};
pub(crate) use media::Media;
pub use pointer::NotAPointer;
pub(crate) use pointer::Segment;
use pointer::{Pattern, written};
use splice::{Edit, Encoding};

/// The longest body of a guarded type, unless told otherwise.
const DEFAULT_MAX_BODY: usize = 1024 * 1024;
/// The most HTML in one body: with the quadratic cleaner this is a bound on time.
const MAX_HTML: usize = 64 * 1024;
/// What a field counts for at least: starting the cleaner costs something, too.
const MIN_HTML: usize = 256;
/// More HTML than this is cleaned on the blocking pool.
const INLINE_HTML: usize = 2 * 1024;

/// What request bodies may be.
///
/// JSON and form bodies are read to the end before the handler runs, and refused unless they have exactly
/// one reading: UTF-8, well-formed, bounded in size, depth and members, no name twice, no control
/// characters (tab and line breaks may stand), no half surrogates. Bodies of other content types pass untouched,
/// bounded in size.
///
/// Text is never changed. Fields declared with [`html`](Self::html) are cleaned, and only they: every other
/// byte of the body reaches the handler as it was sent.
#[derive(Clone, Debug)]
pub struct InputPolicy {
    max_body: usize,
    bounds: Bounds,
    html: Vec<(String, Html)>,
    duplicates: Duplicates,
}

impl InputPolicy {
    /// Refuses malformed bodies and changes nothing.
    pub const fn strict() -> Self {
        Self {
            max_body: DEFAULT_MAX_BODY,
            bounds: Bounds { depth: 32, members: 10_000 },
            html: Vec::new(),
            duplicates: Duplicates::Reject,
        }
    }

    /// The longest body, in bytes: 1 MiB unless set. Longer ones are answered 413; one of a type that is not read here
    /// and whose length was not declared breaks off where it gets too long.
    #[must_use]
    pub const fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Declares that the strings at `pointer` are HTML, and cleans them.
    ///
    /// A JSON Pointer (RFC 6901) in which `*` stands for any name or index. A pointer with one step names a
    /// field of a form too, as long as the form is a body: a handler that reads a form from the query of a `GET` sees what
    /// was sent. A field may hold 16 KiB, all of them together 64 KiB; longer ones are refused.
    #[must_use]
    pub fn html(mut self, pointer: impl Into<String>, html: Html) -> Self {
        self.html.push((pointer.into(), html));
        self
    }

    /// Whether forms may give a field twice: not, unless set.
    #[must_use]
    pub const fn form_duplicates(mut self, duplicates: Duplicates) -> Self {
        self.duplicates = duplicates;
        self
    }

    pub(crate) fn build(&self) -> Result<InputRules, NotAPointer> {
        let declared = self.html.iter().map(|(pointer, html)| Ok((Pattern::parse(pointer)?, html.cleaner())));
        Ok(InputRules {
            max_body: self.max_body,
            bounds: self.bounds,
            duplicates: self.duplicates,
            declared: declared.collect::<Result<_, _>>()?,
        })
    }
}

impl Default for InputPolicy {
    fn default() -> Self {
        Self::strict()
    }
}

/// What the input policy did to a request: an extension of every request that it changed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct InputReport {
    /// The places whose text was cleaned, as JSON Pointers.
    pub cleaned: Vec<String>,
}

/// An input policy at work.
pub(crate) struct InputRules {
    max_body: usize,
    bounds: Bounds,
    duplicates: Duplicates,
    declared: Vec<(Pattern, Cleaner)>,
}

/// A declared field that holds something to clean.
struct Candidate {
    edit: Edit,
    pointer: String,
    declared: usize,
}

impl InputRules {
    /// Reads, checks and, where declared, cleans the body of a request of a guarded type.
    pub(crate) async fn apply(
        self: Arc<Self>,
        media: Media,
        request: Request<Body>,
    ) -> Result<Request<Body>, Fault> {
        let (mut parts, body) = request.into_parts();
        let signed = media::is_signed(&parts.headers);
        let body = self.collect(body).await?;
        let candidates = self.check(media, &body)?;
        let (edits, cleaned) = self.clean(candidates).await?;
        if edits.is_empty() {
            return Ok(Request::from_parts(parts, Body::from(body)));
        }
        if signed {
            let pointer = cleaned.into_iter().next().unwrap_or_default();
            return Err(Fault { pointer, rule: Rule::SignedBody });
        }
        let encoding = if media == Media::Form { Encoding::Form } else { Encoding::Json };
        let body = splice::apply(&body, &edits, encoding);
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        parts.headers.remove(header::TRANSFER_ENCODING);
        parts.extensions.insert(InputReport { cleaned });
        Ok(Request::from_parts(parts, Body::from(body)))
    }

    /// The whole body, or 413 as soon as it is known to be too long.
    async fn collect(&self, body: Body) -> Result<Bytes, Fault> {
        match Limited::new(body, self.max_body).collect().await {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(Fault::whole(Rule::Size)),
            Err(_) => Err(Fault::whole(Rule::Interrupted)),
        }
    }

    /// A body that is not read here, cut off where it gets too long. Nothing is wrapped around no body at all.
    pub(crate) fn bounded(&self, body: Body) -> Body {
        let most = u64::try_from(self.max_body).unwrap_or(u64::MAX);
        if body.size_hint().upper().is_some_and(|length| length <= most) {
            return body;
        }
        Body::new(Limited::new(body, self.max_body))
    }

    pub(crate) const fn max_body(&self) -> usize {
        self.max_body
    }

    /// Checks a body and finds what has to be cleaned in it.
    fn check(&self, media: Media, body: &[u8]) -> Result<Vec<Candidate>, Fault> {
        let mut candidates = Candidates::default();
        match media {
            // A request that only announces JSON has no document to be malformed.
            Media::Json if body.is_empty() => {}
            Media::Json => json::read(body, self.bounds, |value| {
                let declared = self.declared.iter().position(|(pattern, _)| pattern.matches(value.path));
                let Some(declared) = declared else { return Ok(()) };
                candidates.add(declared, Edit { span: value.span, text: value.text.into_owned() }, || {
                    written(value.path)
                })
            })?,
            Media::Form => form::read(body, self.duplicates, |field| {
                let declared =
                    self.declared.iter().position(|(pattern, _)| pattern.matches_field(&field.name));
                let Some(declared) = declared else { return Ok(()) };
                candidates.add(declared, Edit { span: field.span, text: field.value.into_owned() }, || {
                    written(&[Segment::Key(field.name)])
                })
            })?,
        }
        Ok(candidates.found)
    }

    /// Cleans the candidates, and returns the edits to make and their places.
    async fn clean(self: Arc<Self>, candidates: Vec<Candidate>) -> Result<(Vec<Edit>, Vec<String>), Fault> {
        let total: usize = candidates.iter().map(|candidate| candidate.edit.text.len()).sum();
        if total <= INLINE_HTML {
            return self.clean_now(candidates);
        }
        let cleaning = tokio::task::spawn_blocking(move || self.clean_now(candidates));
        // The task can only fail by a panic in the cleaner: what could not be cleaned is not let through.
        cleaning.await.unwrap_or_else(|_| Err(Fault::whole(Rule::HtmlLength)))
    }

    fn clean_now(&self, candidates: Vec<Candidate>) -> Result<(Vec<Edit>, Vec<String>), Fault> {
        let mut edits = Vec::new();
        let mut places = Vec::new();
        for Candidate { edit, pointer, declared } in candidates {
            let Some((_, cleaner)) = self.declared.get(declared) else { continue };
            match cleaner.clean(&edit.text) {
                Ok(None) => {}
                Ok(Some(text)) => {
                    edits.push(Edit { span: edit.span, text });
                    places.push(pointer);
                }
                Err(rule) => return Err(Fault { pointer, rule }),
            }
        }
        Ok((edits, places))
    }
}

#[derive(Default)]
struct Candidates {
    found: Vec<Candidate>,
    bytes: usize,
}

impl Candidates {
    fn add(&mut self, declared: usize, edit: Edit, pointer: impl FnOnce() -> String) -> Result<(), Rule> {
        if !Cleaner::concerns(&edit.text)? {
            return Ok(());
        }
        self.bytes += edit.text.len().max(MIN_HTML);
        if self.bytes > MAX_HTML {
            return Err(Rule::HtmlLength);
        }
        self.found.push(Candidate { edit, pointer: pointer(), declared });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
