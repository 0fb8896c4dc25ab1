//! Codes that an authenticator app makes of a secret and the time ([RFC 6238](https://www.rfc-editor.org/rfc/rfc6238)): HMAC-SHA-1,
//! six digits, 30 seconds. Others are in no standard that every app has.

use std::fmt;

use aws_lc_rs::hmac;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use subtle::{Choice, ConstantTimeEq as _};
use zeroize::Zeroizing;

use crate::domain::clock::Timestamp;
use crate::domain::secret::Entropy;

/// Bytes of a secret: as many as the hash gives (RFC 4226 §4, R6).
const LENGTH: usize = 20;
/// How long a code is shown (RFC 6238 §5.2).
pub(crate) const STEP_SECS: u64 = 30;
/// Steps before and after the present one whose codes are taken: for slow fingers, and clocks that are wrong by a little (§5.2).
const WINDOW: u64 = 1;
const DIGITS: usize = 6;
const BASE32: [char; 32] = [
    'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P', 'Q', 'R', 'S', 'T', 'U',
    'V', 'W', 'X', 'Y', 'Z', '2', '3', '4', '5', '6', '7',
];
/// What stands in an address as it is.
const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What an authenticator app and this server share about an account. It is never printed.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct TotpSecret(Zeroizing<[u8; LENGTH]>);

impl TotpSecret {
    pub(crate) fn generate(entropy: &Entropy) -> Self {
        Self(Zeroizing::new(entropy.bytes()))
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// As people type it into an app, in groups of four (RFC 4648 §6).
    pub(crate) fn shown(&self) -> String {
        let text: Vec<char> = self.base32().chars().collect();
        let groups: Vec<String> = text.chunks(4).map(|group| group.iter().collect()).collect();
        groups.join(" ")
    }

    /// As apps read it from a picture: the Key Uri Format that all of them know.
    pub(crate) fn uri(&self, issuer: &str, account: &str) -> String {
        let encoded = |text| utf8_percent_encode(text, &PLAIN);
        format!(
            "otpauth://totp/{}:{}?secret={}&issuer={}&algorithm=SHA1&digits={DIGITS}&period={STEP_SECS}",
            encoded(issuer),
            encoded(account),
            self.base32(),
            encoded(issuer),
        )
    }

    /// The step whose code it is, among those that count now. It takes the same time for every code of six digits.
    pub(crate) fn step_of(&self, typed: &str, now: Timestamp) -> Option<u64> {
        let typed: String = typed.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
        if typed.len() != DIGITS || !typed.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let present = step_at(now);
        let mut found = None;
        for step in present.saturating_sub(WINDOW)..=present.saturating_add(WINDOW) {
            let matches: Choice = self.code(step).as_bytes().ct_eq(typed.as_bytes());
            found = if bool::from(matches) { Some(step) } else { found };
        }
        found
    }

    /// The code of a step (RFC 4226 §5.3).
    fn code(&self, step: u64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.as_bytes());
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let offset = tag.as_ref().last().map_or(0, |last| usize::from(last & 0x0f));
        let word =
            tag.as_ref().iter().skip(offset).take(4).fold(0_u32, |word, byte| (word << 8) | u32::from(*byte));
        format!("{:06}", (word & 0x7fff_ffff) % 1_000_000)
    }

    fn base32(&self) -> String {
        let digit = |five: u64| BASE32.get(usize::try_from(five & 31).unwrap_or_default()).copied();
        let groups = self.as_bytes().chunks(5).flat_map(|group| {
            let bits = group.iter().fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
            (0..8).rev().filter_map(move |place| digit(bits >> (5 * place)))
        });
        groups.collect()
    }
}

/// The step that a time is in.
fn step_at(time: Timestamp) -> u64 {
    u64::try_from(time.as_secs()).unwrap_or_default() / STEP_SECS
}

/// When no code of a step counts any more, on whichever clock of ours.
pub(crate) fn end_of(step: u64) -> Timestamp {
    let secs = step.saturating_add(2 + 2 * WINDOW).saturating_mul(STEP_SECS);
    Timestamp::from_secs(i64::try_from(secs).unwrap_or(i64::MAX / 1_000_000))
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 6238, appendix B.
    fn of_the_rfc() -> TotpSecret {
        TotpSecret::read(b"12345678901234567890").unwrap()
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        // Appendix B has eight digits; six are its last six (RFC 4226 §5.3).
        for (at, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let now = Timestamp::from_secs(at);
            assert_eq!(of_the_rfc().code(step_at(now)), code, "{at}");
            assert_eq!(of_the_rfc().step_of(code, now), Some(step_at(now)));
        }
    }

    #[test]
    fn a_code_counts_one_step_early_and_one_step_late_and_no_longer() {
        let code = of_the_rfc().code(100);
        for (step, counts) in [(98, false), (99, true), (100, true), (101, true), (102, false)] {
            let (begin, end) = (step * 30, step * 30 + 29);
            for secs in [begin, end] {
                let found = of_the_rfc().step_of(&code, Timestamp::from_secs(secs));
                assert_eq!(found, counts.then_some(100), "{secs}");
            }
        }
        assert!(end_of(100) > Timestamp::from_secs(101 * 30 + 29), "remembered for as long as it counts");
    }

    #[test]
    fn a_code_is_read_as_people_type_it_and_nothing_else_is_one() {
        let now = Timestamp::from_secs(59);
        for typed in ["287082", " 287 082 ", "287-082"] {
            assert_eq!(of_the_rfc().step_of(typed, now), Some(1), "{typed}");
        }
        for typed in ["", "28708", "2870820", "28708a", "٢٨٧٠٨٢", "-28708", "+28708"] {
            assert_eq!(of_the_rfc().step_of(typed, now), None, "{typed}");
        }
    }

    #[test]
    fn a_secret_is_written_as_apps_read_it_and_never_printed() {
        let secret = of_the_rfc();
        assert_eq!(secret.base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert!(secret.shown().starts_with("GEZD GNBV "), "{}", secret.shown());
        assert_eq!(
            secret.uri("id.example.com", "ada&x=y"),
            "otpauth://totp/id.example.com:ada%26x%3Dy?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=id.example.com&algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(format!("{secret:?}"), "TotpSecret(..)");
        assert_eq!(TotpSecret::read(b"short"), None);
    }
}
