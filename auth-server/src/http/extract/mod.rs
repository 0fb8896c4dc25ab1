//! What handlers take as arguments: each type proves something about the request.

pub(crate) mod address;
pub(crate) mod request_id;
