//! Which passwords are refused when somebody chooses one: those that guessers try first, or soon. There are no rules about
//! kinds of characters (NIST SP 800-63B-4 §3.1.1.2).

mod breached;

use std::collections::BTreeSet;
use std::io;

use self::breached::BreachedPasswords;
use crate::config::Passwords;
use crate::domain::user::Password;

const COMMON: &str = include_str!("../../data/common-passwords.txt");

/// A name shorter than this is part of too many good passwords.
const SHORTEST_NAME: usize = 4;

/// Words that a guesser who knows this product tries first (ASVS 6.1.2).
const OURS: [&str; 2] = ["portcullis", "signin"];

/// Why a password is too easy to guess.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Weakness {
    /// It is on the operator's list of passwords that became known.
    #[error("the password is on a list of passwords that became known")]
    Breached,
    /// Guessers try it first, whoever it is.
    #[error("the password is on every list of common passwords")]
    Common,
    /// What it is made of is tried soon: words, names, dates, rows of keys, repetitions.
    #[error(
        "the password is made of what guessers try soon: make it longer, of words that do not belong together"
    )]
    Guessable,
    /// Guessers try it first for this user or this product.
    #[error("the password contains the user name or the name of this product")]
    Personal,
}

/// What a new password is held to where that takes time.
#[derive(Clone, Debug)]
pub(crate) struct Examiner {
    least_score: u8,
    breached: Option<BreachedPasswords>,
}

impl Examiner {
    /// An operator's list that is none is an error.
    pub(crate) fn new(settings: &Passwords) -> io::Result<Self> {
        let breached = settings.breached_file.clone().map(BreachedPasswords::new);
        if let Some(list) = &breached {
            list.check()?;
        }
        Ok(Self { least_score: settings.least_score, breached })
    }

    /// Looks closely at a new password of the user with this name. It takes milliseconds, and reads a file.
    pub(crate) fn examine(&self, password: &Password, username: &str) -> Result<(), Weakness> {
        // Whoever has bytes that are no text is not guessed by what people write.
        if let Ok(text) = str::from_utf8(password.expose()) {
            let known = [username, username.split('@').next().unwrap_or_default(), OURS[0], OURS[1]];
            if u8::from(zxcvbn::zxcvbn(text, &known).score()) < self.least_score {
                return Err(Weakness::Guessable);
            }
        }
        let Some(list) = &self.breached else { return Ok(()) };
        match list.has(password.expose()) {
            Ok(true) => Err(Weakness::Breached),
            Ok(false) => Ok(()),
            Err(error) => {
                // Nobody is kept from a new password because a file went away.
                tracing::error!(error = %error, "the list of passwords that became known cannot be read: no new password is looked up in it");
                Ok(())
            }
        }
    }
}

/// Checks a new password of the user with this name, as far as that takes no time.
pub(crate) fn check(password: &Password, username: &str) -> Result<(), Weakness> {
    // What is no text is not on a list of texts.
    let text = str::from_utf8(password.expose()).unwrap_or_default().to_lowercase();
    if is_common(&text) || is_repetition(&text) {
        return Err(Weakness::Common);
    }
    let name = username.split('@').next().unwrap_or(username);
    let personal = |word: &str| word.len() >= SHORTEST_NAME && text.contains(word);
    if personal(name) || OURS.into_iter().any(personal) { Err(Weakness::Personal) } else { Ok(()) }
}

/// Whether the text is a common password, or a few of them in a row: that is how a long one is made of a short one.
fn is_common(text: &str) -> bool {
    let mut cuts = BTreeSet::from([0]);
    while let Some(at) = cuts.pop_first() {
        let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) else { return true };
        cuts.extend(COMMON.lines().filter(|common| rest.starts_with(common)).map(|common| at + common.len()));
    }
    false
}

