//! How an issuer writes its access tokens.

/// How an issuer writes its access tokens: as RFC 9068 says, or as it did before there was that.
///
/// By RFC 9068, a token says by its type (`at+jwt`) that it is an access token, and has a `client_id` and a `jti`. Many issuers write
/// others, unless they are configured to write these. Have them configured, if that can be: it is the only way to know for certain
/// what a token is (RFC 8725 §3.11).
///
/// What a token is, is one question: [`danger_generic`](Self::danger_generic) and [`danger_untyped`](Self::danger_untyped) answer it.
/// Under which names it says the rest is another: [`client_claim`](Self::client_claim), [`scope_claim`](Self::scope_claim) and
/// [`roles_claim`](Self::roles_claim). A claim that is found there is taken for the one that RFC 9068 has, and held to the same rules.
/// Which of them known issuers need is in a table of their own, `docs/other-issuers.md`.
///
/// ```
/// use portcullis_guard::{Issuer, TokenForm};
///
/// let form = TokenForm::danger_generic(["JWT"]).roles_claim("/realm_access/roles");
/// let issuer = Issuer::oidc("https://id.example.com/realms/orders").token_form(form);
/// # let _ = issuer;
/// ```
#[derive(Clone, Debug, Default)]
pub struct TokenForm(Option<Other>);

/// What is otherwise than in tokens of RFC 9068.
#[derive(Clone, Debug, Default)]
struct Other {
    generic: Option<Generic>,
    places: Option<Places>,
}

/// What is taken beside tokens of RFC 9068.
#[derive(Clone, Debug, Default)]
struct Generic {
    types: Vec<String>,
    untyped: bool,
}

/// Where claims stand that are elsewhere, and what has to stand there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    pub(crate) client: Option<String>,
    pub(crate) scope: Option<String>,
    /// A JSON pointer.
    pub(crate) roles: Option<String>,
    /// Claims, and what each has to say.
    pub(crate) required: Vec<(String, String)>,
    /// The clients whose tokens need no audience.
    pub(crate) without_audience: Vec<String>,
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
    /// `client_id` of anything, and do not use this for an issuer that signs for the service what clients are not to act by. Where
    /// access tokens say of themselves what they are, [`must_have`](Self::must_have) has it asked of each.
    #[must_use]
    pub fn danger_generic(types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let generic = Generic { types: types.into_iter().map(Into::into).collect(), untyped: false };
        Self(Some(Other { generic: Some(generic), places: None }))
    }

    /// Takes tokens as well that do not say of which type they are, as [`danger_generic`](Self::danger_generic) takes those of a type.
    ///
    /// The risk is the same one: no type says even less than `JWT`, so that of everything that the issuer signs for this audience only the
    /// claims tell what it is. It is one too where nothing else than [`rfc9068`](Self::rfc9068) is taken beside.
    #[must_use]
    pub fn danger_untyped(mut self) -> Self {
        self.other().generic.get_or_insert_default().untyped = true;
        self
    }

    /// The claim that names the client, such as `cid` or `appid`. A token that names another one in `client_id`, or in `azp` where that is
    /// taken, is refused; so is one whose audience is the client, since an ID token is such. Where the claim is not there, `client_id` and
    /// `azp` name the client as ever.
    #[must_use]
    pub fn client_claim(mut self, name: impl Into<String>) -> Self {
        self.places_mut().client = Some(name.into());
        self
    }

    /// The claim that scopes are read from, such as `scp`, in place of `scope`: a text of words with spaces between, or a list of texts
    /// that are a word each. To have such a list read from `scope` itself, name that: by RFC 9068 it is a text.
    #[must_use]
    pub fn scope_claim(mut self, name: impl Into<String>) -> Self {
        self.places_mut().scope = Some(name.into());
        self
    }

    /// Where roles are read from, in place of `roles`: a [JSON pointer](https://www.rfc-editor.org/rfc/rfc6901) to a list of texts,
    /// or to one text for one role, such as `/permissions` or `/realm_access/roles`. Nothing there is no roles; anything else there makes the token a bad one.
    #[must_use]
    pub fn roles_claim(mut self, pointer: impl Into<String>) -> Self {
        self.places_mut().roles = Some(pointer.into());
        self
    }

    /// What a claim of each signed token has to be, a text that is compared as a whole: `token_use` is `access`, or `tid` a tenant. Each call
    /// asks for one more claim. It is not asked of a token that the issuer is asked about ([`Introspection`](crate::Introspection)).
    #[must_use]
    pub fn must_have(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.places_mut().required.push((name.into(), text.into()));
        self
    }

    /// Takes tokens without an audience if they are of one of these clients, as Amazon Cognito writes them. A token that has an `aud` is
    /// held to it as ever, whoever its client is.
    ///
    /// **The risk is yours**: nothing in such a token says that it is for this service. Whatever else these clients call can take a token that
    /// it was sent, and act here as the user who sent it, with every scope of the token. List clients that call this service and
    /// nothing that is not trusted as much as it, and ask for scopes that are its own.
    #[must_use]
    pub fn danger_without_audience_for(
        mut self,
        clients: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.places_mut().without_audience.extend(clients.into_iter().map(Into::into));
        self
    }

    fn other(&mut self) -> &mut Other {
        self.0.get_or_insert_default()
    }

    fn places_mut(&mut self) -> &mut Places {
        self.other().places.get_or_insert_default()
    }

    /// Whether tokens are as RFC 9068 has them, and no others.
    pub(crate) const fn is_rfc9068(&self) -> bool {
        self.0.is_none()
    }

    fn generic(&self) -> Option<&Generic> {
        self.0.as_ref().and_then(|other| other.generic.as_ref())
    }

    /// Whether claims are to tell what a token is.
    pub(crate) fn is_generic(&self) -> bool {
        self.generic().is_some()
    }

    pub(crate) fn takes_untyped(&self) -> bool {
        self.generic().is_some_and(|generic| generic.untyped)
    }

    /// The types that are taken beside `at+jwt`.
    pub(crate) fn types(&self) -> &[String] {
        self.generic().map_or(&[], |generic| &generic.types)
    }

    /// Where claims stand, if any stand elsewhere.
    pub(crate) fn places(&self) -> Option<&Places> {
        self.0.as_ref().and_then(|other| other.places.as_ref())
    }

    /// A type that no access token has.
    pub(crate) fn unfit(&self) -> Option<&str> {
        let is_unfit = |typ: &&String| !is_type(typ) || OTHERS.iter().any(|other| names(typ, other));
        self.types().iter().find(is_unfit).map(String::as_str)
    }

    /// What cannot be the name of a claim, or the place of one, or is there twice.
    pub(crate) fn misplaced(&self) -> Option<&str> {
        self.places().and_then(Places::unfit)
    }
}

