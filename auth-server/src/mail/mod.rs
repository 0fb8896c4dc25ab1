//! How letters leave: composed of templates, and taken by a mail server or put into a folder.

mod compose;
mod folder;
mod smtp;

use std::fmt;
use std::sync::Arc;

use crate::config::{Config, Transport};
use crate::domain::clock::Timestamp;
use crate::domain::ids::LetterId;
use crate::domain::letter::Letter;
use crate::domain::mailbox::Mailbox;
use crate::domain::user::Email;
use crate::mail::compose::Composer;
use crate::mail::folder::Folder;
use crate::mail::smtp::Smtp;

/// The folder of the data folder that letters are put into.
const FOLDER: &str = "mail";

/// A letter and whom it goes to.
#[derive(Clone, Debug)]
pub(crate) struct Parcel<'a> {
    pub(crate) id: &'a LetterId,
    pub(crate) to: &'a Mailbox,
    pub(crate) letter: &'a Letter,
    /// Its date, however often it is tried.
    pub(crate) written_at: Timestamp,
}

/// Why a letter was not taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Unsent {
    pub(crate) outlook: Outlook,
    /// What may be kept and logged: it has no address in it.
    pub(crate) reason: String,
    /// What the mail server said, word for word: it often repeats the address.
    pub(crate) answer: Option<String>,
}

/// Whether it is worth trying again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outlook {
    /// The mail server will not take it, ever.
    Hopeless,
    /// It may take it later.
    Later,
}

/// The configuration of mail cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("mail.{key}: {cause}")]
pub struct BadMail {
    key: &'static str,
    cause: String,
}

/// Sends letters. Clones share everything.
#[derive(Clone)]
pub(crate) struct Mailer(Arc<Inner>);

struct Inner {
    composer: Composer,
    way: Way,
}

enum Way {
    Folder(Folder),
    Smtp(Box<Smtp>),
}

impl Mailer {
    /// What the configuration says; `None` where mail is off. No connection is made, and no folder.
    pub(crate) fn open(config: &Config) -> Result<Option<Self>, BadMail> {
        let settings = &config.reach.mail;
        let issuer = config.issuer();
        let from = match (&settings.from, settings.transport) {
            (_, Transport::Off) => return Ok(None),
            (Some(from), _) => from.mailbox().clone(),
            (None, _) => placeholder(issuer.host())?,
        };
        let reply_to = settings.reply_to.as_ref().map(|sender| sender.mailbox().clone());
        let way = match settings.transport {
            Transport::Smtp => Way::Smtp(Box::new(Smtp::open(&settings.smtp, &from)?)),
            Transport::Folder | Transport::Off => Way::Folder(Folder::at(config.data_file(FOLDER))),
        };
        let key = if settings.reply_to.is_some() { "from or mail.reply_to" } else { "from" };
        let composer = Composer::new(&issuer, (from, reply_to))
            .map_err(|error| BadMail { key, cause: error.to_string() })?;
        Ok(Some(Self(Arc::new(Inner { composer, way }))))
    }

    /// Sends a letter, and gives what was answered.
    pub(crate) async fn send(&self, parcel: &Parcel<'_>) -> Result<String, Unsent> {
        let message = self.0.composer.compose(parcel).map_err(|error| Unsent {
            outlook: Outlook::Hopeless,
            reason: error.to_string(),
            answer: None,
        })?;
        match &self.0.way {
            Way::Folder(folder) => folder.put(parcel.id, message.formatted()).await,
            Way::Smtp(smtp) => smtp.send(message).await,
        }
    }
}

/// Whom letters in a folder are from when nobody said.
fn placeholder(host: &str) -> Result<Mailbox, BadMail> {
    let address =
        Email::parse(&format!("portcullis@{host}")).or_else(|_| Email::parse("portcullis@localhost"));
    let address = address.map_err(|error| BadMail { key: "from", cause: error.to_string() })?;
    Ok(Mailbox::new("Portcullis", address))
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mailer")
    }
}
