//! A mail server that keeps what it is sent, and answers as the test says (RFC 5321).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_server::config::{MailTls, SecretText, Sender, Smtp, Transport};
use portcullis_server::{Config, config};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::certificates::Certificate;

/// How long a letter may be on its way.
const PATIENCE: Duration = Duration::from_mins(1);

/// How the mail server behaves.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Manner {
    /// It takes every letter.
    #[default]
    Accept,
    /// It closes the connection as soon as somebody is to get a letter.
    HangUp,
    /// It takes every letter and says no goodbye.
    NoFarewell,
    /// It answers every recipient with this code: 451 asks to come back, 550 refuses.
    Refuse(u16),
    /// It says nothing at all.
    Silent,
}

/// A letter that was taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Received {
    /// Who sent it, as the envelope says.
    pub from: String,
    /// Whom it is for, as the envelope says.
    pub to: Vec<String>,
    /// Headers and body, as they came.
    pub message: String,
    /// Whether it came over TLS.
    pub is_sealed: bool,
}

/// What the server is asked to speak.
#[derive(Clone, Debug, Default)]
struct Terms {
    tls: Option<(Arc<ServerConfig>, MailTls)>,
    login: Option<(String, String)>,
}

/// A mail server on this machine.
pub struct PostOffice {
    /// Where it listens.
    pub port: u16,
    desk: Arc<Desk>,
    terms: Terms,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Desk {
    manner: Mutex<Manner>,
    received: Mutex<Vec<Received>>,
    /// Everything that was said to it, by line; the letters are apart.
    transcript: Mutex<Vec<String>>,
    news: Notify,
}

impl PostOffice {
    /// A mail server that speaks no TLS and knows everybody.
    pub async fn start() -> Self {
        Self::with(Terms::default()).await
    }

    /// A mail server with a certificate, from the first byte or by `STARTTLS`.
    pub async fn with_tls(certificate: &Certificate, tls: MailTls) -> Self {
        Self::with(Terms { tls: Some((speaking(certificate), tls)), login: None }).await
    }

    /// The same for those alone who know this password.
    pub async fn with_login(certificate: &Certificate, (username, password): (&str, &str)) -> Self {
        let login = Some((username.to_owned(), password.to_owned()));
        Self::with(Terms { tls: Some((speaking(certificate), MailTls::Required)), login }).await
    }

    /// # Panics
    ///
    /// When no port is free.
    async fn with(terms: Terms) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port exists");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let desk = Arc::<Desk>::default();
        let serving = tokio::spawn(serve(listener, Arc::clone(&desk), terms.clone()));
        Self { port, desk, terms, serving }
    }

    /// Has a server send its letters here.
    ///
    /// # Panics
    ///
    /// Never: the sender is an address.
    pub fn serve(&self, config: &mut Config) {
        let from: Sender = "Example <id@mail.test>".parse().expect("it is a mailbox");
        let (username, password) = self.terms.login.clone().unzip();
        config.reach.mail = config::Mail {
            transport: Transport::Smtp,
            from: Some(from),
            smtp: Smtp {
                host: Some("localhost".to_owned()),
                port: Some(self.port),
                tls: self.terms.tls.as_ref().map_or(MailTls::None, |(_, tls)| *tls),
                username,
                password: password.map(SecretText::new),
                ..Smtp::default()
            },
            ..config::Mail::default()
        };
    }

    /// Behaves like this from now on.
    pub fn behave(&self, manner: Manner) {
        *lock(&self.desk.manner) = manner;
    }

