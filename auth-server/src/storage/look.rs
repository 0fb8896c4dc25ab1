//! Looking at a SQLite file without leaving a trace.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;

use crate::storage::error::READ_ONLY;
use crate::storage::sqlite::Opening;

/// How to open a file only to read it, or `None` when there is none and one could be made. Refuses what a server could not
/// write to.
pub(super) fn readable(file: &Path) -> Result<Option<Opening>, String> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.exists() {
        // Its journal lies beside a file.
        may_write(folder)?;
    }
    if !file.try_exists().map_err(|error| error.to_string())? {
        return Ok(None);
    }
    may_write(file)?;
    // Without a journal nobody has the file open; to read it as one that never changes then makes no files beside it.
    Ok(Some(Opening::to_look(file, !journal_of(file).exists())))
}

fn may_write(path: &Path) -> Result<(), String> {
    access(path, Access::WRITE_OK).map_err(|error| match error {
        Errno::ROFS => READ_ONLY.to_owned(),
        error => io::Error::from(error).to_string(),
    })
}

fn journal_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}
