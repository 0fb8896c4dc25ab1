//! Why limits cannot be kept.

/// Why limits cannot be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// A quota of nothing.
    #[error("the limit {0} lets nothing through")]
    Empty(&'static str),
    /// A name that a header could not hold.
    #[error("`{0}` is no name for a limit: it has 1 to 64 letters, digits, `-`, `_` and `.`")]
    Name(&'static str),
    /// Limits are to be shared, and nothing says by what secret.
    #[error("limits that replicas share need a secret that they share too")]
    NoSecret,
    /// Two limits have one name.
    #[error("there are two limits called {0}")]
    Repeated(&'static str),
    /// A secret that could be guessed.
    #[error("the secret of the limits has less than 32 bytes")]
    ShortSecret,
    /// Where counts are shared cannot be found.
    #[error("the address of the shared limits cannot be used: {0}")]
    Url(String),
}
