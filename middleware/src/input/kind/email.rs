//! Addresses of e-mail.

/// RFC 5321 §4.5.3.1: a path has 256 characters, two of them angle brackets, and a local part 64.
const MAX_ADDRESS: usize = 254;
const MAX_LOCAL: usize = 64;
const MAX_LABEL: usize = 63;

/// Whether a text is an address that forms and mail servers agree on: the dot-atom of RFC 5322 §3.4.1 at a host name. Quoted
/// local parts, comments and address literals are none, and letters outside ASCII are not either.
pub(super) fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    text.len() <= MAX_ADDRESS
        && local.len() <= MAX_LOCAL
        && local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext))
        && domain.split('.').all(is_label)
}

fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_what_only_looks_like_them() {
        for text in ["a@b", "o'brian+list@mail.example.org", "x_y-z@xn--bcher-kva.example", "1@1.2"] {
            assert!(is_address(text), "{text}");
        }
        let long = format!("{}@example.org", "a".repeat(65));
        let longer = format!("a@{}", ["b".repeat(63).as_str(); 4].join("."));
        for text in [
            "",
            "a",
            "@b",
            "a@",
            "a@b@c",
            ".a@b",
            "a.@b",
            "a..b@c",
            "a b@c",
            "a@-b",
            "a@b-",
            "a@b..c",
            "a@b.",
            "\"a b\"@c",
            "a@[127.0.0.1]",
            "a@b\r\nBcc: c@d",
            "A <a@b>",
            "ä@b",
            long.as_str(),
            longer.as_str(),
        ] {
            assert!(!is_address(text), "{text}");
        }
    }
}
