//! Nonces for proofs (RFC 9449 §9), which no table has to hold: each says by itself when it was made.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;

/// How long a nonce is handed out. It is taken for one such time more, so that nobody is refused at the turn.
const PERIOD_SECS: u64 = 300;

/// How much of the code is in a nonce.
const CODE_BYTES: usize = 16;

/// Makes nonces and knows them again. Guards that share the secret know each other's.
pub(crate) struct Nonces(Key);

impl Nonces {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Self(Key::new(HMAC_SHA256, secret))
    }

    /// The nonce of this time.
    pub(crate) fn current(&self, unix_secs: u64) -> HeaderValue {
        // base64url is text that a header can hold; were it not, nobody could get past an empty one.
        HeaderValue::try_from(self.of_period(unix_secs / PERIOD_SECS))
            .unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// Whether a nonce is one of this time or the time before; or of the next, by the clock of another guard.
    pub(super) fn is_fresh(&self, nonce: &str, unix_secs: u64) -> bool {
        let period = unix_secs / PERIOD_SECS;
        let periods = [period, period.saturating_sub(1), period.saturating_add(1)];
        let is_of = |period: &u64| {
            verify_slices_are_equal(self.of_period(*period).as_bytes(), nonce.as_bytes()).is_ok()
        };
        periods.iter().any(is_of)
    }

    fn of_period(&self, period: u64) -> String {
        let code = sign(&self.0, &period.to_be_bytes());
        URL_SAFE_NO_PAD.encode(code.as_ref().get(..CODE_BYTES).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_for_its_time_and_the_next_and_only_where_the_secret_is_known() {
        let (nonces, others) = (Nonces::new(&[1; 32]), Nonces::new(&[2; 32]));
        let made = nonces.current(3_000);
        let nonce = made.to_str().unwrap();
        assert_eq!(nonce.len(), 22);
        for (at, fresh) in
            [(3_000, true), (3_299, true), (3_599, true), (3_600, false), (2_700, true), (2_699, false)]
        {
            assert_eq!(nonces.is_fresh(nonce, at), fresh, "{at}");
        }
        assert!(!others.is_fresh(nonce, 3_000));
        assert!(!nonces.is_fresh("", 3_000) && !nonces.is_fresh(&nonce[..21], 3_000));
    }
}
