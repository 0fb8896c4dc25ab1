//! Makes a message of a letter: plain text and HTML, of templates (RFC 2046 §5.1.4).

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{MultiPart, SinglePart};
use lettre::{Address, Message, message};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use serde::Serialize;
use url::Host;

use crate::domain::clock::Timestamp;
use crate::domain::issuer::Issuer;
use crate::domain::letter::{Asked, ChangedBy, Letter, LinkCode, SignedInBy};
use crate::domain::mailbox::Mailbox;
use crate::mail::Parcel;

const TEMPLATES: [(&str, &str); 59] = [
    ("account_deletion.html", include_str!("../../templates/mail/account_deletion.html")),
    ("account_deletion.subject", include_str!("../../templates/mail/account_deletion.subject")),
    ("account_deletion.txt", include_str!("../../templates/mail/account_deletion.txt")),
    ("account_exists.html", include_str!("../../templates/mail/account_exists.html")),
    ("account_exists.subject", include_str!("../../templates/mail/account_exists.subject")),
    ("account_exists.txt", include_str!("../../templates/mail/account_exists.txt")),
    ("account_kept.html", include_str!("../../templates/mail/account_kept.html")),
    ("account_kept.subject", include_str!("../../templates/mail/account_kept.subject")),
    ("account_kept.txt", include_str!("../../templates/mail/account_kept.txt")),
    ("address_changed.html", include_str!("../../templates/mail/address_changed.html")),
    ("address_changed.subject", include_str!("../../templates/mail/address_changed.subject")),
    ("address_changed.txt", include_str!("../../templates/mail/address_changed.txt")),
    ("invitation.html", include_str!("../../templates/mail/invitation.html")),
    ("invitation.subject", include_str!("../../templates/mail/invitation.subject")),
    ("invitation.txt", include_str!("../../templates/mail/invitation.txt")),
    ("layout.html", include_str!("../../templates/mail/layout.html")),
    ("layout.txt", include_str!("../../templates/mail/layout.txt")),
    ("passkey_added.html", include_str!("../../templates/mail/passkey_added.html")),
    ("passkey_added.subject", include_str!("../../templates/mail/passkey_added.subject")),
    ("passkey_added.txt", include_str!("../../templates/mail/passkey_added.txt")),
    ("passkey_removed.html", include_str!("../../templates/mail/passkey_removed.html")),
    ("passkey_removed.subject", include_str!("../../templates/mail/passkey_removed.subject")),
    ("passkey_removed.txt", include_str!("../../templates/mail/passkey_removed.txt")),
    ("password_changed.html", include_str!("../../templates/mail/password_changed.html")),
    ("password_changed.subject", include_str!("../../templates/mail/password_changed.subject")),
    ("password_changed.txt", include_str!("../../templates/mail/password_changed.txt")),
    ("password_known.html", include_str!("../../templates/mail/password_known.html")),
    ("password_known.subject", include_str!("../../templates/mail/password_known.subject")),
    ("password_known.txt", include_str!("../../templates/mail/password_known.txt")),
    ("recovery_code_used.html", include_str!("../../templates/mail/recovery_code_used.html")),
    ("recovery_code_used.subject", include_str!("../../templates/mail/recovery_code_used.subject")),
    ("recovery_code_used.txt", include_str!("../../templates/mail/recovery_code_used.txt")),
    ("recovery_codes_made.html", include_str!("../../templates/mail/recovery_codes_made.html")),
    ("recovery_codes_made.subject", include_str!("../../templates/mail/recovery_codes_made.subject")),
    ("recovery_codes_made.txt", include_str!("../../templates/mail/recovery_codes_made.txt")),
    ("second_step_added.html", include_str!("../../templates/mail/second_step_added.html")),
    ("second_step_added.subject", include_str!("../../templates/mail/second_step_added.subject")),
    ("second_step_added.txt", include_str!("../../templates/mail/second_step_added.txt")),
    ("second_step_removed.html", include_str!("../../templates/mail/second_step_removed.html")),
    ("second_step_removed.subject", include_str!("../../templates/mail/second_step_removed.subject")),
    ("second_step_removed.txt", include_str!("../../templates/mail/second_step_removed.txt")),
    ("password_reset.html", include_str!("../../templates/mail/password_reset.html")),
    ("password_reset.subject", include_str!("../../templates/mail/password_reset.subject")),
    ("password_reset.txt", include_str!("../../templates/mail/password_reset.txt")),
    ("sign_in_code.html", include_str!("../../templates/mail/sign_in_code.html")),
    ("sign_in_code.subject", include_str!("../../templates/mail/sign_in_code.subject")),
    ("sign_in_code.txt", include_str!("../../templates/mail/sign_in_code.txt")),
    ("sign_in_from_new_device.html", include_str!("../../templates/mail/sign_in_from_new_device.html")),
    ("sign_in_from_new_device.subject", include_str!("../../templates/mail/sign_in_from_new_device.subject")),
    ("sign_in_from_new_device.txt", include_str!("../../templates/mail/sign_in_from_new_device.txt")),
    ("sign_up.html", include_str!("../../templates/mail/sign_up.html")),
    ("sign_up.subject", include_str!("../../templates/mail/sign_up.subject")),
    ("sign_up.txt", include_str!("../../templates/mail/sign_up.txt")),
    ("test.html", include_str!("../../templates/mail/test.html")),
    ("test.subject", include_str!("../../templates/mail/test.subject")),
    ("test.txt", include_str!("../../templates/mail/test.txt")),
    ("verify_address.html", include_str!("../../templates/mail/verify_address.html")),
    ("verify_address.subject", include_str!("../../templates/mail/verify_address.subject")),
    ("verify_address.txt", include_str!("../../templates/mail/verify_address.txt")),
];

