//! Requests as text, and what the engine tells about one.

use portcullis_policy::{Analysis, Change, Page, Request, Roles, RuleEffect};

/// A request that was read from a line: subject, roles with `+` between them, domain, object, action.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) subject: String,
    pub(super) roles: Vec<String>,
    pub(super) domain: String,
    pub(super) object: String,
    pub(super) action: String,
    values: Vec<String>,
}

impl Asked {
    /// The request in each line. What a line does not say is empty.
    pub(super) fn each(text: &str) -> impl Iterator<Item = Self> {
        text.split('\n').map(|line| Self::new(&line.split(',').map(str::trim).collect::<Vec<_>>()))
    }

    pub(super) fn new(values: &[&str]) -> Self {
        let value = |at: usize| values.get(at).copied().unwrap_or_default().to_owned();
        let roles = value(1);
        let roles = roles.split('+').map(|role| role.trim().to_owned()).collect();
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Self { subject: value(0), roles, domain: value(2), object: value(3), action: value(4), values }
    }

    pub(super) fn request(&self) -> Request<'_> {
        Request {
            subject: &self.subject,
            roles: Roles::from(&self.roles),
            domain: &self.domain,
            object: &self.object,
            action: &self.action,
        }
    }

    /// The line as it is, for a model of any form.
    pub(super) fn values(&self) -> Vec<&str> {
        self.values.iter().map(String::as_str).collect()
    }

    /// Whether it is told as it is decided: why, what would be allowed, and what the caller may do at all.
    pub(super) fn check_what_is_told(&self, analysis: &Analysis, allowed: bool) {
        let snapshot = analysis.snapshot();
        // Whether it is allowed, and whether it would be to whoever meets a condition.
        let decide = |asked: &Self| {
            let decision = snapshot.decide(&asked.request());
            (decision.allowed, snapshot.wanting(decision).is_some())
        };
        let explanation = analysis.explain(&self.request());
        assert_eq!(explanation.allowed, allowed, "{self:?}");
        for miss in &explanation.near_misses {
            let changed = miss.changes.iter().fold(self.clone(), Self::changed);
            let expected = if miss.condition.is_some() { (false, true) } else { (true, false) };
            assert_eq!(decide(&changed), expected, "{self:?} with {miss}");
        }
        if self.subject.is_empty()
            || [&self.subject, &self.domain].iter().any(|text| text.contains(char::is_control))
        {
            return;
        }
        let request = self.request();
        let told = analysis.what_can(Some(&self.subject), request.roles, &self.domain, Page::FIRST);
        for permission in told.permissions.iter().filter(|permission| permission.denied_by.is_empty()) {
            let object = instance(&permission.object);
            let action = if permission.action == "*" { "any" } else { &permission.action };
            let asked = Self { object, action: action.to_owned(), ..self.clone() };
            let (allowed, would_be) = decide(&asked);
            let told = permission.rule.condition.is_some();
            let says = permission.effect == if told { RuleEffect::Conditional } else { RuleEffect::Allow };
            assert_eq!(allowed || (told && would_be), says, "{asked:?}: {permission:?}");
        }
    }

    fn changed(mut self, change: &Change) -> Self {
        match change {
            Change::Action(action) => self.action.clone_from(action),
            Change::Domain(domain) => self.domain.clone_from(domain),
            Change::Object(object) => self.object.clone_from(object),
            Change::Role(role) => self.roles.push(role.clone()),
            Change::User(user) => self.subject.clone_from(user),
            _ => panic!("a change that is not known here: {change:?}"),
        }
        self
    }
}

/// An object that this object of a rule matches.
pub(super) fn instance(object: &str) -> String {
    if object == "*" {
        return "anything".to_owned();
    }
    let segment = |segment: &'_ str| match segment {
        "*" => "a/b".to_owned(),
        segment if segment.starts_with('{') => "one".to_owned(),
        segment => segment.to_owned(),
    };
    object.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// The cases in a text that is known to be sound, each in one form: roles before the user, and what is shown in the order of its
/// names.
pub(super) fn cases(text: &str) -> Vec<String> {
    let lines = text.split('\n').map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let case = |line: &str| {
        let mut fields: Vec<String> = line.split(',').map(|field| field.trim().to_owned()).collect();
        if let Some(callers) = fields.get_mut(1) {
            let (users, mut roles): (Vec<_>, Vec<_>) =
                callers.split('+').map(str::trim).partition(|caller| caller.starts_with("user:"));
            roles.extend(users);
            *callers = roles.join("+");
        }
        let shown =
            fields.split_off(5.min(fields.len())).into_iter().map(|field| match field.split_once('=') {
                Some((name, value)) if name.trim() == "age" => {
                    format!("age={}", value.trim().parse::<u64>().expect("a number"))
                }
                Some((name, value)) => format!("{}={}", name.trim(), value.trim()),
                None => field,
            });
        let mut shown: Vec<String> = shown.collect();
        shown.sort();
        fields.extend(shown);
        fields.join(", ")
    };
    lines.map(case).collect()
}
