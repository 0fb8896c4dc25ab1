//! Who may write to a file. Only Unix says it in a way that is understood here; elsewhere nothing is kept.

#[cfg(unix)]
pub(super) use unix::{may_write, only_ours, plain_files, private_file, private_folder};

#[cfg(unix)]
mod unix {
    use std::fs::{DirBuilder, Metadata, OpenOptions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
    use std::path::Path;

    use rustix::fs::{Access, OFlags, access};
    use rustix::process::geteuid;

    /// A link could lead anywhere, and a pipe would be waited for.
    pub(crate) fn plain_files(options: &mut OpenOptions) -> &mut OpenOptions {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        options.custom_flags(flags.bits().cast_signed())
    }

    pub(crate) fn private_file(options: &mut OpenOptions) -> &mut OpenOptions {
        options.mode(0o600)
    }

    pub(crate) fn private_folder(builder: &mut DirBuilder) -> &mut DirBuilder {
        builder.mode(0o700)
    }

    /// Whether this user may make files in a folder.
    pub(crate) fn may_write(folder: &Path) -> io::Result<()> {
        if !folder.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
    }

    /// What only this user and the superuser may write to.
    pub(crate) fn only_ours(found: &Metadata) -> Result<(), &'static str> {
        if found.mode() & 0o022 != 0 {
            return Err("others may write to it");
        }
        if found.uid() != 0 && found.uid() != geteuid().as_raw() {
            return Err("it belongs to somebody else");
        }
        Ok(())
    }
}

#[cfg(not(unix))]
pub(super) use elsewhere::{may_write, only_ours, plain_files, private_file, private_folder};

#[cfg(not(unix))]
mod elsewhere {
    use std::fs::{DirBuilder, Metadata, OpenOptions};
    use std::io;
    use std::path::Path;

    pub(crate) fn may_write(_folder: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn plain_files(options: &mut OpenOptions) -> &mut OpenOptions {
        options
    }

    pub(crate) fn private_file(options: &mut OpenOptions) -> &mut OpenOptions {
        options
    }

    pub(crate) fn private_folder(builder: &mut DirBuilder) -> &mut DirBuilder {
        builder
    }

    pub(crate) fn only_ours(_found: &Metadata) -> Result<(), &'static str> {
        Err("who may write to it is not known on this system")
    }
}
