//! Certificates of clients: what names they have ([RFC 8705 §2.1](https://www.rfc-editor.org/rfc/rfc8705#section-2.1)), and who vouches
//! for them.

pub(crate) mod authorities;
mod der;
pub(crate) mod name;
pub(crate) mod registered;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use self::der::{BOOLEAN, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE};
use self::name::DistinguishedName;

/// `subjectAltName` (RFC 5280 §4.2.1.6), as it is encoded.
const SUBJECT_ALT_NAME: [u8; 3] = [0x55, 0x1d, 0x11];

/// The names in a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct CertificateNames {
    subject: DistinguishedName,
    others: Vec<AltName>,
}

/// A name beside the subject.
#[derive(Clone, Debug, Eq, PartialEq)]
enum AltName {
    Dns(String),
    Email(String),
    Ip(IpAddr),
    Uri(String),
}

impl CertificateNames {
    /// Reads them. Of a certificate that is not encoded as it should be, none count.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let mut certificate = Reader::new(Reader::new(der).take(SEQUENCE)?);
        let mut body = Reader::new(certificate.take(SEQUENCE)?);
        // Version, serial number, algorithm, issuer, validity; then the subject, and the key.
        body.take_if(0xa0);
        body.take(0x02)?;
        body.take(SEQUENCE)?;
        body.take(SEQUENCE)?;
        body.take(SEQUENCE)?;
        let subject = DistinguishedName::from_der(body.take(SEQUENCE)?)?;
        body.take(SEQUENCE)?;
        body.take_if(0x81);
        body.take_if(0x82);
        let others = match body.take_if(0xa3) {
            Some(extensions) => alt_names(Reader::new(extensions).take(SEQUENCE)?)?,
            None => Vec::new(),
        };
        Some(Self { subject, others })
    }

    /// Whether the subject is this one.
    pub(crate) fn is_subject(&self, name: &DistinguishedName) -> bool {
        !self.subject.is_empty() && self.subject == *name
    }

    /// Whether it has this host among its names. Letters of a host count the same small and large (RFC 4343); a star is one of them
    /// and stands for nothing else.
    pub(crate) fn has_dns(&self, host: &str) -> bool {
        self.has(|name| matches!(name, AltName::Dns(own) if own.eq_ignore_ascii_case(host)))
    }

    /// Whether it has this URI among its names.
    pub(crate) fn has_uri(&self, uri: &str) -> bool {
        self.has(|name| matches!(name, AltName::Uri(own) if own == uri))
    }

    /// Whether it has this address among its names.
    pub(crate) fn has_ip(&self, address: IpAddr) -> bool {
        self.has(|name| matches!(name, AltName::Ip(own) if *own == address))
    }

    /// Whether it has this mailbox among its names.
    pub(crate) fn has_email(&self, address: &str) -> bool {
        self.has(|name| matches!(name, AltName::Email(own) if own == address))
    }

    fn has(&self, is_meant: impl Fn(&AltName) -> bool) -> bool {
        self.others.iter().any(is_meant)
    }
}

fn alt_names(extensions: &[u8]) -> Option<Vec<AltName>> {
    let mut extensions = Reader::new(extensions);
    while !extensions.is_at_end() {
        let mut extension = Reader::new(extensions.take(SEQUENCE)?);
        let kind = extension.take(OBJECT_IDENTIFIER)?;
        extension.take_if(BOOLEAN);
        let value = extension.take(OCTET_STRING)?;
        if kind == SUBJECT_ALT_NAME {
            return names(Reader::new(value).take(SEQUENCE)?);
        }
    }
    Some(Vec::new())
}

fn names(list: &[u8]) -> Option<Vec<AltName>> {
    let (mut names, mut list) = (Vec::new(), Reader::new(list));
    while !list.is_at_end() {
        let (tag, value) = list.next()?;
        let text = || str::from_utf8(value).ok().filter(|text| text.is_ascii()).map(str::to_owned);
        match tag {
            0x81 => names.push(AltName::Email(text()?)),
            0x82 => names.push(AltName::Dns(text()?)),
            0x86 => names.push(AltName::Uri(text()?)),
            0x87 => names.push(AltName::Ip(address(value)?)),
            _ => {}
        }
    }
    Some(names)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(four).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|sixteen| Ipv6Addr::from(sixteen).into())
}

#[cfg(test)]
mod tests;
