//! The conditions in the text of a rule, behind its effect.

use crate::condition::Condition;
use crate::line::{Field, Line};
use crate::report::{Finding, closest, quoted};

/// How a condition is written.
const FORMS: &str = "`acr=CLASS` or `acr=BEST|OTHER`, `max_age=SECONDS`, `dpop` and `mtls`";

/// The names of conditions, in the order of [`FORMS`].
const NAMES: [&str; 4] = ["acr", "max_age", "dpop", "mtls"];

/// A year: whoever accepts an older sign-in has no use for a limit.
const MAX_AGE_SECS: u64 = 31_536_000;

/// What a challenge names beyond this, a guard asks nobody to sign in by.
const MAX_ACR_BYTES: usize = 256;

/// Whether a field would be a condition if it stood where they do.
pub(crate) fn is_condition(text: &str) -> bool {
    NAMES.contains(&name(text))
}

impl Line<'_> {
    /// Reads what stands behind the effect of a rule that allows. `None` if nothing does.
    pub(crate) fn conditions(self, fields: &[Field<'_>]) -> Result<Option<Box<Condition>>, Finding> {
        if fields.is_empty() {
            return Ok(None);
        }
        let mut condition = Condition::default();
        for field in fields {
            self.condition(*field, &mut condition)?;
        }
        Ok(Some(Box::new(condition)))
    }

    fn condition(self, field: Field<'_>, condition: &mut Condition) -> Result<(), Finding> {
        let value = field.text.split_once('=').map(|(_, value)| value.trim());
        let is_known = match name(field.text) {
            "acr" => !condition.acr.is_empty(),
            "max_age" => condition.max_age.is_some(),
            "dpop" => condition.dpop,
            "mtls" => condition.mtls,
            other => return Err(self.unknown_condition(field, other)),
        };
        if is_known {
            let message = format!("the rule has a condition {} already", quoted(name(field.text)));
            return Err(self.error(field, "duplicate-condition", message));
        }
        match (name(field.text), value) {
            ("acr", value) => condition.acr = self.classes(field, value.unwrap_or_default())?,
            ("max_age", value) => condition.max_age = Some(self.age(field, value.unwrap_or_default())?),
            ("dpop", None) => condition.dpop = true,
            ("mtls", None) => condition.mtls = true,
            (name, _) => {
                let message = format!("{} stands alone, without a value", quoted(name));
                return Err(self.error(field, "condition-value", message).with_fix(Some(name)));
            }
        }
        Ok(())
    }

    fn unknown_condition(self, field: Field<'_>, given: &str) -> Finding {
        let message = format!("{} is no condition: there are {FORMS}", quoted(given));
        let lower = given.to_lowercase().replace('-', "_");
        let fix = NAMES.into_iter().find(|known| *known == lower).or_else(|| closest(&lower, NAMES));
        let rest =
            field.text.split_once('=').map_or(String::new(), |(_, value)| format!("={}", value.trim()));
        let fix = fix.map(|known| format!("{known}{rest}"));
        self.error(field, "unknown-condition", message).with_fix(fix)
    }

    /// A challenge names classes in quotes, with spaces between them.
    fn classes(self, field: Field<'_>, value: &str) -> Result<Vec<String>, Finding> {
        let mut classes: Vec<String> = Vec::new();
        let mut repeats = false;
        for class in value.split('|').map(str::trim) {
            let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
            if class.is_empty() || !class.bytes().all(is_plain) {
                let message = "`acr` names one class of sign-in or several, the best first: `acr=phrh|phr`";
                return Err(self.error(field, "condition-value", message));
            }
            if classes.iter().any(|known| known == class) {
                repeats = true;
            } else {
                classes.push(class.to_owned());
            }
        }
        if classes.join(" ").len() > MAX_ACR_BYTES {
            let message = format!("the classes of `acr` have at most {MAX_ACR_BYTES} bytes together");
            return Err(self.error(field, "condition-value", message));
        }
        if repeats {
            let fix = format!("acr={}", classes.join("|"));
            let message = "`acr` names a class of sign-in twice";
            return Err(self.error(field, "condition-value", message).with_fix(Some(fix)));
        }
        Ok(classes)
    }

    fn age(self, field: Field<'_>, value: &str) -> Result<u64, Finding> {
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|secs| is_number && *secs <= MAX_AGE_SECS)
        };
        if let Some(secs) = number(value) {
            return Ok(secs);
        }
        let units = [("s", 1_u64), ("m", 60), ("h", 3_600), ("d", 86_400)];
        let meant = units.iter().find_map(|(unit, secs)| {
            let count: u64 = number(value.strip_suffix(unit)?.trim())?;
            count.checked_mul(*secs).filter(|secs| *secs <= MAX_AGE_SECS)
        });
        let fix = meant.map(|secs| format!("max_age={secs}"));
        let message = format!("`max_age` is a whole number of seconds, from 0 to {MAX_AGE_SECS}");
        Err(self.error(field, "condition-value", message).with_fix(fix))
    }
}

/// What stands before the `=`, if there is one.
fn name(text: &str) -> &str {
    text.split_once('=').map_or(text, |(name, _)| name).trim()
}
