//! Letters by SMTP (RFC 5321).
//!
//! A connection for each letter: they are few, and one that is kept open for the next is one more thing that can be lost.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use lettre::Message;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::{Code, Response};
use tokio::time::timeout;

use crate::config::{self, MailTls};
use crate::domain::mailbox::Mailbox;
use crate::mail::compose::domain_of;
use crate::mail::{BadMail, Outlook, Unsent};

/// How long one address of a mail server may take to answer: it may have another.
const MOST_TO_CONNECT: Duration = Duration::from_secs(10);
/// How long a mail server may take to say goodbye. Nobody waits for it.
const FAREWELL: Duration = Duration::from_secs(2);

/// A mail server.
pub(super) struct Smtp {
    host: String,
    port: u16,
    security: Security,
    /// What this server calls itself.
    name: ClientId,
    credentials: Option<Credentials>,
    /// As messages name it.
    place: String,
    timeout: Duration,
}

/// How the connection is kept from others.
enum Security {
    None,
    Tls(TlsParameters),
    Starttls(TlsParameters),
}

/// What a letter did not get beyond.
enum Stuck {
    /// The mail server did not come to know which letter.
    Before(Error),
    /// What is refused is this letter, or whom it goes to.
    Letter(Error),
}

impl Smtp {
    /// Reads the authorities and makes everything ready. No connection is made.
    pub(super) fn open(settings: &config::Smtp, from: &Mailbox) -> Result<Self, BadMail> {
        let host = settings.host.clone().ok_or_else(|| bad("host", "is not set"))?;
        let name = domain_of(from).ok_or_else(|| bad("from", "has a domain that no mail server knows"))?;
        let security = match settings.tls {
            MailTls::None => Security::None,
            MailTls::Required => Security::Tls(parameters(&host, settings)?),
            MailTls::Starttls => Security::Starttls(parameters(&host, settings)?),
        };
        let credentials = settings
            .username
            .as_ref()
            .zip(settings.password.as_ref())
            .map(|(username, password)| Credentials::new(username.clone(), password.expose().to_owned()));
        let (port, name) = (settings.port(), ClientId::Domain(name));
        let place = format!("{host}:{port}");
        Ok(Self { host, port, security, name, credentials, place, timeout: settings.timeout() })
    }

    /// Sends a letter, and gives what the mail server answered.
    pub(super) async fn send(&self, message: Message) -> Result<String, Unsent> {
        match timeout(self.timeout, self.deliver(&message)).await {
            Ok(Ok(response)) => Ok(said(&response)),
            Ok(Err(Stuck::Letter(error))) => Err(self.unsent(&error)),
            Ok(Err(Stuck::Before(error))) => Err(Unsent { outlook: Outlook::Later, ..self.unsent(&error) }),
            Err(_) => Err(self.slow()),
        }
    }

