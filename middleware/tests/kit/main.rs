//! The kit for tests of services: whether its attacks find what they look for.

#[cfg(test)]
mod broken;
#[cfg(test)]
mod miniature;
#[cfg(test)]
mod whole;
