//! What a client says about itself to people: checked, because it is shown.

use url::Url;

use crate::domain::registration::About;
use crate::services::fields::display_name;
use crate::services::registration::metadata::{ClientMetadata, MetadataError};

/// The longest address that is shown.
const LONGEST_URL: usize = 1024;
/// The longest other text.
const LONGEST_TEXT: usize = 255;
/// The most contacts.
const MOST_CONTACTS: usize = 10;

/// Reads it.
pub(super) fn read(metadata: &ClientMetadata) -> Result<About, MetadataError> {
    let contacts = metadata.contacts.clone().unwrap_or_default();
    if contacts.len() > MOST_CONTACTS {
        let message = format!("must not have more than {MOST_CONTACTS} entries");
        return Err(MetadataError::of("contacts", message));
    }
    for contact in &contacts {
        display_name(contact, LONGEST_TEXT).map_err(|error| MetadataError::of("contacts", error))?;
    }
    Ok(About {
        client_uri: page("client_uri", metadata.client_uri.as_deref())?,
        logo_uri: page("logo_uri", metadata.logo_uri.as_deref())?,
        policy_uri: page("policy_uri", metadata.policy_uri.as_deref())?,
        tos_uri: page("tos_uri", metadata.tos_uri.as_deref())?,
        sector_identifier_uri: metadata.sector_identifier_uri.clone(),
        contacts,
        software_id: text("software_id", metadata.software_id.as_deref())?,
        software_version: text("software_version", metadata.software_version.as_deref())?,
    })
}

/// The address of a page that a person may be led to: nothing but https, and as it is written.
fn page(member: &str, raw: Option<&str>) -> Result<Option<String>, MetadataError> {
    let Some(raw) = raw else { return Ok(None) };
    let plain = raw.len() <= LONGEST_URL && raw.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let parsed = Url::parse(raw).ok().filter(|url| {
        url.scheme() == "https" && url.has_host() && url.username().is_empty() && url.password().is_none()
    });
    match parsed {
        Some(_) if plain => Ok(Some(raw.to_owned())),
        _ => Err(MetadataError::of(member, "has to be an absolute https address")),
    }
}

fn text(member: &str, raw: Option<&str>) -> Result<Option<String>, MetadataError> {
    raw.map(|raw| display_name(raw, LONGEST_TEXT).map_err(|error| MetadataError::of(member, error)))
        .transpose()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome(member: &str, value: &serde_json::Value) -> Result<About, MetadataError> {
        let document = json!({ member: value }).to_string();
        read(&ClientMetadata::parse(document.as_bytes()).unwrap())
    }

    #[test]
    fn a_page_is_https_and_nothing_that_a_browser_would_run() {
        for member in ["client_uri", "logo_uri", "policy_uri", "tos_uri"] {
            assert!(outcome(member, &json!("https://app.example/terms?v=1#top")).is_ok());
            for bad in [
                "http://app.example/terms",
                "javascript:alert(1)",
                "data:text/html,x",
                "//app.example/terms",
                "https://bank.example@evil.example/",
                "https://app.example/a b",
                "https:\\\\app.example",
                "",
            ] {
                assert!(outcome(member, &json!(bad)).is_err(), "{member} {bad}");
            }
        }
    }

    #[test]
    fn what_is_shown_is_short_and_without_controls() {
        assert!(outcome("contacts", &json!(["ops@app.example"])).is_ok());
        assert!(outcome("contacts", &json!(vec!["a"; MOST_CONTACTS + 1])).is_err());
        assert!(outcome("contacts", &json!(["a\u{202e}b"])).is_err());
        assert!(outcome("software_id", &json!("x".repeat(LONGEST_TEXT + 1))).is_err());
        assert!(outcome("software_version", &json!("1\u{7}")).is_err());
    }
}
