//! The `mail` section: how letters to people leave.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Host;

use crate::config::SecretText;
use crate::domain::mailbox::Mailbox;

/// How letters to people leave.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default)]
pub struct Mail {
    /// What becomes of letters: `off`, none are written; `folder`, each is a file in the folder `mail` of the data folder; `smtp`, a
    /// mail server takes them.
    pub transport: Transport,
    /// Whom letters are from: an address, or a name and an address such as `Example <id@example.org>`. Without it: none with
    /// `smtp`, which needs one; `portcullis@` this server with `folder`.
    pub from: Option<Sender>,
    /// Where answers to letters go. Without it: to `from`.
    pub reply_to: Option<Sender>,
    /// Letters of a kind that an address is sent in an hour. Those beyond are not sent.
    #[schemars(range(min = 1, max = 1000))]
    pub per_address_per_hour: u32,
    /// The mail server.
    #[serde(flatten)]
    pub smtp: Smtp,
}

/// The mail server that takes letters.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default)]
pub struct Smtp {
    /// The mail server: a name, which its certificate has to have, or an address.
    pub host: Option<String>,
    /// Its port. Without it: 465 with `tls = "required"`, 587 with `starttls`, 25 with `none`.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// `required`: TLS from the first byte. `starttls`: TLS before anything is said that matters, or nothing is sent. `none`: without
    /// TLS, for a mail server on the same machine.
    pub tls: MailTls,
    /// File with certificate authorities (PEM) that are trusted beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// The name that the mail server knows this server by.
    pub username: Option<String>,
    /// The password that goes with it.
    pub password: Option<SecretText>,
    /// File that holds the password, instead of `password`.
    pub password_file: Option<PathBuf>,
    /// Longest time that sending one letter may take.
    #[schemars(range(min = 1, max = 300))]
    pub timeout_secs: u64,
}

/// What becomes of letters.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Each is a file, for development.
    Folder,
    /// None are written.
    #[default]
    Off,
    /// A mail server takes them.
    Smtp,
}

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailTls {
    /// Without TLS.
    None,
    /// TLS from the first byte (RFC 8314 §3.3).
    #[default]
    Required,
    /// TLS by `STARTTLS` (RFC 3207), or not at all.
    Starttls,
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            transport: Transport::Off,
            from: None,
            reply_to: None,
            per_address_per_hour: 3,
            smtp: Smtp::default(),
        }
    }
}

impl Default for Smtp {
    fn default() -> Self {
        Self {
            host: None,
            port: None,
            tls: MailTls::Required,
            ca_file: None,
            username: None,
            password: None,
            password_file: None,
            timeout_secs: 30,
        }
    }
}

impl Smtp {
    /// The port to connect to.
    pub(crate) fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            MailTls::None => 25,
            MailTls::Required => 465,
            MailTls::Starttls => 587,
        })
    }

    /// Longest time that sending one letter may take.
    pub(crate) const fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_secs)
    }
}

impl Mail {
    /// What contradicts itself: a key and what is wrong with it.
    pub(super) fn contradictions(&self) -> impl Iterator<Item = (&'static str, String)> {
        let Self { transport, from, smtp, .. } = self;
        let by_smtp = *transport == Transport::Smtp;
        let is_bare = smtp.tls == MailTls::None;
        let host = smtp.host.as_deref();
        [
            (by_smtp && host.is_none())
                .then_some(("host", "must be set with transport = \"smtp\": the name of the mail server")),
            (by_smtp && from.is_none()).then_some((
                "from",
                "must be set with transport = \"smtp\", for example `Example <id@example.org>`",
            )),
            (!by_smtp && host.is_some()).then_some((
                "host",
                "names a mail server that is not used: set transport = \"smtp\", or leave it out",
            )),
            host.filter(|host| !is_host(host))
                .map(|_| ("host", "is no name or address of a host: no port, no scheme, no blanks")),
            (smtp.username.is_some() && smtp.password.is_none())
                .then_some(("username", "needs a password: set `password` or `password_file`")),
            (smtp.username.is_none() && smtp.password.is_some())
                .then_some(("password", "belongs to nobody: set `username`")),
            (is_bare && smtp.password.is_some() && !host.is_some_and(is_here)).then_some((
                "tls",
                "is \"none\", so the password would cross the network in the clear: use \"required\" or \"starttls\"",
            )),
            (is_bare && smtp.ca_file.is_some())
                .then_some(("ca_file", "is for TLS, and tls = \"none\": leave it out")),
        ]
        .into_iter()
        .flatten()
        .map(|(name, message)| (name, message.to_owned()))
    }
}

