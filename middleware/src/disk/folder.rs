//! A folder that only this user writes to, and files that are there whole or not at all.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::rights::{may_write, only_ours, plain_files, private_file, private_folder};

/// Longer than the longest policy.
const MAX_BYTES: u64 = 40 * 1024 * 1024;

const DRAFT: &str = ".draft";

/// No write takes so long: a draft that is older was left by a program that was killed.
const DRAFT_ABANDONED: Duration = Duration::from_mins(10);

/// A folder that nothing can be kept in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheDirError {
    /// Somebody else may write there. They could put keys into it with which they sign what they like.
    #[error("the cache folder {}: {why}", .folder.display())]
    Insecure {
        /// Where it is.
        folder: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// There is something else in its place.
    #[error("{} is no folder", .0.display())]
    NotAFolder(PathBuf),
    /// It cannot be had, or not be written to. A guard that is started does without it.
    #[error("nothing can be kept in {}: {cause}", .folder.display())]
    Unusable {
        /// Where it would be.
        folder: PathBuf,
        /// What stands in the way.
        cause: io::Error,
    },
}

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileFault {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is no plain file")]
    NotAFile,
    #[error("{0}")]
    Rights(&'static str),
    #[error("it is too long")]
    TooLong,
}

/// A folder that was found safe.
#[derive(Clone, Debug)]
pub(crate) struct Folder(Arc<Path>);

impl Folder {
    /// Opens a folder, or makes it. One that cannot be had is said to the log, and the guard does without; one that others
    /// may write to is an error.
    pub(crate) fn open(path: &Path, now: u64) -> Result<Option<Self>, CacheDirError> {
        match found_or_made(path) {
            Ok(found) => is_safe(path, &found)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(CacheDirError::NotAFolder(path.to_owned()));
            }
            Err(error) => {
                tracing::warn!(folder = %path.display(), %error, "the cache folder cannot be used: nothing is kept");
                return Ok(None);
            }
        }
        let folder = Self(Arc::from(path));
        if let Err(error) = folder.sweep(Duration::from_secs(now)) {
            tracing::debug!(folder = %path.display(), %error, "the cache folder could not be cleaned");
        }
        Ok(Some(folder))
    }

    /// Refuses what [`open`](Self::open) would, and what it would do without. Makes nothing.
    pub(crate) fn look(path: &Path) -> Result<(), CacheDirError> {
        let has = match fs::metadata(path) {
            Ok(found) => {
                is_safe(path, &found)?;
                path
            }
            // A link to nothing: no folder can be made in its place.
            Err(_) if fs::symlink_metadata(path).is_ok() => {
                return Err(CacheDirError::NotAFolder(path.to_owned()));
            }
            Err(_) => there_is(path),
        };
        may_write(has).map_err(|cause| CacheDirError::Unusable { folder: path.to_owned(), cause })
    }

    /// Reads a file, if there is one.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, FileFault> {
        let file = match plain_files(OpenOptions::new().read(true)).open(self.0.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(FileFault::NotAFile);
        }
        only_ours(&found).map_err(FileFault::Rights)?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_BYTES { Err(FileFault::TooLong) } else { Ok(Some(bytes)) }
    }

    /// Writes a file so that whoever reads it, now or after a crash, finds the old content or the new one.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(io::Error::new(ErrorKind::FileTooLarge, "it is too long"));
        }
        // Several guards may write the same file at once, each in a draft of its own.
        let draft = self.0.join(format!("{name}.{:016x}{DRAFT}", RandomState::new().hash_one(())));
        let written = write_private(&draft, bytes).and_then(|()| fs::rename(&draft, self.0.join(name)));
        if written.is_err() {
            // What cannot be removed now is swept later.
            let _ = fs::remove_file(&draft);
        }
        written?;
        File::open(&self.0)?.sync_all()
    }

    /// Removes drafts that nobody is writing any more.
    fn sweep(&self, now: Duration) -> io::Result<()> {
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            if !entry.file_name().to_string_lossy().ends_with(DRAFT) {
                continue;
            }
            let modified = entry.metadata()?.modified()?.duration_since(SystemTime::UNIX_EPOCH);
            if modified.is_ok_and(|modified| now.saturating_sub(modified) > DRAFT_ABANDONED) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

fn is_safe(path: &Path, found: &Metadata) -> Result<(), CacheDirError> {
    if !found.is_dir() {
        return Err(CacheDirError::NotAFolder(path.to_owned()));
    }
    only_ours(found).map_err(|why| CacheDirError::Insecure { folder: path.to_owned(), why })
}

/// The folder that the first one would be made in.
fn there_is(path: &Path) -> &Path {
    let above = path.ancestors().skip(1).find(|above| fs::symlink_metadata(above).is_ok());
    // A name alone is one of the folder that the program is in.
    above.unwrap_or(Path::new("."))
}

fn found_or_made(path: &Path) -> io::Result<Metadata> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            private_folder(DirBuilder::new().recursive(true)).create(path)?;
            fs::metadata(path)
        }
        found => found,
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = private_file(OpenOptions::new().write(true).create_new(true)).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use tempfile::{TempDir, tempdir};

    use super::*;

    const NOW: u64 = 4_000_000_000;

    fn opened() -> (TempDir, Folder) {
        let outer = tempdir().unwrap();
        let folder = Folder::open(&outer.path().join("deep/cache"), NOW).unwrap().unwrap();
        (outer, folder)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn names(folder: &Folder) -> Vec<String> {
        fs::read_dir(&folder.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_folder_and_its_files_are_for_their_owner_alone() {
        let (_outer, folder) = opened();
        folder.write("keys-1", b"one").unwrap();
        assert_eq!((mode(&folder.0), mode(&folder.0.join("keys-1"))), (0o700, 0o600));
        folder.write("keys-1", b"two").unwrap();
        assert_eq!(folder.read("keys-1").unwrap().unwrap(), b"two");
        assert_eq!(names(&folder), ["keys-1"], "no draft stays");
        assert!(folder.read("keys-2").unwrap().is_none());
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_an_error() {
        let outer = tempdir().unwrap();
        let path = outer.path().join("cache");
        fs::create_dir(&path).unwrap();
        for (mode, safe) in [(0o700, true), (0o755, true), (0o500, true), (0o770, false), (0o702, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let opened = Folder::open(&path, NOW);
            assert_eq!(opened.is_ok(), safe, "{mode:o}: {opened:?}");
            assert_eq!(Folder::look(&path).is_ok(), safe, "{mode:o}");
        }
        let file = outer.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [&file, &file.join("below")] {
            let opened = Folder::open(path, NOW);
            assert!(!matches!(opened, Ok(Some(_))), "{opened:?}");
        }
    }

    #[test]
    fn a_look_refuses_what_nothing_could_be_kept_in_and_makes_nothing() {
        let outer = tempdir().unwrap();
        let [new, file, link] = ["new", "file", "link"].map(|name| outer.path().join(name));
        fs::write(&file, "").unwrap();
        symlink(outer.path().join("nothing"), &link).unwrap();
        for (path, fault) in [
            (&new, None),
            (&new.join("below/that"), None),
            (&PathBuf::from("a-name-alone"), None),
            (&file, Some("is no folder")),
            (&link, Some("is no folder")),
            (&file.join("below"), Some("not a directory")),
        ] {
            let looked = Folder::look(path).map_err(|error| error.to_string());
            assert_eq!(looked.is_err(), fault.is_some(), "{}: {looked:?}", path.display());
            let said = looked.err().unwrap_or_default();
            assert!(said.contains(fault.unwrap_or_default()), "{said}");
            assert!(path == &file || !path.exists(), "{}", path.display());
        }
        let locked = outer.path().join("locked");
        fs::create_dir(&locked).unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
        assert_eq!(Folder::look(&locked).is_err(), !rustix::process::geteuid().is_root());
        assert!(Folder::open(&file.join("below"), NOW).unwrap().is_none(), "a guard does without");
        assert!(Folder::open(&link, NOW).is_err());
    }

    #[test]
    fn what_belongs_to_another_user_is_refused() {
        let (outer, folder) = opened();
        folder.write("theirs", b"x").unwrap();
        // Only the superuser can give things away; nobody else needs this to be told apart from a wrong mode.
        if std::os::unix::fs::chown(folder.0.join("theirs"), Some(12_345), None).is_ok() {
            assert!(matches!(folder.read("theirs"), Err(FileFault::Rights(_))));
            std::os::unix::fs::chown(&folder.0, Some(12_345), None).unwrap();
            let opened = Folder::open(&outer.path().join("deep/cache"), NOW);
            assert!(matches!(opened, Err(CacheDirError::Insecure { .. })), "{opened:?}");
        }
    }

    #[test]
    fn whoever_reads_while_others_write_finds_one_content_whole() {
        let (_outer, folder) = opened();
        let contents = [vec![1; 70_000], vec![2; 90_000]];
        folder.write("keys-1", &contents[0]).unwrap();
        std::thread::scope(|scope| {
            for content in &contents {
                let folder = &folder;
                scope.spawn(move || (0..20).for_each(|_| folder.write("keys-1", content).unwrap()));
            }
            for _ in 0..200 {
                assert!(contents.contains(&folder.read("keys-1").unwrap().unwrap()));
            }
        });
        assert_eq!(names(&folder), ["keys-1"]);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_done_without() {
        assert!(Folder::open(Path::new("/proc/nowhere/cache"), NOW).unwrap().is_none());
    }

    #[test]
    fn a_file_that_others_may_write_to_and_what_is_no_file_are_not_read() {
        let (outer, folder) = opened();
        folder.write("open", b"x").unwrap();
        fs::set_permissions(folder.0.join("open"), fs::Permissions::from_mode(0o620)).unwrap();
        assert!(matches!(folder.read("open"), Err(FileFault::Rights(_))));
        let outside = outer.path().join("outside");
        fs::write(&outside, "x").unwrap();
        symlink(&outside, folder.0.join("link")).unwrap();
        assert!(matches!(folder.read("link"), Err(FileFault::Io(_))));
        fs::create_dir(folder.0.join("folder")).unwrap();
        assert!(matches!(folder.read("folder"), Err(FileFault::NotAFile)));
        let pipe = std::process::Command::new("mkfifo").arg(folder.0.join("pipe")).status().unwrap();
        assert!(pipe.success());
        assert!(matches!(folder.read("pipe"), Err(FileFault::NotAFile)), "and is not waited for");
    }

    #[test]
    fn a_link_in_the_place_of_a_file_is_replaced_and_not_followed() {
        let (outer, folder) = opened();
        let outside = outer.path().join("outside");
        fs::write(&outside, "theirs").unwrap();
        symlink(&outside, folder.0.join("keys-1")).unwrap();
        folder.write("keys-1", b"ours").unwrap();
        assert_eq!(fs::read(&outside).unwrap(), b"theirs");
        assert_eq!(folder.read("keys-1").unwrap().unwrap(), b"ours");
    }

    #[test]
    fn a_file_is_bounded_in_both_directions() {
        let (_outer, folder) = opened();
        let long = vec![0; usize::try_from(MAX_BYTES).unwrap() + 1];
        assert_eq!(folder.write("long", &long).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert!(names(&folder).is_empty());
        File::create(folder.0.join("long")).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert!(matches!(folder.read("long"), Err(FileFault::TooLong)));
    }

    #[test]
    fn drafts_that_a_killed_program_left_are_swept_and_those_of_others_are_not() {
        let (_outer, folder) = opened();
        folder.write("keys-1", b"x").unwrap();
        let draft = folder.0.join("keys-1.0123456789abcdef.draft");
        fs::write(&draft, "").unwrap();
        let modified = |secs| SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
        for (secs, stays) in [(NOW - 600, true), (NOW + 9, true), (NOW - 601, false)] {
            File::options().write(true).open(&draft).unwrap().set_modified(modified(secs)).unwrap();
            Folder::open(&folder.0, NOW).unwrap();
            assert_eq!(draft.exists(), stays, "{secs}");
        }
        assert_eq!(names(&folder), ["keys-1"]);
    }
}