/// The page that makes an account.
const NEW_ACCOUNT: &str = "/sign-up/new";
/// The page that takes the code of a letter.
const SIGN_IN: &str = "/login/letter/code";

/// Why no message can be made of a letter.
#[derive(Debug, thiserror::Error)]
pub(super) enum ComposeError {
    /// What is accepted as an address is more than mail servers take. The address is not shown.
    #[error("the address is none that mail can be sent to")]
    Address,
    /// A template.
    #[error("a template of letters cannot be used: {0}")]
    Template(#[from] minijinja::Error),
    /// What is neither.
    #[error("the letter cannot be made into a message: {0}")]
    Message(#[from] lettre::error::Error),
}

/// Makes messages.
pub(super) struct Composer {
    templates: Environment<'static>,
    from: message::Mailbox,
    reply_to: Option<message::Mailbox>,
    /// What stands behind the @ of a Message-ID: the domain that letters are from, which is our own.
    domain: String,
    issuer: Issuer,
    place: Place,
}

/// What every letter says of this server.
#[derive(Clone, Serialize)]
struct Place {
    host: String,
    account: String,
    login: String,
    recover: String,
}

/// What a letter says besides.
#[derive(Serialize)]
struct Facts<'a> {
    name: &'a str,
    at: String,
    /// From where something was done or asked for.
    address: Option<String>,
    /// How many recovery codes are left.
    left: Option<u32>,
    /// With what it was asked for.
    browser: Option<&'a str>,
    link: Option<Link<'a>>,
    /// What the owner of the account types to sign in.
    username: Option<&'a str>,
    /// Whether somebody signed in by a letter.
    by_letter: bool,
    /// Until when an account that is to be deleted can be kept.
    until: Option<String>,
}

/// The one link by which somebody goes on.
#[derive(Serialize)]
struct Link<'a> {
    /// What is behind `#` reaches no server: the code is in no log.
    address: String,
    /// The same for those who type it.
    code: &'a str,
    /// Until when it works.
    until: String,
}

impl Composer {
    /// Reads every template. The issuer is the only name of this server that a letter says: nothing of a request gets into one.
    pub(super) fn new(
        issuer: &Issuer,
        (from, reply_to): (Mailbox, Option<Mailbox>),
    ) -> Result<Self, ComposeError> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_auto_escape_callback(|name| match name.rsplit_once('.') {
            Some((_, "html")) => AutoEscape::Html,
            Some(_) | None => AutoEscape::None,
        });
        for (name, source) in TEMPLATES {
            templates.add_template(name, source)?;
        }
        Ok(Self {
            templates,
            domain: domain_of(&from).ok_or(ComposeError::Address)?,
            from: addressed(&from)?,
            reply_to: reply_to.as_ref().map(addressed).transpose()?,
            issuer: issuer.clone(),
            place: Place {
                host: issuer.host().to_owned(),
                account: issuer.endpoint("/account"),
                login: issuer.endpoint("/login"),
                recover: issuer.endpoint("/recover"),
            },
        })
    }

    /// The message. The same letter makes the same one each time, so that whoever gets it twice can tell.
    pub(super) fn compose(&self, parcel: &Parcel<'_>) -> Result<Message, ComposeError> {
        let kind = parcel.letter.name();
        let facts = Facts::of(parcel, &self.issuer);
        let said = |form: &str| -> Result<String, minijinja::Error> {
            let template = self.templates.get_template(&format!("{kind}.{form}"))?;
            template.render(context! { place => Serde(&self.place), letter => Serde(&facts) })
        };
        let mut builder = Message::builder()
            .date(system_time(parcel.written_at))
            .from(self.from.clone())
            .to(addressed(parcel.to)?)
            .subject(said("subject")?.trim_end())
            .message_id(Some(format!("<{}@{}>", parcel.id, self.domain)))
            .raw_header(automatic());
        if let Some(reply_to) = &self.reply_to {
            builder = builder.reply_to(reply_to.clone());
        }
        let parts = MultiPart::alternative()
            .boundary(format!("letter-{}", parcel.id))
            .singlepart(SinglePart::plain(said("txt")?))
            .singlepart(SinglePart::html(said("html")?));
        Ok(builder.multipart(parts)?)
    }
}

