//! Ids that a browser alone has, and what is sealed with them.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::store::StoreKey;
use crate::entropy::Entropy;

const BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

/// What sealing keys are made from beside the id.
const LABEL: &[u8] = b"portcullis sealed by an id\0";

/// 256 random bits.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) struct Handle([u8; BYTES]);

impl Handle {
    pub(super) fn draw(entropy: &Entropy) -> Self {
        Self(entropy.bytes())
    }

    /// Reads what [`text`](Self::text) wrote.
    pub(super) fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// As it stands in a cookie or a URL: 43 characters.
    pub(super) fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// That of who has both.
    pub(super) fn and(&self, other: &Self) -> Self {
        let mut both = [0; BYTES];
        let digest = digest(&SHA256, &[self.0, other.0].concat());
        // A digest of SHA-256 has so many bytes.
        both.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        Self(both)
    }

    /// What a store knows it by.
    pub(super) fn key(&self) -> StoreKey {
        StoreKey::of("id", &[&self.0])
    }

    /// Seals what whoever has this id may open. `None` only where it cannot be written as JSON.
    pub(super) fn seal(&self, value: &impl Serialize, entropy: &Entropy) -> Option<Vec<u8>> {
        let mut sealed = serde_json::to_vec(value).ok()?;
        let nonce: [u8; NONCE_BYTES] = entropy.bytes();
        let key = self.sealing_key()?;
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed).ok()?;
        sealed.extend(nonce);
        Some(sealed)
    }

    /// Opens what was sealed with this id, if it was.
    pub(super) fn open<T: DeserializeOwned>(&self, mut sealed: Vec<u8>) -> Option<T> {
        let at = sealed.len().checked_sub(NONCE_BYTES)?;
        let nonce: [u8; NONCE_BYTES] = sealed.split_off(at).try_into().ok()?;
        let key = self.sealing_key()?;
        let opened =
            key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed).ok()?;
        serde_json::from_slice(opened).ok()
    }

    fn sealing_key(&self) -> Option<LessSafeKey> {
        let bytes = sign(&Key::new(HMAC_SHA256, &self.0), LABEL);
        UnboundKey::new(&AES_256_GCM, bytes.as_ref()).ok().map(LessSafeKey::new)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Handle(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_by_its_id_alone() {
        let entropy = Entropy::system();
        let (own, other) = (Handle::draw(&entropy), Handle::draw(&entropy));
        let sealed = own.seal(&"secret", &entropy).unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_eq!(own.open::<String>(sealed.clone()).as_deref(), Some("secret"));
        assert_eq!(other.open::<String>(sealed.clone()), None);
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(own.open::<String>(damaged), None, "{at}");
        }
        assert_eq!(own.open::<String>(sealed[..5].to_vec()), None);
    }

    #[test]
    fn an_id_has_one_text_and_is_not_printed() {
        let handle = Handle::draw(&Entropy::from_fn(|bytes| bytes.fill(7)));
        let text = handle.text();
        assert_eq!((text.len(), Handle::parse(&text)), (43, Some(handle)));
        for bad in ["", "a", &text[1..], &format!("{text}="), &format!("{text}A")] {
            assert_eq!(Handle::parse(bad), None, "{bad}");
        }
        assert_eq!(format!("{handle:?}"), "Handle(..)");
        assert_ne!(handle.and(&handle).key(), handle.key());
    }
}
