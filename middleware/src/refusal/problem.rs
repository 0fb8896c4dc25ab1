//! What the body of a refusal says.

use std::borrow::Cow;

use http::StatusCode;
use serde::{Serialize, Serializer};

use super::Refusal;
use crate::input::{Fault, Part};
use crate::limit::Exceeded;

/// The types and titles that the IETF draft on rate limit fields (§5, §10.2) gives these problems: 429 for whoever exceeds a quota, and
/// 503 for whoever does not, while less than the quota can be given out. Its third, `abnormal-usage-detected`, would
/// be an accusation: counting alone tells nobody's intent.
const QUOTA_EXCEEDED: (&str, &str) =
    ("https://iana.org/assignments/http-problem-types#quota-exceeded", "Quota Exceeded");
const REDUCED_CAPACITY: (&str, &str) = (
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
    "Temporary Reduced Capacity",
);

/// A problem document (RFC 9457 §3).
#[derive(Serialize)]
pub(super) struct Problem<'d> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    pub(super) detail: Cow<'static, str>,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<&'d str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Place>,
    #[serde(rename = "violated-policies", skip_serializing_if = "Vec::is_empty")]
    violated: Vec<&'static str>,
}

/// Where a request breaks which rule. What it says there is not repeated.
#[derive(Serialize)]
struct Place {
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    rule: &'static str,
}

impl Place {
    fn of(fault: &Fault) -> Self {
        Self {
            pointer: (fault.part == Part::Body).then(|| fault.pointer.clone()),
            parameter: fault.parameter(),
            header: fault.header(),
            kind: fault.kind,
            rule: fault.rule.code(),
        }
    }
}

impl<'d> Problem<'d> {
    pub(super) fn of(refusal: &Refusal, decision: Option<&'d str>) -> Self {
        let (status, code) = refusal.answer();
        let errors = match refusal {
            Refusal::Input(fault) => vec![Place::of(fault)],
            _ => Vec::new(),
        };
        let (kind, title) = match refusal {
            Refusal::Limited(Exceeded { is_reduced: true, .. }) => REDUCED_CAPACITY,
            Refusal::Limited(_) => QUOTA_EXCEEDED,
            // RFC 9457 §4.2.1: its title is that of the status.
            _ => ("about:blank", status.canonical_reason().unwrap_or_default()),
        };
        Self {
            kind,
            title,
            status,
            detail: refusal.detail(),
            code,
            decision,
            errors,
            violated: if let Refusal::Limited(exceeded) = refusal {
                vec![exceeded.reading.name]
            } else {
                Vec::new()
            },
        }
    }

    /// As JSON. Most refusals are made of text that needs no escapes, and are put together from it: to refuse a request is not
    /// to cost more than to serve it.
    pub(super) fn body(&self) -> String {
        if self.is_plain() {
            return self.put_together();
        }
        // Text, numbers and lists of them: there is nothing that JSON could not say.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether there are no lists, and nothing but the detail could need an escape, and it does not.
    fn is_plain(&self) -> bool {
        let needs_none = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        self.errors.is_empty() && self.violated.is_empty() && self.detail.bytes().all(needs_none)
    }

    fn put_together(&self) -> String {
        let Self { kind, title, status, detail, code, decision, .. } = self;
        let (key, decision) = decision.map_or(("", ""), |decision| (r#"","decision":""#, decision));
        let (typed, titled, numbered) = (r#"{"type":""#, r#"","title":""#, r#"","status":"#);
        let (detailed, coded, end) = (r#","detail":""#, r#"","code":""#, r#""}"#);
        let status = status.as_str();
        // As long as it is and no longer, so that it becomes a body as it stands.
        [typed, kind, titled, title, numbered, status, detailed, detail, coded, code, key, decision, end]
            .concat()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn as_number<S: Serializer>(status: &StatusCode, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u16(status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(detail: &'static str, decision: Option<&'static str>) -> Problem<'static> {
        Problem {
            kind: "about:blank",
            title: "Forbidden",
            status: StatusCode::FORBIDDEN,
            detail: detail.into(),
            code: "forbidden",
            decision,
            errors: Vec::new(),
            violated: Vec::new(),
        }
    }

    #[test]
    fn a_body_is_what_a_serializer_writes_whether_it_is_put_together_or_not() {
        let details =
            ["nothing odd", "", "a \"quote\"", "back\\slash", "a\u{1}b\n", "d\u{e9}j\u{e0}, \u{7f} \u{2028}"];
        for detail in details {
            for decision in [None, Some("dec_00000000000000ab0000001f")] {
                let mut problem = of(detail, decision);
                assert_eq!(problem.body(), serde_json::to_string(&problem).unwrap(), "{detail:?}");
                problem.violated.push("address");
                assert_eq!(problem.body(), serde_json::to_string(&problem).unwrap(), "{detail:?}");
            }
        }
    }
}