impl<'a> Facts<'a> {
    /// When, and from where.
    fn plain(name: &'a str, at: Timestamp, address: Option<&IpAddr>) -> Self {
        Self {
            name,
            at: readable(at),
            address: address.map(ToString::to_string),
            browser: None,
            link: None,
            username: None,
            left: None,
            by_letter: false,
            until: None,
        }
    }

    fn of(parcel: &Parcel<'a>, issuer: &Issuer) -> Self {
        let facts = |at: &Timestamp, address| Self::plain(parcel.to.name(), *at, address);
        let asked = |asked: &'a Asked| Self {
            browser: asked.browser.as_deref(),
            ..facts(&asked.at, Some(&asked.address))
        };
        let end = parcel.written_at.plus(parcel.letter.lifetime());
        let link = |path: &str, code: &'a LinkCode| Some(link_until(issuer, path, code, end));
        match parcel.letter {
            Letter::AccountDeletion { address, at, until } => {
                Self { until: until.map(readable), ..facts(at, address.as_ref()) }
            }
            Letter::AccountExists { username, asked: by } => Self { username: Some(username), ..asked(by) },
            Letter::AddressChanged { code, address, at } => {
                Self { link: link("/recover/address", code), ..facts(at, Some(address)) }
            }
            Letter::Invitation { code, at, until } => {
                Self { link: Some(link_until(issuer, NEW_ACCOUNT, code, *until)), ..facts(at, None) }
            }
            Letter::AccountKept { by: ChangedBy::Owner { address }, at }
            | Letter::PasskeyAdded { address, at }
            | Letter::PasskeyRemoved { by: ChangedBy::Owner { address }, at }
            | Letter::PasswordChanged { by: ChangedBy::Owner { address }, at }
            | Letter::PasswordKnown { address, at }
            | Letter::RecoveryCodesMade { address, at }
            | Letter::SecondStepAdded { address, at }
            | Letter::SecondStepRemoved { by: ChangedBy::Owner { address }, at } => facts(at, Some(address)),
            Letter::AccountKept { by: ChangedBy::Administrator, at }
            | Letter::PasskeyRemoved { by: ChangedBy::Administrator, at }
            | Letter::PasswordChanged { by: ChangedBy::Administrator, at }
            | Letter::SecondStepRemoved { by: ChangedBy::Administrator, at }
            | Letter::Test { at } => facts(at, None),
            Letter::RecoveryCodeUsed { address, left, at } => {
                Self { left: Some(*left), ..facts(at, Some(address)) }
            }
            Letter::PasswordReset { code, username, asked: by } => {
                Self { link: link("/recover/new", code), username: Some(username), ..asked(by) }
            }
            Letter::SignInCode { code, waiting, username, asked: by, .. } => {
                let path = format!("{SIGN_IN}?asked={waiting}");
                Self { link: link(&path, code), username: Some(username), ..asked(by) }
            }
            Letter::SignInFromNewDevice { address, at, by } => {
                Self { by_letter: *by == SignedInBy::Letter, ..facts(at, Some(address)) }
            }
            Letter::SignUp { code, asked: by } => Self { link: link(NEW_ACCOUNT, code), ..asked(by) },
            Letter::VerifyAddress { code, username, asked: by } => {
                Self { link: link("/verify", code), username: Some(username), ..asked(by) }
            }
        }
    }
}

