//! Portcullis.
fn main() {}
