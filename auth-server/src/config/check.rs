//! What no key can check alone: keys that contradict one another, and secrets that lie in files.

use std::path::Path;

use tracing_subscriber::EnvFilter;
use url::Host;

use crate::config::known::Key;
use crate::config::{
    CertificateSource, Config, Documents, Log, Reach, Registration, SecretText, SignUp, Tls, Transport,
};
use crate::domain::rbac::Audience;
use crate::domain::scope::ScopeSet;

/// A key, and what is wrong with it.
pub(crate) type Finding = (Key, String);

/// Reads the secrets that lie in files, and returns everything that does not go together.
pub(super) fn complete(config: &mut Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let database = &mut config.database;
    fill(&mut database.url, database.url_file.as_deref(), ("database", "url"), &mut findings);
    let keys = &mut config.keys;
    fill(&mut keys.master_key, keys.master_key_file.as_deref(), ("keys", "master_key"), &mut findings);
    let smtp = &mut config.reach.mail.smtp;
    fill(&mut smtp.password, smtp.password_file.as_deref(), ("mail", "password"), &mut findings);
    findings.extend(contradictions(config));
    findings
}

/// Takes a secret from its file; refuses one that is given twice.
pub(super) fn fill(
    value: &mut Option<SecretText>,
    file: Option<&Path>,
    (section, name): (&str, &str),
    findings: &mut Vec<Finding>,
) {
    let Some(file) = file else { return };
    let key = Key::new(section, format!("{name}_file"));
    if value.is_some() {
        findings.push((key, format!("is set beside `{section}.{name}`: give one of the two")));
        return;
    }
    match std::fs::read_to_string(file) {
        Ok(text) => *value = Some(SecretText::new(text.trim_end_matches(['\r', '\n']))),
        Err(error) => findings.push((key, format!("{} cannot be read: {error}", file.display()))),
    }
}

fn contradictions(config: &Config) -> impl Iterator<Item = Finding> {
    let Config { server, keys, tokens, sessions, passwords, .. } = config;
    [
        (server.issuer.is_none() && !server.listen.ip().is_loopback()).then(|| {
            finding("server", "issuer", format!(
                "must be set when the server listens on {}, for example `https://id.example.com`: clients trust the \
                 server by this name",
                server.listen
            ))
        }),
        tls(&server.tls, !server.trusted_proxies.is_empty()),
        mtls(config),
        database_url(config).err(),
        (keys.overlap_days >= keys.rotate_after_days).then(|| {
            finding("keys", "overlap_days", format!(
                "must be less than keys.rotate_after_days, which is {}",
                keys.rotate_after_days
            ))
        }),
        (tokens.refresh_ttl_days > tokens.refresh_absolute_days).then(|| {
            finding("tokens", "refresh_ttl_days", format!(
                "must not exceed tokens.refresh_absolute_days, which is {}",
                tokens.refresh_absolute_days
            ))
        }),
        (sessions.idle_hours > sessions.ttl_hours).then(|| {
            finding("sessions", "idle_hours", format!(
                "must not exceed sessions.ttl_hours, which is {}",
                sessions.ttl_hours
            ))
        }),
        // RFC 9106 section 3.1: at least eight KiB for each lane.
        (passwords.memory_kib < 8 * passwords.parallelism).then(|| {
            finding("passwords", "memory_kib", "must be at least 8 for each lane of passwords.parallelism".to_owned())
        }),
        log_filter(&config.journal.log),
        sign_up(&config.reach),
        sign_in_by_mail(&config.reach),
    ]
    .into_iter()
    .flatten()
    .chain(registration(&config.reach.registration))
    .chain(config.reach.mail.contradictions().map(|(name, message)| finding("mail", name, message)))
}

/// Whoever makes an account shows that they read what goes to an address.
fn sign_up(reach: &Reach) -> Option<Finding> {
    let wants_letters = reach.accounts.sign_up != SignUp::Closed && reach.mail.transport == Transport::Off;
    wants_letters.then(|| finding("accounts", "sign_up", NO_LETTERS.to_owned()))
}

/// The code comes in a letter.
fn sign_in_by_mail(reach: &Reach) -> Option<Finding> {
    let wants_letters = reach.accounts.sign_in_by_mail && reach.mail.transport == Transport::Off;
    wants_letters.then(|| finding("accounts", "sign_in_by_mail", NO_LETTERS.to_owned()))
}