/// Whether the text is one character, again and again.
fn is_repetition(text: &str) -> bool {
    let mut characters = text.chars();
    let first = characters.next();
    characters.all(|character| Some(character) == first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(password: &str) -> Result<(), Weakness> {
        check(&Password::parse(password).unwrap(), "alice@example.org")
    }

    #[test]
    fn the_list_holds_more_than_the_3000_that_asvs_asks_for() {
        assert!(COMMON.lines().count() > 3000);
        assert!(COMMON.lines().all(|line| line.len() >= 8 && line == line.to_lowercase()));
    }

    #[test]
    fn common_passwords_are_refused_in_any_case_alone_and_in_a_row() {
        for bad in ["password", "Password", "12345678", "QWERTYUIOP", "iloveyou", "zzzzzzzzzzzz"] {
            assert_eq!(checked(bad), Err(Weakness::Common), "{bad}");
        }
        for bad in ["passwordpassword", "iloveyou12345678", "Qwertyuiop12345678password"] {
            assert_eq!(checked(bad), Err(Weakness::Common), "{bad}");
        }
        assert_eq!(checked("password and more"), Ok(()));
    }

    #[test]
    fn a_text_that_can_be_cut_in_many_ways_is_looked_at_once() {
        let many_ways = format!("{}!", "1".repeat(255));
        assert_eq!(checked(&many_ways), Ok(()));
    }

    #[test]
    fn the_user_s_and_the_product_s_name_are_refused_inside_a_password() {
        for bad in ["xAlice-2026", "portcullis!!", "my-SignIn-page"] {
            assert_eq!(checked(bad), Err(Weakness::Personal), "{bad}");
        }
        assert_eq!(check(&Password::parse("abolition").unwrap(), "bo"), Ok(()));
    }

    fn examined(settings: &Passwords, password: &str) -> Result<(), Weakness> {
        Examiner::new(settings).unwrap().examine(&Password::parse(password).unwrap(), "mirjam@example.org")
    }

    #[test]
    fn what_is_made_of_what_guessers_try_soon_is_refused_however_long() {
        let settings = Passwords::default();
        for bad in [
            "passwordpassword1",
            "qwertyuiopasdfghjkl",
            "aaaaaaaaaaaaaaaaaaab",
            "123451234512345",
            "mirjammirjammirjam",
            "P@ssw0rdP@ssw0rd",
        ] {
            assert_eq!(examined(&settings, bad), Err(Weakness::Guessable), "{bad}");
        }
        for good in [
            "correct horse battery staple",
            "a-kettle-for-nine-otters",
            "9302 8471 0047 5",
            "ärgerlich lange Sätze",
        ] {
            assert_eq!(examined(&settings, good), Ok(()), "{good}");
        }
        let lenient = Passwords { least_score: 0, ..settings };
        assert_eq!(examined(&lenient, "passwordpassword1"), Ok(()));
    }

    #[test]
    fn what_became_known_is_refused_and_a_list_that_went_away_keeps_nobody_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known.txt");
        // The SHA-1 of "correct horse battery staple".
        std::fs::write(&path, "ABF7AAD6438836DBE526AA231ABDE2D0EEF74D42:216\r\n").unwrap();
        let settings = Passwords { breached_file: Some(path.clone()), ..Passwords::default() };
        let examiner = Examiner::new(&settings).unwrap();
        let look = |password: &str| examiner.examine(&Password::parse(password).unwrap(), "mirjam");
        assert_eq!(look("correct horse battery staple"), Err(Weakness::Breached));
        assert_eq!(look("a-kettle-for-nine-otters"), Ok(()));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(look("correct horse battery staple"), Ok(()));
        assert!(Examiner::new(&settings).is_err(), "a server does not start without its list");
    }

    #[test]
    fn any_other_password_is_accepted_whatever_it_is_made_of() {
        for good in ["correct horse", "        x", "ärgerlich genug", "9302 8471 0047", "only-lower-case"] {
            assert_eq!(checked(good), Ok(()), "{good}");
        }
    }
}
