//! Sealing: what the database may hold only in a form that is useless without the master key.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};

use crate::domain::secret::Entropy;
use crate::keys::master::MasterKey;

/// Names this use of the master key, so that no other program that is given the same bytes derives the same keys.
const EXTRACT_SALT: &[u8] = b"portcullis master key 1";
const VERSION: u8 = 1;
const SALT_LEN: usize = 16;

/// Seals with AES-256-GCM under keys derived from the master key.
///
/// Each message gets a key of its own, derived by HKDF (RFC 5869) from the purpose and 128 random bits. However many messages are
/// sealed, no key meets the same nonce twice, which is what AES-GCM asks for (NIST SP 800-38D section 8.3).
#[derive(Clone)]
pub(crate) struct Sealer {
    root: Prk,
    entropy: Entropy,
}

/// What cannot be opened: sealed with another master key, for another purpose or other data, or damaged.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("does not open with this master key: it was sealed with another one, or it is damaged")]
pub struct CannotOpen;

impl Sealer {
    pub(crate) fn from_master(master: &MasterKey, entropy: Entropy) -> Self {
        Self { root: Salt::new(HKDF_SHA256, EXTRACT_SALT).extract(master.as_bytes()), entropy }
    }

    /// Seals a message. `associated` names what it belongs to; it opens only with the same purpose and name.
    pub(crate) fn seal(&self, purpose: &str, associated: &[u8], message: &[u8]) -> Vec<u8> {
        let salt = self.entropy.bytes::<SALT_LEN>();
        let nonce = self.entropy.bytes::<NONCE_LEN>();
        let mut sealed = message.to_vec();
        self.message_key(purpose, &salt)
            .and_then(|key| {
                key.seal_in_place_append_tag(
                    Nonce::assume_unique_for_key(nonce),
                    Aad::from(associated),
                    &mut sealed,
                )
            })
            .expect("AES-GCM seals whatever is shorter than 64 GiB, and 32 bytes are an AES-256 key");
        [&[VERSION][..], &salt, &nonce, &sealed].concat()
    }

    /// Opens what [`seal`](Self::seal) made.
    pub(crate) fn open(
        &self,
        purpose: &str,
        associated: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, CannotOpen> {
        let (version, rest) = sealed.split_first().ok_or(CannotOpen)?;
        let (salt, rest) = rest.split_first_chunk::<SALT_LEN>().ok_or(CannotOpen)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>().ok_or(CannotOpen)?;
        if *version != VERSION {
            return Err(CannotOpen);
        }
        let mut message = ciphertext.to_vec();
        let key = self.message_key(purpose, salt).map_err(|Unspecified| CannotOpen)?;
        let length = key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(associated), &mut message)
            .map_err(|Unspecified| CannotOpen)?
            .len();
        message.truncate(length);
        Ok(message)
    }

    /// A key for another use, such as a MAC. The same purpose always gives the same key.
    pub(crate) fn derive(&self, purpose: &str) -> [u8; 32] {
        self.expand(&[b"derive", purpose.as_bytes()])
            .expect("HKDF-SHA256 gives up to 8160 bytes, and 32 are asked for")
    }

    fn message_key(&self, purpose: &str, salt: &[u8; SALT_LEN]) -> Result<LessSafeKey, Unspecified> {
        let key = self.expand(&[b"seal", purpose.as_bytes(), salt])?;
        UnboundKey::new(&AES_256_GCM, &key).map(LessSafeKey::new)
    }

    /// HKDF-Expand. Each part is preceded by its length, so that no two lists of parts read the same.
    fn expand(&self, parts: &[&[u8]]) -> Result<[u8; 32], Unspecified> {
        let lengths: Vec<[u8; 8]> = parts.iter().map(|part| (part.len() as u64).to_be_bytes()).collect();
        let info: Vec<&[u8]> =
            lengths.iter().zip(parts).flat_map(|(length, part)| [length.as_slice(), *part]).collect();
        let mut key = [0; 32];
        self.root.expand(&info, ThirtyTwo)?.fill(&mut key)?;
        Ok(key)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}

/// The length of every key that is derived here.
struct ThirtyTwo;

impl KeyType for ThirtyTwo {
    fn len(&self) -> usize {
        32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(seed: u64) -> Sealer {
        let entropy = Entropy::seeded(seed);
        Sealer::from_master(&MasterKey::generate(&entropy), entropy)
    }

    #[test]
    fn what_was_sealed_opens_again() {
        let sealer = sealer(1);
        for message in [&b""[..], b"a key", &[7; 10_000]] {
            let closed = sealer.seal("signing key", b"kid-1", message);
            assert_eq!(sealer.open("signing key", b"kid-1", &closed).as_deref(), Ok(message));
        }
    }

    #[test]
    fn another_master_key_purpose_or_name_does_not_open_it() {
        let closed = sealer(1).seal("signing key", b"kid-1", b"secret");
        assert_eq!(sealer(2).open("signing key", b"kid-1", &closed), Err(CannotOpen));
        assert_eq!(sealer(1).open("refresh", b"kid-1", &closed), Err(CannotOpen));
        assert_eq!(sealer(1).open("signing key", b"kid-2", &closed), Err(CannotOpen));
    }

    #[test]
    fn a_damaged_or_cut_message_does_not_open() {
        let sealer = sealer(1);
        let closed = sealer.seal("p", b"a", b"secret");
        for position in 0..closed.len() {
            let mut damaged = closed.clone();
            damaged[position] ^= 1;
            assert_eq!(sealer.open("p", b"a", &damaged), Err(CannotOpen), "byte {position}");
            assert_eq!(sealer.open("p", b"a", &closed[..position]), Err(CannotOpen), "cut at {position}");
        }
    }

    #[test]
    fn sealing_twice_looks_different_and_hides_the_message() {
        let sealer = sealer(1);
        let (one, two) =
            (sealer.seal("p", b"a", b"a long secret text"), sealer.seal("p", b"a", b"a long secret text"));
        assert_ne!(one, two);
        assert!(!one.windows(6).any(|window| window == b"secret"));
    }

    #[test]
    fn derived_keys_depend_on_their_purpose_alone() {
        assert_eq!(sealer(1).derive("csrf"), sealer(1).derive("csrf"));
        assert_ne!(sealer(1).derive("csrf"), sealer(1).derive("device"));
        assert_ne!(sealer(1).derive("csrf"), sealer(2).derive("csrf"));
    }
}
