//! The shell blocks of what we write for people, run as a person would.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use portcullis_tests::process::{Place, finished};

use crate::commands::said;

/// The shell blocks of a text, in order.
pub(crate) fn blocks(section: &str) -> Vec<String> {
    let fenced = section.split("```sh\n").skip(1);
    fenced.map(|block| block.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// Puts what differs here in the place of what a text says, which it has to say.
pub(crate) fn adapted(block: &str, places: &[(&str, &str)]) -> String {
    places.iter().fold(block.to_owned(), |block, (theirs, ours)| {
        assert!(block.contains(theirs), "there is no `{theirs}` in:\n{block}");
        block.replace(theirs, ours)
    })
}

/// One terminal: its folder, and the configuration of the server.
pub(crate) struct Terminal<'a> {
    pub(crate) place: &'a Place,
    pub(crate) folder: PathBuf,
}

impl Terminal<'_> {
    /// A shell that runs a block line by line, as a person would type it.
    pub(crate) fn shell(&self, block: &str) -> Command {
        let script = self.folder.join("block.sh");
        std::fs::write(&script, block).unwrap();
        let mut shell = Command::new("bash");
        shell.args(["-e", "-u", "-o", "pipefail", "-O", "expand_aliases"]).arg(script).env_clear();
        let inherited = self.place.command(&[]);
        shell.envs(inherited.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell
            .env("PORTCULLIS__SERVER__DATA_DIR", &self.place.data_dir)
            .env("PORTCULLIS__SERVER__LISTEN", format!("127.0.0.1:{}", self.place.port))
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        shell
    }

    /// Runs a block that has to succeed, and returns what it printed.
    pub(crate) fn run(&self, block: &str) -> String {
        let output = finished(self.shell(block));
        assert!(output.status.success(), "{block}\n{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The statuses of the answers that `curl -i` shows.
    pub(crate) fn statuses(&self, block: &str) -> Vec<u16> {
        let printed = self.run(block);
        // A body may end without a line end, and the next answer begins right behind it.
        let heads = printed.split("HTTP/1.1 ").skip(1);
        heads.filter_map(|head| head.split(' ').next()?.parse().ok()).collect()
    }
}
