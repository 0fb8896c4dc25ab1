//! What may become of a library that was released (<https://semver.org>, as Cargo reads it).

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::listing::without;

/// What a version promises to those who ask for it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Version {
    major: u64,
    minor: u64,
    patch: u64,
}

impl Version {
    /// `1.2.3`. One that is tried before its release promises nothing, and is none here.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let numbers: Option<Vec<u64>> = text.split('.').map(|number| number.parse().ok()).collect();
        match *numbers?.as_slice() {
            [major, minor, patch] => Some(Self { major, minor, patch }),
            _ => None,
        }
    }

    /// The numbers that have to stay the same for programs to go on working: to the first that is not zero.
    const fn compatible(self) -> (u64, u64, u64) {
        match self {
            Self { major: 0, minor: 0, patch } => (0, 0, patch),
            Self { major: 0, minor, .. } => (0, minor, 0),
            Self { major, .. } => (major, 0, 0),
        }
    }

    /// The same, and that for what is new: its own number where a version has one.
    const fn featured(self) -> (u64, u64, u64) {
        match self {
            Self { major: 0, minor, patch } => (0, minor, patch),
            Self { major, minor, .. } => (major, minor, 0),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// What two listings of a library differ in.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Change<'a> {
    /// What is new, and in nobody's way.
    Addition(Vec<&'a str>),
    /// What programs may rely on and find no more, or have to answer to.
    Breaking(Vec<&'a str>),
    None,
}

impl<'a> Change<'a> {
    pub(crate) fn between(old: &'a str, new: &'a str) -> Self {
        let added: Vec<&str> = without(new, old).collect();
        let mut breaking: Vec<&str> = without(old, new).collect();
        breaking.extend(added.iter().filter(|line| is_in_the_way(line, old)));
        match (breaking.is_empty(), added.is_empty()) {
            (false, _) => Self::Breaking(breaking),
            (true, false) => Self::Addition(added),
            (true, true) => Self::None,
        }
    }

    /// Whether a version may follow another with this change.
    pub(crate) fn allowed(&self, from: Version, to: Version) -> bool {
        match self {
            Self::Breaking(_) => to.compatible() > from.compatible(),
            Self::Addition(_) => to.featured() > from.featured(),
            Self::None => to >= from,
        }
    }
}

/// Whether a line is a variant of an enum that programs match without a last arm. What a trait newly asks of those who implement it
/// looks in a listing like what it does for them, and is left to who reviews.
fn is_in_the_way(line: &str, old: &str) -> bool {
    let is_named = |it: char| it.is_alphanumeric() || matches!(it, '_' | ':');
    let path = line.strip_prefix("pub ").unwrap_or_default();
    let path = path.get(..path.find(|it| !is_named(it)).unwrap_or(path.len())).unwrap_or_default();
    let Some((owner, _)) = path.rsplit_once("::") else { return false };
    old.lines().any(|line| {
        let rest = line.strip_prefix("pub enum ").and_then(|rest| rest.strip_prefix(owner));
        rest.is_some_and(|rest| !rest.starts_with(is_named))
    })
}

/// The last release that a checkout comes from.
#[derive(Debug)]
pub(crate) struct Release {
    repository: PathBuf,
    pub(crate) version: Version,
}

impl Release {
    pub(crate) fn last(repository: &Path) -> Result<Self, NoRelease> {
        let tags = git(repository, &["tag", "--list", "v*", "--merged", "HEAD"]);
        let tags = tags.ok_or(NoRelease("git does not know these sources"))?;
        let version = tags.lines().filter_map(|tag| Version::parse(tag.strip_prefix('v')?)).max();
        let version = version.ok_or(NoRelease("there is no tag v*"))?;
        Ok(Self { repository: repository.to_owned(), version })
    }

    /// # Panics
    ///
    /// When it has no such file: what is listed was so from the first release on.
    pub(crate) fn file(&self, path: &str) -> String {
        git(&self.repository, &["show", &format!("v{}:{path}", self.version)]).expect("a listing")
    }
}

/// Why there is no release to compare with.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct NoRelease(pub(crate) &'static str);

fn git(repository: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(repository).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).ok())?
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tempfile::tempdir;

    use super::*;

    const OLD: &str = "pub mod a\npub enum a::Open\npub a::Open::Red\n#[non_exhaustive] pub enum a::Shut\n\
                       pub a::Shut::Red\npub fn a::b(u8)\nimpl core::marker::Send for a::Open\n";

    #[rstest]
    #[case::nothing("", "", Change::None)]
    #[case::a_function("", "pub fn a::c()\n", Change::Addition(vec!["pub fn a::c()"]))]
    #[case::a_method("", "pub fn a::Open::c(&self)\n", Change::Addition(vec!["pub fn a::Open::c(&self)"]))]
    #[case::another_enum("", "pub a::Opened::Red\n", Change::Addition(vec!["pub a::Opened::Red"]))]
    #[case::a_variant("", "pub a::Open::Blue\n", Change::Breaking(vec!["pub a::Open::Blue"]))]
    #[case::with_fields("", "pub a::Open::Blue(u8)\n", Change::Breaking(vec!["pub a::Open::Blue(u8)"]))]
    #[case::expected("", "pub a::Shut::Blue\n", Change::Addition(vec!["pub a::Shut::Blue"]))]
    #[case::gone("pub fn a::b(u8)\n", "", Change::Breaking(vec!["pub fn a::b(u8)"]))]
    #[case::changed("a::b(u8)", "a::b(u16)", Change::Breaking(vec!["pub fn a::b(u8)"]))]
    #[case::no_longer_sent(
        "impl core::marker::Send for a::Open\n",
        "impl !core::marker::Send for a::Open\n",
        Change::Breaking(vec!["impl core::marker::Send for a::Open"])
    )]
    fn a_change_is_known_for_what_it_is(#[case] gone: &str, #[case] new: &str, #[case] expected: Change<'_>) {
        let now = if OLD.contains(gone) && !gone.is_empty() {
            OLD.replace(gone, new)
        } else {
            format!("{OLD}{new}")
        };
        assert_eq!(Change::between(OLD, &now), expected);
    }

    #[rstest]
    #[case::nothing(Change::None, "1.2.3", ["1.2.3", "1.2.4", "1.3.0", "2.0.0"], ["1.2.2", "0.9.0"])]
    #[case::addition(Change::Addition(Vec::new()), "1.2.3", ["1.3.0", "2.0.0"], ["1.2.3", "1.2.4"])]
    #[case::breaking(Change::Breaking(Vec::new()), "1.2.3", ["2.0.0", "3.1.0"], ["1.2.4", "1.3.0"])]
    #[case::early_addition(Change::Addition(Vec::new()), "0.2.3", ["0.2.4", "0.3.0", "1.0.0"], ["0.2.3", "0.1.9"])]
    #[case::early_breaking(Change::Breaking(Vec::new()), "0.2.3", ["0.3.0", "1.0.0"], ["0.2.3", "0.2.4"])]
    #[case::earliest(Change::Breaking(Vec::new()), "0.0.3", ["0.0.4", "0.1.0"], ["0.0.3", "0.0.2"])]
    fn a_version_follows_another_as_semver_asks(
        #[case] change: Change<'_>,
        #[case] from: &str,
        #[case] good: impl IntoIterator<Item = &'static str>,
        #[case] bad: [&str; 2],
    ) {
        let version = |text: &str| Version::parse(text).unwrap();
        for to in good {
            assert!(change.allowed(version(from), version(to)), "{from} to {to}");
        }
        for to in bad {
            assert!(!change.allowed(version(from), version(to)), "{from} to {to}");
        }
    }

    #[test]
    fn the_last_release_is_found_with_what_it_showed() {
        let folder = tempdir().unwrap();
        let git = |arguments: &[&str]| {
            let me = ["-c", "user.name=tests", "-c", "user.email=tests@localhost", "-c", "tag.gpgsign=false"];
            assert!(super::git(folder.path(), &[&me, arguments].concat()).is_some(), "{arguments:?}");
        };
        let publish = |listing: &str, tag: &str| {
            std::fs::write(folder.path().join("api.txt"), listing).unwrap();
            git(&["add", "api.txt"]);
            git(&["commit", "-qm", listing]);
            git(&["tag", tag]);
        };
        git(&["init", "-q", "-b", "main"]);
        git(&["commit", "-q", "--allow-empty", "-m", "Nothing"]);
        assert_eq!(Release::last(folder.path()).unwrap_err(), NoRelease("there is no tag v*"));
        publish("one", "v0.9.0");
        publish("two", "v0.10.0");
        publish("three", "v0.11.0-rc.1");
        publish("four", "version-9");
        git(&["switch", "-q", "-c", "elsewhere"]);
        publish("five", "v1.0.0");
        git(&["switch", "-q", "main"]);
        let last = Release::last(folder.path()).unwrap();
        assert_eq!((last.version.to_string(), last.file("api.txt")), ("0.10.0".to_owned(), "two".to_owned()));
    }

    #[test]
    fn without_a_repository_nobody_knows() {
        let unknown = Release::last(tempdir().unwrap().path()).unwrap_err();
        assert_eq!(unknown, NoRelease("git does not know these sources"));
    }
}
