//! The input policy: malformed requests are refused, declared fields are held to what they were declared to be, nothing else is
//! touched.
//!
//! This is the second fence. The first one is the application's own: escape on output.

mod check;
mod coding;
mod declared;
mod fault;
mod field;
mod form;
mod head;
mod headers;
#[cfg(feature = "html")]
mod html;
mod json;
mod kind;
mod media;
mod multipart;
mod path;
mod pointer;
mod query;
mod report;
mod request_type;
mod rules;
mod splice;
#[cfg(not(feature = "html"))]
mod without_html;

use std::fmt;
use std::sync::Arc;

use declared::Declared;
pub(crate) use fault::{Fault, Part};
pub use field::{Field, FieldFault};
pub use form::Duplicates;
use head::HeadFields;
#[cfg(feature = "html")]
pub use html::{Html, HtmlCleaner, HtmlTooLong, NotHarmless, SafeHtml};
pub(crate) use json::{Bounds, read as read_json};
pub(crate) use media::Media;
pub use multipart::Uploads;
pub(crate) use path::Parameters;
pub use pointer::NotAPointer;
use pointer::Pattern;
pub(crate) use pointer::Segment;
use query::QueryRules;
pub use report::{FieldReports, InputReport, ReportedField};
pub use request_type::{FieldList, InputFields};
pub(crate) use rules::{Checked, InputRules};
#[cfg(not(feature = "html"))]
use without_html as html;

/// The longest body of a guarded type, unless told otherwise.
const DEFAULT_MAX_BODY: usize = 1024 * 1024;

/// The longest string that is not declared, unless told otherwise.
const DEFAULT_MAX_TEXT: usize = 64 * 1024;

/// What requests may hold.
///
/// JSON and form bodies are read to the end before the handler runs, and refused unless they have exactly
/// one reading: UTF-8, well-formed, bounded in size, depth and members, no name twice, no control
/// characters (tab and line breaks may stand), no half surrogates, no value that is a string and not declared of more than
/// [64 KiB](Self::max_text). The query is read in the same way. Bodies of other content types pass untouched, bounded in size.
///
/// `multipart/form-data` is checked while the handler reads it: see [`Uploads`] for files. Where something is found wrong, the body
/// breaks off there, and the guard answers in place of the handler; which has to take that as it takes a client that went away.
///
/// Fields that are [declared](Self::field) are held to what they were declared to be. Text is never changed; declared HTML is
/// cleaned, and what is declared so is normalised. Every other byte of the body reaches the handler as it was sent. Of a body that
/// somebody signed, no byte changes: it is refused where one would have to.
#[derive(Clone, Debug)]
pub struct InputPolicy {
    longest: Longest,
    bounds: Bounds,
    fields: Vec<(String, Field)>,
    duplicates: Duplicates,
    query: QueryFields,
    head: HeadFields,
    signed_body: bool,
    uploads: Uploads,
    unpack_ratio: Option<usize>,
    /// What a request type declares that cannot be, and where.
    fault: Option<(String, FieldFault)>,
}

/// How long what is sent may be, in bytes.
#[derive(Clone, Copy, Debug)]
struct Longest {
    body: usize,
    text: usize,
}

/// What is declared of the query.
#[derive(Clone, Debug)]
struct QueryFields {
    declared: Vec<(String, Field)>,
    /// What is declared beside where the query stands for a form.
    of_forms: Vec<(String, Field)>,
    duplicates: Duplicates,
}

/// An input policy that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// A field cannot be declared so.
    #[error("the field `{place}`: {fault}")]
    Field {
        /// The field as it was declared; `?name` is a parameter of the query, `{name}` one of the path, `name:` a header.
        place: String,
        /// What is wrong with it.
        fault: FieldFault,
    },
    /// No header can have this name.
    #[error("no header can have the name `{0}`")]
    NotAHeader(String),
    /// No parameter of a path can have this name.
    #[error(
        "no parameter of a path can have the name `{0}`: it is written without the braces of the template"
    )]
    NotAParameter(String),
    /// The place of a field is not a JSON Pointer.
    #[error(transparent)]
    NotAPointer(#[from] NotAPointer),
}

