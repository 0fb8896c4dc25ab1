//! Certificates for tests: an authority, and what it or the holder signs (RFC 5280). Nothing more is in them than what is looked at.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portcullis_server::domain::secret::Entropy;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Object identifiers, as they are encoded.
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0a];
const ALT_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
const CLIENT_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];

/// A name beside the subject.
#[derive(Clone, Copy, Debug)]
pub enum AltName<'a> {
    /// A host.
    Dns(&'a str),
    /// A mailbox.
    Email(&'a str),
    /// An IPv4 address.
    Ip([u8; 4]),
    /// A URI.
    Uri(&'a str),
}

/// What is to be in a certificate: common name and organisation, other names, and until when it holds.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The common name.
    pub name: &'a str,
    /// Other names.
    pub others: &'a [AltName<'a>],
    /// When it ends, as `YYMMDDHHMMSSZ`.
    pub until: &'a str,
}

impl<'a> Wanted<'a> {
    /// A certificate that holds for long, without other names.
    pub const fn named(name: &'a str) -> Self {
        Self { name, others: &[], until: "491231235959Z" }
    }
}

/// A certificate and its key.
#[derive(Debug)]
pub struct Certificate {
    /// The certificate, in DER.
    pub der: Vec<u8>,
    name: Vec<u8>,
    pkcs8: Vec<u8>,
}

/// A new key: the private half in PKCS #8, and what a certificate says of the public half.
struct NewKey {
    pkcs8: Vec<u8>,
    public: Vec<u8>,
}

impl NewKey {
    fn p256() -> Self {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
        let pkcs8 = pkcs8.expect("the machine has randomness").as_ref().to_vec();
        let kind = sequence(&[element(0x06, EC_PUBLIC_KEY), element(0x06, P256)]);
        let public = sequence(&[kind, bits(p256(&pkcs8).public_key().as_ref())]);
        Self { pkcs8, public }
    }

    fn rsa() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("the machine has randomness");
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().expect("a new key can be written");
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("a new key can be written");
        Self { pkcs8: pkcs8.as_ref().to_vec(), public: public.as_ref().to_vec() }
    }
}

fn p256(pkcs8: &[u8]) -> EcdsaKeyPair {
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8);
    key.expect("what was made can be read")
}

impl Certificate {
    /// An authority.
    pub fn authority(name: &str) -> Self {
        Self::make(Wanted::named(name), None, &[], NewKey::p256())
    }

    /// A certificate that its holder signed.
    pub fn self_signed(wanted: Wanted<'_>) -> Self {
        Self::make(wanted, None, CLIENT_AUTH, NewKey::p256())
    }

    /// A certificate of a client, by this authority.
    #[must_use]
    pub fn client(&self, wanted: Wanted<'_>) -> Self {
        Self::make(wanted, Some(self), CLIENT_AUTH, NewKey::p256())
    }

    /// A certificate of a server, by this authority.
    #[must_use]
    pub fn server(&self, host: &str) -> Self {
        self.server_by(host, NewKey::p256())
    }

    /// The same with an RSA key of 2048 bits.
    #[must_use]
    pub fn server_with_rsa(&self, host: &str) -> Self {
        self.server_by(host, NewKey::rsa())
    }

    /// A certificate of a server at this machine, until then, by an authority or by its own key.
    pub fn of_this_machine(authority: Option<&Self>, address: [u8; 4], until: &str) -> Self {
        let wanted = Wanted { name: "here", others: &[AltName::Ip(address)], until };
        Self::make(wanted, authority, SERVER_AUTH, NewKey::p256())
    }

    /// The same that does not hold any more.
    #[must_use]
    pub fn expired_server(&self, host: &str) -> Self {
        let others = &[AltName::Dns(host)];
        let wanted = Wanted { others, until: "250102000000Z", ..Wanted::named(host) };
        Self::make(wanted, Some(self), SERVER_AUTH, NewKey::p256())
    }

    fn server_by(&self, host: &str, key: NewKey) -> Self {
        let others = &[AltName::Dns(host)];
        Self::make(Wanted { others, ..Wanted::named(host) }, Some(self), SERVER_AUTH, key)
    }

    /// # Panics
    ///
    /// When the machine has no randomness.
    fn make(wanted: Wanted<'_>, issuer: Option<&Self>, usage: &[u8], key: NewKey) -> Self {
        let NewKey { pkcs8, public } = key;
        let name = distinguished(wanted.name);
        let body = body(wanted, (issuer.map_or(&name, |issuer| &issuer.name), &name), public, usage);
        let signer = p256(issuer.map_or(&pkcs8, |issuer| &issuer.pkcs8));
        let signature = signer.sign(&SystemRandom::new(), &body).expect("the machine has randomness");
        let der = sequence(&[body, algorithm(), bits(signature.as_ref())]);
        Self { der, name, pkcs8 }
    }

