//! An input policy at work.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};

use super::coding::{self, Coding, Growth};
use super::declared::{Candidate, Declared, Findings, Flat};
use super::fault::{Fault, Rule};
use super::form::{self, Duplicates};
use super::headers::HeadRules;
use super::json::{self, Bounds};
use super::media::{self, Media};
use super::multipart::{self, Terms, Uploads, Watch};
use super::path::{Parameters, PathRules};
use super::query::{self, QueryRules};
use super::report::{FieldReports, InputReport, ReportedField};
use super::splice::{self, Encoding};

use crate::body::Body;

/// An input policy at work.
pub(crate) struct InputRules {
    pub(super) max_body: usize,
    pub(super) bounds: Bounds,
    pub(super) duplicates: Duplicates,
    pub(super) fields: Arc<Declared>,
    pub(super) query: QueryRules,
    pub(super) path: PathRules,
    pub(super) head: HeadRules,
    pub(super) signed_body: bool,
    pub(super) uploads: Arc<Uploads>,
    /// How far a body may grow when it is unpacked. None: none is unpacked.
    pub(super) unpack_ratio: Option<usize>,
}

/// A request that was checked, or is while its body is read.
pub(crate) struct Checked {
    pub(crate) request: Request<Body>,
    /// Where a fault would be found that comes up only then.
    pub(crate) watch: Option<Watch>,
}

impl Checked {
    pub(crate) const fn whole(request: Request<Body>) -> Self {
        Self { request, watch: None }
    }
}

impl InputRules {
    /// Judges what is known of a request before its body is read, and says of which guarded type that is.
    pub(crate) fn begin(&self, parts: &mut Parts, route: &Parameters) -> Result<Option<Media>, Fault> {
        let mut reported = self.path.check(parts, route)?;
        reported.extend(self.head.check(&parts.headers)?);
        if let Some(query) = parts.uri.query() {
            reported.extend(self.query.check(query, query::is_form(&parts.method))?);
        }
        note(parts, Vec::new(), reported);
        // RFC 9112 §6.3: beside a coding, a length says nothing, and not every server takes it away.
        let is_coded = parts.headers.contains_key(header::TRANSFER_ENCODING);
        let length = parts.headers.get(header::CONTENT_LENGTH).filter(|_| !is_coded);
        let length = length.and_then(|length| length.to_str().ok());
        let length = length.and_then(|length| length.parse::<usize>().ok());
        if length == Some(0) {
            return Ok(None);
        }
        let media = Media::of(&parts.headers)?;
        if let Some(media) = media {
            self.check_coding(media, &parts.headers)?;
        }
        let most = if media == Some(Media::Multipart) {
            self.uploads.longest_body(self.max_body)
        } else {
            self.max_body
        };
        // Known to be too long before a byte of it is read.
        if length.is_some_and(|length| length > most) { Err(Fault::whole(Rule::Size)) } else { Ok(media) }
    }

    /// What cannot be read cannot be checked, and a handler that unpacks it would see what we did not.
    fn check_coding(&self, media: Media, headers: &HeaderMap) -> Result<(), Fault> {
        let unpacks = self.unpack_ratio.is_some() && media != Media::Multipart;
        match Coding::of(headers) {
            Coding::Identity => Ok(()),
            Coding::Deflate | Coding::Gzip if unpacks => Ok(()),
            Coding::Other if unpacks => Err(Fault::whole(Rule::UnknownCoding)),
            Coding::Deflate | Coding::Gzip | Coding::Other => Err(Fault::whole(Rule::ContentCoding)),
        }
    }

