//! Letters: what people are told by mail.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::browser_name::BrowserName;
use crate::domain::clock::Timestamp;
use crate::domain::ids::LetterSignInId;
use crate::domain::secret::{OpaqueToken, TokenKind};

/// How long it is worth telling of something that happened.
pub(crate) const NOTICE: Duration = Duration::from_hours(72);
/// How long nobody is told again that somebody knows the password.
const A_DAY: Duration = Duration::from_hours(24);
/// How long a trial is worth sending.
const TRIAL: Duration = Duration::from_mins(10);

/// How long a new password can be set.
pub(crate) const RESET: Duration = Duration::from_mins(15);

/// How long somebody can sign in by the code of a letter (ASVS 6.5.5 has ten minutes at most).
pub(crate) const SIGN_IN_CODE: Duration = Duration::from_mins(10);

/// How long an address can be confirmed, and an account made with it.
pub(crate) const PROOF: Duration = Duration::from_hours(24);

/// What a letter tells, with the facts that it needs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Letter {
    /// Whoever has the account, one hopes, wants it deleted.
    AccountDeletion {
        /// From where it was asked for; `None` where that was a while ago.
        address: Option<IpAddr>,
        /// When.
        at: Timestamp,
        /// Until when its owner can keep it; `None`: it is deleted.
        until: Option<Timestamp>,
    },
    /// Somebody, the owner one hopes, wants an account with an address that one has already.
    AccountExists {
        /// The user name of that account.
        username: String,
        /// Who asked for it.
        asked: Asked,
    },
    /// An account that was to be deleted is not.
    AccountKept {
        /// Who saw to it.
        by: ChangedBy,
        /// When.
        at: Timestamp,
    },
    /// Another address took the place of the one that this letter goes to.
    AddressChanged {
        /// What lets the owner put it back.
        code: LinkCode,
        /// From where it was confirmed.
        address: IpAddr,
        /// When.
        at: Timestamp,
    },
    /// An administrator wants somebody to have an account.
    Invitation {
        /// What makes it.
        code: LinkCode,
        /// When it was sent.
        at: Timestamp,
        /// Until when it works, which is longer than the letter is tried.
        until: Timestamp,
    },
    /// A passkey was added to the account.
    PasskeyAdded {
        /// From where.
        address: IpAddr,
        /// When.
        at: Timestamp,
    },
    /// A passkey of the account was removed, or all of them were.
    PasskeyRemoved {
        /// By whom.
        by: ChangedBy,
        /// When.
        at: Timestamp,
    },
    /// The password of the account was changed.
    PasswordChanged {
        /// By whom.
        by: ChangedBy,
        /// When.
        at: Timestamp,
    },
    /// Somebody gave the right password, and then wrong codes.
    PasswordKnown {
        /// From where.
        address: IpAddr,
        /// When the last of them came.
        at: Timestamp,
    },
    /// Somebody signed in with a recovery code.
    RecoveryCodeUsed {
        /// From where.
        address: IpAddr,
        /// How many are left.
        left: u32,
        /// When.
        at: Timestamp,
    },
    /// Other recovery codes took the place of those that there were.
    RecoveryCodesMade {
        /// From where.
        address: IpAddr,
        /// When.
        at: Timestamp,
    },
    /// The account asks for a second step from now on.
    SecondStepAdded {
        /// From where it was added.
        address: IpAddr,
        /// When.
        at: Timestamp,
    },
    /// The account asks for no second step any more.
    SecondStepRemoved {
        /// By whom it was removed.
        by: ChangedBy,
        /// When.
        at: Timestamp,
    },
    /// Somebody, the owner one hopes, forgot the password of the account.
    PasswordReset {
        /// What lets the owner set another.
        code: LinkCode,
        /// What the owner types to sign in.
        username: String,
        /// Who asked for it.
        asked: Asked,
    },
    /// Somebody, the owner one hopes, wants to sign in by a letter.
    SignInCode {
        /// What signs in, in the browser that asked.
        code: LinkCode,
        /// Names the sign-in that waits for it.
        waiting: LetterSignInId,
        /// What the owner types to sign in otherwise.
        username: String,
        /// Who asked for it.
        asked: Asked,
        /// Whether the browser was known: such letters are counted apart, so that strangers keep nobody from theirs.
        is_known: bool,
    },
    /// Somebody signed in with a browser that was not known.
    SignInFromNewDevice {
        /// From where.
        address: IpAddr,
        /// When.
        at: Timestamp,
        /// By what, as far as that is said.
        #[serde(default)]
        by: SignedInBy,
    },
    /// Somebody, the owner of the address one hopes, wants an account.
    SignUp {
        /// What makes it.
        code: LinkCode,
        /// Who asked for it.
        asked: Asked,
    },
    /// That letters arrive.
    Test {
        /// When it was asked for.
        at: Timestamp,
    },
    /// An account is to have the address that this letter goes to.
    VerifyAddress {
        /// What confirms that its owner has the letter.
        code: LinkCode,
        /// The user name of the account.
        username: String,
        /// Who asked for it.
        asked: Asked,
    },
}

