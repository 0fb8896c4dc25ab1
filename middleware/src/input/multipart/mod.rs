//! `multipart/form-data`: checked while it arrives, and handed on byte for byte.
//!
//! Fields are held until they are checked; they are short. Files are not held: only their names, their first bytes and their
//! lengths are looked at. A fault that is found late breaks the body off, and the guard answers in place of the handler.

mod files;
mod head;
mod magic;
mod scan;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::{BodyExt, LengthLimitError, Limited, StreamBody};

use super::declared::{Candidate, Declared, Findings, Flat};
use super::fault::{Fault, Rule};
use super::form::{Duplicates, MAX_FIELDS, has_control};
use super::pointer::{Segment, written};
pub use files::Uploads;
use head::{FileName, PartHead};
use scan::{Piece, Scanner};

use crate::body::Body;

/// What a body is held to.
pub(super) struct Terms {
    pub(super) fields: Arc<Declared>,
    pub(super) uploads: Arc<Uploads>,
    pub(super) duplicates: Duplicates,
    /// The most bytes of fields, all of them together.
    pub(super) max_held: usize,
    /// Whether no byte may change.
    pub(super) signed: bool,
}

impl Terms {
    /// Whether a byte of a body may change.
    pub(super) fn changes(&self) -> bool {
        !self.signed && (self.fields.rewrites() || self.uploads.strips())
    }
}

/// Where it is said that a body was broken off, and why.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch(Arc<OnceLock<Fault>>);

impl Watch {
    /// The fault that was found, if one was.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.0.get().cloned()
    }
}

/// What a handler gets in place of the rest of a body.
#[derive(Debug, thiserror::Error)]
#[error("the body is not what it may be, and was broken off")]
struct BrokenOff;

/// A body whose pieces are checked before they are handed on. What is wrong with it is found on the watch.
pub(super) fn checked(terms: Terms, content_type: &str, body: Body) -> Result<(Body, Watch), Fault> {
    let boundary = head::boundary(content_type).ok_or(Fault::whole(Rule::ContentType))?;
    let watch = Watch::default();
    let reader = Reader {
        body: Limited::new(body, terms.uploads.longest_body(terms.max_held)),
        scanner: Scanner::new(boundary),
        checker: Checker {
            terms,
            names: HashMap::new(),
            parts: 0,
            files: 0,
            held: 0,
            html: 0,
            part: None,
            out: VecDeque::new(),
        },
        watch: watch.clone(),
        is_read: false,
        trailers: None,
    };
    Ok((Body::new(StreamBody::new(stream::try_unfold(reader, Reader::next))), watch))
}

struct Reader {
    body: Limited<Body>,
    scanner: Scanner,
    checker: Checker,
    watch: Watch,
    is_read: bool,
    /// What follows the body, which is handed on as it is.
    trailers: Option<HeaderMap>,
}

impl Reader {
    /// The next piece to hand on, and the reader of the rest.
    async fn next(mut self) -> Result<Option<(Frame<Bytes>, Self)>, BrokenOff> {
        loop {
            if let Some(bytes) = self.checker.out.pop_front() {
                return Ok(Some((Frame::data(bytes), self)));
            }
            if self.is_read {
                return Ok(self.trailers.take().map(|trailers| (Frame::trailers(trailers), self)));
            }
            if let Err(fault) = self.read().await {
                // Nobody else says anything on this watch.
                let _ = self.watch.0.set(fault);
                return Err(BrokenOff);
            }
        }
    }

    async fn read(&mut self) -> Result<(), Fault> {
        match self.body.frame().await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.scanner.push(&data),
                Err(other) => {
                    self.trailers = other.into_trailers().ok();
                    return Ok(());
                }
            },
            Some(Err(error)) => {
                let rule = if error.is::<LengthLimitError>() { Rule::Size } else { Rule::Interrupted };
                return Err(Fault::whole(rule));
            }
            None => {
                self.is_read = true;
                self.scanner.finish().map_err(|rule| self.checker.fault(rule))?;
            }
        }
        while let Some(piece) = self.scanner.next().map_err(|rule| self.checker.fault(rule))? {
            self.checker.take(piece, &self.scanner).await?;
        }
        Ok(())
    }
}

