//! Who keeps a passkey, as far as its authenticator says. Nobody attests it: it is good for a name that its owner may change.

use uuid::{Uuid, uuid};

use crate::domain::browser_name::BrowserName;

/// What a passkey is called of which nothing is known.
const UNKNOWN: &str = "Passkey";

/// The models of authenticators (their AAGUID, [Web Authentication §6.5.1]) that many people have, by the names that these know.
///
/// [Web Authentication §6.5.1]: https://www.w3.org/TR/webauthn-3/#sctn-attested-credential-data
const MAKERS: [(Uuid, &str); 16] = [
    (uuid!("08987058-cadc-4b81-b6e1-30de50dcbe96"), "Windows Hello"),
    (uuid!("0ea242b4-43c4-4a1b-8b17-dd6d0b6baec6"), "Keeper"),
    (uuid!("50726f74-6f6e-5061-7373-50726f746f6e"), "Proton Pass"),
    (uuid!("531126d6-e717-415c-9320-3d9aa6981239"), "Dashlane"),
    (uuid!("53414d53-554e-4700-0000-000000000000"), "Samsung Pass"),
    (uuid!("6028b017-b1d4-4c02-b4b3-afcdafc96bb2"), "Windows Hello"),
    (uuid!("9ddd1817-af5a-4672-a2b9-3e3dd95000a9"), "Windows Hello"),
    (uuid!("adce0002-35bc-c60a-648b-0b25f1f05503"), "Chrome on macOS"),
    (uuid!("b84e4048-15dc-4dd0-8640-f4f60813c8af"), "NordPass"),
    (uuid!("bada5566-a7aa-401f-bd96-45619a55120d"), "1Password"),
    (uuid!("d548826e-79b4-db40-a3d8-11116f7e8349"), "Bitwarden"),
    (uuid!("dd4ec289-e01d-41c9-bb89-70fa845d4bf2"), "iCloud Keychain"),
    (uuid!("ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4"), "Google Password Manager"),
    (uuid!("f3809540-7f14-49c1-a8b3-8f813b225541"), "Enpass"),
    (uuid!("fbfc3007-154e-4ecc-8c0b-6e020557d7bd"), "Apple Passwords"),
    (uuid!("fdb141b2-5d84-443e-8a35-4698c205a502"), "KeePassXC"),
];

/// Where the model stands in what an authenticator says of itself: behind the digest of the domain, the flags and the counter.
const MODEL: std::ops::Range<usize> = 37..53;

/// What a new passkey is called, until its owner calls it otherwise.
pub(crate) fn first_name(said: Option<&[u8]>, user_agent: &str) -> String {
    let model = said.and_then(|said| said.get(MODEL)).and_then(|model| Uuid::from_slice(model).ok());
    let maker = model.and_then(|model| MAKERS.iter().find(|(known, _)| *known == model));
    match maker {
        Some((_, name)) => (*name).to_owned(),
        None => BrowserName::known(user_agent).unwrap_or_else(|| UNKNOWN.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passkey_is_called_after_who_keeps_it_or_else_after_the_browser() {
        let said = |model: &[u8]| [&[0; 37], model].concat();
        let known = uuid!("bada5566-a7aa-401f-bd96-45619a55120d");
        assert_eq!(first_name(Some(&said(known.as_bytes())), ""), "1Password");
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        assert_eq!(first_name(Some(&said(&[0; 16])), firefox), "Firefox on Linux");
        for short in [None, Some(&[][..]), Some(&[0; 40][..])] {
            assert_eq!(first_name(short, "<b>"), "Passkey");
        }
    }
}
