//! Takes a password from a person, a file or standard input; never from an argument, which everybody on the machine can read.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;

use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::cli::exit::Failure;

/// The longest text that is read: far more than any password.
const MAX_LEN: u64 = 4096;

/// Where the password comes from. Without either, it is asked for on the terminal.
#[derive(Args, Debug)]
pub(crate) struct PasswordSource {
    /// File that holds the password.
    #[arg(long, value_name = "FILE", conflicts_with = "stdin")]
    password_file: Option<PathBuf>,
    /// Read the password from standard input.
    #[arg(long)]
    stdin: bool,
}

impl PasswordSource {
    /// The password, without the line end that files have.
    pub(crate) fn read(&self) -> Result<Zeroizing<String>, Failure> {
        let text = match &self.password_file {
            Some(path) => first_bytes(fs::File::open(path))
                .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?,
            None if self.stdin => first_bytes(Ok(io::stdin())).map_err(Failure::failed)?,
            None => return ask(),
        };
        Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

fn first_bytes(source: io::Result<impl Read>) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    source?.take(MAX_LEN).read_to_string(&mut text)?;
    Ok(text)
}

/// Asks twice, because nobody sees what they type.
fn ask() -> Result<Zeroizing<String>, Failure> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(|_| {
        Failure::usage("there is no terminal to ask for the password: use --password-file or --stdin")
    })?;
    let silent = Silence::over(&terminal).map_err(Failure::failed)?;
    let mut lines = BufReader::new(&terminal);
    let first = line(&terminal, &mut lines, "Password: ")?;
    let second = line(&terminal, &mut lines, "Once more: ")?;
    drop(silent);
    if *first == *second { Ok(first) } else { Err(Failure::failed("the two are not the same")) }
}

fn line(
    mut terminal: &fs::File,
    lines: &mut impl BufRead,
    prompt: &str,
) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    terminal
        .write_all(prompt.as_bytes())
        .and_then(|()| lines.take(MAX_LEN).read_line(&mut text))
        .and_then(|_| terminal.write_all(b"\n"))
        .map_err(Failure::failed)?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silence<T: AsFd> {
    terminal: T,
    before: Termios,
}

impl<T: AsFd> Silence<T> {
    fn over(terminal: T) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl<T: AsFd> Drop for Silence<T> {
    fn drop(&mut self) {
        // Nothing is left to do when the terminal went away.
        _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}
