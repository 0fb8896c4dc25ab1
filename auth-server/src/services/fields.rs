//! What is wrong with which field: every wrong field of one input, reported at once.

use std::fmt;

/// One field that cannot be accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FieldError {
    /// Where the field is, as a JSON pointer ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)): `/redirect_uris/0`.
    pub pointer: String,
    /// A stable name for this kind of mistake.
    pub code: &'static str,
    /// What is wrong, for a person. It never repeats the value: the value may be a secret.
    pub message: String,
}

/// Every field of one input that cannot be accepted.
#[derive(Clone, Debug, Default, Eq, PartialEq, thiserror::Error)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Says that the field at `pointer` cannot be accepted.
    pub fn refuse(&mut self, pointer: impl Into<String>, code: &'static str, message: impl Into<String>) {
        self.0.push(FieldError { pointer: pointer.into(), code, message: message.into() });
    }

    /// The parsed field, or `None` when its error was noted.
    pub fn take<T, E: fmt::Display>(&mut self, pointer: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|error| self.refuse(pointer, "invalid", error.to_string())).ok()
    }

    /// Parses every item of a list, each under its own pointer. `None` when one of them is wrong.
    pub fn take_each<R, T, E: fmt::Display>(
        &mut self,
        pointer: &str,
        items: &[R],
        parse: impl Fn(&R) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let parsed: Vec<Option<T>> = items
            .iter()
            .enumerate()
            .map(|(position, item)| self.take(&format!("{pointer}/{position}"), parse(item)))
            .collect();
        parsed.into_iter().collect()
    }

    /// `value` when nothing was refused. `None` only ever stands beside a noted error.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            Some(_) | None => Err(self),
        }
    }

    /// One wrong field.
    pub fn of(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        let mut errors = Self::default();
        errors.refuse(pointer, code, message);
        errors
    }

    /// Notes what was found elsewhere, but for what was known before.
    pub fn add_new(&mut self, found: Self, known: &Self) {
        self.0.extend(found.0.into_iter().filter(|error| !known.0.contains(error)));
    }

    /// The wrong fields, in the order they were found.
    pub fn iter(&self) -> impl Iterator<Item = &FieldError> {
        self.0.iter()
    }

    /// Whether every field could be accepted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, FieldError { pointer, message, .. }) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(out, "{separator}{pointer}: {message}")?;
        }
        Ok(())
    }
}

/// A name that people read: 1 to `max` characters, no control characters, no blanks at either end.
pub fn display_name(raw: &str, max: usize) -> Result<String, NameError> {
    if raw.trim() != raw {
        return Err(NameError::Padded);
    }
    if raw.is_empty() {
        return Err(NameError::Empty);
    }
    if raw.chars().nth(max).is_some() {
        return Err(NameError::Long(max));
    }
    if raw.chars().any(|symbol| symbol.is_control() || is_bidi_control(symbol)) {
        return Err(NameError::Control);
    }
    Ok(raw.to_owned())
}

/// Marks that change the order in which the text around them is shown: they can make one name look like another.
pub(crate) const fn is_bidi_control(symbol: char) -> bool {
    matches!(symbol, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Why a text is not a [`display_name`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NameError {
    /// A control character, or one that changes the direction of the text.
    #[error("must not contain control characters")]
    Control,
    /// Nothing at all.
    #[error("must not be empty")]
    Empty,
    /// More characters than fit.
    #[error("must not be longer than {0} characters")]
    Long(usize),
    /// A blank at either end.
    #[error("must not start or end with a blank")]
    Padded,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_item_is_named_by_its_own_pointer() {
        let mut errors = FieldErrors::default();
        let taken = errors.take_each("/numbers", &["1", "x", "y"], |raw| raw.parse::<u8>());
        assert_eq!(taken, None);
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/numbers/1", "/numbers/2"]);
    }

    #[test]
    fn a_value_beside_a_noted_error_is_still_refused() {
        let errors = FieldErrors::of("/a", "invalid", "no");
        assert_eq!(errors.clone().finish(Some(1)), Err(errors));
        assert_eq!(FieldErrors::default().finish(Some(1)), Ok(1));
    }

    #[test]
    fn a_name_with_controls_blanks_or_too_many_characters_is_refused() {
        assert_eq!(display_name("Ada Lovelace", 20), Ok("Ada Lovelace".to_owned()));
        assert_eq!(display_name("", 20), Err(NameError::Empty));
        assert_eq!(display_name(" Ada", 20), Err(NameError::Padded));
        assert_eq!(display_name("Ad\u{7}a", 20), Err(NameError::Control));
        assert_eq!(display_name("Ada\u{202e}nimda", 20), Err(NameError::Control));
        assert_eq!(display_name("éééé", 3), Err(NameError::Long(3)));
        assert_eq!(display_name("ééé", 3), Ok("ééé".to_owned()));
    }
}
