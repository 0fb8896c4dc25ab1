//! What somebody meant who mistyped a name.

/// The candidate whose text is written most like `wrong`, if it is enough like it.
pub(crate) fn nearest<T>(candidates: impl Iterator<Item = (String, T)>, wrong: &str) -> Option<T> {
    const CLOSE_ENOUGH: f64 = 0.6;
    candidates
        .map(|(text, candidate)| (strsim::normalized_damerau_levenshtein(&text, wrong), candidate))
        .filter(|(likeness, _)| *likeness >= CLOSE_ENOUGH)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let names = || ["editor", "viewer"].into_iter().map(|name| (name.to_owned(), name));
        assert_eq!(nearest(names(), "veiwer"), Some("viewer"));
        assert_eq!(nearest(names(), "editr"), Some("editor"));
        assert_eq!(nearest(names(), "accountant"), None);
        assert_eq!(nearest(names(), ""), None);
    }
}