impl InputPolicy {
    /// Refuses malformed requests and changes nothing.
    pub const fn strict() -> Self {
        Self {
            longest: Longest { body: DEFAULT_MAX_BODY, text: DEFAULT_MAX_TEXT },
            bounds: Bounds { depth: 32, members: 10_000 },
            fields: Vec::new(),
            duplicates: Duplicates::Reject,
            query: QueryFields { declared: Vec::new(), of_forms: Vec::new(), duplicates: Duplicates::Allow },
            head: HeadFields::new(),
            signed_body: false,
            uploads: Uploads::new(),
            unpack_ratio: None,
            fault: None,
        }
    }

    /// The longest body, in bytes: 1 MiB unless set. Longer ones are answered 413; one of a type that is not read here
    /// and whose length was not declared breaks off where it gets too long.
    #[must_use]
    pub const fn max_body(mut self, bytes: usize) -> Self {
        self.longest.body = bytes;
        self
    }

    /// The longest string that is not declared, in bytes of UTF-8: 64 KiB unless set. It holds for strings of JSON, for fields of forms
    /// and of `multipart/form-data`, and for parameters of the query. What is declared is as long as
    /// [its declaration](Field::length) lets it be: a picture in base64, say, is [opaque](Field::opaque).
    #[must_use]
    pub const fn max_text(mut self, bytes: usize) -> Self {
        self.longest.text = bytes;
        self
    }

    /// Declares what stands at `pointer` in a body. Of fields that match the same place, the first counts.
    ///
    /// A JSON Pointer (RFC 6901) in which `*` stands for any name or index and `**` for any number of them. A pointer with one
    /// step names a field of a form too, as long as the form is a body: see [`query`](Self::query) for the other ones. A value of
    /// another type than the declared one is refused, except `null`; a pointer that ends with `**` speaks only of the values below it
    /// that have the type. Where a field of a name is declared, an array is refused as well, since many a reader takes the fields of
    /// a type from one by their order, and where items are, what has none. Of a form, what is said of the items of a list holds for
    /// each field of its name.
    #[must_use]
    pub fn field(mut self, pointer: impl Into<String>, field: Field) -> Self {
        self.fields.push((pointer.into(), field));
        self
    }

    /// Declares that the strings at `pointer` are HTML, and cleans them. A field may hold 16 KiB, all of them together
    /// 64 KiB; longer ones are refused, and so is what would keep the cleaner busy: see [`HtmlTooLong`].
    #[cfg(feature = "html")]
    #[must_use]
    pub fn html(self, pointer: impl Into<String>, html: Html) -> Self {
        self.field(pointer, Field::html(html))
    }

    /// Declares what a body of this type declares of its fields.
    ///
    /// It declares only those; members that the type does not know are still text like any other. A handler that reads the type from
    /// the query of a `GET`, as a form of axum does, needs [`form_fields`](Self::form_fields): a query that is none may have names of
    /// its own for other things.
    #[must_use]
    pub fn body_fields<T: InputFields>(mut self) -> Self {
        match FieldList::of::<T>().into_body() {
            Ok(fields) => self.fields.extend(fields),
            Err(fault) => self.fault = Some(fault),
        }
        self
    }

    /// Declares what a form of this type declares of its fields, wherever a handler reads it from: in a body, and in the query of a `GET`
    /// or `HEAD`, which is where browsers and forms of axum have it then. A parameter that is [declared](Self::query) otherwise is held
    /// to that. Since a query is never changed, no field of the type may be one that is rewritten, or that has fields itself.
    #[must_use]
    pub fn form_fields<T: InputFields>(self) -> Self {
        let mut policy = self.body_fields::<T>();
        match FieldList::of::<T>().into_query() {
            Ok(parameters) => policy.query.of_forms.extend(parameters),
            Err(fault) => policy.fault = Some(fault),
        }
        policy
    }

    /// Declares what a query of this type declares of its parameters.
    #[must_use]
    pub fn query_fields<T: InputFields>(mut self) -> Self {
        match FieldList::of::<T>().into_query() {
            Ok(parameters) => self.query.declared.extend(parameters),
            Err(fault) => self.fault = Some(fault),
        }
        self
    }

