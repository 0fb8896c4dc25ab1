//! The kit for tests of services: whether its attacks find what they look for.

#[cfg(test)]
mod broken;
#[cfg(test)]
mod complete;
#[cfg(test)]
mod hour;
#[cfg(test)]
mod miniature;
#[cfg(test)]
mod opaque;
/// The example, as it is.
#[cfg(test)]
#[expect(dead_code, reason = "its program is not started here")]
#[path = "../../examples/orders.rs"]
mod orders;
#[cfg(test)]
mod quiet;
#[cfg(test)]
mod revoked;
#[cfg(test)]
mod stalled;
#[cfg(test)]
mod whole;
