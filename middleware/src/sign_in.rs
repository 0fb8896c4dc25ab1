//! How a user has to have signed in (RFC 9470).

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use portcullis_policy::Condition;

use crate::token::Principal;

/// What is asked of the sign-in behind a token.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct SignIn {
    /// One of these, the best first. None: any.
    classes: Vec<Cow<'static, str>>,
    max_age: Option<Duration>,
}

impl SignIn {
    /// What a rule asks for.
    pub(crate) fn of(condition: &Condition) -> Self {
        let classes = condition.acr.iter().map(|class| Cow::Owned(class.clone())).collect();
        Self { classes, max_age: condition.max_age.map(Duration::from_secs) }
    }

    pub(crate) fn accept(&mut self, class: Cow<'static, str>) {
        if !self.classes.contains(&class) {
            self.classes.push(class);
        }
    }

    /// Of two limits, the tighter one holds.
    pub(crate) fn within(&mut self, age: Duration) {
        self.max_age = Some(self.max_age.map_or(age, |own| own.min(age)));
    }

    /// Whether the token says so. `now` is the earliest second that it may be at the issuer.
    pub(crate) fn is_met_by(&self, caller: &Principal, now: u64) -> bool {
        let class = caller.authentication_class();
        let is_accepted = self.classes.is_empty() || self.classes.iter().any(|own| class == Some(own));
        let is_recent = self.max_age.is_none_or(|age| {
            caller.auth_time().is_some_and(|then| then.saturating_add(age.as_secs()) >= now)
        });
        is_accepted && is_recent
    }

    /// The classes as `acr_values` has them, if any are asked for.
    pub(crate) fn acr_values(&self) -> Option<String> {
        (!self.classes.is_empty()).then(|| self.classes.join(" "))
    }

    pub(crate) fn classes(&self) -> impl Iterator<Item = &str> {
        self.classes.iter().map(AsRef::as_ref)
    }

    /// In seconds.
    pub(crate) fn max_age(&self) -> Option<u64> {
        self.max_age.map(|age| age.as_secs())
    }
}

impl fmt::Display for SignIn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let classes = (!self.classes.is_empty()).then(|| self.classes.join(" or "));
        let age = self.max_age().map(|secs| format!("within {secs} s"));
        let parts: Vec<String> = classes.into_iter().chain(age).collect();
        write!(out, "sign-in({})", parts.join(", "))
    }
}
