//! Identifiers in paths.

use std::str::FromStr;

use crate::http::admin::problem::Problem;
use crate::services::admin_error::Thing;

/// The identifier that `raw` is. A text that no identifier has names nothing, which is what the caller is told.
#[expect(clippy::result_large_err, reason = "a problem is made once for a request that is refused")]
pub(crate) fn named<T: FromStr>(raw: &str, thing: Thing) -> Result<T, Problem> {
    raw.parse().map_err(|_| Problem::not_found(thing))
}
