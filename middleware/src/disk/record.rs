//! The form of a file: whose it is, when its content was confirmed, and the content as it was received.
//!
//! The first line names the form and holds SHA-256 of all that follows it, which finds a file that was cut off; against
//! whoever may write to the folder it proves nothing. The second line is the head, the rest is the content.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

const MAGIC: &str = "portcullis-guard-cache";
/// Changes with the form. A file of another form is not used, and replaced by the next write.
const FORM: &str = "1";

/// How many bytes of a hash tell two owners apart.
const NAME_BYTES: usize = 16;

/// Whom a file belongs to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Owner {
    kind: String,
    of: Vec<String>,
}

/// Why a file is not used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum RecordFault {
    #[error("it is damaged")]
    Damaged,
    #[error("it belongs to another issuer, API or client")]
    Foreign,
    #[error("it was written by another version, or is something else")]
    OtherForm,
}

#[derive(Deserialize, Serialize)]
struct Head {
    owner: Owner,
    confirmed_at: u64,
}

impl Owner {
    /// `kind` has to be a file name; what else tells owners apart may be any text.
    pub(crate) fn new<const N: usize>(kind: &str, of: [&str; N]) -> Self {
        Self { kind: kind.to_owned(), of: of.map(str::to_owned).to_vec() }
    }

    /// A name of its own, whatever characters the owner consists of.
    pub(crate) fn file_name(&self) -> String {
        // Text and lists of it: there is nothing that JSON could not say.
        let whole = hex(&serde_json::to_vec(&self.of).unwrap_or_default());
        format!("{}-{}", self.kind, whole.get(..2 * NAME_BYTES).unwrap_or(&whole))
    }
}

pub(super) fn encode(owner: &Owner, confirmed_at: u64, content: &[u8]) -> Vec<u8> {
    let head = Head { owner: owner.clone(), confirmed_at };
    let mut signed = serde_json::to_vec(&head).unwrap_or_default();
    signed.push(b'\n');
    signed.extend_from_slice(content);
    let mut file = format!("{MAGIC} {FORM} {}\n", hex(&signed)).into_bytes();
    file.append(&mut signed);
    file
}

/// Gives when the content was confirmed, and the content.
pub(super) fn decode(file: &[u8], owner: &Owner) -> Result<(u64, Arc<[u8]>), RecordFault> {
    let (first, rest) = line(file).ok_or(RecordFault::Damaged)?;
    let first = std::str::from_utf8(first).map_err(|_| RecordFault::Damaged)?;
    let sum = first
        .strip_prefix(MAGIC)
        .and_then(|first| first.strip_prefix(' '))
        .and_then(|first| first.split_once(' '));
    let Some((FORM, sum)) = sum else { return Err(RecordFault::OtherForm) };
    if sum != hex(rest) {
        return Err(RecordFault::Damaged);
    }
    let (head, content) = line(rest).ok_or(RecordFault::Damaged)?;
    let head: Head = serde_json::from_slice(head).map_err(|_| RecordFault::Damaged)?;
    if head.owner != *owner {
        return Err(RecordFault::Foreign);
    }
    Ok((head.confirmed_at, Arc::from(content)))
}

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', bytes)?;
    let (line, rest) = bytes.split_at_checked(end)?;
    Some((line, rest.get(1..)?))
}

/// SHA-256 in hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    digest(&SHA256, bytes).as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner::new("policy", ["https://id.test/policies/snapshot", "orders", "https://api.test"])
    }

    #[test]
    fn a_file_gives_back_what_was_put_in() {
        for content in [&b"a.b.c"[..], b"", b"\n\n", b"{\"keys\":[]}\r\n\0\xff"] {
            let (at, read) = decode(&encode(&owner(), 7, content), &owner()).unwrap();
            assert_eq!((at, &*read), (7, content));
        }
    }

    #[test]
    fn a_file_that_was_cut_off_or_changed_anywhere_is_damaged() {
        let file = encode(&owner(), 7, b"a.b.c");
        for length in 0..file.len() {
            assert!(decode(&file[..length], &owner()).is_err(), "{length}");
        }
        for place in 0..file.len() {
            let mut changed = file.clone();
            changed[place] ^= 1;
            assert!(decode(&changed, &owner()).is_err(), "{place}");
        }
        let longer = [&file[..], b"x"].concat();
        assert_eq!(decode(&longer, &owner()), Err(RecordFault::Damaged));
    }

    #[test]
    fn a_file_of_another_version_or_owner_is_not_used() {
        let text = String::from_utf8(encode(&owner(), 7, b"a.b.c")).unwrap();
        let other = |form: &str| text.replacen(" 1 ", form, 1).into_bytes();
        for form in [" 0 ", " 2 ", " 10 ", "  ", " "] {
            assert_eq!(decode(&other(form), &owner()), Err(RecordFault::OtherForm), "{form}");
        }
        assert_eq!(decode(b"{\"keys\":[]}\n", &owner()), Err(RecordFault::OtherForm));
        for of in [
            ["https://id.test/policies/snapshot", "orders", "https://other.test"],
            ["https://id.test/policies/snapshot", "billing", "https://api.test"],
            ["https://evil.test/policies/snapshot", "orders", "https://api.test"],
        ] {
            assert_eq!(decode(text.as_bytes(), &Owner::new("policy", of)), Err(RecordFault::Foreign));
        }
    }

    #[test]
    fn owners_have_names_of_their_own_that_are_file_names() {
        let names = [
            owner().file_name(),
            Owner::new("keys", ["https://id.test"]).file_name(),
            Owner::new("keys", ["https://id.test/"]).file_name(),
            Owner::new("policy", ["a", "bc", "d"]).file_name(),
            Owner::new("policy", ["ab", "c", "d"]).file_name(),
            Owner::new("policy", ["../../etc/passwd", "\0", "\n"]).file_name(),
        ];
        for (place, name) in names.iter().enumerate() {
            assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{name}");
            assert!(!names[..place].contains(name), "{name}");
        }
    }
}
