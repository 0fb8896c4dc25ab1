//! The headers that are declared: looked at, and never changed.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::declared::{Declared, Findings, Flat};
use super::fault::{Fault, Part, Rule};
use super::form::{Duplicates, has_control};
use super::pointer::{Segment, written};
use super::report::{FieldReports, ReportedField};

/// What some headers may hold. Whatever is not declared is not looked at.
#[derive(Default)]
pub(crate) struct HeadRules {
    pub(super) declared: Declared,
    pub(super) names: Vec<DeclaredName>,
    pub(super) duplicates: Duplicates,
}

/// A header that is declared.
pub(super) struct DeclaredName {
    pub(super) name: HeaderName,
    pub(super) is_required: bool,
}

impl HeadRules {
    /// How often each header that only reports was wrong.
    pub(super) fn reports(&self) -> impl Iterator<Item = FieldReports> {
        self.declared.reports()
    }

    /// Checks the headers of a request, and returns what is only to be reported.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<Vec<ReportedField>, Fault> {
        let mut findings = Findings::default();
        for own in &self.names {
            let outcome = self.check_one(own, headers, &mut findings);
            outcome.map_err(|fault| Fault { part: Part::Header, ..fault })?;
        }
        for field in &mut findings.reported {
            field.pointer.remove(0);
            field.pointer.push(':');
        }
        Ok(findings.reported)
    }

    fn check_one(
        &self,
        own: &DeclaredName,
        headers: &HeaderMap,
        findings: &mut Findings,
    ) -> Result<(), Fault> {
        let name = own.name.as_str();
        let at = || written(&[Segment::Key(name.into())]);
        let wrong = |rule, findings: &mut Findings| {
            self.declared.refuse(name, rule, findings).map_err(|breach| breach.at(at()))
        };
        let lines: Vec<&HeaderValue> = headers.get_all(&own.name).iter().collect();
        if lines.is_empty() && own.is_required {
            return wrong(Rule::Missing, findings);
        }
        if lines.len() > 1 && self.duplicates != Duplicates::Allow {
            wrong(Rule::DuplicateHeader, findings)?;
        }
        for line in lines {
            let Ok(value) = std::str::from_utf8(line.as_bytes()) else {
                wrong(Rule::Encoding, findings)?;
                continue;
            };
            let field = Flat { name, value, has_control: has_control(value), span: 0..0 };
            self.declared.field(field, findings).map_err(|breach| breach.at(at()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::InputPolicy;
    use crate::input::field::Field;

    fn checked(
        policy: &InputPolicy,
        lines: &[(&'static str, &'static [u8])],
    ) -> Result<Vec<ReportedField>, (Option<String>, Rule)> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let outcome = policy.rules().unwrap().head.check(&headers);
        outcome.map_err(|fault| {
            assert_eq!(fault.part, Part::Header);
            (fault.header(), fault.rule)
        })
    }

    fn refused(rule: Rule) -> Result<Vec<ReportedField>, (Option<String>, Rule)> {
        Err((Some("x-tenant".to_owned()), rule))
    }

    #[test]
    fn headers_are_held_to_their_kind() {
        let policy = InputPolicy::strict()
            .header("X-Tenant", Field::ident().length(..=5))
            .header("x-page", Field::integer(1..=9))
            .header("x-key", Field::opaque().length(8..));
        let same: [&[(&str, &[u8])]; 5] = [
            &[],
            &[("x-tenant", b"acme"), ("x-page", b"7"), ("x-key", b"12345678")],
            &[("x-tenant", "äöüßx".as_bytes())],
            &[("x-other", b"\xff\t")],
            &[("x-key", b"1234\t5678")],
        ];
        for lines in same {
            assert_eq!(checked(&policy, lines), Ok(Vec::new()), "{lines:?}");
        }
        for (value, rule) in [
            (b"acme inc".as_slice(), Rule::Identifier),
            (b"acmecorp", Rule::TooLong),
            (b"", Rule::Identifier),
            (b"\xff", Rule::Encoding),
            (b"acme\xc3", Rule::Encoding),
        ] {
            assert_eq!(checked(&policy, &[("x-tenant", value)]), refused(rule), "{value:?}");
        }
        assert_eq!(checked(&policy, &[("x-page", b"0")]), Err((Some("x-page".to_owned()), Rule::Range)));
        assert_eq!(checked(&policy, &[("x-key", b"short")]), Err((Some("x-key".to_owned()), Rule::TooShort)));
    }

    #[test]
    fn a_header_that_stands_there_twice_is_refused_unless_it_may() {
        let policy = InputPolicy::strict().header("x-tenant", Field::ident());
        let twice: [(&str, &[u8]); 2] = [("x-tenant", b"acme"), ("x-tenant", b"acme")];
        assert_eq!(checked(&policy, &twice), refused(Rule::DuplicateHeader));
        assert_eq!(checked(&policy, &[("x-other", b"a"), ("x-other", b"b"), twice[0]]), Ok(Vec::new()));
        let list = policy.header_duplicates(Duplicates::Allow);
        assert_eq!(checked(&list, &twice), Ok(Vec::new()));
        // Each line is held to what is declared, not the first alone.
        assert_eq!(checked(&list, &[twice[0], ("x-tenant", b"a b")]), refused(Rule::Identifier));
    }

    #[test]
    fn only_what_is_required_has_to_be_there() {
        let optional = InputPolicy::strict().header("x-tenant", Field::ident());
        assert_eq!(checked(&optional, &[]), Ok(Vec::new()));
        let required = InputPolicy::strict().required_header("X-Tenant", Field::ident());
        assert_eq!(checked(&required, &[]), refused(Rule::Missing));
        assert_eq!(checked(&required, &[("x-tenant", b"acme")]), Ok(Vec::new()));
    }

    #[test]
    fn a_header_that_only_reports_passes_and_is_counted() {
        let policy = InputPolicy::strict().required_header("x-tenant", Field::ident().report());
        let told = |lines| {
            let reported = checked(&policy, lines).unwrap();
            reported.into_iter().map(|field| (field.pointer, field.rule)).collect::<Vec<_>>()
        };
        let one = |rule| vec![("x-tenant:".to_owned(), rule)];
        assert_eq!(told(&[]), one("missing"));
        assert_eq!(told(&[("x-tenant", b"a b")]), one("identifier"));
        assert_eq!(told(&[("x-tenant", b"\xff")]), one("encoding"));
        assert_eq!(told(&[("x-tenant", b"a"), ("x-tenant", b"b")]), one("duplicate-header"));
        let rules = policy.rules().unwrap();
        rules.head.check(&HeaderMap::new()).unwrap();
        assert_eq!((rules.reports()[0].field.as_str(), rules.reports()[0].count), ("x-tenant:", 1));
    }
}