    /// The letters that were taken so far.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.desk.received).clone()
    }

    /// What was said to it so far, by line, without the letters.
    pub fn transcript(&self) -> Vec<String> {
        lock(&self.desk.transcript).clone()
    }

    /// Waits until so many letters were taken.
    ///
    /// # Panics
    ///
    /// When they do not come.
    pub async fn wait_for(&self, letters: usize) -> Vec<Received> {
        self.wait_until("the letters come", |desk| lock(&desk.received).len() >= letters).await;
        self.received()
    }

    /// Waits until somebody said so.
    ///
    /// # Panics
    ///
    /// When nobody does.
    pub async fn wait_to_hear(&self, word: &str) {
        self.wait_until(word, |desk| lock(&desk.transcript).iter().any(|line| line.contains(word))).await;
    }

    async fn wait_until(&self, what: &str, holds: impl Fn(&Desk) -> bool) {
        let heard = async {
            loop {
                let news = self.desk.news.notified();
                if holds(&self.desk) {
                    return;
                }
                news.await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, heard).await;
        assert!(in_time.is_ok(), "{what}: {:?}", self.transcript());
    }
}

impl Drop for PostOffice {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Received {
    /// The value of a header, on one line.
    pub fn header(&self, name: &str) -> Option<String> {
        let (headers, _) = self.message.split_once("\r\n\r\n")?;
        let unfolded = headers.replace("\r\n ", " ").replace("\r\n\t", " ");
        let found = unfolded.split("\r\n").find_map(|line| line.strip_prefix(&format!("{name}: ")))?;
        Some(found.to_owned())
    }

    /// The body with its soft line breaks taken out (RFC 2045 §6.7).
    pub fn body(&self) -> String {
        let (_, body) = self.message.split_once("\r\n\r\n").unwrap_or_default();
        body.replace("=\r\n", "").replace("=3D", "=")
    }

    /// The code that its link carries, if it has a link.
    pub fn code(&self) -> Option<String> {
        let body = self.body();
        let (_, after) = body.split_once("#k=")?;
        Some(after.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn speaking(certificate: &Certificate) -> Arc<ServerConfig> {
    let (chain, key) = certificate.chain();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the versions fit the provider")
        .with_no_client_auth()
        .with_single_cert(chain, key);
    Arc::new(config.expect("the certificate fits the key"))
}

async fn serve(listener: TcpListener, desk: Arc<Desk>, terms: Terms) {
    let mut guests = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        guests.spawn(welcome(stream, Arc::clone(&desk), terms.clone()));
    }
}

/// Speaks with a client until it goes, over TLS where that is asked for.
async fn welcome(stream: TcpStream, desk: Arc<Desk>, terms: Terms) {
    let upgrade = match &terms.tls {
        Some((tls, MailTls::Required)) => return sealed(stream, tls, (&desk, &terms), "220").await,
        Some((tls, MailTls::None | MailTls::Starttls)) => Some(tls),
        None => None,
    };
    let talk = Talk { desk: &desk, terms: &terms, offers_tls: upgrade.is_some(), is_sealed: false };
    let rest = talk.hold(stream, "220").await;
    if let (Some(stream), Some(tls)) = (rest, upgrade) {
        sealed(stream, tls, (&desk, &terms), "").await;
    }
}

async fn sealed(
    stream: TcpStream,
    tls: &Arc<ServerConfig>,
    (desk, terms): (&Desk, &Terms),
    greeting: &'static str,
) {
    let accepted = TlsAcceptor::from(Arc::clone(tls)).accept(stream).await;
    // Whoever does not trust the certificate goes.
    if let Ok(stream) = accepted {
        let talk = Talk { desk, terms, offers_tls: false, is_sealed: true };
        talk.hold(stream, greeting).await;
    }
}

/// A conversation.
struct Talk<'a> {
    desk: &'a Desk,
    terms: &'a Terms,
    offers_tls: bool,
    is_sealed: bool,
}

impl Talk<'_> {
    /// Answers line by line; gives the connection back when it is to go on over TLS.
    async fn hold<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, greeting: &str) -> Option<S> {
        let mut stream = BufReader::new(stream);
        if *lock(&self.desk.manner) == Manner::Silent {
            std::future::pending::<()>().await;
        }
        if !greeting.is_empty() {
            say(&mut stream, &format!("{greeting} mail.test ESMTP")).await?;
        }
        let mut letter = Received {
            from: String::new(),
            to: Vec::new(),
            message: String::new(),
            is_sealed: self.is_sealed,
        };
        let mut knows_them = self.terms.login.is_none();
        loop {
            let line = hear(&mut stream).await?;
            lock(&self.desk.transcript).push(line.clone());
            self.desk.news.notify_waiters();
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let answer = match verb.to_ascii_uppercase().as_str() {
                "EHLO" => self.offer(),
                "STARTTLS" if self.offers_tls => {
                    say(&mut stream, "220 go ahead").await?;
                    return Some(stream.into_inner());
                }
                "AUTH" => {
                    knows_them = self.knows(rest);
                    if knows_them { "235 2.7.0 welcome" } else { "535 5.7.8 who are you?" }.to_owned()
                }
                "MAIL" if !knows_them => "530 5.7.0 sign in first".to_owned(),
                "MAIL" => {
                    address(rest).clone_into(&mut letter.from);
                    "250 2.1.0 ok".to_owned()
                }
                "RCPT" => self.recipient(address(rest), &mut letter)?,
                "DATA" => {
                    say(&mut stream, "354 end with a dot").await?;
                    letter.message = read_letter(&mut stream).await?;
                    lock(&self.desk.received).push(letter.clone());
                    self.desk.news.notify_waiters();
                    letter.to.clear();
                    "250 2.0.0 taken".to_owned()
                }
                "QUIT" if *lock(&self.desk.manner) == Manner::NoFarewell => std::future::pending().await,
                "QUIT" => {
                    say(&mut stream, "221 bye").await?;
                    return None;
                }
                _ => "502 5.5.1 what?".to_owned(),
            };
            say(&mut stream, &answer).await?;
        }
    }