/// The link to this page, with the code.
fn link_until<'a>(issuer: &Issuer, path: &str, code: &'a LinkCode, until: Timestamp) -> Link<'a> {
    let (code, until) = (code.expose(), readable(until));
    Link { address: format!("{}#k={code}", issuer.endpoint(path)), code, until }
}

/// Nobody answers by a machine what a machine wrote (RFC 3834 §5).
fn automatic() -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned())
}

/// The domain of a mailbox as mail servers know it.
pub(super) fn domain_of(mailbox: &Mailbox) -> Option<String> {
    let (_, domain) = mailbox.address().as_str().rsplit_once('@')?;
    Host::parse(domain).ok().map(|host| host.to_string())
}

/// A mailbox as it stands in a header and in the envelope: both are made of checked parts and never of a text.
fn addressed(mailbox: &Mailbox) -> Result<message::Mailbox, ComposeError> {
    let (local, _) = mailbox.address().as_str().rsplit_once('@').ok_or(ComposeError::Address)?;
    let domain = domain_of(mailbox).ok_or(ComposeError::Address)?;
    let address = Address::new(local, domain).map_err(|_| ComposeError::Address)?;
    let name = Some(mailbox.name()).filter(|name| !name.is_empty());
    Ok(message::Mailbox::new(name.map(str::to_owned), address))
}

/// `2030-01-31 09:00 UTC`: read the same in every country.
fn readable(time: Timestamp) -> String {
    let text = time.rfc3339();
    match text.split_once('T') {
        Some((date, clock)) => {
            let minutes: String = clock.chars().take(5).collect();
            format!("{date} {minutes} UTC")
        }
        None => text,
    }
}

