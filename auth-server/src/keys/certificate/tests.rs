use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// `C=DE, O=Orders, Inc., OU=Sales+CN=Lučić`, and each kind of other name; made with OpenSSL.
const WITH_ALL: &str = "MIICVDCCAfmgAwIBAgIUOEi9fsmyWypgsD+gcOvLuRT4gWEwCgYIKoZIzj0EAwIwRDELMAkGA1UEBhMCREUxFTATBgNVBAoMDE9yZGVycywgSW5jLjEeMAwGA1UECwwFU2FsZXMwDgYDVQQDDAdMdcSNacSHMCAXDTI2MTEyNjE1NTU1N1oYDzIxMjYxMTAyMTU1NTU3WjBEMQswCQYDVQQGEwJERTEVMBMGA1UECgwMT3JkZXJzLCBJbmMuMR4wDAYDVQQLDAVTYWxlczAOBgNVBAMMB0x1xI1pxIcwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATlXo29vGgHdJY2Rr8Sh7Ys2stlilLYE/PPPP3bhI9a4GoxxtccMj1vKOGgV9hB45FyUi0JTn7XuQWYKpcGkH9mo4HGMIHDMB0GA1UdDgQWBBQKpjoEg6oFfi1Li1XRPrEqSiOMkzAfBgNVHSMEGDAWgBQKpjoEg6oFfi1Li1XRPrEqSiOMkzAPBgNVHRMBAf8EBTADAQH/MHAGA1UdEQRpMGeCDk9yZGVycy5FeGFtcGxlghAqLm9yZGVycy5leGFtcGxlhhdzcGlmZmU6Ly9leGFtcGxlL29yZGVyc4cEwAACB4cQIAENuAAAAAAAAAAAAAAAB4ESb3JkZXJzQGV4YW1wbGUub3JnMAoGCCqGSM49BAMCA0kAMEYCIQD6DZF+DQ/1Xs5jVzN3o2hMvNCk/vPlsmAlxzExhbOZcQIhAJl6X+NJyQq1D7htw8dGuGZveIjOQBK0olJBQcwqTTm+";
/// No subject, and the host `a.example`.
const NAMELESS: &str = "MIIBbjCCAROgAwIBAgIUREgb01M3sW5YAabnkz3zcFDwtmgwCgYIKoZIzj0EAwIwADAgFw0yNjExMjYxNTU1NTdaGA8yMTI2MTEwMjE1NTU1N1owADBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABOVejb28aAd0ljZGvxKHtizay2WKUtgT8888/duEj1rgajHG1xwyPW8o4aBX2EHjkXJSLQlOfte5BZgqlwaQf2ajaTBnMB0GA1UdDgQWBBQKpjoEg6oFfi1Li1XRPrEqSiOMkzAfBgNVHSMEGDAWgBQKpjoEg6oFfi1Li1XRPrEqSiOMkzAPBgNVHRMBAf8EBTADAQH/MBQGA1UdEQQNMAuCCWEuZXhhbXBsZTAKBggqhkjOPQQDAgNJADBGAiEAleYhBNNdNMEEgs0zZQcQ3qDDfpFpQZFbzU48zUWTSVoCIQDeajReVP00sRMW6kqOeNTTvlRj4PVRKsKcF+FiR3TNtg==";

fn der(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

fn read(text: &str) -> CertificateNames {
    CertificateNames::read(&der(text)).unwrap()
}

#[test]
fn the_subject_is_compared_part_by_part() {
    let names = read(WITH_ALL);
    for (text, same) in [
        // As OpenSSL prints it.
        (r"CN=Lu\C4\8Di\C4\87+OU=Sales,O=Orders\, Inc.,C=DE", true),
        (r"OU=Sales+CN=Lučić, O=Orders\2C Inc., C=DE", true),
        (r"2.5.4.3=Lučić+2.5.4.11=Sales,o=Orders\, Inc.,c=DE", true),
        (r"C=DE,O=Orders\, Inc.,CN=Lučić+OU=Sales", false),
        (r"CN=Lučić,OU=Sales,O=Orders\, Inc.,C=DE", false),
        (r"CN=lučić+OU=Sales,O=Orders\, Inc.,C=DE", false),
        ("C=DE", false),
    ] {
        assert_eq!(names.is_subject(&DistinguishedName::parse(text).unwrap()), same, "{text}");
    }
}

#[test]
fn other_names_count_each_as_what_it_is() {
    let names = read(WITH_ALL);
    assert!(names.has_dns("orders.example") && names.has_dns("ORDERS.EXAMPLE"));
    assert!(names.has_dns("*.orders.example") && !names.has_dns("a.orders.example"), "a star is a letter");
    assert!(!names.has_dns("orders@example.org") && !names.has_dns("example"));
    assert!(names.has_uri("spiffe://example/orders") && !names.has_uri("spiffe://example/orders/"));
    assert!(names.has_ip("192.0.2.7".parse().unwrap()) && names.has_ip("2001:db8::7".parse().unwrap()));
    assert!(!names.has_ip("192.0.2.8".parse().unwrap()));
    assert!(names.has_email("orders@example.org") && !names.has_email("Orders@example.org"));
}

#[test]
fn a_certificate_without_a_subject_is_nobody_by_it() {
    let names = read(NAMELESS);
    assert!(names.has_dns("a.example") && names.subject.is_empty());
    assert!(!names.is_subject(&DistinguishedName::parse("CN=a").unwrap()));
}

#[test]
fn what_is_cut_short_or_damaged_is_read_as_nothing_or_without_a_panic() {
    let whole = der(WITH_ALL);
    for end in 0..whole.len() {
        assert_eq!(CertificateNames::read(&whole[..end]), None, "{end}");
    }
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            _ = CertificateNames::read(&damaged);
        }
    }
}
