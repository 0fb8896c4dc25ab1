//! Mailboxes: an address, and what its owner is called (RFC 5322 §3.4).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::user::{Email, is_invisible};

/// The longest name that is written on a letter, in characters.
const MAX_NAME: usize = 100;

/// Where a letter goes to, or comes from.
///
/// Holding one proves that the name is one line of visible text: it can neither end the header that it stands in nor turn the
/// direction of the text around it.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "RawMailbox")]
pub struct Mailbox {
    name: String,
    address: Email,
}

/// A mailbox as it was kept.
#[derive(Deserialize)]
struct RawMailbox {
    name: String,
    address: Email,
}

/// The text is no mailbox.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("has to be an address such as id@example.org, or a name with one: Example <id@example.org>")]
pub struct InvalidMailbox;

impl Mailbox {
    /// The mailbox of somebody. What a name must not have becomes a blank, since the letter has to arrive.
    pub fn new(name: &str, address: Email) -> Self {
        let is_blank = |symbol: char| symbol.is_whitespace() || symbol.is_control() || is_invisible(symbol);
        let words: Vec<&str> = name.split(is_blank).filter(|word| !word.is_empty()).collect();
        let name: String = words.join(" ").chars().take(MAX_NAME).collect();
        Self { name: name.trim_end().to_owned(), address }
    }

    /// Accepts an address, or a name and an address in angle brackets.
    pub fn parse(raw: &str) -> Result<Self, InvalidMailbox> {
        let raw = raw.trim();
        let (name, address) = match raw.strip_suffix('>').and_then(|rest| rest.split_once('<')) {
            Some((name, address)) => (name.trim(), address),
            None => ("", raw),
        };
        let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
        let address = Email::parse(address).map_err(|_| InvalidMailbox)?;
        let mailbox = Self::new(name, address);
        let is_plain = mailbox.name == name && !name.contains(['"', '<', '>', '\\']);
        if is_plain { Ok(mailbox) } else { Err(InvalidMailbox) }
    }

    /// What its owner is called; may be empty.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address.
    pub const fn address(&self) -> &Email {
        &self.address
    }
}

impl From<RawMailbox> for Mailbox {
    fn from(raw: RawMailbox) -> Self {
        Self::new(&raw.name, raw.address)
    }
}

/// As a person writes it; a header is written by whoever encodes it.
impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => f.write_str(self.address.as_str()),
            name => write!(f, "{name} <{}>", self.address.as_str()),
        }
    }
}

// An address must not get into a log.
impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mailbox(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> Email {
        Email::parse("ada@example.org").unwrap()
    }

    #[test]
    fn a_name_is_one_line_of_visible_text() {
        for (name, kept) in [
            ("Ada Lovelace", "Ada Lovelace"),
            ("Ada\r\nBcc: eve@example.org", "Ada Bcc: eve@example.org"),
            ("\0Ada\u{202e} \u{200b} L\t", "Ada L"),
            ("Ada\u{2028}Subject: x\u{85}y", "Ada Subject: x y"),
            ("\r\n", ""),
        ] {
            assert_eq!(Mailbox::new(name, ada()).name(), kept, "{name:?}");
            let kept_raw = serde_json::json!({ "name": name, "address": "ada@example.org" });
            let read: Mailbox = serde_json::from_value(kept_raw).unwrap();
            assert_eq!(read.name(), kept, "{name:?}");
        }
        assert_eq!(Mailbox::new(&"é".repeat(500), ada()).name().chars().count(), MAX_NAME);
    }

    #[test]
    fn a_mailbox_is_an_address_with_or_without_a_name() {
        for (raw, shown) in [
            ("ada@Example.org", "ada@example.org"),
            ("<ada@example.org>", "ada@example.org"),
            ("Ada L. <ada@example.org>", "Ada L. <ada@example.org>"),
            ("\"Example, Inc.\" <ada@example.org>", "Example, Inc. <ada@example.org>"),
        ] {
            let parsed = Mailbox::parse(raw).unwrap();
            assert_eq!(parsed.to_string(), shown);
            assert_eq!(format!("{parsed:?}"), "Mailbox(..)");
        }
        for bad in [
            "",
            "Ada",
            "Ada <ada>",
            "Ada ada@example.org",
            "Ada <ada@example.org> x",
            "A\r\nBcc: e@x.org <ada@example.org>",
            "A\" <x <ada@example.org>",
            "ada@example.org, eve@example.org",
        ] {
            assert_eq!(Mailbox::parse(bad), Err(InvalidMailbox), "{bad:?}");
        }
    }
}