fn system_time(time: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(time.as_micros()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{LetterId, LetterSignInId};
    use crate::domain::secret::{Entropy, OpaqueToken, TokenKind};
    use crate::domain::user::Email;

    const AT: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn mailbox(name: &str, address: &str) -> Mailbox {
        Mailbox::new(name, Email::parse(address).unwrap())
    }

    fn composer() -> Composer {
        let issuer = Issuer::parse("https://id.example.com/idp").unwrap();
        let from = mailbox("Example", "id@mail.example.com");
        Composer::new(&issuer, (from, Some(mailbox("", "help@example.com")))).unwrap()
    }

    fn every_letter() -> [Letter; 25] {
        let owner = ChangedBy::Owner { address: "192.0.2.7".parse().unwrap() };
        let (address, later) = ("192.0.2.7".parse().unwrap(), AT.plus(Duration::from_hours(24)));
        [
            Letter::AccountKept { by: owner.clone(), at: AT },
            Letter::AccountKept { by: ChangedBy::Administrator, at: AT },
            Letter::PasswordChanged { by: owner.clone(), at: AT },
            Letter::PasswordChanged { by: ChangedBy::Administrator, at: AT },
            Letter::AccountDeletion { address: Some(address), at: AT, until: Some(later) },
            Letter::AccountDeletion { address: None, at: AT, until: None },
            Letter::PasskeyAdded { address: "192.0.2.7".parse().unwrap(), at: AT },
            Letter::PasskeyRemoved { by: owner, at: AT },
            Letter::PasskeyRemoved { by: ChangedBy::Administrator, at: AT },
            Letter::PasswordKnown { address: "192.0.2.7".parse().unwrap(), at: AT },
            Letter::RecoveryCodeUsed { address: "192.0.2.7".parse().unwrap(), left: 9, at: AT },
            Letter::RecoveryCodesMade { address: "192.0.2.7".parse().unwrap(), at: AT },
            Letter::SecondStepAdded { address: "192.0.2.7".parse().unwrap(), at: AT },
            Letter::SecondStepRemoved {
                by: ChangedBy::Owner { address: "192.0.2.7".parse().unwrap() },
                at: AT,
            },
            Letter::SecondStepRemoved { by: ChangedBy::Administrator, at: AT },
            Letter::PasswordReset { code: code(), username: "ada".to_owned(), asked: asked() },
            Letter::SignInCode {
                code: code(),
                waiting: LetterSignInId::generate(AT, &Entropy::seeded(1)),
                username: "ada".to_owned(),
                asked: asked(),
                is_known: false,
            },
            Letter::SignInFromNewDevice {
                address: "2001:db8::1".parse().unwrap(),
                at: AT,
                by: SignedInBy::Letter,
            },
            Letter::SignInFromNewDevice {
                address: "2001:db8::1".parse().unwrap(),
                at: AT,
                by: SignedInBy::Other,
            },
            Letter::AddressChanged { code: code(), address: "192.0.2.7".parse().unwrap(), at: AT },
            Letter::Test { at: AT },
            Letter::VerifyAddress { code: code(), username: "ada".to_owned(), asked: asked() },
            Letter::AccountExists { username: "ada".to_owned(), asked: asked() },
            Letter::Invitation { code: code(), at: AT, until: AT.plus(Duration::from_hours(168)) },
            Letter::SignUp { code: code(), asked: asked() },
        ]
    }

    fn code() -> LinkCode {
        LinkCode::of(&OpaqueToken::generate(TokenKind::LetterLink, &Entropy::seeded(7)))
    }

    fn asked() -> Asked {
        Asked::by("Firefox/140.0 (X11; Linux)", "192.0.2.7".parse().unwrap(), AT)
    }

    fn message(to: &Mailbox, letter: &Letter) -> Message {
        let id = LetterId::generate(AT, &Entropy::seeded(1));
        composer().compose(&Parcel { id: &id, to, letter, written_at: AT }).unwrap()
    }

    fn text(to: &Mailbox, letter: &Letter) -> String {
        String::from_utf8(message(to, letter).formatted()).unwrap()
    }

    /// The headers of the message itself.
    fn headers(text: &str) -> Vec<&str> {
        text.split_once("\r\n\r\n").unwrap().0.split("\r\n").collect()
    }

    #[test]
    fn every_letter_has_a_subject_a_text_and_a_page_and_says_that_a_machine_wrote_it() {
        let ada = mailbox("Ada", "ada@example.org");
        for letter in every_letter() {
            let text = text(&ada, &letter);
            let headers = headers(&text);
            for expected in [
                "Auto-Submitted: auto-generated",
                "Date: Fri, 15 Jan 2027 08:00:00 +0000",
                "From: Example <id@mail.example.com>",
                "Reply-To: help@example.com",
                "To: Ada <ada@example.org>",
                "MIME-Version: 1.0",
            ] {
                assert!(headers.contains(&expected), "{expected}: {headers:?}");
            }
            let id = headers.iter().find(|header| header.starts_with("Message-ID: <mal_")).unwrap();
            assert!(id.ends_with("@mail.example.com>"), "{id}");
            assert!(headers.iter().any(|header| header.starts_with("Subject: ") && header.len() > 15));
            assert!(text.contains("Content-Type: text/plain") && text.contains("Content-Type: text/html"));
            assert!(text.contains("id.example.com") && text.contains("2027-01-15 08:00 UTC"), "{text}");
            assert!(text.is_ascii(), "{text}");
        }
    }

    #[test]
    fn a_letter_with_a_link_says_who_asked_and_until_when_it_works() {
        let ada = mailbox("Ada", "ada@example.org");
        let letter = Letter::PasswordReset { code: code(), username: "ada".to_owned(), asked: asked() };
        let body = text(&ada, &letter).replace("=\r\n", "").replace("=3D", "=").replace("&#x2f;", "/");
        let (plain, page) = body.split_once("Content-Type: text/html").unwrap();
        for form in [plain, page] {
            let link = format!("https://id.example.com/idp/recover/new#k={}", code().expose());
            assert_eq!(form.matches(&link).count(), 1, "{form}");
            assert_eq!(form.matches(code().expose()).count(), 2, "{form}");
            for said in ["192.0.2.7", "Firefox on Linux", "2027-01-15 08:15 UTC", "not you"] {
                assert!(form.contains(said), "{said}: {form}");
            }
        }
    }

    #[test]
    fn the_letters_about_new_accounts_lead_on_by_the_issuer_alone() {
        let ada = mailbox("", "ada@example.org");
        let body = |letter: &Letter| {
            text(&ada, letter).replace("=\r\n", "").replace("=3D", "=").replace("&#x2f;", "/")
        };
        let new = format!("https://id.example.com/idp/sign-up/new#k={}", code().expose());
        let exists = body(&Letter::AccountExists { username: "ada".to_owned(), asked: asked() });
        let sign_up = body(&Letter::SignUp { code: code(), asked: asked() });
        let until = AT.plus(Duration::from_hours(168));
        let invitation = body(&Letter::Invitation { code: code(), at: AT, until });
        for (letter, said) in [
            (&exists, &["https://id.example.com/idp/login", "https://id.example.com/idp/recover", "ada"][..]),
            (&sign_up, &[new.as_str(), "192.0.2.7", "Firefox on Linux", "2027-01-16 08:00 UTC"]),
            (&invitation, &[new.as_str(), "2027-01-22 08:00 UTC"]),
        ] {
            let (plain, page) = letter.split_once("Content-Type: text/html").unwrap();
            for form in [plain, page] {
                assert!(said.iter().all(|said| form.contains(said)), "{said:?}: {form}");
            }
        }
        assert!(!exists.contains("pcm_"), "there is nothing to be made: {exists}");
    }

    #[test]
    fn a_letter_is_the_same_each_time_it_is_tried() {
        let ada = mailbox("Ada", "ada@example.org");
        for letter in every_letter() {
            assert_eq!(text(&ada, &letter), text(&ada, &letter));
        }
    }

    #[test]
    fn nothing_in_a_letter_is_fetched_or_styled_from_elsewhere() {
        for (name, source) in TEMPLATES.into_iter().filter(|(name, _)| name.contains(".html")) {
            for forbidden in
                ["<img", "<link", "<script", "<style", "url(", "class=", "src=", "|safe", "http://"]
            {
                assert!(!source.contains(forbidden), "{name}: {forbidden}");
            }
        }
    }

    #[test]
    fn a_change_says_who_made_it() {
        let ada = mailbox("Ada", "ada@example.org");
        let [kept, kept_for_them, owner, administrator, ..] = every_letter();
        for (owner, administrator) in [(kept, kept_for_them), (owner, administrator)] {
            let (owner, administrator) = (text(&ada, &owner), text(&ada, &administrator));
            assert!(owner.contains("192.0.2.7") && !owner.contains("administrator"), "{owner}");
            assert!(
                administrator.contains("administrator") && !administrator.contains("192.0.2"),
                "{administrator}"
            );
            assert!(owner.contains("https://id.example.com/idp/account"), "{owner}");
        }
    }

    #[test]
    fn pw_18_a_hostile_name_adds_no_header_no_recipient_and_no_markup() {
        for name in [
            "Ada\r\nBcc: eve@example.org\r\n\r\n<h1>x</h1>",
            "Ada\nBcc: eve@example.org",
            "Ada\0\r\n.\r\nMAIL FROM:<eve@example.org>",
            "Ada\" <eve@example.org>, \"",
            "<script>alert(1)</script>",
            "=?utf-8?q?Ada=0D=0ABcc:_eve@example.org?=",
            "{{ place.host }}{% include 'layout.txt' %}",
            "Ада\u{202e}\u{2028}Bcc: eve@example.org",
            &"é\r\n".repeat(400),
        ] {
            let ada = mailbox(name, "ada@example.org");
            for letter in every_letter() {
                let message = message(&ada, &letter);
                let to: Vec<_> = message.envelope().to().iter().map(ToString::to_string).collect();
                assert_eq!(to, ["ada@example.org"], "{name:?}");
                let text = String::from_utf8(message.formatted()).unwrap();
                for header in headers(&text) {
                    let name = header.split(':').next().unwrap().to_ascii_lowercase();
                    assert!(!["bcc", "cc", "mail from"].contains(&name.as_str()), "{header}");
                    assert!(header.starts_with(' ') || header.contains(": "), "{header}");
                }
                let (_, page) = text.split_once("Content-Type: text/html").unwrap();
                assert!(!page.contains("<script") && !page.contains("<h1>x"), "{page}");
                assert!(!text.contains('\0') && !text.contains("\r\n.\r\n"));
            }
        }
    }

    #[test]
    fn an_address_is_made_of_checked_parts() {
        let letter = Letter::Test { at: AT };
        for (address, sent_to) in [
            ("ada@example.org", "ada@example.org"),
            ("ada+x@b\u{fc}cher.example", "ada+x@xn--bcher-kva.example"),
        ] {
            let message = message(&mailbox("", address), &letter);
            let to: Vec<_> = message.envelope().to().iter().map(ToString::to_string).collect();
            assert_eq!(to, [sent_to]);
        }
        for bad in ["a..b@example.org", "ada@exa_mple..org", "ada@-x-.org"] {
            let Ok(address) = Email::parse(bad) else { continue };
            let id = LetterId::generate(AT, &Entropy::seeded(1));
            let to = Mailbox::new("", address);
            let parcel = Parcel { id: &id, to: &to, letter: &letter, written_at: AT };
            assert!(matches!(composer().compose(&parcel), Err(ComposeError::Address)), "{bad}");
        }
    }
}