    /// Declares a parameter of the query. The query is never changed: what is wrong is refused or reported.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, field: Field) -> Self {
        self.query.declared.push((name.into(), field));
        self
    }

    /// Which files `multipart/form-data` may bring: see [`Uploads`].
    #[must_use]
    pub fn uploads(mut self, uploads: Uploads) -> Self {
        self.uploads = uploads;
        self
    }

    /// Takes JSON and forms that are packed by `gzip` or `deflate`, and hands them on unpacked. Unless set, a body with a content
    /// coding is answered 415.
    ///
    /// A body may grow to `max_ratio` times its own length, and not beyond [`max_body`](Self::max_body). What is signed is not
    /// unpacked, since nobody could verify it then; files are not either.
    #[must_use]
    pub const fn unpack(mut self, max_ratio: usize) -> Self {
        self.unpack_ratio = Some(max_ratio);
        self
    }

    /// Whether forms may give a field twice: not, unless set.
    #[must_use]
    pub const fn form_duplicates(mut self, duplicates: Duplicates) -> Self {
        self.duplicates = duplicates;
        self
    }

    /// Whether the query may give a parameter twice: it may, unless set, since that is how many write a list.
    #[must_use]
    pub const fn query_duplicates(mut self, duplicates: Duplicates) -> Self {
        self.query.duplicates = duplicates;
        self
    }

    /// Says that the handler verifies a signature or a digest of the body, so that no byte of it may change: what would be
    /// rewritten is refused. Known headers of signatures say so, too; this is for the others.
    #[must_use]
    pub const fn signed_body(mut self) -> Self {
        self.signed_body = true;
        self
    }

    /// The policy at work, for one route: see [`GuardedRoute::input`](crate::GuardedRoute::input).
    pub fn build(&self) -> Result<RouteInput, InputError> {
        Ok(RouteInput(Arc::new(self.rules()?)))
    }

    fn rules(&self) -> Result<InputRules, InputError> {
        if let Some((place, fault)) = self.fault.clone() {
            return Err(InputError::Field { place, fault });
        }
        let mut fields = Declared::beside_texts_of(self.longest.text);
        for (place, field) in &self.fields {
            let pattern = Pattern::parse(place)?;
            let fault = |fault| InputError::Field { place: place.clone(), fault };
            fields.add(pattern, place.clone(), field.build().map_err(fault)?);
        }
        let QueryFields { declared, of_forms, duplicates } = &self.query;
        let query = QueryRules {
            declared: parameters(declared, self.longest.text)?,
            of_forms: parameters(of_forms, self.longest.text)?,
            duplicates: duplicates.where_nothing_changes(),
            longest_text: self.longest.text,
        };
        Ok(InputRules {
            max_body: self.longest.body,
            bounds: self.bounds,
            duplicates: self.duplicates,
            fields: Arc::new(fields),
            query,
            path: self.head.path_rules()?,
            head: self.head.header_rules()?,
            signed_body: self.signed_body,
            uploads: Arc::new(self.uploads.clone()),
            unpack_ratio: self.unpack_ratio,
        })
    }
}

fn parameters(fields: &[(String, Field)], longest_text: usize) -> Result<Declared, InputError> {
    let mut declared = Declared::beside_texts_of(longest_text);
    for (name, field) in fields {
        let place = format!("?{name}");
        let fault = |fault| InputError::Field { place: place.clone(), fault };
        let check = field.build_for_query().map_err(fault)?;
        declared.add(Pattern::named(name), place, check);
    }
    Ok(declared)
}

impl Default for InputPolicy {
    fn default() -> Self {
        Self::strict()
    }
}

/// An [`InputPolicy`] at work: cheap to clone, and one and the same wherever it is used.
#[derive(Clone)]
pub struct RouteInput(Arc<InputRules>);

impl RouteInput {
    /// How often each field that [only reports](Field::report) was wrong.
    pub fn reports(&self) -> Vec<FieldReports> {
        self.0.reports()
    }

    /// A parameter of the path that is declared, and that a route with this template does not have.
    pub(crate) fn missing_in(&self, template: &str) -> Option<&str> {
        self.0.path.missing_in(template)
    }

    pub(crate) fn into_rules(self) -> Arc<InputRules> {
        self.0
    }
}

impl fmt::Debug for RouteInput {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RouteInput").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(feature = "html")]
mod tests;
