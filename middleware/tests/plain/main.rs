//! What the guard does for any service of tower, it does with no feature on.

#[cfg(test)]
mod heads;
#[cfg(test)]
#[path = "../../examples/hyper/serve.rs"]
mod serve;
#[cfg(test)]
mod service;
#[cfg(test)]
#[path = "../guard/signer.rs"]
#[expect(dead_code, reason = "the guard's tests of tokens need more kinds of keys")]
mod signer;
