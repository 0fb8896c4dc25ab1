//! Randomness, bearer secrets and the digests that stand for them at rest.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Where random bytes come from: the operating system, or a seed that makes a test repeatable.
#[derive(Clone, Debug)]
pub struct Entropy(Source);

#[derive(Clone, Debug)]
enum Source {
    Os,
    Seeded { seed: u64, drawn: Arc<AtomicU64> },
}

impl Entropy {
    /// Randomness of the operating system, through its approved generator.
    pub const fn os() -> Self {
        Self(Source::Os)
    }

    /// A repeatable stream for tests: whoever knows the seed knows every byte.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded { seed, drawn: Arc::new(AtomicU64::new(0)) })
    }

    /// Fills `target` with random bytes.
    pub fn fill(&self, target: &mut [u8]) {
        match &self.0 {
            Source::Os => fill_from_os(target),
            Source::Seeded { seed, drawn } => {
                for chunk in target.chunks_mut(32) {
                    let block = seeded_block(*seed, drawn.fetch_add(1, Ordering::Relaxed));
                    for (to, from) in chunk.iter_mut().zip(block.as_ref()) {
                        *to = *from;
                    }
                }
            }
        }
    }

    /// Draws `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut drawn = [0; N];
        self.fill(&mut drawn);
        drawn
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that draws randomness")]
fn fill_from_os(target: &mut [u8]) {
    rand::fill(target).expect("the generator ends the process rather than return without randomness");
}

fn seeded_block(seed: u64, counter: u64) -> digest::Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&seed.to_be_bytes());
    context.update(&counter.to_be_bytes());
    context.finish()
}

/// What a bearer secret is for. The kind is part of its text, so that one can never pass for another.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum TokenKind {
    /// What a client asks with whether somebody approved a sign-in that it started (CIBA §7.3).
    AuthReqId,
    /// An authorization code (RFC 6749 §1.3.1).
    AuthorizationCode,
    /// Binds an interaction to the browser that began it.
    Browser,
    /// The generated secret of a client.
    ClientSecret,
    /// What a device asks with whether somebody allowed it (RFC 8628 §3.2).
    DeviceCode,
    /// Lets a client register itself (RFC 7591 §3).
    InitialAccess,
    /// What the link in a letter carries.
    LetterLink,
    /// The handle of a pushed authorization request (RFC 9126 §2.2).
    PushedRequest,
    /// A refresh token (RFC 6749 §1.5).
    Refresh,
    /// Lets a client read and change its own registration (RFC 7592 §3).
    RegistrationAccess,
    /// A signed-in session, held in a cookie.
    Session,
    /// The single-use link that makes the first administrator.
    SetupLink,
}

impl TokenKind {
    /// Every kind there is.
    pub const ALL: [Self; 12] = [
        Self::AuthReqId,
        Self::AuthorizationCode,
        Self::Browser,
        Self::ClientSecret,
        Self::DeviceCode,
        Self::InitialAccess,
        Self::LetterLink,
        Self::PushedRequest,
        Self::Refresh,
        Self::RegistrationAccess,
        Self::Session,
        Self::SetupLink,
    ];

    /// The text a secret of this kind starts with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::AuthReqId => "pcq_",
            Self::AuthorizationCode => "pcc_",
            Self::Browser => "pcb_",
            Self::ClientSecret => "pck_",
            Self::DeviceCode => "pcd_",
            Self::InitialAccess => "pci_",
            Self::LetterLink => "pcm_",
            Self::PushedRequest => "pcp_",
            Self::Refresh => "pcr_",
            Self::RegistrationAccess => "pca_",
            Self::Session => "pcs_",
            Self::SetupLink => "pcl_",
        }
    }
}

/// A bearer secret of 256 random bits, on its way to or from its holder.
///
/// It is never stored, logged or compared: see [`digest`](Self::digest). Its memory is wiped on drop.
#[derive(Clone)]
pub struct OpaqueToken {
    kind: TokenKind,
    text: Zeroizing<String>,
}

/// The text is not a secret that this server makes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a token of this server")]
pub struct InvalidToken;

impl OpaqueToken {
    /// Makes a new secret.
    pub fn generate(kind: TokenKind, entropy: &Entropy) -> Self {
        let random = Zeroizing::new(entropy.bytes::<32>());
        let mut text = String::with_capacity(47);
        text.push_str(kind.prefix());
        URL_SAFE_NO_PAD.encode_string(*random, &mut text);
        Self { kind, text: Zeroizing::new(text) }
    }

    /// Accepts the text of a secret of any kind.
    pub fn parse(raw: &str) -> Result<Self, InvalidToken> {
        let kind =
            TokenKind::ALL.into_iter().find(|kind| raw.starts_with(kind.prefix())).ok_or(InvalidToken)?;
        Self::parse_as(kind, raw)
    }

    /// Accepts the text of a secret of one kind.
    pub fn parse_as(kind: TokenKind, raw: &str) -> Result<Self, InvalidToken> {
        let random = raw.strip_prefix(kind.prefix()).ok_or(InvalidToken)?;
        let base64url = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if random.len() == 43 && random.bytes().all(base64url) {
            Ok(Self { kind, text: Zeroizing::new(raw.to_owned()) })
        } else {
            Err(InvalidToken)
        }
    }

    /// What this secret is for.
    pub const fn kind(&self) -> TokenKind {
        self.kind
    }

