//! How the rules of a policy are found when a request is decided.

use std::fmt;

/// How many rules are found by index, and how many are not.
///
/// ```
/// use portcullis_policy::{PolicySource, Snapshot};
///
/// let source = PolicySource::with_default_model("p, viewer, *, orders, read");
/// let snapshot = Snapshot::compile(&source, 1)?;
/// assert_eq!(snapshot.coverage().to_string(), "100 % indexed");
/// # Ok::<(), portcullis_policy::Report>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Coverage {
    /// Rules that are found by a key of the request.
    pub indexed: usize,
    /// Rules that are compared one by one, by this crate.
    pub read_through: usize,
    /// Rules that Casbin's interpreter is asked about, one by one.
    pub interpreted: usize,
}

impl fmt::Display for Coverage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = self.indexed + self.read_through + self.interpreted;
        let percent = (self.indexed * 100).checked_div(rules).unwrap_or(100);
        write!(out, "{percent} % indexed")?;
        for (count, how) in [(self.read_through, "read through"), (self.interpreted, "interpreted")] {
            if count > 0 {
                write!(out, ", {count} rules {how}")?;
            }
        }
        Ok(())
    }
}