/// Judges the pieces of a body.
struct Checker {
    terms: Terms,
    /// The fields seen, and whether each was a file.
    names: HashMap<String, bool>,
    /// How many parts there were: one name may be there often.
    parts: usize,
    files: usize,
    /// How many bytes of fields were held until now.
    held: usize,
    /// How much there was for the cleaner until now.
    html: usize,
    part: Option<Part>,
    /// What may be handed on.
    out: VecDeque<Bytes>,
}

/// The part that is being read.
struct Part {
    head: PartHead,
    /// What was not handed on yet: the head, and the content as far as it is held.
    raw_head: Option<Bytes>,
    content: Vec<u8>,
    /// How long a file is until now.
    length: u64,
}

impl Checker {
    async fn take(&mut self, piece: Piece, scanner: &Scanner) -> Result<(), Fault> {
        match piece {
            Piece::Delimiter(bytes) => {
                self.out.push_back(bytes);
                Ok(())
            }
            Piece::Head(bytes) => self.begin(&bytes),
            Piece::Content(bytes) => self.content(bytes).map_err(|rule| self.fault(rule)),
            Piece::ContentEnd => match self.part.take() {
                Some(part) if part.head.file_name.is_some() => self.end_file(part),
                Some(part) => self.end_field(part, scanner).await,
                None => Ok(()),
            },
        }
    }

    fn begin(&mut self, raw: &Bytes) -> Result<(), Fault> {
        self.parts += 1;
        let head = head::parse(raw).map_err(Fault::whole)?;
        let is_file = head.file_name.is_some();
        if is_file {
            let judged = self.terms.fields.file(&head.name, &mut Findings::default());
            judged.map_err(|breach| breach.at(written_name(&head.name)))?;
        }
        let outcome = self.admit(&head).and_then(|()| match &head.file_name {
            Some(file) => self.admit_file(file, &head, raw),
            None => Ok(raw.clone()),
        });
        let raw = outcome.map_err(|rule| at(&head.name, rule))?;
        self.names.insert(head.name.clone(), is_file);
        self.part = Some(Part { head, raw_head: Some(raw), content: Vec::new(), length: 0 });
        Ok(())
    }

    fn admit(&self, head: &PartHead) -> Result<(), Rule> {
        if self.parts > MAX_FIELDS {
            return Err(Rule::Members);
        }
        let is_file = head.file_name.is_some();
        match self.names.get(&head.name) {
            // A field that takes several files gives its name several times.
            Some(true) if is_file => Ok(()),
            Some(false) if !is_file && self.terms.duplicates == Duplicates::Allow => Ok(()),
            Some(_) => Err(Rule::DuplicateField),
            None => Ok(()),
        }
    }

    /// Checks what the head of a file says, and returns the head that the handler sees.
    fn admit_file(&mut self, file: &FileName, head: &PartHead, raw: &Bytes) -> Result<Bytes, Rule> {
        let uploads = &self.terms.uploads;
        self.files += 1;
        uploads.check_count(self.files)?;
        if !file.text.is_empty() {
            uploads.check_type(head.content_type.as_deref())?;
        }
        let Some(name) = uploads.rename(&file.text)? else { return Ok(raw.clone()) };
        if self.terms.signed {
            return Err(Rule::SignedBody);
        }
        let (before, after) = (raw.get(..file.span.start), raw.get(file.span.end..));
        let head = [before.unwrap_or_default(), b"\"", name.as_bytes(), b"\"", after.unwrap_or_default()];
        Ok(head.concat().into())
    }