/// What stands before the code in a link.
const BEFORE_CODE: &str = "k=";

/// What the link of a letter carries. It is in the letter, which lies sealed, and nowhere else; never printed.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct LinkCode(String);

impl LinkCode {
    /// That of this link.
    pub fn of(link: &OpaqueToken) -> Self {
        Self(link.expose().to_owned())
    }

    /// A code that is short enough to be typed.
    pub fn short(code: &str) -> Self {
        Self(code.to_owned())
    }

    /// The link that somebody means who copied its code: alone, or with all that stands before it.
    pub fn copied(text: &str) -> Option<OpaqueToken> {
        let code = text.trim();
        let code = code.rsplit_once(BEFORE_CODE).map_or(code, |(_, code)| code);
        OpaqueToken::parse_as(TokenKind::LetterLink, code).ok()
    }

    /// The text, for the letter.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LinkCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkCode(..)")
    }
}

/// By what somebody signed in, where it matters to whoever hears of it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignedInBy {
    /// The code of a letter: whoever it was reads what goes to the address.
    Letter,
    /// Whatever else signs people in.
    #[default]
    Other,
}

/// Who asked for a letter, as far as that is known.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Asked {
    /// From where.
    pub address: IpAddr,
    /// With what, where it is something known: see [`BrowserName::known`].
    pub browser: Option<String>,
    /// When.
    pub at: Timestamp,
}

impl Asked {
    /// Somebody with this browser.
    pub fn by(user_agent: &str, address: IpAddr, at: Timestamp) -> Self {
        Self { address, browser: BrowserName::known(user_agent), at }
    }
}

/// Who changed something about an account.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "who")]
pub enum ChangedBy {
    /// Somebody who looks after the server. Who and from where is nothing for the letter.
    Administrator,
    /// Whoever was signed in with the account, or put its address back by a letter.
    Owner {
        /// From where.
        address: IpAddr,
    },
}

impl Letter {
    /// The name of the kind. Letters of a kind are counted together, and apart from those of others: whoever has many sent of a kind
    /// that anybody can ask for keeps no warning from arriving.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AccountDeletion { .. } => "account_deletion",
            Self::AccountExists { .. } => "account_exists",
            Self::AccountKept { .. } => "account_kept",
            Self::AddressChanged { .. } => "address_changed",
            Self::Invitation { .. } => "invitation",
            Self::PasskeyAdded { .. } => "passkey_added",
            Self::PasskeyRemoved { .. } => "passkey_removed",
            Self::PasswordChanged { .. } => "password_changed",
            Self::PasswordKnown { .. } => "password_known",
            Self::RecoveryCodeUsed { .. } => "recovery_code_used",
            Self::RecoveryCodesMade { .. } => "recovery_codes_made",
            Self::SecondStepAdded { .. } => "second_step_added",
            Self::SecondStepRemoved { .. } => "second_step_removed",
            Self::PasswordReset { .. } => "password_reset",
            Self::SignInCode { .. } => "sign_in_code",
            Self::SignInFromNewDevice { .. } => "sign_in_from_new_device",
            Self::SignUp { .. } => "sign_up",
            Self::Test { .. } => "test",
            Self::VerifyAddress { .. } => "verify_address",
        }
    }

    /// By what it is counted: its kind, and for some whether a known browser asked.
    pub const fn counted_as(&self) -> &'static str {
        let is_apart = matches!(self, Self::SignInCode { is_known: true, .. });
        if is_apart { "sign_in_code of a known browser" } else { self.name() }
    }

    /// Whether its owner learns by this letter alone what can be taken back: it is sent however many there were. What leads to it is
    /// bounded by itself.
    pub const fn is_the_only_way_back(&self) -> bool {
        matches!(self, Self::AccountDeletion { .. } | Self::AddressChanged { .. })
    }

    /// How long after one of its kind about an account the next one is sent; `None`: they are counted for an address, as the settings say.
    pub const fn rest(&self) -> Option<Duration> {
        if matches!(self, Self::PasswordKnown { .. }) { Some(A_DAY) } else { None }
    }

    /// How long it is tried. A link in a letter lives as long, and no longer; that of an invitation says itself until when.
    pub const fn lifetime(&self) -> Duration {
        match self {
            Self::AccountDeletion { .. }
            | Self::AccountKept { .. }
            | Self::AddressChanged { .. }
            | Self::PasskeyAdded { .. }
            | Self::PasskeyRemoved { .. }
            | Self::PasswordChanged { .. }
            | Self::PasswordKnown { .. }
            | Self::RecoveryCodeUsed { .. }
            | Self::RecoveryCodesMade { .. }
            | Self::SecondStepAdded { .. }
            | Self::SecondStepRemoved { .. }
            | Self::SignInFromNewDevice { .. } => NOTICE,
            Self::PasswordReset { .. } => RESET,
            Self::SignInCode { .. } => SIGN_IN_CODE,
            Self::Test { .. } => TRIAL,
            Self::AccountExists { .. }
            | Self::Invitation { .. }
            | Self::SignUp { .. }
            | Self::VerifyAddress { .. } => PROOF,
        }
    }
}

