//! The browsers in which an account was signed in to before.
//!
//! Whoever guesses at an account uses up the tries of strangers, not those of a browser that its owner used before:
//! so nobody can lock the owner out. The proof lives in a cookie. It holds a random name of the browser and, for each
//! account, a MAC over that name and the user name. It signs nobody in; it only earns tries of its own.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::secret::{Digest32, Entropy};
use crate::domain::user::Username;

/// Bytes of the random name of a browser, and of each MAC.
const LEN: usize = 16;
/// Accounts that one browser is remembered for; the oldest goes first.
const ACCOUNTS: usize = 5;

/// A browser that proved to have signed in to the account before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct KnownDevice([u8; LEN]);

impl KnownDevice {
    pub(crate) const fn as_bytes(&self) -> &[u8; LEN] {
        &self.0
    }
}

/// Makes and checks the cookie.
#[derive(Clone)]
pub(crate) struct DeviceProof(hmac::Key);

impl DeviceProof {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The browser's name, if its cookie proves a former sign-in to this account.
    pub(crate) fn recognise(&self, cookie: &str, username: &Username) -> Option<KnownDevice> {
        let (device, marks) = read(cookie)?;
        marks
            .iter()
            .any(|mark| hmac::verify(&self.0, &message(&device, username), mark).is_ok())
            .then_some(KnownDevice(device))
    }

    /// The cookie after a sign-in: what it was, and this account.
    pub(crate) fn remember(&self, cookie: Option<&str>, username: &Username, entropy: &Entropy) -> String {
        let (device, marks) = cookie.and_then(read).unwrap_or_else(|| (entropy.bytes::<LEN>(), Vec::new()));
        self.marked(device, marks, &message(&device, username))
    }

    fn marked(&self, device: [u8; LEN], mut marks: Vec<Vec<u8>>, message: &[u8]) -> String {
        let mark = hmac::sign(&self.0, message).as_ref().to_vec();
        marks.retain(|known| *known != mark);
        marks.insert(0, mark);
        marks.truncate(ACCOUNTS);
        let parts: Vec<String> =
            std::iter::once(device.to_vec()).chain(marks).map(|part| URL_SAFE_NO_PAD.encode(part)).collect();
        parts.join(".")
    }
}

/// The same for whoever took the second step of an account with this browser: a password alone makes no such mark, and it is worth
/// nothing for another second step.
impl DeviceProof {
    /// The browser's name, if its cookie proves that somebody took this second step with it.
    pub(crate) fn recognise_step(
        &self,
        cookie: &str,
        username: &Username,
        sealed: &[u8],
    ) -> Option<KnownDevice> {
        let (device, marks) = read(cookie)?;
        let message = step_message(&device, username, sealed);
        marks.iter().any(|mark| hmac::verify(&self.0, &message, mark).is_ok()).then_some(KnownDevice(device))
    }

    /// The cookie after a second step: what it was, and this step.
    pub(crate) fn remember_step(&self, cookie: &str, username: &Username, sealed: &[u8]) -> String {
        let Some((device, marks)) = read(cookie) else { return cookie.to_owned() };
        self.marked(device, marks, &step_message(&device, username, sealed))
    }
}

/// No user name begins with a NUL, and what stands for the step has a fixed length.
fn step_message(device: &[u8; LEN], username: &Username, sealed: &[u8]) -> Vec<u8> {
    let step = Digest32::of(sealed);
    [device.as_slice(), b"\0", step.as_bytes(), username.as_str().as_bytes()].concat()
}

/// The name has a fixed length, so the two parts cannot run into each other.
fn message(device: &[u8; LEN], username: &Username) -> Vec<u8> {
    [device.as_slice(), username.as_str().as_bytes()].concat()
}

fn read(cookie: &str) -> Option<([u8; LEN], Vec<Vec<u8>>)> {
    let mut parts = cookie.split('.').take(1 + ACCOUNTS).map(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let device = parts.next()??.try_into().ok()?;
    Some((device, parts.collect::<Option<Vec<_>>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Username {
        Username::parse(text).unwrap()
    }

    #[test]
    fn a_browser_is_known_for_the_accounts_it_signed_in_to_and_no_other() {
        let proof = DeviceProof::new(&[1; 32]);
        let entropy = Entropy::seeded(1);
        let cookie = proof.remember(None, &name("alice"), &entropy);
        let both = proof.remember(Some(&cookie), &name("bob"), &entropy);
        let device = proof.recognise(&cookie, &name("alice")).unwrap();
        assert_eq!(proof.recognise(&cookie, &name("bob")), None);
        for user in ["alice", "bob"] {
            assert_eq!(proof.recognise(&both, &name(user)), Some(device), "{user}");
        }
    }

    #[test]
    fn a_proof_made_with_another_key_or_for_another_browser_is_worth_nothing() {
        let proof = DeviceProof::new(&[1; 32]);
        let entropy = Entropy::seeded(1);
        let cookie = proof.remember(None, &name("alice"), &entropy);
        assert_eq!(DeviceProof::new(&[2; 32]).recognise(&cookie, &name("alice")), None);
        let other = proof.remember(None, &name("bob"), &entropy);
        let (device, _) = other.split_once('.').unwrap();
        let (_, marks) = cookie.split_once('.').unwrap();
        assert_eq!(proof.recognise(&format!("{device}.{marks}"), &name("alice")), None);
    }

    #[test]
    fn only_who_took_a_second_step_is_known_for_it_and_for_no_other() {
        let proof = DeviceProof::new(&[1; 32]);
        let entropy = Entropy::seeded(1);
        let by_password = proof.remember(None, &name("alice"), &entropy);
        assert_eq!(proof.recognise_step(&by_password, &name("alice"), b"one"), None);
        let by_step = proof.remember_step(&by_password, &name("alice"), b"one");
        assert!(proof.recognise_step(&by_step, &name("alice"), b"one").is_some());
        assert!(proof.recognise(&by_step, &name("alice")).is_some());
        assert_eq!(proof.recognise_step(&by_step, &name("alice"), b"two"), None);
        assert_eq!(proof.recognise_step(&by_step, &name("bob"), b"one"), None);
    }

    #[test]
    fn a_cookie_stays_small_however_many_accounts_use_the_browser() {
        let proof = DeviceProof::new(&[1; 32]);
        let entropy = Entropy::seeded(1);
        let mut cookie = proof.remember(None, &name("user-0"), &entropy);
        let device = proof.recognise(&cookie, &name("user-0"));
        for number in 1..50 {
            cookie = proof.remember(Some(&cookie), &name(&format!("user-{number}")), &entropy);
        }
        assert!(cookie.len() < 300, "{}", cookie.len());
        assert_eq!(proof.recognise(&cookie, &name("user-49")), device);
        assert_eq!(proof.recognise(&cookie, &name("user-0")), None);
        assert_eq!(cookie, proof.remember(Some(&cookie), &name("user-49"), &entropy));
    }

    #[test]
    fn what_is_not_a_proof_is_ignored() {
        let proof = DeviceProof::new(&[1; 32]);
        for cookie in ["", ".", "x", "AAAA.BBBB", "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAA.", "ä.ö"]
        {
            assert_eq!(proof.recognise(cookie, &name("alice")), None, "{cookie:?}");
        }
    }
}
