//! What the store promises, on both databases.

mod smoke;
mod support;
