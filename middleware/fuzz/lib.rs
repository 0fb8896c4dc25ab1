//! What the fuzz targets try: see `properties`.

#[path = "../tests/properties/mod.rs"]
mod properties;

/// A header and a payload of a token whose claims stand elsewhere.
pub fn form(bytes: &[u8]) {
    properties::form(bytes);
}

/// Lines of a header that a stranger sends.
pub fn forwarded(bytes: &[u8]) {
    properties::forwarded(bytes);
}

/// A body.
pub fn json(bytes: &[u8]) {
    properties::json(bytes);
}

/// A key set.
pub fn jwks(bytes: &[u8]) {
    properties::jwks(bytes);
}

/// Request targets, one a line.
pub fn path(bytes: &[u8]) {
    properties::path(bytes);
}

/// A header and a payload of a proof.
pub fn proof(bytes: &[u8]) {
    properties::proof(bytes);
}

/// A header and a payload of a token.
pub fn token(bytes: &[u8]) {
    properties::token(bytes);
}
