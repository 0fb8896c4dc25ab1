//! What an input policy tells the program.

use serde::Serialize;

/// What the input policy did to a request, and what it has to say about it: an extension of every request of which there is
/// something to say before its handler runs. What is found in a multipart body is found later, and is only counted and logged.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct InputReport {
    /// The places whose text was rewritten, as JSON Pointers.
    pub rewritten: Vec<String>,
    /// The fields that were wrong and passed, because they [only report](crate::Field::report): the first 32 of them.
    pub reported: Vec<ReportedField>,
}

/// A field that was wrong and passed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ReportedField {
    /// Where it is: a JSON Pointer, or `?name` for a parameter of the query, `{name}` for one of the path, `name:` for a header.
    pub pointer: String,
    /// What it was declared to be.
    pub kind: &'static str,
    /// The rule that it breaks.
    pub rule: &'static str,
}

/// How often a field that [only reports](crate::Field::report) was wrong since the guard was built.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FieldReports {
    /// The field as it was declared; `?name` is a parameter of the query, `{name}` one of the path, `name:` a header.
    pub field: String,
    /// What it was declared to be.
    pub kind: &'static str,
    /// How often.
    pub count: u64,
}
