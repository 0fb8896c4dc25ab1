//! HTML fields that are made to take long: what a megabyte of them costs, in fields as long as one may be.

use std::hint::black_box;

use portcullis_guard::{Html, HtmlCleaner};

use crate::cost::Table;
use crate::thread_time;

/// The longest field that is cleaned.
const FIELD: usize = 16 * 1_024;
/// Fields of a round.
const FIELDS: u32 = 16;
/// What a megabyte may take, in microseconds (XS-07).
const AT_MOST: f64 = 100_000.0;

pub(crate) struct Hostile {
    cleaner: HtmlCleaner,
    fields: Vec<(&'static str, String)>,
}

impl Hostile {
    pub(crate) fn new() -> Self {
        let attributes =
            |count: usize| (0..count).map(|number| format!("{number:x}")).collect::<Vec<_>>().join(" ");
        let nested = |depth: usize| ["<div>".repeat(depth), "</div>".repeat(depth)].concat();
        let fields = [
            ("<div> in <div>", "<div>".to_owned()),
            ("<div> in <div>, 100 deep", nested(100)),
            ("<div> in <div>, 1,000 deep", nested(1_000)),
            ("100 attributes a tag", format!("<p {}>", attributes(100))),
            ("5,000 attributes a tag", format!("<p {}>", attributes(5_000))),
            ("formatting that is never closed", "<b><i><u><p>x".to_owned()),
            ("links that a table moves", "<table><a href=x>1".to_owned()),
            ("lists and paragraphs that close each other", "<ul><li><p><dl><dd>x".to_owned()),
            ("references", "&amp;&lt;&#x3c;".to_owned()),
            ("angle brackets", "<".to_owned()),
        ];
        let fields = fields.map(|(name, piece)| {
            // As much of it as a field holds, and once if it is longer.
            (name, piece.repeat((FIELD / piece.len()).max(1)))
        });
        Self { cleaner: Html::rich().cleaner().expect("a profile"), fields: fields.into() }
    }

    pub(crate) fn round(&self, table: &mut Table) {
        for (name, field) in &self.fields {
            let micros = thread_time::micros(FIELDS, || drop(black_box(self.cleaner.clean(field))));
            table.add(&self.row(name, field), micros * 1e6 / field.len() as f64);
        }
    }

    pub(crate) fn hold(&self, table: &mut Table) {
        for (name, field) in &self.fields {
            let row = self.row(name, field);
            table.hold(&row, table.median(&row), AT_MOST, "us for a megabyte");
        }
    }

    fn row(&self, name: &str, field: &str) -> String {
        let became = if self.cleaner.clean(field).is_ok() { "cleaned" } else { "refused" };
        format!("1 MB of HTML, {name} ({became})")
    }
}
