//! Bodies: what the input policy adds to a request, beside what it cannot do without.

use std::hint::black_box;

use axum::Router;
use portcullis_guard::{Html, InputPolicy};
use serde_json::{Value, json};

use crate::cost::{Table, of};
use crate::{apps, thread_time};

/// Requests of a round.
const REQUESTS: usize = 20_000;
/// Requests of a round whose HTML is cleaned.
const DEAR: usize = 4_000;

const JSON: &str = "clean JSON of 1 KB: guard, public route";
const UNREAD: &str = "the same bytes as a type that is not read: guard, public route";
const VALUE: &str = "parse of that JSON alone: serde_json, to a Value";
const TYPED: &str = "parse of that JSON alone: serde_json, to nothing";
const DIRTY: [&str; 2] = ["HTML field that changes: guard", "HTML field that changes: ammonia alone"];
const CLEAN: [&str; 2] = ["HTML field that is clean: guard", "HTML field that is clean: ammonia alone"];

pub(crate) struct Bodies {
    bare: Router,
    strict: Router,
    html: Router,
    json: &'static str,
    dirty: &'static str,
    clean: &'static str,
    cleaner: ammonia::Builder<'static>,
}

impl Bodies {
    pub(crate) async fn new() -> Self {
        let html = InputPolicy::strict().html("/text", Html::rich());
        // As the guard has it, but for a few words.
        let mut cleaner = ammonia::Builder::default();
        cleaner.link_rel(Some("noopener noreferrer nofollow"));
        let dirty =
            "<p>Hello <b>you</b> <a href=\"https://x.example/?a=1\">link</a> <script>alert(1)</script></p>";
        let dirty = dirty.repeat(10);
        let clean = cleaner.clean(&dirty).to_string();
        Self {
            bare: apps::bare_post(),
            strict: apps::checked(InputPolicy::strict()).await,
            html: apps::checked(html).await,
            json: kept(order()),
            dirty: kept(json!({ "text": dirty })),
            clean: kept(json!({ "text": clean })),
            cleaner,
        }
    }

    pub(crate) async fn round(&self, table: &mut Table) {
        let json = |_| apps::posted("application/json", self.json);
        let unread = |_| apps::posted("application/octet-stream", self.json);
        let floor = of(&self.bare, REQUESTS, json).await;
        table.add(JSON, of(&self.strict, REQUESTS, json).await - floor);
        table.add(UNREAD, of(&self.strict, REQUESTS, unread).await - floor);
        let text = self.json.as_bytes();
        table.add(VALUE, micros(|| black_box(serde_json::from_slice::<Value>(text)).is_ok()));
        let nothing = || black_box(serde_json::from_slice::<serde::de::IgnoredAny>(text)).is_ok();
        table.add(TYPED, micros(nothing));
        for (body, [guard, alone]) in [(self.dirty, DIRTY), (self.clean, CLEAN)] {
            let make = |_| apps::posted("application/json", body);
            let floor = of(&self.bare, DEAR, make).await;
            table.add(guard, of(&self.html, DEAR, make).await - floor);
            let value: Value = serde_json::from_str(body).expect("our own JSON");
            let html = value["text"].as_str().expect("our own text");
            let count = u32::try_from(DEAR).expect("a small number");
            let clean = || drop(black_box(self.cleaner.clean(html).to_string()));
            table.add(alone, thread_time::micros(count, clean));
        }
    }

    pub(crate) fn hold(table: &mut Table) {
        let whole = "clean JSON, all that the guard adds, in parses";
        table.hold(whole, table.ratio(JSON, VALUE), 1.3, "ratio; parse to a Value");
        table.hold(whole, table.ratio(JSON, TYPED), 1.3, "ratio; parse that keeps nothing");
        for [guard, alone] in [DIRTY, CLEAN] {
            table.hold(&format!("{guard}, beside ammonia alone"), table.ratio(guard, alone), 1.1, "ratio");
        }
    }
}

fn micros(parse: impl Fn() -> bool) -> f64 {
    thread_time::micros(40_000, || assert!(parse()))
}

/// Kept to the end of the process, so that requests cost no copy of it.
fn kept(value: Value) -> &'static str {
    value.to_string().leak()
}

/// An order of about a kilobyte.
fn order() -> Value {
    let line = |number: u32| {
        json!({
            "article": format!("A-{number:05}"), "text": "A thing of some length, and what is said of it",
            "quantity": number, "price": "19.90", "taxed": true,
        })
    };
    json!({
        "customer": "0192f0c1-8a5d-7c3e-b1a2-334455667788", "currency": "EUR", "reference": null,
        "address": { "name": "Ada Lovelace", "street": "12 St James's Square", "city": "London", "zip": "SW1Y 4JH" },
        "lines": (1..=6).map(line).collect::<Vec<_>>(),
    })
}