    /// Checks and, where declared, rewrites the body of a request of a guarded type.
    pub(crate) async fn apply(&self, media: Media, request: Request<Body>) -> Result<Checked, Fault> {
        let (mut parts, body) = request.into_parts();
        let encoding = match media {
            Media::Form => Encoding::Form,
            Media::Json => Encoding::Json,
            Media::Multipart => return self.watched(parts, body),
        };
        let packed = Coding::of(&parts.headers);
        let (mut body, trailers) = self.collect(body).await?;
        // Looked for only where something would have to change.
        let is_signed = |parts: &Parts| {
            self.signed_body
                || media::is_signed(&parts.headers)
                || trailers.as_ref().is_some_and(media::is_signed)
        };
        if packed != Coding::Identity {
            if is_signed(&parts) {
                return Err(Fault::whole(Rule::SignedBody));
            }
            let growth = Growth { longest: self.max_body, ratio: self.unpack_ratio.unwrap_or_default() };
            body = coding::unpack(packed, body, growth).await?;
            parts.headers.remove(header::CONTENT_ENCODING);
            sized(&mut parts, &body);
        }
        let findings = self.check(media, &body)?;
        let Findings { candidates, reported, .. } = Arc::clone(&self.fields).clean(findings).await?;
        if candidates.is_empty() {
            note(&mut parts, Vec::new(), reported);
            return Ok(Checked::whole(Request::from_parts(parts, with_trailers(body, trailers))));
        }
        let (places, edits): (Vec<_>, Vec<_>) =
            candidates.into_iter().map(|Candidate { edit, pointer, .. }| (pointer, edit)).unzip();
        if is_signed(&parts) {
            let pointer = places.into_iter().next().unwrap_or_default();
            return Err(Fault { pointer, ..Fault::whole(Rule::SignedBody) });
        }
        let body = splice::apply(&body, &edits, encoding);
        sized(&mut parts, &body);
        note(&mut parts, places, reported);
        Ok(Checked::whole(Request::from_parts(parts, with_trailers(body, trailers))))
    }

    /// A request whose body is checked while the handler reads it.
    fn watched(&self, mut parts: Parts, body: Body) -> Result<Checked, Fault> {
        let can_change = self.fields.rewrites() || self.uploads.strips();
        let signed = can_change && (self.signed_body || media::is_signed(&parts.headers));
        let terms = Terms {
            fields: Arc::clone(&self.fields),
            uploads: Arc::clone(&self.uploads),
            duplicates: self.duplicates,
            max_held: self.max_body,
            signed,
        };
        let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let changes = terms.changes();
        let (body, watch) = multipart::checked(terms, content_type.unwrap_or_default(), body)?;
        if changes {
            // How long it will be is not known before it is over.
            parts.headers.remove(header::CONTENT_LENGTH);
        }
        Ok(Checked { request: Request::from_parts(parts, body), watch: Some(watch) })
    }

    /// The whole body and the fields after it, or 413 as soon as it is known to be too long.
    async fn collect(&self, body: Body) -> Result<(Bytes, Option<HeaderMap>), Fault> {
        match Limited::new(body, self.max_body).collect().await {
            Ok(collected) => {
                let trailers = collected.trailers().cloned();
                Ok((collected.to_bytes(), trailers))
            }
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
        let of_head = self.path.reports().chain(self.head.reports());
        self.fields.reports().chain(self.query.reports()).chain(of_head).collect()
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
            // Read elsewhere, while it arrives.
            Media::Multipart => {}
            Media::Form => form::read(body, self.duplicates, |field| {
                let form::Field { name, value, has_control, span, repeated } = field;
                match repeated {
                    Some(pair) => self.fields.take_out(&name, pair, &mut findings),
                    None => self
                        .fields
                        .field(Flat { name: &name, value: &value, has_control, span }, &mut findings),
                }
            })?,
        }
        Ok(findings)
    }
}

fn with_trailers(body: Bytes, trailers: Option<HeaderMap>) -> Body {
    match trailers {
        None => Body::from(body),
        Some(trailers) => Body::new(Full::new(body).with_trailers(async { Some(Ok(trailers)) })),
    }
}

/// Says how long a body is that is not the one that was sent.
fn sized(parts: &mut Parts, body: &Bytes) {
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    parts.headers.remove(header::TRANSFER_ENCODING);
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
