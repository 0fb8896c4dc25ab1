//! How many cases are tried of what has many kinds.

use proptest::prelude::ProptestConfig;

/// At least a thousand cases, or as many as `PROPTEST_CASES` says.
pub(crate) fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: default.cases.max(1_000), failure_persistence: None, ..default }
}
