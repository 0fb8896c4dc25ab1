//! What handlers take as arguments: each type proves something about the request.

pub(crate) mod address;
pub(crate) mod certificate;
pub(crate) mod cookies;
pub(crate) mod form;
pub(crate) mod link;
pub(crate) mod request_id;
pub(crate) mod visit;