/// How far a letter came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LetterState {
    /// It could not be sent for as long as it was worth sending.
    Expired,
    /// The mail server does not take it.
    Failed,
    /// The mail server took it.
    Sent,
    /// Too many letters of its kind went to the address: it is not sent.
    Void,
    /// It is tried, again and again.
    Waiting,
}

impl LetterState {
    /// The text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Sent => "sent",
            Self::Void => "void",
            Self::Waiting => "waiting",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Entropy;

    #[test]
    fn a_code_is_read_however_it_was_copied() {
        let link = OpaqueToken::generate(TokenKind::LetterLink, &Entropy::seeded(1));
        let code = link.expose();
        let whole = format!("https://id.example.com/recover/new#k={code}");
        for copied in [code, &format!(" {code}\r\n"), &whole] {
            assert_eq!(LinkCode::copied(copied).unwrap().digest(), link.digest(), "{copied:?}");
        }
        for other in ["", "k=", &code.replace("pcm_", "pcl_"), &format!("{code}x")] {
            assert!(LinkCode::copied(other).is_none(), "{other:?}");
        }
    }

    #[test]
    fn a_letter_survives_the_way_to_the_database_and_back() {
        let at = Timestamp::from_secs(1_800_000_000);
        let owner = ChangedBy::Owner { address: "192.0.2.1".parse().unwrap() };
        let link = OpaqueToken::generate(TokenKind::LetterLink, &Entropy::seeded(1));
        let reset = Letter::PasswordReset {
            code: LinkCode::of(&link),
            username: "ada".to_owned(),
            asked: Asked::by("Firefox/140.0", "192.0.2.1".parse().unwrap(), at),
        };
        let Letter::PasswordReset { code, username, asked } = reset.clone() else { panic!() };
        let exists = Letter::AccountExists { username: username.clone(), asked: asked.clone() };
        let sign_up = Letter::SignUp { code: code.clone(), asked: asked.clone() };
        let until = at.plus(Duration::from_hours(168));
        let invitation = Letter::Invitation { code: code.clone(), at, until };
        let sign_in = Letter::SignInCode {
            code: code.clone(),
            waiting: LetterSignInId::generate(at, &Entropy::seeded(1)),
            username: username.clone(),
            asked: asked.clone(),
            is_known: true,
        };
        let verify = Letter::VerifyAddress { code, username, asked };
        let all = format!("{reset:?} {verify:?} {sign_up:?} {invitation:?} {sign_in:?}");
        assert!(!all.contains(link.expose()));
        let address = "192.0.2.1".parse().unwrap();
        for letter in [
            Letter::AccountDeletion { address: Some(address), at, until: Some(until) },
            Letter::AccountDeletion { address: None, at, until: None },
            Letter::AccountKept { by: owner.clone(), at },
            Letter::PasswordChanged { by: owner, at },
            Letter::PasswordChanged { by: ChangedBy::Administrator, at },
            Letter::PasswordKnown { address: "192.0.2.1".parse().unwrap(), at },
            Letter::RecoveryCodeUsed { address: "192.0.2.1".parse().unwrap(), left: 9, at },
            Letter::RecoveryCodesMade { address: "192.0.2.1".parse().unwrap(), at },
            Letter::SecondStepAdded { address: "192.0.2.1".parse().unwrap(), at },
            Letter::SecondStepRemoved { by: ChangedBy::Administrator, at },
            reset,
            Letter::AddressChanged { code: LinkCode::of(&link), address: "192.0.2.1".parse().unwrap(), at },
            verify,
            exists,
            sign_up,
            invitation,
            sign_in,
            Letter::SignInFromNewDevice {
                address: "2001:db8::1".parse().unwrap(),
                at,
                by: SignedInBy::Letter,
            },
            Letter::Test { at },
        ] {
            let kept = serde_json::to_value(&letter).unwrap();
            assert_eq!(kept["kind"], letter.name());
            assert_eq!(serde_json::from_value::<Letter>(kept).unwrap(), letter);
        }
        let before =
            serde_json::json!({ "kind": "sign_in_from_new_device", "address": "192.0.2.1", "at": at });
        let Letter::SignInFromNewDevice { by, .. } = serde_json::from_value(before).unwrap() else {
            panic!()
        };
        assert_eq!(by, SignedInBy::Other, "what the version before wrote");
        // What a later version writes is not guessed at.
        assert!(serde_json::from_value::<Letter>(serde_json::json!({ "kind": "later", "at": 1 })).is_err());
    }
}
