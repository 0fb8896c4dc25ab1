//! What a host may ask of a compilation beyond the text of the policy.

/// How a policy is compiled. The default is what a guard needs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// Takes models whose requests have other fields than `sub`, `dom`, `obj` and `act`. Such a
    /// snapshot answers [`Snapshot::enforce`](crate::Snapshot::enforce) only:
    /// [`Snapshot::decide`](crate::Snapshot::decide) denies everything.
    pub enforce_only: bool,
    /// Lets rules hold code, which `eval` in the matcher runs. Whoever writes a rule then decides
    /// what it costs: there is no limit on its time. Needs the feature `casbin`.
    pub danger_allow_eval: bool,
    /// Keeps the text beside what was compiled from it, so that a `Reference` can be made of the snapshot. Only with the
    /// feature `casbin`.
    pub keep_text: bool,
}
