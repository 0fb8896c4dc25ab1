//! Tokens of an issuer that is none of ours: the guard knows its URL and nothing else.

#[cfg(test)]
mod issuer;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod service;
#[cfg(test)]
mod tokens;
