//! Apache as the packages of Debian bring it, with a configuration of its own.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use portcullis_tests::agent::{Answer, agent};
use portcullis_tests::proxied::Listening;
use tempfile::{TempDir, tempdir};

use crate::features::note_version;

/// Where Debian puts the modules.
const MODULES: &str = "/usr/lib/apache2/modules";

/// What pages of a site need, whatever guards them.
const USUAL: [&str; 10] = [
    "mpm_event",
    "alias",
    "authn_core",
    "authz_core",
    "authz_user",
    "dir",
    "env",
    "filter",
    "include",
    "mime",
];

/// A running Apache, of one process; it ends with the test.
pub(crate) struct Apache {
    /// Where it listens.
    pub(crate) address: String,
    program: Listening,
    folder: TempDir,
}

impl Apache {
    /// Starts it on a port with a module, what configures that, and a page at `/protected/`.
    pub(crate) async fn start(port: u16, module: &str, configuration: &str, page: &str) -> Self {
        let folder = tempdir().unwrap();
        let here = folder.path();
        fs::create_dir_all(here.join("site/protected")).unwrap();
        fs::write(here.join("site/index.html"), "open to everybody").unwrap();
        fs::write(here.join("site/protected/index.shtml"), page).unwrap();
        // Where the tests are run by root, Apache goes on as somebody else.
        fs::set_permissions(here, Permissions::from_mode(0o755)).unwrap();
        let modules = USUAL.iter().copied().chain([module]).fold(String::new(), |mut lines, name| {
            writeln!(lines, "LoadModule {name}_module {MODULES}/mod_{name}.so").unwrap();
            lines
        });
        let folder_of = here.display();
        let whole = format!(
            "ServerRoot {folder_of}\nServerName 127.0.0.1\nListen 127.0.0.1:{port}\n{modules}\
             User www-data\nGroup www-data\nPidFile {folder_of}/pid\nDefaultRuntimeDir {folder_of}\n\
             ErrorLog {folder_of}/error.log\nLogLevel info\nServerTokens Full\n\
             DocumentRoot {folder_of}/site\nDirectoryIndex index.html index.shtml\n\
             TypesConfig /dev/null\nAddType text/html .shtml\nAddOutputFilter INCLUDES .shtml\n\
             <Directory {folder_of}/site>\nOptions +Includes\nRequire all granted\n</Directory>\n{configuration}\n"
        );
        fs::write(here.join("httpd.conf"), whole).unwrap();
        let mut command = Command::new("/usr/sbin/apache2");
        // One process, so that its id is all there is to end.
        command.arg("-X").arg("-d").arg(here).arg("-f").arg(here.join("httpd.conf")).current_dir(here);
        let program = Listening::start(command, (port, "/"), here.join("output.log")).await;
        let apache = Self { address: program.address.clone(), program, folder };
        apache.note_versions().await;
        apache
    }

    /// Apache says its version with each page, and a module its own when it starts.
    async fn note_versions(&self) {
        note_version(Answer::to(agent().get(&self.address)).await.header("server"));
        let log = self.log();
        let module = log.split_whitespace().find(|word| word.starts_with("mod_"));
        note_version(module.unwrap_or_else(|| panic!("the module does not say its version:\n{log}")));
    }

    /// What it printed.
    pub(crate) fn log(&self) -> String {
        let errors = fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default();
        format!("{}{errors}", self.program.log())
    }
}
