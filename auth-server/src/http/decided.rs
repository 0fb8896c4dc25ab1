//! What was decided, on its way to the log line of the request.

use crate::http::extract::request_id::RequestId;

/// The decisions of one answer. A handler puts it into the extensions of the answer; the one line that is written for the request
/// holds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decided {
    /// How many there are.
    pub(crate) decisions: usize,
    /// How many of them allow.
    pub(crate) allowed: usize,
}

impl Decided {
    /// The names of the decisions: the first, and the last if there are several.
    pub(crate) fn names(self, id: RequestId) -> String {
        let first = decision_id(id, 1);
        if self.decisions > 1 { format!("{first}..{}", decision_id(id, self.decisions)) } else { first }
    }
}

/// What the decision with this number, from 1, of a request is called: nothing has to be drawn for it, and whoever has it finds
/// the request.
pub(crate) fn decision_id(id: RequestId, number: usize) -> String {
    format!("{id}-{number}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Entropy;

    #[test]
    fn decisions_are_called_after_their_request() {
        let id = RequestId::generate(&Entropy::seeded(1));
        let named = |decisions| Decided { decisions, allowed: 0 }.names(id);
        assert_eq!(named(1), format!("{id}-1"));
        assert_eq!(named(3), format!("{id}-1..{id}-3"));
        assert_eq!(decision_id(id, 2), format!("{id}-2"));
    }
}
