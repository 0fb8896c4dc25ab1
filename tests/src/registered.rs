//! What a client knows of itself.

/// A client that the server knows.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Its id.
    pub id: String,
    /// Its secret, when it has one.
    pub secret: Option<String>,
    /// Where answers are sent.
    pub redirect_uris: Vec<String>,
}
