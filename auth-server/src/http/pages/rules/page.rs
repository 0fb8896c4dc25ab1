//! What the page of rules shows.

use portcullis_policy::{Finding, Severity};
use serde::Serialize;

use crate::domain::rbac::Api;
use crate::http::render::Page;

/// The page.
#[derive(Serialize)]
pub(super) struct RulesPage {
    pub(super) problem: Option<&'static str>,
    pub(super) notice: Option<&'static str>,
    pub(super) api: ApiShown,
    #[serde(flatten)]
    pub(super) in_force: InForce,
    /// The version of the draft that the text was taken from or saved as.
    pub(super) version: String,
    pub(super) rules: String,
    /// What somebody else saved meanwhile.
    pub(super) theirs: Option<String>,
    pub(super) findings: Vec<FindingShown>,
    pub(super) message: String,
    pub(super) csrf_token: String,
}

/// What the services run, and whether somebody prepares something else.
#[derive(Default, Serialize)]
pub(super) struct InForce {
    /// The revision.
    pub(super) active_number: Option<u64>,
    /// Whether the stored draft says something else.
    pub(super) has_draft: bool,
}

impl Page for RulesPage {
    const TEMPLATE: &'static str = "policies.html";
}

/// An API, as pages show one.
#[derive(Serialize)]
pub(in crate::http::pages) struct ApiShown {
    id: String,
    name: String,
    audience: String,
}

impl ApiShown {
    pub(in crate::http::pages) fn of(api: &Api) -> Self {
        Self { id: api.id.to_string(), name: api.name.clone(), audience: api.audience.as_str().to_owned() }
    }
}

#[derive(Serialize)]
pub(super) struct FindingShown {
    line: u32,
    column: u32,
    severity: &'static str,
    pub(super) message: String,
}

impl FindingShown {
    pub(super) fn of(finding: &Finding) -> Self {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let message = match &finding.fix {
            Some(fix) => format!("{} ({fix})", finding.message),
            None => finding.message.clone(),
        };
        Self { line: finding.line, column: finding.column, severity, message }
    }
}

#[cfg(test)]
pub(in crate::http::pages) fn sample_api() -> ApiShown {
    ApiShown {
        id: "api_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c".to_owned(),
        name: "<b>Orders API</b>".to_owned(),
        audience: "https://orders.example.com".to_owned(),
    }
}

#[cfg(test)]
pub(in crate::http::pages) fn samples() -> Vec<impl Page> {
    let page = |problem, notice| RulesPage {
        problem,
        notice,
        api: sample_api(),
        in_force: InForce { active_number: Some(7), has_draft: true },
        version: "8".to_owned(),
        rules: "# who may do what with orders\np, clerk, *, /orders/{id}, read, allow\n".to_owned(),
        theirs: None,
        findings: Vec::new(),
        message: String::new(),
        csrf_token: "token".to_owned(),
    };
    let finding = |severity| FindingShown { line: 4, column: 1, severity, message: "<b>".to_owned() };
    vec![
        RulesPage { in_force: InForce::default(), ..page(None, None) },
        page(None, Some("saved")),
        page(None, Some("checked")),
        page(None, Some("activated")),
        page(None, Some("discarded")),
        page(Some("no_message"), None),
        page(Some("lockout"), None),
        page(Some("owners_only"), None),
        RulesPage { findings: vec![finding("error"), finding("warning")], ..page(Some("findings"), None) },
        RulesPage { theirs: Some("</textarea><script>".to_owned()), ..page(Some("conflict"), None) },
    ]
}
