//! Clients that prove by a certificate who they are ([RFC 8705 §2](https://www.rfc-editor.org/rfc/rfc8705#section-2)).

use crate::domain::client_authentication::CertificateName;
use crate::domain::clock::Timestamp;
use crate::keys::certificate::CertificateNames;
use crate::keys::certificate::authorities::Authorities;
use crate::keys::certificate::name::DistinguishedName;
use crate::keys::certificate::registered::registered;
use crate::services::possession::ShownCertificate;

/// Why a certificate is not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error("no authority that is trusted issued it, or it does not hold now")]
    Authority,
    #[error("the client showed none")]
    Missing,
    #[error("it does not have the name that the client registered")]
    Name,
    #[error("it is none of those that the client registered")]
    Registered,
}

/// `tls_client_auth`: an authority vouches for the certificate, and it has the name that the client registered (§2.1).
pub(super) fn check_issued(
    shown: Option<&ShownCertificate>,
    name: Option<&CertificateName>,
    authorities: Option<&Authorities>,
    now: Timestamp,
) -> Result<(), CertificateError> {
    let shown = shown.ok_or(CertificateError::Missing)?;
    let names = CertificateNames::read(&shown.der).ok_or(CertificateError::Name)?;
    // The name first: it costs least.
    if !name.is_some_and(|name| has(&names, name)) {
        return Err(CertificateError::Name);
    }
    let vouched = authorities.is_some_and(|all| all.vouch_for(&shown.der, &shown.chain, now));
    if vouched { Ok(()) } else { Err(CertificateError::Authority) }
}

/// `self_signed_tls_client_auth`: the certificate is one that the client registered, whoever signed it (§2.2).
pub(super) fn check_registered(
    shown: Option<&ShownCertificate>,
    jwks: Option<&str>,
) -> Result<(), CertificateError> {
    let shown = shown.ok_or(CertificateError::Missing)?;
    let registered = jwks.map(registered).unwrap_or_default();
    if registered.contains(&shown.thumbprint) { Ok(()) } else { Err(CertificateError::Registered) }
}

fn has(names: &CertificateNames, name: &CertificateName) -> bool {
    match name {
        CertificateName::Subject(text) => {
            DistinguishedName::parse(text).is_ok_and(|subject| names.is_subject(&subject))
        }
        CertificateName::Dns(host) => names.has_dns(host),
        CertificateName::Email(address) => names.has_email(address),
        CertificateName::Ip(address) => names.has_ip(*address),
        CertificateName::Uri(uri) => names.has_uri(uri),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;

    use super::*;
    use crate::keys::certificate::registered::thumbprint;

    fn shown(der: &'static [u8]) -> ShownCertificate {
        ShownCertificate { thumbprint: thumbprint(der), der: Bytes::from_static(der), chain: Vec::new() }
    }

    #[test]
    fn a_registered_certificate_is_known_as_a_whole_or_by_its_thumbprint() {
        let (one, other) = (shown(b"one"), shown(b"other"));
        let whole = format!(r#"{{"keys":[{{"kty":"EC","x5c":["{}","AAAA"]}}]}}"#, STANDARD.encode(b"one"));
        let named = format!(r#"{{"keys":[{{"kty":"EC"}},{{"x5t#S256":"{}"}}]}}"#, one.thumbprint);
        for jwks in [whole.as_str(), &named] {
            assert_eq!(check_registered(Some(&one), Some(jwks)), Ok(()), "{jwks}");
            let refused = Err(CertificateError::Registered);
            assert_eq!(check_registered(Some(&other), Some(jwks)), refused, "{jwks}");
            assert_eq!(check_registered(None, Some(jwks)), Err(CertificateError::Missing));
        }
        for nothing in ["", "[]", r#"{"keys":[]}"#, r#"{"keys":[{"x5c":[7]},{"x5c":"one"},{"x5t#S256":""}]}"#]
        {
            assert_eq!(registered(nothing), [], "{nothing}");
        }
        assert_eq!(check_registered(Some(&one), None), Err(CertificateError::Registered));
    }

    #[test]
    fn without_a_name_or_an_authority_nobody_is_known() {
        let now = Timestamp::from_secs(1);
        assert_eq!(check_issued(None, None, None, now), Err(CertificateError::Missing));
        assert_eq!(check_issued(Some(&shown(b"one")), None, None, now), Err(CertificateError::Name));
    }
}