    fn content(&mut self, bytes: Bytes) -> Result<(), Rule> {
        let Some(part) = &mut self.part else { return Ok(()) };
        if part.head.file_name.is_none() {
            self.held += bytes.len();
            if self.held > self.terms.max_held {
                return Err(Rule::Size);
            }
            part.content.extend_from_slice(&bytes);
            return Ok(());
        }
        part.length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.terms.uploads.check_length(part.length)?;
        if part.raw_head.is_none() {
            self.out.push_back(bytes);
            return Ok(());
        }
        part.content.extend_from_slice(&bytes);
        if part.content.len() >= magic::LOOKED_AT {
            self.out.extend(part.begun()?);
        }
        Ok(())
    }

    fn end_file(&mut self, mut part: Part) -> Result<(), Fault> {
        if part.raw_head.is_some() {
            let begun = part.begun().map_err(|rule| at(&part.head.name, rule))?;
            self.out.extend(begun);
        }
        Ok(())
    }

    /// Judges a field whose content is all there.
    async fn end_field(&mut self, part: Part, scanner: &Scanner) -> Result<(), Fault> {
        let Part { head: PartHead { name, is_fixed, .. }, raw_head, content, .. } = part;
        let refused = |rule| at(&name, rule);
        let text = match std::str::from_utf8(&content) {
            Ok(text) => text.into(),
            // It is for the handler to say what the bytes mean.
            Err(_) if self.terms.fields.is_opaque(&name) => String::from_utf8_lossy(&content),
            Err(_) => return Err(refused(Rule::Encoding)),
        };
        // RFC 7578 §4.6: this field says in which encoding the others are.
        if name == "_charset_" && !text.eq_ignore_ascii_case("utf-8") {
            return Err(refused(Rule::Charset));
        }
        let field =
            Flat { name: &name, value: &text, has_control: has_control(&text), span: 0..content.len() };
        let mut findings = Findings::after(self.html);
        self.terms.fields.field(field, &mut findings).map_err(|breach| breach.at(written_name(&name)))?;
        self.html = findings.html();
        let changed = Arc::clone(&self.terms.fields).clean(findings).await?.candidates.pop();
        self.out.extend(raw_head);
        let Some(Candidate { edit, .. }) = changed else {
            self.out.push_back(content.into());
            return Ok(());
        };
        if self.terms.signed {
            return Err(refused(Rule::SignedBody));
        }
        if is_fixed {
            return Err(refused(Rule::PartLength));
        }
        // What was taken out of a text may have kept a delimiter apart.
        if scanner.is_delimiting(edit.text.as_bytes()) {
            return Err(refused(Rule::Syntax));
        }
        self.out.push_back(edit.text.into());
        Ok(())
    }

    /// A fault in the part that is being read.
    fn fault(&self, rule: Rule) -> Fault {
        self.part.as_ref().map_or_else(|| Fault::whole(rule), |part| at(&part.head.name, rule))
    }
}

impl Part {
    /// The head and what there is of the content of a file, once its beginning fits its type.
    fn begun(&mut self) -> Result<[Bytes; 2], Rule> {
        let content = std::mem::take(&mut self.content);
        let is_chosen = self.head.file_name.as_ref().is_some_and(|file| !file.text.is_empty());
        let beginning = content.get(..magic::LOOKED_AT).unwrap_or(&content);
        let content_type = self.head.content_type.as_deref().unwrap_or_default();
        if is_chosen && magic::contradicts(content_type, beginning) {
            return Err(Rule::FileType);
        }
        if !is_chosen && !content.is_empty() {
            return Err(Rule::FileName);
        }
        Ok([self.raw_head.take().unwrap_or_default(), content.into()])
    }
}

/// A fault in a field.
fn at(name: &str, rule: Rule) -> Fault {
    Fault { pointer: written_name(name), ..Fault::whole(rule) }
}

fn written_name(name: &str) -> String {
    written(&[Segment::Key(name.into())])
}

#[cfg(test)]
#[cfg(feature = "html")]
mod tests;
