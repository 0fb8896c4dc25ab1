//! People: who they are, what they are called, and the passwords they choose.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use url::Host;
use zeroize::Zeroizing;

use crate::domain::clock::Timestamp;
use crate::domain::ids::{OrganisationId, UserId};
use crate::domain::profile::Profile;
use crate::domain::secret::{Digest32, Entropy};

/// A person with an account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    /// Our own name for the account.
    pub id: UserId,
    /// What clients call the account.
    pub sub: Sub,
    /// Where the account belongs.
    pub organisation: OrganisationId,
    /// What the person types to sign in.
    pub username: Username,
    /// What the person is called.
    pub name: String,
    /// Where to write to.
    pub email: Option<Email>,
    /// When the address was proven.
    pub email_verified_at: Option<Timestamp>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When the account was switched off.
    pub disabled_at: Option<Timestamp>,
    /// What else is known about the person.
    pub profile: Profile,
}

impl User {
    /// Whether the account may be used at all.
    pub const fn is_enabled(&self) -> bool {
        self.disabled_at.is_none()
    }
}

/// The subject of tokens: 130 random bits in lower-case base32, so it tells nothing about the account.
///
/// It has no underscore and so is never equal to a `client_id` (RFC 9068 §5: the two must not be confused).
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sub(String);

/// The text is not a subject.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected 26 characters out of a-z and 2-7")]
pub struct InvalidSub;

const BASE32: [char; 32] = [
    'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u',
    'v', 'w', 'x', 'y', 'z', '2', '3', '4', '5', '6', '7',
];

impl Sub {
    /// How many characters a subject has.
    pub const LENGTH: usize = 26;

    /// Draws a new subject.
    pub fn generate(entropy: &Entropy) -> Self {
        Self::of(&entropy.bytes::<{ Self::LENGTH }>())
    }

    /// Writes 26 bytes that tell nothing as a subject; five bits of each count.
    pub fn of(bytes: &[u8; Self::LENGTH]) -> Self {
        Self(bytes.iter().filter_map(|byte| BASE32.get(usize::from(byte & 31))).collect())
    }

    /// Accepts the text of a subject.
    pub fn parse(raw: &str) -> Result<Self, InvalidSub> {
        let base32 = |b: u8| matches!(b, b'a'..=b'z' | b'2'..=b'7');
        if raw.len() == Self::LENGTH && raw.bytes().all(base32) {
            Ok(Self(raw.to_owned()))
        } else {
            Err(InvalidSub)
        }
    }

    /// The subject as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Sub {
    type Error = InvalidSub;

    fn try_from(raw: String) -> Result<Self, InvalidSub> {
        Self::parse(&raw)
    }
}

impl From<Sub> for String {
    fn from(sub: Sub) -> Self {
        sub.0
    }
}

/// What a person types to sign in: lower case and composed (NFC), so that one name has one spelling.
#[derive(Clone, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Username(String);

/// Why a text cannot be a user name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidUsername {
    /// A blank, a control or invisible character, or a colon (which ends the name in HTTP basic credentials).
    #[error("a user name must not contain blanks, invisible characters or colons")]
    ForbiddenCharacter,
    /// Empty, or longer than 128 characters.
    #[error("a user name has 1 to 128 characters")]
    Length,
}

impl Username {
    const LONGEST: usize = 128;

