//! An input policy at work.

use std::sync::Arc;

use axum_core::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, header};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::declared::{Candidate, Declared, Findings, Flat};
use super::fault::{Fault, Rule};
use super::form::{self, Duplicates};
use super::json::{self, Bounds};
use super::media::{self, Media};
use super::query::QueryRules;
use super::report::{FieldReports, InputReport, ReportedField};
use super::splice::{self, Encoding};

/// More HTML than this is cleaned on the blocking pool.
const INLINE_HTML: usize = 2 * 1024;

/// An input policy at work.
pub(crate) struct InputRules {
    pub(super) max_body: usize,
    pub(super) bounds: Bounds,
    pub(super) duplicates: Duplicates,
    pub(super) fields: Declared,
    pub(super) query: QueryRules,
    pub(super) signed_body: bool,
}

impl InputRules {
    /// Judges what is known of a request before its body is read, and says of which guarded type that is.
    pub(crate) fn begin(&self, parts: &mut Parts) -> Result<Option<Media>, Fault> {
        if let Some(query) = parts.uri.query() {
            let reported = self.query.check(query)?;
            note(parts, Vec::new(), reported);
        }
        let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        match length.and_then(|length| length.parse::<usize>().ok()) {
            Some(0) => return Ok(None),
            // Known to be too long before a byte of it is read.
            Some(length) if length > self.max_body => return Err(Fault::whole(Rule::Size)),
            Some(_) | None => {}
        }
        Media::of(&parts.headers)
    }

    /// Reads, checks and, where declared, rewrites the body of a request of a guarded type.
    pub(crate) async fn apply(
        self: Arc<Self>,
        media: Media,
        request: Request<Body>,
    ) -> Result<Request<Body>, Fault> {
        let (mut parts, body) = request.into_parts();
        let signed = self.signed_body || media::is_signed(&parts.headers);
        let body = self.collect(body).await?;
        let findings = self.check(media, &body)?;
        let Findings { candidates, reported, .. } = self.clean(findings).await?;
        if candidates.is_empty() {
            note(&mut parts, Vec::new(), reported);
            return Ok(Request::from_parts(parts, Body::from(body)));
        }
        let (places, edits): (Vec<_>, Vec<_>) =
            candidates.into_iter().map(|Candidate { edit, pointer, .. }| (pointer, edit)).unzip();
        if signed {
            let pointer = places.into_iter().next().unwrap_or_default();
            return Err(Fault { pointer, ..Fault::whole(Rule::SignedBody) });
        }
        let encoding = if media == Media::Form { Encoding::Form } else { Encoding::Json };
        let body = splice::apply(&body, &edits, encoding);
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        parts.headers.remove(header::TRANSFER_ENCODING);
        note(&mut parts, places, reported);
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

    /// How often each field that only reports was wrong.
    pub(crate) fn reports(&self) -> Vec<FieldReports> {
        self.fields.reports().chain(self.query.declared.reports()).collect()
    }

    /// Checks a body and finds what may have to change in it.
    pub(super) fn check(&self, media: Media, body: &[u8]) -> Result<Findings, Fault> {
        let mut findings = Findings::default();
        match media {
            // A request that only announces JSON has no document to be malformed.
            Media::Json if body.is_empty() => {}
            Media::Json => {
                json::read_values(body, self.bounds, |value| self.fields.value(value, &mut findings))?;
            }
            Media::Form => form::read(body, self.duplicates, |field| {
                let form::Field { name, value, has_control, span } = field;
                self.fields.field(Flat { name: &name, value: &value, has_control, span }, &mut findings)
            })?,
        }
        Ok(findings)
    }

    /// Cleans what was found, and leaves what changes.
    async fn clean(self: Arc<Self>, findings: Findings) -> Result<Findings, Fault> {
        if findings.html() <= INLINE_HTML {
            return self.fields.clean(findings);
        }
        let cleaning = tokio::task::spawn_blocking(move || self.fields.clean(findings));
        // The task can only fail by a panic in the cleaner: what could not be cleaned is not let through.
        cleaning.await.unwrap_or_else(|_| Err(Fault::whole(Rule::HtmlLength)))
    }
}

/// Adds to what the program is told of a request.
fn note(parts: &mut Parts, rewritten: Vec<String>, reported: Vec<ReportedField>) {
    if rewritten.is_empty() && reported.is_empty() {
        return;
    }
    let report = parts.extensions.get_or_insert_default::<InputReport>();
    report.rewritten.extend(rewritten);
    report.reported.extend(reported);
}