    /// The secret itself, for the one answer or cookie that carries it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What is stored in its place.
    pub fn digest(&self) -> Digest32 {
        Digest32::of(self.text.as_bytes())
    }
}

impl fmt::Debug for OpaqueToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpaqueToken({}..)", self.kind.prefix())
    }
}

/// SHA-256 of a secret: what the database holds in place of it.
///
/// A plain digest is enough for a token, which carries 256 random bits; what a person chose gets Argon2id.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Digest32([u8; 32]);

impl Digest32 {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_parts(&[bytes])
    }

    /// The digest of the parts, one after the other without a separator.
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in parts {
            context.update(part);
        }
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        Self(bytes)
    }

    /// A digest that is known.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A digest read back from where it was stored; `None` unless it has 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Compares in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// Lower-case hexadecimal form.
    pub fn hex(&self) -> String {
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
            text
        })
    }
}

/// The text is no digest in lower-case hexadecimal form.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("has to be 64 hexadecimal digits")]
pub struct InvalidDigest;

impl FromStr for Digest32 {
    type Err = InvalidDigest;

    fn from_str(raw: &str) -> Result<Self, InvalidDigest> {
        let (pairs, rest) = raw.as_bytes().as_chunks::<2>();
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
        let bytes: Option<Vec<u8>> = bytes.collect();
        bytes.filter(|_| rest.is_empty()).and_then(|bytes| Self::from_slice(&bytes)).ok_or(InvalidDigest)
    }
}

impl fmt::Debug for Digest32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest32(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_parses_as_its_own_kind_and_as_no_other() {
        let entropy = Entropy::os();
        for kind in TokenKind::ALL {
            let token = OpaqueToken::generate(kind, &entropy);
            assert_eq!(OpaqueToken::parse(token.expose()).map(|t| t.kind()), Ok(kind));
            let accepting = TokenKind::ALL
                .into_iter()
                .filter(|k| OpaqueToken::parse_as(*k, token.expose()).is_ok())
                .count();
            assert_eq!(accepting, 1);
        }
    }

    /// OAuth 2.1 §7.7: at least 160 bits. Among 64 tokens, a bit that is drawn has both values.
    #[test]
    fn a_token_has_256_bits_of_randomness() {
        for kind in TokenKind::ALL {
            let (mut ones, mut zeros) = ([0; 32], [0; 32]);
            for _ in 0..64 {
                let token = OpaqueToken::generate(kind, &Entropy::os());
                let drawn = token.expose().strip_prefix(kind.prefix()).unwrap();
                let drawn = URL_SAFE_NO_PAD.decode(drawn).unwrap();
                assert_eq!(drawn.len(), 32);
                for ((one, zero), byte) in ones.iter_mut().zip(&mut zeros).zip(drawn) {
                    (*one, *zero) = (*one | byte, *zero | !byte);
                }
            }
            assert_eq!((ones, zeros), ([u8::MAX; 32], [u8::MAX; 32]), "{}", kind.prefix());
        }
    }

    #[test]
    fn a_digest_has_one_text() {
        let digest = Digest32::of(b"a");
        assert_eq!(digest.hex().parse(), Ok(digest));
        let hex = digest.hex();
        for wrong in ["", &hex[1..], &hex[2..], &format!("{hex}0"), &format!("{hex}00"), &hex.to_uppercase()]
        {
            assert_eq!(wrong.parse::<Digest32>(), Err(InvalidDigest), "{wrong}");
        }
        assert_eq!(hex.replace('c', "g").parse::<Digest32>(), Err(InvalidDigest));
    }

    #[test]
    fn malformed_tokens_are_refused() {
        let good = OpaqueToken::generate(TokenKind::Refresh, &Entropy::os());
        for bad in ["", "pcr_", "pcx_abc", &format!("{}=", good.expose()), &good.expose()[..46]] {
            assert_eq!(OpaqueToken::parse(bad).map(|token| token.kind()), Err(InvalidToken), "{bad}");
        }
    }

    #[test]
    fn a_token_is_not_printed() {
        let token = OpaqueToken::generate(TokenKind::Session, &Entropy::os());
        assert_eq!(format!("{token:?}"), "OpaqueToken(pcs_..)");
        assert_eq!(format!("{:?}", token.digest()), "Digest32(..)");
    }

    #[test]
    fn the_digest_is_sha_256() {
        // FIPS 180-4, the example for "abc".
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest32::of(b"abc").hex(), expected);
        assert_eq!(Digest32::of_parts(&[b"a", b"bc"]).hex(), expected);
        assert!(Digest32::of(b"abc").matches(&Digest32::of(b"abc")));
        assert!(!Digest32::of(b"abc").matches(&Digest32::of(b"abd")));
        assert_eq!(Digest32::from_slice(&[0; 31]), None);
    }

    #[test]
    fn a_seed_repeats_its_stream_and_the_system_does_not() {
        let draws = |entropy: &Entropy| (entropy.bytes::<40>(), entropy.bytes::<8>());
        assert_eq!(draws(&Entropy::seeded(7)), draws(&Entropy::seeded(7)));
        assert_ne!(draws(&Entropy::seeded(7)), draws(&Entropy::seeded(8)));
        assert_ne!(Entropy::os().bytes::<32>(), Entropy::os().bytes::<32>());
    }
}