    /// What is taken is taken: how the mail server says goodbye changes nothing of it.
    async fn deliver(&self, message: &Message) -> Result<Response, Stuck> {
        let mut connection = self.connect().await.map_err(Stuck::Before)?;
        let taken = connection.send(message.envelope(), &message.formatted()).await;
        tokio::spawn(async move { timeout(FAREWELL, connection.abort()).await });
        taken.map_err(Stuck::Letter)
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let from_the_start = match &self.security {
            Security::Tls(parameters) => Some(parameters.clone()),
            Security::None | Security::Starttls(_) => None,
        };
        let patience = Some((self.timeout / 3).min(MOST_TO_CONNECT));
        let place = (self.host.as_str(), self.port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(place, patience, &self.name, from_the_start, None).await?;
        if let Security::Starttls(parameters) = &self.security {
            connection.starttls(parameters.clone(), &self.name).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }

    fn slow(&self) -> Unsent {
        let seconds = self.timeout.as_secs();
        let reason = format!("the mail server {} did not take it within {seconds} s", self.place);
        Unsent { outlook: Outlook::Later, reason, answer: None }
    }

    fn unsent(&self, error: &Error) -> Unsent {
        let place = &self.place;
        if error.is_timeout() {
            return self.slow();
        }
        let reason = match error.status() {
            Some(code) => {
                let answer = error.source().map(ToString::to_string).unwrap_or_default();
                return refused(place, code, &answer);
            }
            None if is_about_tls(error) => format!("no TLS with the mail server {place}: {}", cause(error)),
            None if error.is_response() && is_cut_off(error) => {
                format!("the mail server {place} closed the connection")
            }
            // What it said may have an address in it.
            None if error.is_response() => {
                format!("the mail server {place} answered something that is no SMTP")
            }
            None => format!("the mail server {place}: {}", cause(error)),
        };
        Unsent { outlook: Outlook::Later, reason, answer: None }
    }
}

/// A handshake that fails is told as a connection that fails.
fn is_about_tls(error: &Error) -> bool {
    let of_tls = |cause: &(dyn StdError + 'static)| {
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.is_some_and(|inner| inner.downcast_ref::<rustls::Error>().is_some())
    };
    error.is_tls() || chain(error).any(of_tls)
}

/// What is below an error.
fn chain(error: &Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

/// Whether nothing more came, as the library tells it.
fn is_cut_off(error: &Error) -> bool {
    error.source().is_some_and(|source| source.to_string() == "incomplete response")
}

/// A refusal by the mail server.
fn refused(place: &str, code: Code, answer: &str) -> Unsent {
    let status = answer.split_whitespace().next().filter(|word| is_enhanced_status(word));
    let number = u16::from(code);
    let told = status.map_or_else(|| number.to_string(), |status| format!("{number} {status}"));
    let (outlook, what) = match number {
        // It asks who we are, or does not believe it (RFC 4954 §6): that is mended here, and the letter waits.
        530..=538 => (Outlook::Later, "does not know this server: check mail.username and mail.password"),
        // It is no server that takes mail, or does not know what it is told: so is that.
        500..=504 | 521 => (Outlook::Later, "takes no mail from here"),
        // It is about who sends (RFC 3463 §3.8), not about the letter: where nobody said who we are, for one.
        _ if number >= 500 && status.is_some_and(|status| status.starts_with("5.7.")) => {
            (Outlook::Later, "does not take it from here: check mail.from, mail.username and mail.password")
        }
        400..=499 => (Outlook::Later, "does not take it now"),
        _ => (Outlook::Hopeless, "refused it"),
    };
    let answer = Some(format!("{number} {answer}"));
    Unsent { outlook, reason: format!("the mail server {place} {what} ({told})"), answer }
}

/// Such as `5.1.1` (RFC 3463 §2).
fn is_enhanced_status(word: &str) -> bool {
    let mut parts = word.split('.');
    let is_number = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    parts.clone().count() == 3 && parts.all(is_number)
}

fn said(response: &Response) -> String {
    let lines: Vec<&str> = response.message().collect();
    format!("{} {}", u16::from(response.code()), lines.join(" ")).trim_end().to_owned()
}

/// What is at the bottom of an error: what stands above it says that it was a connection, or nothing.
fn cause(error: &Error) -> String {
    chain(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

fn parameters(host: &str, settings: &config::Smtp) -> Result<TlsParameters, BadMail> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(file) = &settings.ca_file {
        let unusable = |cause: &dyn std::fmt::Display| bad("ca_file", format!("{} {cause}", file.display()));
        let text = std::fs::read(file).map_err(|error| unusable(&format!("cannot be read: {error}")))?;
        if !text.windows(5).any(|window| window == b"-----") {
            return Err(unusable(&"holds no certificate in PEM form"));
        }
        let authorities = Certificate::from_pem(&text)
            .map_err(|_| unusable(&"holds something that is no certificate in PEM form"))?;
        builder = builder.add_root_certificate(authorities);
    }
    let key = if settings.ca_file.is_some() { "ca_file" } else { "tls" };
    builder.build().map_err(|error| bad(key, cause(&error)))
}

fn bad(key: &'static str, cause: impl Into<String>) -> BadMail {
    BadMail { key, cause: cause.into() }
}

#[cfg(test)]
mod tests {
    use lettre::transport::smtp::response::{Category, Detail, Severity};

    use super::*;
    use crate::domain::user::Email;

    fn code(severity: Severity, category: Category, detail: Detail) -> Code {
        Code::new(severity, category, detail)
    }

    #[test]
    fn a_refusal_tells_the_code_and_not_the_address() {
        let (permanent, transient) =
            (Severity::PermanentNegativeCompletion, Severity::TransientNegativeCompletion);
        for (code, answer, outlook, part) in [
            (
                code(permanent, Category::MailSystem, Detail::Zero),
                "5.1.1 <ada@example.org>: no such user",
                Outlook::Hopeless,
                "refused it (550 5.1.1)",
            ),
            (
                code(permanent, Category::MailSystem, Detail::Two),
                "<ada@example.org> is full",
                Outlook::Hopeless,
                "(552)",
            ),
            (
                code(transient, Category::MailSystem, Detail::One),
                "4.7.1 later",
                Outlook::Later,
                "(451 4.7.1)",
            ),
            (
                code(permanent, Category::Unspecified3, Detail::Five),
                "5.7.8 wrong",
                Outlook::Later,
                "mail.password (535 5.7.8)",
            ),
            (
                code(permanent, Category::MailSystem, Detail::Four),
                "5.7.1 <ada@example.org>: Relay access denied",
                Outlook::Later,
                "check mail.from, mail.username and mail.password (554 5.7.1)",
            ),
            (code(permanent, Category::Syntax, Detail::Two), "what?", Outlook::Later, "(502)"),
        ] {
            let unsent = refused("mail.example.org:465", code, answer);
            assert_eq!(unsent.outlook, outlook, "{answer}");
            assert!(unsent.reason.contains(part), "{}", unsent.reason);
            assert!(!unsent.reason.contains("ada@"), "{}", unsent.reason);
            assert!(unsent.answer.unwrap().ends_with(answer));
        }
    }

    #[test]
    fn a_status_is_three_numbers() {
        assert!(is_enhanced_status("5.1.10"));
        for word in ["ada@example.org", "5.1", "5.1.1.1", "192.0.2.1", "5..1", "a.b.c", ""] {
            assert!(!is_enhanced_status(word), "{word}");
        }
    }

    #[test]
    fn a_file_without_authorities_is_named() {
        let from = Mailbox::new("", Email::parse("id@example.org").unwrap());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "nothing").unwrap();
        for (path, part) in
            [(file.path().to_owned(), "holds no certificate"), ("/does/not/exist".into(), "cannot be read")]
        {
            let settings = config::Smtp {
                host: Some("localhost".to_owned()),
                ca_file: Some(path),
                ..config::Smtp::default()
            };
            let error = Smtp::open(&settings, &from).err().unwrap().to_string();
            assert!(error.starts_with("mail.ca_file: ") && error.contains(part), "{error}");
        }
    }
}