fn is_host(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || matches!(Host::parse(text), Ok(Host::Domain(_)))
}

/// Whether a host is this machine.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whom letters are from, or whom answers go to.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(into = "String", try_from = "String")]
#[schemars(with = "String")]
pub struct Sender(Mailbox);

impl Sender {
    /// The mailbox.
    pub(crate) const fn mailbox(&self) -> &Mailbox {
        &self.0
    }
}

impl FromStr for Sender {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Mailbox::parse(text).map(Self).map_err(|error| error.to_string())
    }
}

impl TryFrom<String> for Sender {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Sender> for String {
    fn from(sender: Sender) -> Self {
        sender.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    const GOOD: &str =
        "[mail]\ntransport = \"smtp\"\nhost = \"mail.example.org\"\nfrom = \"id@example.org\"\n";

    fn mistakes(file: &str) -> Vec<String> {
        match Config::from_toml(file) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn letters_are_off_until_somebody_says_how_they_leave() {
        let mail = Config::from_toml("").unwrap().reach.mail;
        assert_eq!(mail.transport, super::Transport::Off);
        assert_eq!(Config::from_toml(GOOD).unwrap().reach.mail.smtp.port(), 465);
        for (tls, port) in [("required", 465), ("starttls", 587), ("none", 25)] {
            let mail = Config::from_toml(&format!("{GOOD}tls = \"{tls}\"")).unwrap().reach.mail;
            assert_eq!(mail.smtp.port(), port);
        }
    }

    #[test]
    fn what_contradicts_itself_is_named() {
        let smtp = "[mail]\ntransport = \"smtp\"\n";
        for (file, key, part) in [
            (smtp.to_owned() + "from = \"id@example.org\"", "mail.host", "must be set"),
            (smtp.to_owned() + "host = \"mail.example.org\"", "mail.from", "must be set"),
            ("[mail]\nhost = \"mail.example.org\"".to_owned(), "mail.host", "transport = \"smtp\""),
            ("[mail]\ntransport = \"folder\"\nhost = \"x.org\"".to_owned(), "mail.host", "not used"),
            (GOOD.replace("mail.example", "smtp://mail.example"), "mail.host", "no name"),
            (GOOD.replace("mail.example.org", "mail.example.org:25"), "mail.host", "no port"),
            (GOOD.to_owned() + "username = \"id\"", "mail.username", "password_file"),
            (GOOD.to_owned() + "password = \"hunter2\"", "mail.password", "username"),
            (
                GOOD.to_owned() + "username = \"id\"\npassword = \"hunter2\"\ntls = \"none\"",
                "mail.tls",
                "in the clear",
            ),
            (GOOD.to_owned() + "tls = \"none\"\nca_file = \"/x\"", "mail.ca_file", "is for TLS"),
            (GOOD.replace("id@", "id"), "mail.from", "has to be an address"),
            (GOOD.to_owned() + "reply_to = \"A\\r\\nBcc: e@x.org <a@x.org>\"", "mail.reply_to", "has to be"),
            (GOOD.to_owned() + "per_address_per_hour = 0", "mail.per_address_per_hour", "from 1 to"),
            (GOOD.to_owned() + "transprot = \"off\"", "mail.transprot", "mail.transport"),
            (GOOD.to_owned() + "password_file = \"/does/not/exist\"", "mail.password_file", "cannot be read"),
        ] {
            let found = mistakes(&file);
            assert!(
                found.iter().any(|one| one.contains(key) && one.contains(part)),
                "{key} {part}: {found:?}"
            );
            assert!(!found.concat().contains("hunter2"));
        }
    }

    #[test]
    fn a_password_stays_on_this_machine_or_crosses_the_network_sealed() {
        let login = "username = \"id\"\npassword = \"hunter2\"\n";
        for (host, tls) in
            [("localhost", "none"), ("127.0.0.1", "none"), ("::1", "none"), ("mail.example.org", "starttls")]
        {
            let file = GOOD.replace("mail.example.org", host) + login + &format!("tls = \"{tls}\"");
            assert_eq!(mistakes(&file), Vec::<String>::new(), "{host}");
        }
    }

    #[test]
    fn the_password_comes_from_its_file_and_is_shown_to_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        std::fs::write(&path, "hunter2\n").unwrap();
        let file = format!("{GOOD}username = \"id\"\npassword_file = \"{}\"", path.display());
        let config = Config::from_toml(&file).unwrap();
        assert_eq!(config.reach.mail.smtp.password.as_ref().unwrap().expose(), "hunter2");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
