//! What the fuzz targets try: see `properties`.

#[path = "../tests/properties/mod.rs"]
mod properties;

/// Cases, and the rules that they are held to.
pub fn cases(text: &str) {
    properties::cases(text);
}

/// A model, rules and requests.
pub fn model(text: &str) {
    properties::model(text);
}

/// Rules under the default model, and requests.
pub fn rules(text: &str) {
    properties::rules(text);
}

/// A document as it is fetched.
pub fn snapshot(text: &str) {
    properties::snapshot(text);
}