    /// Accepts a user name, and brings it to its one spelling.
    pub fn parse(raw: &str) -> Result<Self, InvalidUsername> {
        // A letter has at most four bytes, and lower case or composition at most triples it: bound the work first.
        if raw.len() > Self::LONGEST * 12 {
            return Err(InvalidUsername::Length);
        }
        let name: String = raw.nfc().collect::<String>().to_lowercase().nfc().collect();
        if name.is_empty() || name.chars().count() > Self::LONGEST {
            return Err(InvalidUsername::Length);
        }
        if name.chars().any(|c| c.is_whitespace() || c.is_control() || c == ':' || is_invisible(c)) {
            return Err(InvalidUsername::ForbiddenCharacter);
        }
        Ok(Self(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Characters that change nothing on screen, or turn its direction: two names must not look the same because of them.
pub(crate) const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// A user name is often an e-mail address, which a log must not hold.
impl fmt::Debug for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Username(..)")
    }
}

impl TryFrom<String> for Username {
    type Error = InvalidUsername;

    fn try_from(raw: String) -> Result<Self, InvalidUsername> {
        Self::parse(&raw)
    }
}

impl From<Username> for String {
    fn from(name: Username) -> Self {
        name.0
    }
}

/// An e-mail address that could be written to; only mail that arrives proves more.
#[derive(Clone, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(String);

/// The text is not an e-mail address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected an e-mail address such as ada@example.org")]
pub struct InvalidEmail;

impl Email {
    /// Accepts an address; the domain is brought to the form in which mail goes to it (UTS 46): whatever is written otherwise and goes
    /// to the same is the same. An address of a machine is none.
    pub fn parse(raw: &str) -> Result<Self, InvalidEmail> {
        // RFC 5321 §4.5.3.1: 64 octets before the @, 254 in all.
        let (local, domain) = raw.rsplit_once('@').ok_or(InvalidEmail)?;
        let forbidden =
            |c: char| c.is_whitespace() || c.is_control() || is_invisible(c) || "<>()[],;:\\\"@".contains(c);
        let lengths = !local.is_empty() && local.len() <= 64 && raw.len() <= 254;
        let dotted = domain.split('.').all(|label| !label.is_empty());
        if !lengths || !dotted || raw.replacen('@', "", 1).contains(forbidden) {
            return Err(InvalidEmail);
        }
        // The parser takes what is percent-encoded for what it stands for; no mail server does.
        if domain.contains('%') {
            return Err(InvalidEmail);
        }
        let Ok(Host::Domain(domain)) = Host::parse(domain) else { return Err(InvalidEmail) };
        let whole = format!("{local}@{domain}");
        if whole.len() <= 254 { Ok(Self(whole)) } else { Err(InvalidEmail) }
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it is compared by: capitals of ASCII do not matter, all else does. Whether `É` and `é` are one mailbox is for its own server to
    /// say (RFC 5321 §2.4, RFC 6531 §3.2), and of letters that only look alike, or become one in one language, the mail goes to two.
    pub fn compared(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(..)")
    }
}

impl TryFrom<String> for Email {
    type Error = InvalidEmail;

    fn try_from(raw: String) -> Result<Self, InvalidEmail> {
        Self::parse(&raw)
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0
    }
}

/// A password as a person typed it, composed (NFC). It is never printed, and its memory is wiped on drop.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

/// Why a text cannot be a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidPassword {
    /// More than 256 characters.
    #[error("a password has at most 256 characters")]
    TooLong,
    /// Fewer than 15 characters.
    #[error("a password has at least 15 characters")]
    TooShort,
}

impl Password {
    /// Of a password that is the only factor (NIST SP 800-63B-4 §3.1.1.2).
    const SHORTEST: usize = 15;
    const LONGEST: usize = 256;

    /// Accepts a password that somebody chose.
    pub fn choose(raw: &str) -> Result<Self, InvalidPassword> {
        let chosen = Self::parse(raw)?;
        if chosen.0.chars().count() < Self::SHORTEST { Err(InvalidPassword::TooShort) } else { Ok(chosen) }
    }

    /// Accepts a password that somebody typed to sign in. It may be shorter than one that is chosen today.
    pub fn parse(raw: &str) -> Result<Self, InvalidPassword> {
        // Bound the work before composing: a composed character has at most four bytes and eighteen parts.
        if raw.len() > Self::LONGEST * 72 {
            return Err(InvalidPassword::TooLong);
        }
        let composed: Zeroizing<String> = Zeroizing::new(raw.nfc().collect());
        if composed.chars().count() > Self::LONGEST {
            Err(InvalidPassword::TooLong)
        } else {
            Ok(Self(composed))
        }
    }

    /// The password itself, for the hash function.
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// The hash of a password as a text that says how it was made. It is never printed.
#[derive(Clone, Eq, PartialEq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Wraps the text of a hash.
    pub const fn from_text(text: String) -> Self {
        Self(text)
    }

    /// The text, for the hash function and the database.
    pub fn as_text(&self) -> &str {
        &self.0
    }

    /// Stands for the password of an account, or for its having none: it changes with it.
    pub fn state_of(hash: Option<&Self>) -> Digest32 {
        Digest32::of(hash.map_or("", Self::as_text).as_bytes())
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_name_has_one_spelling() {
        let decomposed = Username::parse("Zoe\u{308}").unwrap();
        assert_eq!(decomposed, Username::parse("ZO\u{cb}").unwrap());
        assert_eq!(Username::parse("Ada@Example.org").unwrap().as_str(), "ada@example.org");
    }

    #[test]
    fn user_names_that_mislead_are_refused() {
        use InvalidUsername::{ForbiddenCharacter, Length};
        for bad in ["a b", "a\tb", "a:b", "a\u{200b}b", "a\u{202e}b", "a\u{7f}", "\u{feff}a"] {
            assert_eq!(Username::parse(bad), Err(ForbiddenCharacter), "{bad:?}");
        }
        assert_eq!(Username::parse(""), Err(Length));
        assert_eq!(Username::parse(&"ä".repeat(129)), Err(Length));
        assert_eq!(Username::parse(&"a".repeat(1_000_000)), Err(Length));
        let longest = "ä".repeat(128);
        assert_eq!(Username::parse(&longest).unwrap().as_str(), longest);
    }

    #[test]
    fn a_password_is_counted_in_composed_characters() {
        let thirteen = "0123456789abc";
        assert_eq!(Password::choose("").unwrap_err(), InvalidPassword::TooShort);
        assert_eq!(Password::choose(&format!("{thirteen}d")).unwrap_err(), InvalidPassword::TooShort);
        assert_eq!(Password::choose(&format!("e\u{301}{thirteen}")).unwrap_err(), InvalidPassword::TooShort);
        let long_enough = Password::choose(&format!("e\u{301}{thirteen}d")).unwrap();
        assert_eq!(long_enough.expose(), format!("\u{e9}{thirteen}d").as_bytes());
        for chosen_elsewhere in ["short", &"ä".repeat(256)] {
            let password = Password::parse(chosen_elsewhere).unwrap();
            assert_eq!(password.expose(), chosen_elsewhere.as_bytes());
        }
        assert_eq!(Password::parse(&"a".repeat(257)).unwrap_err(), InvalidPassword::TooLong);
        assert_eq!(Password::parse(&"a".repeat(1_000_000)).unwrap_err(), InvalidPassword::TooLong);
    }

    #[test]
    fn secrets_and_addresses_are_not_printed() {
        let password = Password::parse("correct horse").unwrap();
        let hash = PasswordHash::from_text("$argon2id$x".to_owned());
        let email = Email::parse("ada@example.org").unwrap();
        assert_eq!(format!("{password:?} {hash:?} {email:?}"), "Password(..) PasswordHash(..) Email(..)");
    }

    #[test]
    fn addresses_keep_their_local_part_and_lower_their_domain() {
        assert_eq!(Email::parse("Ada@EXAMPLE.org").unwrap().as_str(), "Ada@example.org");
        // Whatever is written otherwise and gets mail at the same place is the same.
        for same in ["ada@\u{ff45}xample.org", "ada@example\u{3002}org", "ada@ex\u{ad}ample.org"] {
            let parsed = Email::parse(same).ok();
            assert!(parsed.is_none_or(|parsed| parsed.as_str() == "ada@example.org"), "{same:?}");
        }
        let accented = Email::parse("ada@b\u{fc}cher.example").unwrap();
        assert_eq!(accented, Email::parse("ada@xn--bcher-kva.example").unwrap());
        assert_eq!(Email::parse("a%b@example.org").unwrap().as_str(), "a%b@example.org");
        for bad in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "a b@example.org",
            "a@b@c.org",
            "ada@example..org",
            "ada@x\r\n.org",
            "ada@ex%61mple.org",
            "root@2130706433",
            "root@127.0.0.1",
            "root@0x7f.1",
        ] {
            assert_eq!(Email::parse(bad), Err(InvalidEmail), "{bad:?}");
        }
    }

    #[test]
    fn subjects_are_26_characters_that_no_client_id_has() {
        let sub = Sub::generate(&Entropy::seeded(3));
        assert_eq!(Sub::parse(sub.as_str()), Ok(sub.clone()));
        assert_eq!(sub.as_str().len(), 26);
        assert_eq!(Sub::parse("cli_0190c8b0a4e27f3a9d2f4b"), Err(InvalidSub));
    }
}
