//! Where a guard draws what nobody may guess.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand;

/// Where a guard draws randomness: the nonces of [pages](crate::SecurityHeaders::html), and the key by which
/// [partitions](crate::Limits::partition_keys) are named where no secret is given.
#[derive(Clone)]
pub struct Entropy(Arc<Fill>);

type Fill = dyn Fn(&mut [u8]) + Send + Sync;

impl Entropy {
    /// Randomness of the operating system.
    pub fn system() -> Self {
        Self(Arc::new(fill_from_system))
    }

    /// Randomness that a test knows.
    pub fn from_fn(fill: impl Fn(&mut [u8]) + Send + Sync + 'static) -> Self {
        Self(Arc::new(fill))
    }

    /// Draws `N` bytes.
    pub(crate) fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut drawn = [0; N];
        (self.0)(&mut drawn);
        drawn
    }
}

impl Default for Entropy {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Entropy(..)")
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the guard draws randomness of the machine"
)]
fn fill_from_system(target: &mut [u8]) {
    rand::fill(target).expect("the generator ends the process rather than return without randomness");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_never_says_the_same_twice() {
        let entropy = Entropy::system();
        assert_ne!(entropy.bytes::<16>(), entropy.bytes::<16>());
        assert_eq!(Entropy::from_fn(|bytes| bytes.fill(7)).bytes::<3>(), [7; 3]);
    }
}
