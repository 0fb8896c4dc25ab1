//! Passwords that became known, in a file of an operator.
//!
//! Each line is the SHA-1 of one in hexadecimal digits, with what follows a colon left alone, and the lines are in order: so the lists that
//! are published of such passwords are made, and one of a billion lines is looked up by thirty short reads, with nothing in memory.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use aws_lc_rs::digest;

/// How long a line may be, with its end.
const LONGEST_LINE: usize = 128;
/// Digits of a SHA-1.
const DIGITS: usize = 40;

/// A file of passwords that became known.
#[derive(Clone, Debug)]
pub(crate) struct BreachedPasswords {
    path: PathBuf,
}

impl BreachedPasswords {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Whether the file is such a list, as far as its beginning and its end show.
    pub(crate) fn check(&self) -> io::Result<()> {
        let lines = Lines::open(self)?;
        let Some((_, first)) = lines.around(0)? else { return Err(not_a_list("it is empty")) };
        let last = lines.around(lines.len - 1)?.map(|(_, digits)| digits);
        if last.is_some_and(|last| last < first) {
            Err(not_a_list("its lines are not in order"))
        } else {
            Ok(())
        }
    }

    /// Whether the file has a password. It is opened each time, so that a newer one can take its place.
    pub(crate) fn has(&self, password: &[u8]) -> io::Result<bool> {
        Lines::open(self)?.has(sha1(password).as_bytes())
    }
}

/// The lines of an open file.
struct Lines {
    file: File,
    len: u64,
}

impl Lines {
    fn open(list: &BreachedPasswords) -> io::Result<Self> {
        let file = File::open(&list.path)?;
        let len = file.metadata()?.len();
        Ok(Self { file, len })
    }

    fn has(&self, wanted: &[u8]) -> io::Result<bool> {
        // Lines that begin before `low` are too small, those that begin at `high` or behind are too large.
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = low + (high - low) / 2;
            let Some((line, digits)) = self.around(middle)? else { return Ok(false) };
            match digits.as_slice().cmp(wanted) {
                Ordering::Equal => return Ok(true),
                Ordering::Less => low = line.end,
                Ordering::Greater => high = line.start,
            }
        }
        Ok(false)
    }

    /// The line that this byte is in, and its digits in capitals.
    fn around(&self, at: u64) -> io::Result<Option<(Range<u64>, Vec<u8>)>> {
        let reach = LONGEST_LINE as u64;
        let start = at.saturating_sub(reach);
        let mut block = vec![0; 2 * LONGEST_LINE];
        let read = self.file.read_at(&mut block, start)?;
        block.truncate(read);
        let offset = usize::try_from(at - start).unwrap_or(usize::MAX);
        let (before, behind) = block.split_at_checked(offset).ok_or_else(|| not_a_list("it changes"))?;
        if behind.is_empty() {
            return Ok(None);
        }
        let begin = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if begin == 0 && start > 0 {
            return Err(not_a_list("a line is too long"));
        }
        let end = behind.iter().position(|byte| *byte == b'\n').map_or(block.len(), |end| offset + end + 1);
        let line = block.get(begin..end).unwrap_or_default();
        let digits = line.get(..DIGITS).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let rest = line.get(DIGITS..).unwrap_or_default();
        let is_line = rest.first().is_none_or(|byte| matches!(byte, b':' | b'\r' | b'\n'));
        let digits = digits.filter(|_| is_line).ok_or_else(|| not_a_list("a line is no SHA-1"))?;
        let range = start + begin as u64..start + end as u64;
        Ok(Some((range, digits.to_ascii_uppercase())))
    }
}

/// The SHA-1 of a password as the lists write it.
fn sha1(password: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, password);
    digest.as_ref().iter().fold(String::with_capacity(DIGITS), |mut text, byte| {
        // A string takes all that is written to it.
        let _ = write!(text, "{byte:02X}");
        text
    })
}

fn not_a_list(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it is no list of SHA-1 in order: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of these passwords, each line with its end.
    fn list(passwords: &[String], end: &str) -> (tempfile::TempDir, BreachedPasswords) {
        let mut lines: Vec<String> = passwords.iter().map(|password| sha1(password.as_bytes())).collect();
        lines.sort();
        let text: Vec<String> = lines.into_iter().map(|digits| digits + end).collect();
        written(&text.concat())
    }

    fn written(text: &str) -> (tempfile::TempDir, BreachedPasswords) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.txt");
        std::fs::write(&path, text).unwrap();
        (folder, BreachedPasswords::new(path))
    }

    #[test]
    fn the_digest_is_that_of_the_published_lists() {
        assert_eq!(sha1(b"password"), "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8");
    }

    #[test]
    fn every_password_of_a_list_is_found_and_no_other() {
        for count in [1, 2, 3, 10, 1_000] {
            let known: Vec<String> = (0..count).map(|number| format!("known {number}")).collect();
            for end in ["\n", "\r\n", ":1\n", ":12345678\r\n"] {
                let (_folder, list) = list(&known, end);
                list.check().unwrap();
                assert!(
                    known.iter().all(|password| list.has(password.as_bytes()).unwrap()),
                    "{count} {end:?}"
                );
                let other = |number: usize| list.has(format!("other {number}").as_bytes()).unwrap();
                assert!(!(0..200).any(other), "{count} {end:?}");
            }
        }
    }

    #[test]
    fn a_list_may_end_without_a_line_break_and_have_small_letters() {
        let (_folder, list) = written(&sha1(b"password").to_ascii_lowercase());
        list.check().unwrap();
        assert!(list.has(b"password").unwrap() && !list.has(b"other").unwrap());
    }

    #[test]
    fn a_newer_list_counts_at_once() {
        let (folder, list) = written(&sha1(b"first"));
        assert!(list.has(b"first").unwrap());
        std::fs::write(folder.path().join("newer"), sha1(b"second")).unwrap();
        std::fs::rename(folder.path().join("newer"), folder.path().join("list.txt")).unwrap();
        assert!(!list.has(b"first").unwrap() && list.has(b"second").unwrap());
    }

    #[test]
    fn what_is_no_such_list_is_an_error_and_no_answer() {
        let (high, low) = ("F".repeat(DIGITS), "0".repeat(DIGITS));
        for text in [
            String::new(),
            "\n".to_owned(),
            "password\n".to_owned(),
            format!("{high}\n{low}\n"),
            format!("{}\n", "A".repeat(41)),
            "A".repeat(4_000),
            format!("{low}:{}\n", "1".repeat(4_000)),
        ] {
            let (_folder, list) = written(&text);
            assert!(list.check().is_err(), "{text:.60}");
        }
        let nowhere = BreachedPasswords::new("/does/not/exist".into());
        assert!(nowhere.check().is_err() && nowhere.has(b"password").is_err());
    }
}
