//! Letters as files, for development: a trial needs no mail server.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::domain::ids::LetterId;
use crate::mail::{Outlook, Unsent};

/// A folder that letters are put into. It is its owner's alone, and so are they.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) const fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Puts a letter there, and gives its path. It is there whole or not at all, and once however often it is put.
    pub(super) async fn put(&self, id: &LetterId, bytes: Vec<u8>) -> Result<String, Unsent> {
        let (folder, id) = (self.0.clone(), id.clone());
        let written = tokio::task::spawn_blocking(move || write(&folder, &id, &bytes)).await;
        let reason = match written {
            Ok(Ok(path)) => return Ok(path.display().to_string()),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        let reason = format!("the folder {} cannot be written to: {reason}", self.0.display());
        Err(Unsent { outlook: Outlook::Later, reason, answer: None })
    }
}

fn write(folder: &Path, id: &LetterId, bytes: &[u8]) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let unfinished = folder.join(format!(".{id}.part"));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    let path = folder.join(format!("{id}.eml"));
    fs::rename(&unfinished, &path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::domain::clock::Timestamp;
    use crate::domain::secret::Entropy;

    #[tokio::test]
    async fn a_letter_is_a_file_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::at(dir.path().join("mail"));
        let id = LetterId::generate(Timestamp::from_secs(1), &Entropy::seeded(1));
        for _ in 0..2 {
            let path = folder.put(&id, b"Subject: x\r\n\r\nx".to_vec()).await.unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"Subject: x\r\n\r\nx");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::metadata(&folder.0).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_told_and_tried_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let id = LetterId::generate(Timestamp::from_secs(1), &Entropy::seeded(1));
        let unsent = Folder::at(file.path().join("mail")).put(&id, Vec::new()).await.unwrap_err();
        assert_eq!(unsent.outlook, Outlook::Later);
        assert!(unsent.reason.contains("cannot be written to"), "{}", unsent.reason);
    }
}
