//! Which passwords are refused when somebody chooses one: those that guessers try first. There are no rules about
//! kinds of characters (NIST SP 800-63B-4 §3.1.1.2).

use std::collections::BTreeSet;

use crate::domain::user::Password;

const COMMON: &str = include_str!("../../data/common-passwords.txt");

/// A name shorter than this is part of too many good passwords.
const SHORTEST_NAME: usize = 4;

/// Words that a guesser who knows this product tries first (ASVS 6.1.2).
const OURS: [&str; 2] = ["portcullis", "signin"];

/// Why a password is too easy to guess.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Weakness {
    /// Guessers try it first, whoever it is.
    #[error("the password is on every list of common passwords")]
    Common,
    /// Guessers try it first for this user or this product.
    #[error("the password contains the user name or the name of this product")]
    Personal,
}

/// Checks a new password of the user with this name.
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

    #[test]
    fn any_other_password_is_accepted_whatever_it_is_made_of() {
        for good in ["correct horse", "        x", "ärgerlich genug", "9302 8471 0047", "only-lower-case"] {
            assert_eq!(checked(good), Ok(()), "{good}");
        }
    }
}