    /// What it says of a recipient; `None` when it hangs up.
    fn recipient(&self, address: &str, letter: &mut Received) -> Option<String> {
        match *lock(&self.desk.manner) {
            Manner::HangUp => None,
            Manner::Refuse(code) => Some(format!("{code} {}.1.1 <{address}> is not served", code / 100)),
            Manner::Accept | Manner::NoFarewell | Manner::Silent => {
                letter.to.push(address.to_owned());
                Some("250 2.1.5 ok".to_owned())
            }
        }
    }

    fn offer(&self) -> String {
        let mut lines = vec!["mail.test", "8BITMIME", "SMTPUTF8"];
        if self.offers_tls {
            lines.push("STARTTLS");
        }
        if self.terms.login.is_some() {
            lines.push("AUTH PLAIN");
        }
        let last = lines.pop().unwrap_or_default();
        let first = lines.into_iter().flat_map(|line| ["250-", line, "\r\n"]).collect::<String>();
        format!("{first}250 {last}")
    }

    /// Whether they know the password (RFC 4616).
    fn knows(&self, proof: &str) -> bool {
        let Some((username, password)) = &self.terms.login else { return true };
        let expected = STANDARD.encode(format!("\0{username}\0{password}"));
        proof.split_once(' ') == Some(("PLAIN", expected.as_str()))
    }
}

/// What stands between angle brackets.
fn address(rest: &str) -> &str {
    rest.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("", |(address, _)| address)
}

/// Reads up to the line that is a dot, and takes the doubled dots back (RFC 5321 §4.5.2).
async fn read_letter<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<String> {
    let mut message = String::new();
    loop {
        let line = hear(stream).await?;
        if line == "." {
            return Some(message);
        }
        message.push_str(line.strip_prefix('.').unwrap_or(&line));
        message.push_str("\r\n");
    }
}

/// The next line without its end; `None` when nobody speaks any more.
async fn hear<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<String> {
    let mut line = Vec::new();
    let read = stream.read_until(b'\n', &mut line).await.ok()?;
    let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
    (read > 0).then_some(text)
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, answer: &str) -> Option<()> {
    stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
    stream.flush().await.ok()
}
