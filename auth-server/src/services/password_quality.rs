//! Which passwords are refused when somebody chooses one: those that guessers try first. There are no rules about
//! kinds of characters (NIST SP 800-63B-4 §3.1.1.2).

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
    if COMMON.lines().any(|common| common == text) || is_repetition(&text) {
        return Err(Weakness::Common);
    }
    let name = username.split('@').next().unwrap_or(username);
    let personal = |word: &str| word.len() >= SHORTEST_NAME && text.contains(word);
    if personal(name) || OURS.into_iter().any(personal) { Err(Weakness::Personal) } else { Ok(()) }
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
        let long_enough = COMMON.lines().filter(|line| Password::parse(line).is_ok()).count();
        assert!(long_enough > 3000);
        assert_eq!(long_enough, COMMON.lines().count());
    }

    #[test]
    fn common_passwords_are_refused_in_any_case() {
        for bad in ["password", "Password", "12345678", "QWERTYUIOP", "iloveyou", "zzzzzzzzzzzz"] {
            assert_eq!(checked(bad), Err(Weakness::Common), "{bad}");
        }
    }

    #[test]
    fn the_user_s_and_the_product_s_name_are_refused_inside_a_password() {
        for bad in ["xAlice-2026", "portcullis!!", "my-SignIn-page"] {
            assert_eq!(checked(bad), Err(Weakness::Personal), "{bad}");
        }
        assert!(check(&Password::parse("abolition").unwrap(), "bo").is_ok());
    }

    #[test]
    fn any_other_password_is_accepted_whatever_it_is_made_of() {
        for good in ["correct horse", "        x", "ärgerlich genug", "9302 8471 0047", "only-lower-case"] {
            assert_eq!(checked(good), Ok(()), "{good}");
        }
    }
}