const NO_LETTERS: &str = "takes letters, and none are sent: set mail.transport";

/// What contradicts itself of who may come by itself.
fn registration(registration: &Registration) -> impl Iterator<Item = Finding> {
    let Registration { client_id_metadata_documents, document_hosts, scopes, apis, .. } = registration;
    let is_listed = *client_id_metadata_documents == Documents::AllowListed;
    let is_no_name =
        |host: &&String| !matches!(Host::parse(host), Ok(parsed) if parsed.to_string() == **host);
    [
        (is_listed && document_hosts.is_empty()).then(|| {
            let message = "names no host, so `allow-listed` would allow nobody".to_owned();
            finding("registration", "document_hosts", message)
        }),
        document_hosts.iter().find(is_no_name).map(|host| {
            let message = format!("`{host}` is not the plain name of a host: no port, no path, no capitals");
            finding("registration", "document_hosts", message)
        }),
        ScopeSet::parse(scopes).err().map(|error| finding("registration", "scopes", error.to_string())),
        apis.iter().find_map(|audience| {
            let error = Audience::parse(audience).err()?;
            Some(finding("registration", "apis", format!("`{audience}`: {error}")))
        }),
    ]
    .into_iter()
    .flatten()
}

/// What does not go together in what is said about TLS.
fn tls(tls: &Tls, trusts_proxies: bool) -> Option<Finding> {
    let source = tls.client_certificates;
    let message = if tls.certificate.is_some() != tls.key.is_some() {
        "needs both `certificate` and `key`"
    } else if source == CertificateSource::Connection && tls.files().is_none() {
        "sees certificates in the handshake only where the server speaks TLS itself: set `certificate` and `key`, or let a \
         proxy hand them on and set client_certificates = \"header\""
    } else if source == CertificateSource::Header && !trusts_proxies {
        "believes a header only from a proxy: name its networks in server.trusted_proxies"
    } else if tls.client_ca.is_some() && !source.sees_any() {
        "has a `client_ca`, and sees no certificates: set `client_certificates`"
    } else {
        return None;
    };
    Some(finding("server", "tls", message.to_owned()))
}

/// What does not go together in what is said about the second address.
fn mtls(config: &Config) -> Option<Finding> {
    let tls = &config.server.tls;
    let second = tls.mtls.as_ref()?;
    let message = match (tls.client_certificates, second.listen) {
        (CertificateSource::None, _) => {
            "has a second address for certificates in `mtls`, and sees no certificates: set `client_certificates`"
        }
        (CertificateSource::Connection, None) => {
            "sees certificates in the handshake, and has no handshake for `mtls`: set `mtls.listen`"
        }
        (CertificateSource::Connection, Some(_)) if config.server.bounds.max_connections < 2 => {
            "listens at two addresses, which share the connections that may be open: `server.max_connections` has to be 2 at least"
        }
        (CertificateSource::Header, Some(_)) => {
            "leaves certificates to a proxy, which listens at the second address as well: leave out `mtls.listen`"
        }
        (CertificateSource::Connection | CertificateSource::Header, _)
            if second.url.origin() == config.issuer().origin()
                || second.listen == Some(config.server.listen) =>
        {
            "is asked for certificates at its only address: `mtls` is for two addresses, and they differ"
        }
        (CertificateSource::Connection | CertificateSource::Header, _) => return None,
    };
    Some(finding("server", "tls", message.to_owned()))
}

/// What is wrong with the filter of the log.
pub(super) fn log_filter(log: &Log) -> Option<Finding> {
    let error = EnvFilter::try_new(&log.filter).err()?;
    let message = format!("is not a filter such as `info` or `portcullis_server=debug`: {error}");
    Some(finding("log", "filter", message))
}

/// The URL is a secret as a whole, so no message quotes it.
fn database_url(config: &Config) -> Result<(), Finding> {
    const SCHEMES: [&str; 3] = ["postgres://", "postgresql://", "sqlite:"];
    match &config.database.url {
        Some(url) if !SCHEMES.iter().any(|scheme| url.expose().starts_with(scheme)) => {
            Err(finding("database", "url", "must begin with `sqlite:` or `postgres://`".to_owned()))
        }
        _ => Ok(()),
    }
}

pub(super) fn finding(section: &str, name: &str, message: String) -> Finding {
    (Key::new(section, name), message)
}
