//! Texts that commands take from files, of which one may be standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::cli::exit::Failure;

/// More than any text may have, so that a wrong file is refused and not read to its end.
const MAX_LEN: u64 = 16 * 1024 * 1024;

/// The name of standard input among files.
const STDIN: &str = "-";

/// Standard input can be read only once.
pub(crate) fn read_once(files: &[&Path]) -> Result<(), Failure> {
    if files.iter().filter(|file| file.as_os_str() == STDIN).count() > 1 {
        return Err(Failure::usage("only one of the files can be standard input"));
    }
    Ok(())
}

/// The text of a file.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    read_within(path, MAX_LEN)
}

/// The text of a file that may have so many bytes.
pub(crate) fn read_within(path: &Path, max_len: u64) -> Result<String, Failure> {
    let failure = |error: io::Error| Failure::failed(format!("{}: {error}", shown(path)));
    let mut bytes = Vec::new();
    let mut limited =
        |source: &mut dyn Read| source.take(max_len + 1).read_to_end(&mut bytes).map_err(failure);
    if path.as_os_str() == STDIN {
        limited(&mut io::stdin())?;
    } else {
        limited(&mut File::open(path).map_err(failure)?)?;
    }
    if bytes.len() as u64 > max_len {
        return Err(Failure::failed(format!("{}: more than {max_len} bytes", shown(path))));
    }
    String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        Failure::failed(format!("{}: the text is not UTF-8, from byte {place} on", shown(path)))
    })
}

/// What a file is called in a message.
pub(crate) fn shown(path: &Path) -> String {
    if path.as_os_str() == STDIN { "standard input".to_owned() } else { path.display().to_string() }
}