impl Places {
    fn unfit(&self) -> Option<&str> {
        let names = [&self.client, &self.scope].into_iter().flatten();
        let misnamed = names.filter(|name| !is_name(name) || OWN.contains(&name.as_str()));
        let misplaced = self.roles.iter().filter(|pointer| !is_place(pointer));
        let asked = self.required.iter().enumerate().map(|(index, (name, _))| (index, name));
        let is_again =
            |index: usize, name: &String| self.required.iter().take(index).any(|(own, _)| own == name);
        let is_void = |index: usize| self.required.get(index).is_some_and(|(_, text)| text.is_empty());
        let misasked =
            asked.filter(|(index, name)| !is_name(name) || is_again(*index, name) || is_void(*index));
        misnamed.chain(misplaced).chain(misasked.map(|(_, name)| name)).next().map(String::as_str)
    }
}

/// The claims that say one thing in every token (RFC 7519 §4.1), and are not to be read as another.
const OWN: [&str; 7] = ["aud", "exp", "iat", "iss", "jti", "nbf", "sub"];

/// The longest name of a claim, and the longest way to one.
const LONGEST: usize = 256;

/// Whether a text can be the name of a claim that somebody means.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST && text.trim() == text && !text.contains(char::is_control)
}

/// Whether a text is a JSON pointer (RFC 6901 §3) to what may be another claim.
fn is_place(pointer: &str) -> bool {
    let Some(steps) = pointer.strip_prefix('/') else { return false };
    let is_escaped = |step: &str| step.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    pointer.len() <= LONGEST
        && steps.split('/').all(|step| is_name(step) && is_escaped(step))
        && steps.split('/').next().is_some_and(|first| !OWN.contains(&first))
}

