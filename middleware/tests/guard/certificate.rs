//! Certificates for tests: an authority, and what it signs (RFC 5280). Nothing more is in them than what is looked at.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Object identifiers, as they are encoded.
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ALT_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];

/// A certificate and its key.
pub(crate) struct Certificate {
    pub(crate) der: Vec<u8>,
    name: Vec<u8>,
    key: EcdsaKeyPair,
    pkcs8: Vec<u8>,
}

/// Until when a certificate holds: for long, or not any more.
pub(crate) const LONG: &str = "491231235959Z";
pub(crate) const OVER: &str = "250601000000Z";

impl Certificate {
    pub(crate) fn authority(name: &str) -> Self {
        Self::make(name, None, None, LONG)
    }

    /// A certificate for a host, by this authority.
    pub(crate) fn issue(&self, host: &str, until: &str) -> Self {
        Self::make(host, Some(host), Some(self), until)
    }

    /// A certificate for a host, by its own key.
    pub(crate) fn self_signed(host: &str) -> Self {
        Self::make(host, Some(host), None, LONG)
    }

    fn make(name: &str, host: Option<&str>, issuer: Option<&Self>, until: &str) -> Self {
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).unwrap();
        let pkcs8 = pkcs8.as_ref().to_vec();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8).unwrap();
        let common = sequence(&[element(0x06, COMMON_NAME), element(0x0c, name.as_bytes())]);
        let name = sequence(&[element(0x31, &common)]);
        let constraints = if host.is_none() { sequence(&[element(0x01, &[0xff])]) } else { sequence(&[]) };
        let mut extensions = vec![extension(BASIC_CONSTRAINTS, &constraints)];
        let names = host.map(|host| sequence(&[element(0x82, host.as_bytes())]));
        extensions.extend(names.map(|names| extension(ALT_NAMES, &names)));
        let time = |text: &str| element(0x17, text.as_bytes());
        let body = sequence(&[
            element(0xa0, &element(0x02, &[2])),
            element(0x02, &[&[1], &key.public_key().as_ref()[1..9]].concat()),
            algorithm(),
            issuer.map_or(&name, |issuer| &issuer.name).clone(),
            sequence(&[time("250101000000Z"), time(until)]),
            name.clone(),
            sequence(&[
                sequence(&[element(0x06, EC_PUBLIC_KEY), element(0x06, P256)]),
                bits(key.public_key().as_ref()),
            ]),
            element(0xa3, &sequence(&extensions)),
        ]);
        let signer = issuer.map_or(&key, |issuer| &issuer.key);
        let signature = signer.sign(&SystemRandom::new(), &body).unwrap();
        let der = sequence(&[body, algorithm(), bits(signature.as_ref())]);
        Self { der, name, key, pkcs8 }
    }

    /// As TLS takes them.
    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![CertificateDer::from(self.der.clone())]
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.pkcs8.clone()).into()
    }

    /// The certificate as a file has it.
    pub(crate) fn pem(&self) -> String {
        let text = STANDARD.encode(&self.der);
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    }
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

/// An element of the Distinguished Encoding Rules, of less than 64 KiB.
fn element(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap();
    let [high, low] = length.to_be_bytes();
    let length = match length {
        0..0x80 => vec![low],
        0x80..0x100 => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [&[tag], length.as_slice(), value].concat()
}
