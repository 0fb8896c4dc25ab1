//! The master key: configured, or made on first start and kept in the data folder.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustix::fs::{Access, access};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::domain::secret::Entropy;

/// Name of the key file in the data folder.
const FILE_NAME: &str = "master.key";
const KEY_LEN: usize = 32;

/// The key from which every other key at rest is derived.
pub(crate) struct MasterKey(Zeroizing<[u8; KEY_LEN]>);

/// Whether the database already holds something that only the right master key opens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SealedData {
    Exists,
    None,
}

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    #[error(
        "{what} is not a master key: it must be 32 random bytes in base64, such as `openssl rand -base64 32` prints"
    )]
    Malformed { what: String },
    #[error(
        "{what} is not random: a master key must come from a random source, such as `openssl rand -base64 32`"
    )]
    NotRandom { what: String },
    #[error(
        "{path} can be read by others than its owner (mode {mode:03o}); whoever read it can open every key of this \
         server. Replace the key if others had access, else run `chmod 600 {path}`"
    )]
    ReadableByOthers { path: String, mode: u32 },
    #[error(
        "{path} is missing, but the database holds keys that were sealed with it. Put the file back from your backup, \
         or set keys.master_key_file; a new key could not open what is there"
    )]
    Missing { path: String },
    #[error("the data folder {path} cannot be made: {cause}")]
    Folder { path: String, cause: io::Error },
    #[error(
        "{path} has the mode {mode:o}: others on this machine may put a key or a database there. Take their right to write \
         away, with `chmod go-w {path}`"
    )]
    SharedFolder { path: String, mode: u32 },
    #[error("{path}: {cause}")]
    File { path: String, cause: io::Error },
}

impl MasterKey {
    pub(crate) fn generate(entropy: &Entropy) -> Self {
        Self(Zeroizing::new(entropy.bytes::<KEY_LEN>()))
    }

    /// The configured key, or the one in the data folder, which is made when there is none and nothing needs it yet.
    pub(crate) fn obtain(
        config: &Config,
        sealed: SealedData,
        entropy: &Entropy,
    ) -> Result<Self, MasterKeyError> {
        if let Some(key) = Self::find(config, sealed)? {
            return Ok(key);
        }
        create_data_dir(config.data_dir())?;
        Self::create(&config.data_file(FILE_NAME), entropy)
    }

