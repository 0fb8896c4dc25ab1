//! How an issuer writes its access tokens.

/// How an issuer writes its access tokens: as RFC 9068 says, or as it did before there was that.
///
/// By RFC 9068, a token says by its type (`at+jwt`) that it is an access token, and has a `client_id` and a `jti`. Many issuers write
/// others, unless they are configured to write these. Have them configured, if that can be: it is the only way to know for certain
/// what a token is (RFC 8725 §3.11).
///
/// ```
/// use portcullis_guard::{Issuer, TokenForm};
///
/// let issuer = Issuer::oidc("https://id.example.com").token_form(TokenForm::danger_generic(["JWT"]).untyped());
/// # let _ = issuer;
/// ```
#[derive(Clone, Debug, Default)]
pub struct TokenForm(Option<Generic>);

/// What is taken beside tokens of RFC 9068.
#[derive(Clone, Debug, Default)]
struct Generic {
    types: Vec<String>,
    untyped: bool,
}

impl TokenForm {
    /// As RFC 9068 has them, and no others.
    pub const fn rfc9068() -> Self {
        Self(None)
    }

    /// Takes tokens of these types (the `typ` of the header, such as `JWT`) beside those of type `at+jwt`. The client may be named by
    /// `azp` where there is no `client_id`, and a `jti` may be missing: [`Principal::token_id`](crate::Principal::token_id) is made
    /// from the content of the token then, and revoking it by that name does nothing. All else that RFC 9068 requires is required:
    /// `iss`, `aud` with this service, `sub`, `exp` and `iat`.
    ///
    /// # What is refused, and what is not
    ///
    /// A type that says nothing is shared by everything that the issuer signs, so that the claims have to tell what a token is. Refused
    /// is what is seen to be something else: a token with `nonce`, `at_hash`, `c_hash` or `s_hash`, or whose audience is the client
    /// itself (an ID token), one with `events` (a logout token), one whose claims `typ` or `token_use` say that it is of another kind
    /// (a refresh token), and one that names no client.
    ///
    /// **What remains is a risk that is yours**: whatever else the issuer signs for this audience, with a client, is taken for an access
    /// token, and whoever holds it is let in. Such are ID tokens that an application gets for this service as their audience, as some
    /// issuers hand out to mobile applications, if they have none of these marks. Do not give the service an audience that is the
    /// `client_id` of anything, and do not use this for an issuer that signs for the service what clients are not to act by.
    #[must_use]
    pub fn danger_generic(types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(Some(Generic { types: types.into_iter().map(Into::into).collect(), untyped: false }))
    }

    /// Takes tokens as well that do not say of which type they are, as [`danger_generic`](Self::danger_generic) takes those of a type.
    #[must_use]
    pub fn untyped(self) -> Self {
        Self(Some(Generic { untyped: true, ..self.0.unwrap_or_default() }))
    }

    /// Whether claims are to tell what a token is.
    pub(crate) const fn is_generic(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn takes_untyped(&self) -> bool {
        self.0.as_ref().is_some_and(|generic| generic.untyped)
    }

    /// The types that are taken beside `at+jwt`.
    pub(crate) fn types(&self) -> &[String] {
        self.0.as_ref().map_or(&[], |generic| &generic.types)
    }

    /// A type that no access token has.
    pub(crate) fn unfit(&self) -> Option<&str> {
        let is_unfit = |typ: &&String| !is_type(typ) || OTHERS.iter().any(|other| names(typ, other));
        self.types().iter().find(is_unfit).map(String::as_str)
    }
}

/// What is known to be something else.
const OTHERS: [&str; 9] = [
    "client-authentication+jwt",
    "dpop+jwt",
    "entity-statement+jwt",
    "id+jwt",
    "logout+jwt",
    "oauth-authz-req+jwt",
    "refresh+jwt",
    "secevent+jwt",
    "token-introspection+jwt",
];

/// Whether a text can be a type (RFC 7515 §4.1.9), or one without `application/`.
fn is_type(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+/".contains(&byte);
    !text.is_empty() && text.len() <= 128 && text.bytes().all(is_letter)
}

/// Whether a type is the one of a name (RFC 7515 §4.1.9): media types compare without case, and `application/` may be left out.
pub(crate) fn names(own: &str, typ: &str) -> bool {
    let own = match own.split_at_checked("application/".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
        _ => own,
    };
    own.eq_ignore_ascii_case(typ)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_other_tokens_and_texts_that_are_no_type_are_not_taken() {
        for types in [["JWT"], ["Access-Token"], ["application/x.access+jwt"], ["at+jwt"]] {
            assert_eq!(TokenForm::danger_generic(types).unfit(), None, "{types:?}");
        }
        for typ in ["", "a b", "dpop+jwt", "LOGOUT+JWT", "application/secevent+jwt", "id+jwt", "\u{e4}"] {
            assert_eq!(TokenForm::danger_generic(["JWT", typ]).unfit(), Some(typ));
        }
        assert_eq!(TokenForm::rfc9068().untyped().unfit(), None);
    }

    #[test]
    fn nothing_is_taken_beside_rfc_9068_unless_it_is_said() {
        for strict in [TokenForm::rfc9068(), TokenForm::default()] {
            assert!(!strict.is_generic() && !strict.takes_untyped() && strict.types().is_empty());
        }
        let listed = TokenForm::danger_generic(["JWT"]);
        assert!(listed.is_generic() && !listed.takes_untyped() && listed.types() == ["JWT"]);
        let both = listed.untyped();
        assert!(both.is_generic() && both.takes_untyped() && both.types() == ["JWT"]);
    }
}
