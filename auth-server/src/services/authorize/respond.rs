//! Answers at the redirect URI.
//!
//! Every one of them, good or bad, says who answers ([RFC 9207 §2](https://www.rfc-editor.org/rfc/rfc9207#section-2)), so
//! that a client of several servers cannot be made to take a code to the wrong one.

use crate::domain::issuer::Issuer;
use crate::domain::secret::OpaqueToken;
use crate::services::authorize::request::{RequestError, ReturnAddress};

/// The address that gives the client its code.
pub(crate) fn with_code(address: &ReturnAddress, code: &OpaqueToken, issuer: &Issuer) -> String {
    answer(address, &[("code", code.expose())], issuer)
}

/// The address that tells the client why it gets none.
pub(crate) fn with_error(address: &ReturnAddress, error: RequestError, issuer: &Issuer) -> String {
    let description = error.to_string();
    answer(address, &[("error", error.code().as_str()), ("error_description", &description)], issuer)
}

fn answer(address: &ReturnAddress, parts: &[(&str, &str)], issuer: &Issuer) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parts);
    if let Some(state) = &address.state {
        query.append_pair("state", state);
    }
    query.append_pair("iss", issuer.as_str());
    append_query(&address.uri, &query.finish())
}

/// Adds to the query of a registered URI without touching what is there (RFC 6749 §3.1.2).
pub(crate) fn append_query(uri: &str, query: &str) -> String {
    let joint = match uri.split_once('?') {
        None => "?",
        Some((_, present)) if present.is_empty() || present.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{uri}{joint}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(uri: &str, state: Option<&str>) -> ReturnAddress {
        ReturnAddress { uri: uri.to_owned(), named: true, state: state.map(str::to_owned) }
    }

    fn issuer() -> Issuer {
        Issuer::parse("https://id.example.com").unwrap()
    }

    #[test]
    fn a_good_answer_carries_code_state_and_issuer() {
        let code = OpaqueToken::parse(&format!("pcc_{}", "A".repeat(43))).unwrap();
        let url = with_code(&address("https://rp.test/cb", Some("a b&c=ä")), &code, &issuer());
        let expected = format!(
            "https://rp.test/cb?code={}&state=a+b%26c%3D%C3%A4&iss=https%3A%2F%2Fid.example.com",
            code.expose()
        );
        assert_eq!(url, expected);
    }

    #[test]
    fn an_error_carries_the_issuer_as_well_and_no_state_that_was_not_sent() {
        let url = with_error(&address("https://rp.test/cb", None), RequestError::LoginNeeded, &issuer());
        assert!(url.starts_with("https://rp.test/cb?error=login_required&error_description="));
        assert!(url.ends_with("&iss=https%3A%2F%2Fid.example.com") && !url.contains("state="));
    }

    #[test]
    fn a_query_of_the_registered_uri_is_kept() {
        for (uri, start) in [
            ("https://rp.test/cb?a=1", "https://rp.test/cb?a=1&x"),
            ("https://rp.test/cb?", "https://rp.test/cb?x"),
            ("https://rp.test/cb?a=1&", "https://rp.test/cb?a=1&x"),
            ("com.example.app:/cb", "com.example.app:/cb?x"),
        ] {
            assert_eq!(append_query(uri, "x"), start);
        }
    }
}