    /// The configured key, or the one in the data folder. `None` when there is none and nothing needs it yet.
    pub(crate) fn find(config: &Config, sealed: SealedData) -> Result<Option<Self>, MasterKeyError> {
        if let Some(path) = &config.keys.master_key_file {
            refuse_readable_by_others(path)?;
        }
        if let Some(text) = &config.keys.master_key {
            return Self::parse(text.expose(), "keys.master_key").map(Some);
        }
        let path = config.data_file(FILE_NAME);
        match Self::read(&path)? {
            None if sealed == SealedData::Exists => Err(MasterKeyError::Missing { path: display(&path) }),
            found => Ok(found),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Reads base64 of either alphabet, padded or not.
    fn parse(text: &str, what: &str) -> Result<Self, MasterKeyError> {
        let text = text.trim();
        let bytes = Zeroizing::new(
            URL_SAFE_NO_PAD
                .decode(text.trim_end_matches('='))
                .or_else(|_| STANDARD.decode(text))
                .map_err(|_| MasterKeyError::Malformed { what: what.to_owned() })?,
        );
        let key = <[u8; KEY_LEN]>::try_from(bytes.as_slice())
            .map_err(|_| MasterKeyError::Malformed { what: what.to_owned() })?;
        if !looks_random(&key) {
            return Err(MasterKeyError::NotRandom { what: what.to_owned() });
        }
        Ok(Self(Zeroizing::new(key)))
    }

    fn read(path: &Path) -> Result<Option<Self>, MasterKeyError> {
        match fs::read_to_string(path).map(Zeroizing::new) {
            Ok(text) => {
                refuse_readable_by_others(path)?;
                Self::parse(&text, &display(path)).map(Some)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(MasterKeyError::File { path: display(path), cause }),
        }
    }

    /// Makes the key file whole or not at all. Of two processes that do so at once, the second takes the first one's key.
    fn create(path: &Path, entropy: &Entropy) -> Result<Self, MasterKeyError> {
        let failed = |cause| MasterKeyError::File { path: display(path), cause };
        let key = Self::generate(entropy);
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(key.as_bytes()) + "\n");
        let draft = draft_beside(path, entropy);
        let written = write_private(&draft, text.as_bytes()).and_then(|()| fs::hard_link(&draft, path));
        let removed = fs::remove_file(&draft);
        match written {
            Ok(()) => {
                removed.map_err(failed)?;
                sync_folder_of(path).map_err(failed)?;
                Ok(key)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Self::read(path)?.ok_or_else(|| MasterKeyError::Missing { path: display(path) })
            }
            Err(cause) => Err(failed(cause)),
        }
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// Makes the data folder, open to its owner alone. One that exists is left as it is.
pub(crate) fn create_data_dir(path: &Path) -> Result<(), MasterKeyError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|cause| MasterKeyError::Folder { path: display(path), cause })?;
    refuse_shared(path)
}

/// Whoever may write to the folder can put another key and another database there.
fn refuse_shared(path: &Path) -> Result<(), MasterKeyError> {
    let found = fs::metadata(path).map_err(|cause| MasterKeyError::Folder { path: display(path), cause })?;
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o022 == 0 { Ok(()) } else { Err(MasterKeyError::SharedFolder { path: display(path), mode }) }
}

/// Whether the data folder holds a master key, which it does since the first start.
pub(crate) fn exists_in(config: &Config) -> bool {
    config.data_file(FILE_NAME).exists()
}

/// What is known of the data folder before anything is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DataDir {
    Exists,
    /// A start makes it.
    Missing,
}

/// Looks for the data folder. Refuses what could not be made.
pub(crate) fn look_at_data_dir(path: &Path) -> Result<DataDir, MasterKeyError> {
    let refused = |cause| MasterKeyError::Folder { path: display(path), cause };
    for folder in path.ancestors() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        match fs::metadata(folder) {
            Ok(found) if !found.is_dir() => return Err(refused(ErrorKind::NotADirectory.into())),
            Ok(_) if folder == path => return refuse_shared(path).map(|()| DataDir::Exists),
            Ok(_) => {
                access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(|cause| refused(cause.into()))?;
                return Ok(DataDir::Missing);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(cause) => return Err(refused(cause)),
        }
    }
    Ok(DataDir::Missing)
}

/// Refuses a data folder in which no master key could be made.
pub(crate) fn refuse_unwritable(config: &Config, data_dir: DataDir) -> Result<(), MasterKeyError> {
    let path = config.data_file(FILE_NAME);
    match data_dir {
        DataDir::Missing => Ok(()),
        DataDir::Exists => access(config.data_dir(), Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|cause| MasterKeyError::File { path: display(&path), cause: cause.into() }),
    }
}

fn refuse_readable_by_others(path: &Path) -> Result<(), MasterKeyError> {
    let metadata = fs::metadata(path).map_err(|cause| MasterKeyError::File { path: display(path), cause })?;
    let mode = metadata.permissions().mode() & 0o777;
    let for_others = mode & 0o077;
    if for_others == 0 {
        return Ok(());
    }
    Err(MasterKeyError::ReadableByOthers { path: display(path), mode })
}

/// Of 32 random bytes, fewer than 16 different ones come up less than once in 2^60 draws; a sample key has a handful.
fn looks_random(key: &[u8; KEY_LEN]) -> bool {
    let mut seen = [false; 256];
    for byte in key {
        if let Some(mark) = seen.get_mut(usize::from(*byte)) {
            *mark = true;
        }
    }
    seen.into_iter().filter(|mark| *mark).count() >= 16
}

fn draft_beside(path: &Path, entropy: &Entropy) -> PathBuf {
    let name = URL_SAFE_NO_PAD.encode(entropy.bytes::<9>());
    path.with_file_name(format!(".{FILE_NAME}.{name}"))
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecretText;

    fn config() -> (tempfile::TempDir, Config) {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::for_tests(dir.path().join("data"), "http://localhost:8080");
        (dir, config)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_first_start_makes_a_private_key_and_the_next_one_reads_it() {
        let (_dir, config) = config();
        let first = MasterKey::obtain(&config, SealedData::None, &Entropy::seeded(1)).unwrap();
        let second = MasterKey::obtain(&config, SealedData::Exists, &Entropy::seeded(2)).unwrap();
        assert_eq!(first.as_bytes(), second.as_bytes());
        assert_eq!(mode(&config.data_file(FILE_NAME)), 0o600);
        assert_eq!(mode(config.data_dir()), 0o700);
        assert_eq!(fs::read_dir(config.data_dir()).unwrap().count(), 1, "the draft is gone");
    }

    #[test]
    fn a_lost_key_is_never_replaced_while_the_database_needs_it() {
        let (_dir, config) = config();
        let refused = MasterKey::obtain(&config, SealedData::Exists, &Entropy::seeded(1));
        assert!(matches!(refused, Err(MasterKeyError::Missing { .. })));
        assert!(!config.data_dir().exists());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let (_dir, config) = config();
        MasterKey::obtain(&config, SealedData::None, &Entropy::seeded(1)).unwrap();
        let path = config.data_file(FILE_NAME);
        for open in [0o640, 0o604] {
            fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
            let refused = MasterKey::obtain(&config, SealedData::Exists, &Entropy::seeded(1)).unwrap_err();
            assert!(refused.to_string().contains("chmod 600"), "{refused}");
        }
    }

    #[test]
    fn of_two_processes_that_make_the_key_at_once_both_use_the_same() {
        let (_dir, config) = config();
        create_data_dir(config.data_dir()).unwrap();
        let path = config.data_file(FILE_NAME);
        let keys: Vec<_> = std::thread::scope(|scope| {
            let one = |seed| MasterKey::create(&path, &Entropy::seeded(seed)).unwrap();
            let handles: Vec<_> = (0..8).map(|seed| scope.spawn(move || one(seed))).collect();
            handles.into_iter().map(|handle| handle.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| key.as_bytes() == keys[0].as_bytes()));
    }

    #[test]
    fn a_configured_key_is_read_in_every_common_form_and_refused_when_it_is_a_sample() {
        let (_dir, mut config) = config();
        let bytes = Entropy::seeded(9).bytes::<KEY_LEN>();
        for text in [URL_SAFE_NO_PAD.encode(bytes), STANDARD.encode(bytes), STANDARD.encode(bytes) + "\n"] {
            config.keys.master_key = Some(SecretText::new(text));
            let key = MasterKey::obtain(&config, SealedData::None, &Entropy::seeded(1)).unwrap();
            assert_eq!(key.as_bytes(), bytes);
        }
        for (text, part) in [
            ("c2hvcnQ=", "32 random bytes"),
            ("not base64!", "32 random bytes"),
            (&"A".repeat(43), "not random"),
        ] {
            config.keys.master_key = Some(SecretText::new(text));
            let refused =
                MasterKey::obtain(&config, SealedData::None, &Entropy::seeded(1)).unwrap_err().to_string();
            assert!(refused.contains(part) && !refused.contains(text), "{refused}");
        }
        assert!(!config.data_dir().exists(), "a configured key leaves the folder alone");
    }
}
