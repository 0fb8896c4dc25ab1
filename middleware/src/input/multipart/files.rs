//! What files may be uploaded.

use crate::input::fault::Rule;
use crate::input::kind::has_invisible;

/// The longest name of a file, in bytes: what file systems take.
const MAX_NAME: usize = 255;

/// What `multipart/form-data` bodies may hold beside fields: how many files, how long, of which types.
///
/// The bytes of a file reach the handler as they were sent, while they arrive: they are never held or changed. A file whose first
/// bytes are not those of the type that it is said to have is refused, and so is a name with a path in it.
///
/// ```
/// use portcullis_guard::{InputPolicy, Uploads};
///
/// let pictures = Uploads::new().max_files(3).max_file(5 << 20).max_body(16 << 20).types(["image/png", "image/jpeg"]);
/// let policy = InputPolicy::strict().uploads(pictures);
/// ```
#[derive(Clone, Debug)]
pub struct Uploads {
    max_files: usize,
    max_file: u64,
    /// None: as long as any body.
    max_body: Option<usize>,
    /// None: any.
    types: Option<Vec<String>>,
    strips_names: bool,
}

impl Uploads {
    /// Ten files of any type, and as long as the body may be.
    pub const fn new() -> Self {
        Self { max_files: 10, max_file: u64::MAX, max_body: None, types: None, strips_names: false }
    }

    /// How many files one body may hold.
    #[must_use]
    pub const fn max_files(mut self, files: usize) -> Self {
        self.max_files = files;
        self
    }

    /// How long each file may be, in bytes.
    #[must_use]
    pub const fn max_file(mut self, bytes: u64) -> Self {
        self.max_file = bytes;
        self
    }

    /// How long a body with files may be, in bytes, where that is more than other bodies may: those are held in memory, and this
    /// one is not.
    #[must_use]
    pub const fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = Some(bytes);
        self
    }

    /// The types that files may have, and no others.
    #[must_use]
    pub fn types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.types = Some(types.into_iter().map(|own| own.into().to_ascii_lowercase()).collect());
        self
    }

    /// Takes paths and control characters out of the names of files, where such a file would be refused otherwise.
    #[must_use]
    pub const fn strip_names(mut self) -> Self {
        self.strips_names = true;
        self
    }

    pub(crate) const fn strips(&self) -> bool {
        self.strips_names
    }

    pub(crate) fn longest_body(&self, otherwise: usize) -> usize {
        self.max_body.unwrap_or(otherwise)
    }

    pub(super) const fn check_count(&self, files: usize) -> Result<(), Rule> {
        if files > self.max_files { Err(Rule::FileCount) } else { Ok(()) }
    }

    pub(super) const fn check_length(&self, bytes: u64) -> Result<(), Rule> {
        if bytes > self.max_file { Err(Rule::FileSize) } else { Ok(()) }
    }

    pub(super) fn check_type(&self, content_type: Option<&str>) -> Result<(), Rule> {
        let is_allowed = |types: &Vec<String>| types.iter().any(|own| Some(own.as_str()) == content_type);
        if self.types.as_ref().is_none_or(is_allowed) { Ok(()) } else { Err(Rule::FileType) }
    }

    /// The name that a file is to have instead of its own, where that one may not stand.
    pub(super) fn rename(&self, name: &str) -> Result<Option<String>, Rule> {
        if name.len() <= MAX_NAME && is_plain(name) {
            return Ok(None);
        }
        if !self.strips_names {
            return Err(Rule::FileName);
        }
        let stripped = stripped(name);
        let is_name = !stripped.is_empty() && stripped.len() <= MAX_NAME && is_plain(&stripped);
        if is_name { Ok(Some(stripped)) } else { Err(Rule::FileName) }
    }
}

impl Default for Uploads {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a name is one name and nothing else. Without any, a file was not chosen.
fn is_plain(name: &str) -> bool {
    let hides = |name: &str| SEPARATORS.iter().chain(&ESCAPED_CONTROLS).any(|own| find(name, own).is_some());
    !name.contains(char::is_control) && !has_invisible(name) && !hides(name) && name != "." && name != ".."
}

/// The last step of a path, without what nobody sees.
fn stripped(name: &str) -> String {
    let mut rest = name;
    while let Some(at) = SEPARATORS.iter().filter_map(|own| find(rest, own).map(|at| at + own.len())).min() {
        rest = rest.get(at..).unwrap_or_default();
    }
    let mut plain: String = rest
        .chars()
        .filter(|own| !own.is_control() && !has_invisible(own.encode_utf8(&mut [0; 4])))
        .collect();
    while let Some((at, own)) = ESCAPED_CONTROLS.iter().find_map(|own| find(&plain, own).map(|at| (at, own)))
    {
        plain.replace_range(at..at + own.len(), "");
    }
    plain
}

/// What parts the steps of a path, in clear and as handlers that decode names see it.
const SEPARATORS: [&str; 4] = ["/", "\\", "%2f", "%5c"];
/// Browsers write line breaks in a name so; a NUL ends it early.
const ESCAPED_CONTROLS: [&str; 3] = ["%00", "%0a", "%0d"];

/// Where an ASCII word stands in a text, in any case.
fn find(text: &str, word: &str) -> Option<usize> {
    text.as_bytes().windows(word.len()).position(|own| own.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stripped_where_that_is_wanted_and_refused_otherwise() {
        let strict = Uploads::new();
        for name in ["", "photo.png", "Überweisung 7 (2).pdf", "o'brian.txt", "100%.txt", "..a", "a..b"] {
            assert_eq!(strict.rename(name), Ok(None), "{name}");
        }
        for (name, plain) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\me\\a.txt", "a.txt"),
            ("/a/b", "b"),
            ("..%2f..%5Cb", "b"),
            ("a\0.png", "a.png"),
            ("a%00.png", "a.png"),
            ("a%0%00d.png", "a.png"),
            ("a\u{1b}[2J.txt", "a[2J.txt"),
            ("gpj.\u{202e}exe", "gpj.exe"),
        ] {
            assert_eq!(strict.rename(name), Err(Rule::FileName), "{name:?}");
            assert_eq!(strict.clone().strip_names().rename(name), Ok(Some(plain.to_owned())), "{name:?}");
        }
        for name in ["..", ".", "a/..", "a/", "/", "\0", "%00"] {
            assert_eq!(strict.clone().strip_names().rename(name), Err(Rule::FileName), "{name:?}");
        }
        assert_eq!(strict.strip_names().rename(&"x".repeat(256)), Err(Rule::FileName));
    }

    #[test]
    fn counts_lengths_and_types_are_bounded() {
        let uploads = Uploads::new().max_files(2).max_file(9).types(["Image/PNG"]);
        assert_eq!((uploads.check_count(2), uploads.check_count(3)), (Ok(()), Err(Rule::FileCount)));
        assert_eq!((uploads.check_length(9), uploads.check_length(10)), (Ok(()), Err(Rule::FileSize)));
        assert_eq!(uploads.check_type(Some("image/png")), Ok(()));
        assert_eq!(uploads.check_type(Some("image/gif")), Err(Rule::FileType));
        assert_eq!(uploads.check_type(None), Err(Rule::FileType));
        assert_eq!(Uploads::new().check_type(None), Ok(()));
    }
}