/// What is known to be something else.
const OTHERS: [&str; 13] = [
    "client-authentication+jwt",
    "dc+sd-jwt",
    "dpop+jwt",
    "entity-statement+jwt",
    "id+jwt",
    "kb+jwt",
    "logout+jwt",
    "oauth-authz-req+jwt",
    "oauth-id-jag+jwt",
    "refresh+jwt",
    "secevent+jwt",
    "token-introspection+jwt",
    "vp+jwt",
];

/// Whether a text can be a type (RFC 7515 §4.1.9), or one without `application/`.
fn is_type(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+/".contains(&byte);
    !text.is_empty() && text.len() <= 128 && text.bytes().all(is_letter)
}

/// Whether a type is the one of a name (RFC 7515 §4.1.9): media types compare without case, and `application/` may be left out.
pub(crate) fn names(own: &str, typ: &str) -> bool {
    subtype(own).eq_ignore_ascii_case(subtype(typ))
}

/// A type without `application/`.
fn subtype(typ: &str) -> &str {
    match typ.split_at_checked("application/".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
        _ => typ,
    }
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
        assert_eq!(TokenForm::rfc9068().danger_untyped().unfit(), None);
    }

    #[test]
    fn a_type_is_the_same_one_with_its_prefix_and_without_on_either_side() {
        for own in ["JWT", "jwt", "application/jwt", "Application/JWT"] {
            for listed in ["JWT", "application/JWT", "APPLICATION/jwt"] {
                assert!(names(own, listed), "{own} {listed}");
            }
        }
        for (own, listed) in
            [("x/jwt", "JWT"), ("JWT", "x/jwt"), ("application/", "JWT"), ("JWT", "application/at+jwt")]
        {
            assert!(!names(own, listed), "{own} {listed}");
        }
    }

    #[test]
    fn nothing_is_taken_beside_rfc_9068_unless_it_is_said() {
        for strict in [TokenForm::rfc9068(), TokenForm::default()] {
            assert!(strict.is_rfc9068() && strict.places().is_none());
            assert!(!strict.is_generic() && !strict.takes_untyped() && strict.types().is_empty());
        }
        let listed = TokenForm::danger_generic(["JWT"]);
        assert!(listed.is_generic() && !listed.takes_untyped() && listed.types() == ["JWT"]);
        let both = listed.danger_untyped();
        assert!(both.is_generic() && both.takes_untyped() && both.types() == ["JWT"]);
        assert!(both.places().is_none());
        let placed = TokenForm::rfc9068().client_claim("cid").scope_claim("scp").roles_claim("/permissions");
        assert!(!placed.is_rfc9068() && !placed.is_generic() && !placed.takes_untyped());
    }

    #[test]
    fn what_is_no_claim_or_says_another_thing_in_every_token_is_not_named() {
        let strict = TokenForm::rfc9068;
        for form in [
            strict().client_claim("cid").scope_claim("scope").roles_claim("/permissions"),
            strict().roles_claim("/resource_access/or~1ders/roles").roles_claim("/a~0b/0"),
            strict().roles_claim("/https:~1~1orders.example~1roles"),
            strict().must_have("token_use", "access").must_have("tid", "a").must_have("sub", "access"),
            strict().danger_without_audience_for(["a", ""]),
        ] {
            assert_eq!(form.misplaced(), None, "{form:?}");
        }
        let long = "x".repeat(257);
        for name in ["", " cid", "c\nd", "sub", "aud", "iss", "jti", &long] {
            assert_eq!(strict().client_claim(name).misplaced(), Some(name));
            assert_eq!(strict().client_claim("cid").scope_claim(name).misplaced(), Some(name));
        }
        for pointer in [
            "",
            "/",
            "roles",
            "/a//b",
            "/a/",
            "/a~b",
            "/a~",
            "/a~2",
            "/sub",
            "/a/ b",
            "/aud/0",
            &format!("/{long}"),
        ] {
            assert_eq!(strict().roles_claim(pointer).misplaced(), Some(pointer));
        }
        for name in ["", "tid ", "token_use"] {
            let form = strict().must_have("token_use", "access").must_have(name, "other");
            assert_eq!(form.misplaced(), Some(name));
        }
        assert_eq!(strict().must_have("tid", "").misplaced(), Some("tid"), "nothing is nothing to have");
    }
}