    /// Certificate and key as a PEM text.
    pub fn pem(&self) -> String {
        format!("{}{}", self.certificate_pem(), pem("PRIVATE KEY", &self.pkcs8))
    }

    /// The certificate as a PEM text.
    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.der)
    }

    /// Its thumbprint (RFC 8705 §3.1).
    pub fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, &self.der))
    }

    /// The certificate as an entry of `x5c` (RFC 7517 §4.7).
    pub fn x5c(&self) -> String {
        STANDARD.encode(&self.der)
    }

    /// The header by which a proxy hands it on (RFC 9440 §2.2).
    pub fn header(&self) -> String {
        format!(":{}:", self.x5c())
    }

    /// The certificate and its key, as a server takes them.
    pub fn chain(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivatePkcs8KeyDer::from(self.pkcs8.clone());
        (vec![CertificateDer::from(self.der.clone())], key.into())
    }

    /// Writes certificate and key to two files of a folder.
    ///
    /// # Panics
    ///
    /// When they cannot be written.
    pub fn write(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let files = (folder.join("tls.crt"), folder.join("tls.key"));
        std::fs::write(&files.0, self.certificate_pem()).expect("the folder can be written to");
        std::fs::write(&files.1, pem("PRIVATE KEY", &self.pkcs8)).expect("the folder can be written to");
        files
    }
}

fn body(wanted: Wanted<'_>, (issuer, subject): (&[u8], &[u8]), key: Vec<u8>, usage: &[u8]) -> Vec<u8> {
    let mut serial = Entropy::os().bytes::<8>().to_vec();
    serial.insert(0, 1);
    let is_authority = usage.is_empty();
    let mut extensions = vec![extension(BASIC_CONSTRAINTS, &constraints(is_authority))];
    if !is_authority {
        extensions.push(extension(EXTENDED_KEY_USAGE, &sequence(&[element(0x06, usage)])));
    }
    if !wanted.others.is_empty() {
        let names: Vec<_> = wanted.others.iter().map(alt_name).collect();
        extensions.push(extension(ALT_NAMES, &sequence(&names)));
    }
    let time = |text: &str| element(0x17, text.as_bytes());
    sequence(&[
        element(0xa0, &element(0x02, &[2])),
        element(0x02, &serial),
        algorithm(),
        issuer.to_vec(),
        sequence(&[time("250101000000Z"), time(wanted.until)]),
        subject.to_vec(),
        key,
        element(0xa3, &sequence(&extensions)),
    ])
}

fn distinguished(name: &str) -> Vec<u8> {
    let part = |kind: &[u8], text: &str| {
        element(0x31, &sequence(&[element(0x06, kind), element(0x0c, text.as_bytes())]))
    };
    sequence(&[part(ORGANISATION, "Portcullis tests"), part(COMMON_NAME, name)])
}

fn alt_name(name: &AltName<'_>) -> Vec<u8> {
    match name {
        AltName::Dns(text) => element(0x82, text.as_bytes()),
        AltName::Email(text) => element(0x81, text.as_bytes()),
        AltName::Ip(address) => element(0x87, address),
        AltName::Uri(text) => element(0x86, text.as_bytes()),
    }
}

fn constraints(is_authority: bool) -> Vec<u8> {
    if is_authority { sequence(&[element(0x01, &[0xff])]) } else { sequence(&[]) }
}

fn extension(kind: &[u8], value: &[u8]) -> Vec<u8> {
    sequence(&[element(0x06, kind), element(0x04, value)])
}

fn algorithm() -> Vec<u8> {
    sequence(&[element(0x06, ECDSA_WITH_SHA256)])
}

fn bits(bytes: &[u8]) -> Vec<u8> {
    element(0x03, &[&[0], bytes].concat())
}

fn sequence(elements: &[Vec<u8>]) -> Vec<u8> {
    element(0x30, &elements.concat())
}

/// An element of the Distinguished Encoding Rules.
fn element(tag: u8, value: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = value.len().to_be_bytes().into_iter().skip_while(|digit| *digit == 0).collect();
    let length = match (digits.as_slice(), value.len()) {
        (_, short @ 0..0x80) => vec![u8::try_from(short).unwrap_or_default()],
        (digits, _) => [&[0x80 | u8::try_from(digits.len()).unwrap_or_default()], digits].concat(),
    };
    [&[tag], length.as_slice(), value].concat()
}

fn pem(kind: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}
