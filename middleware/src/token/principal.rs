//! Who is calling, as a verified token says.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::claims::{AccessClaims, Confirmation, NumericDate, Text};
use super::details;
use super::fault::TokenFault;
use crate::revocation::{Revoked, TokenNames, TokenStanding};

/// A caller whose access token was verified.
///
/// An extension of the request. As an argument of a handler of axum it proves that the guard let the request through; a route without a
/// guard answers 401. Cheap to clone.
#[derive(Clone)]
pub struct Principal {
    verified: Arc<Verified>,
    /// When the issuer was asked about the token, by the steady clock, if it was.
    asked: Option<Duration>,
}

/// A token that was verified, and under which keys.
pub(crate) struct Verified {
    pub(crate) claims: AccessClaims,
    /// The claims as they were signed.
    payload: Vec<u8>,
    /// The token that says so, if it can say so itself.
    token: Option<Arc<str>>,
    /// Which issuer of the guard's, and which generation of its keys.
    pub(crate) trust: usize,
    pub(crate) generation: u64,
    /// When the issuer was asked, by the steady clock, where it is its answer.
    pub(crate) asked: Option<Duration>,
    standing: TokenStanding,
}

impl Verified {
    pub(crate) fn new(claims: AccessClaims, payload: Vec<u8>, trust: usize, generation: u64) -> Self {
        let standing = TokenStanding::default();
        Self { claims, payload, token: None, trust, generation, asked: None, standing }
    }

    /// As this token says.
    pub(crate) fn by(self, token: Arc<str>) -> Self {
        Self { token: Some(token), ..self }
    }

    pub(crate) const fn token(&self) -> Option<&Arc<str>> {
        self.token.as_ref()
    }

    /// The names by which it can be revoked.
    fn names(&self) -> TokenNames<'_> {
        TokenNames {
            issuer: self.trust,
            token: self.claims.said(Text::Jti),
            subject: self.claims.said(Text::Sub),
            client: self.claims.said(Text::ClientId),
            grant: self.claims.text(Text::Gid),
            issued_at: self.claims.dates.iat.0,
        }
    }

    /// Whether it was revoked, as far as somebody tells.
    pub(crate) fn is_revoked(&self, revoked: Option<&Revoked>) -> bool {
        revoked.is_some_and(|revoked| revoked.concerns(&self.names(), &self.standing))
    }

    pub(crate) const fn payload_len(&self) -> usize {
        self.payload.len()
    }
}

impl Principal {
    /// The user, or the client itself where no user is involved (`sub`). Unique per issuer only.
    pub fn subject(&self) -> &str {
        self.verified.claims.said(Text::Sub)
    }

    /// The client that the token was issued to: its `client_id`, or what else [`TokenForm`](crate::TokenForm) allows in its place.
    pub fn client_id(&self) -> &str {
        self.verified.claims.said(Text::ClientId)
    }

    /// Who issued the token.
    pub fn issuer(&self) -> &str {
        self.verified.claims.said(Text::Iss)
    }

    /// The scopes of the token, from where [`TokenForm`](crate::TokenForm) says that they are.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        // RFC 6749 §3.3: a list delimited by spaces.
        self.verified.claims.said(Text::Scope).split(' ').filter(|scope| !scope.is_empty())
    }

    /// Whether the token has a scope.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|own| own == scope)
    }

    /// The roles of the caller in this service, from where [`TokenForm`](crate::TokenForm) says that they are.
    pub fn roles(&self) -> &[String] {
        &self.verified.claims.roles
    }

    /// The organisation that the token speaks for.
    pub fn organisation(&self) -> Option<&str> {
        self.verified.claims.text(Text::Org)
    }

    /// The session at the issuer.
    pub fn session_id(&self) -> Option<&str> {
        self.verified.claims.text(Text::Sid)
    }

    /// The name of the token: its `jti`, or one that is made from its content where [`TokenForm`](crate::TokenForm) allows that there is none.
    pub fn token_id(&self) -> &str {
        self.verified.claims.said(Text::Jti)
    }

    /// When the user signed in, in seconds since the Unix epoch.
    pub fn auth_time(&self) -> Option<u64> {
        self.verified.claims.dates.auth_time.map(|NumericDate(secs)| secs)
    }

    /// How the user signed in (`acr`).
    pub fn authentication_class(&self) -> Option<&str> {
        self.verified.claims.text(Text::Acr)
    }

    /// Whether the token is bound to a key that the caller has proven to have, by a DPoP proof (RFC 9449).
    pub fn has_proven_key(&self) -> bool {
        self.confirmation().is_some_and(|confirmation| confirmation.jkt.is_some())
    }

    /// Whether the token is bound to the certificate that the caller has shown (RFC 8705).
    pub fn has_proven_certificate(&self) -> bool {
        self.confirmation().is_some_and(|confirmation| confirmation.x5t.is_some())
    }

    pub(crate) fn verified(&self) -> &Verified {
        &self.verified
    }

    /// When the issuer was asked about the token, by the steady clock, if it was.
    pub(crate) const fn asked(&self) -> Option<Duration> {
        self.asked
    }

    /// The same, about whose token the issuer was asked then.
    pub(crate) fn asked_at(self, asked: Option<Duration>) -> Self {
        Self { asked, ..self }
    }

    /// The caller of a token that is good by its signature, once the issuer has said that it is active. What was signed stays as it
    /// is: an answer need not repeat it (RFC 7662 §2.2), and what it leaves out, such as a binding, is not taken back by that.
    pub(crate) fn confirmed_by(self, said: &Verified) -> Result<Self, TokenFault> {
        let own = &self.verified.claims;
        let differs = |name| said.claims.text(name) != own.text(name);
        let is_bound_otherwise = said.claims.cnf.is_some() && said.claims.cnf != own.cnf;
        if is_bound_otherwise || [Text::Iss, Text::Sub, Text::ClientId].into_iter().any(differs) {
            return Err(TokenFault::Contradicted);
        }
        Ok(self.asked_at(said.asked))
    }

    pub(crate) fn confirmation(&self) -> Option<&Confirmation> {
        self.verified.claims.cnf.as_ref()
    }

    /// When the token expires, in seconds since the Unix epoch.
    pub fn expires_at(&self) -> u64 {
        self.verified.claims.dates.exp.0
    }

    /// The claims of the token as `T` reads them; `None` when they are not those.
    pub fn claims<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.verified.payload).ok()
    }
}

impl Principal {
    /// What the token may be used for in detail (`authorization_details`, RFC 9396): the details of one type, as `T` reads them.
    /// One that is not what `T` reads is left out, so that nobody acts on half of it.
    ///
    /// ```
    /// # use portcullis_guard::Principal;
    /// #[derive(serde::Deserialize)]
    /// #[serde(deny_unknown_fields)]
    /// struct Payment {
    ///     r#type: String,
    ///     amount: String,
    /// }
    ///
    /// fn allowed(caller: &Principal, amount: &str) -> bool {
    ///     caller.details::<Payment>("payment").iter().any(|payment| payment.amount == amount)
    /// }
    /// ```
    pub fn details<T: DeserializeOwned>(&self, kind: &str) -> Vec<T> {
        details::of_type(&self.verified.payload, kind)
    }
}

impl From<Arc<Verified>> for Principal {
    fn from(verified: Arc<Verified>) -> Self {
        let asked = verified.asked;
        Self { verified, asked }
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Principal")
            .field("subject", &self.subject())
            .field("client_id", &self.client_id())
            .field("organisation", &self.organisation())
            .field("roles", &self.roles())
            .field("scopes", &self.verified.claims.said(Text::Scope))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A principal with some claims; roles are given as one text with spaces between.
    pub(crate) fn principal(claims: &[(&str, &str)]) -> Principal {
        let mut payload = json!({
            "iss": "https://id.test", "aud": "https://api.test", "sub": "u", "client_id": "c", "jti": "j",
            "exp": 2_000_000_000, "iat": 1_999_999_700,
        });
        for (name, value) in claims {
            payload[*name] = if *name == "roles" { value.split(' ').collect() } else { Value::from(*value) };
        }
        let payload = payload.to_string().into_bytes();
        Arc::new(Verified::new(AccessClaims::parse(&payload).unwrap(), payload, 0, 1)).into()
    }

    /// A principal whose token says this beside what every one says.
    pub(crate) fn principal_with(more: &str) -> Principal {
        let mut payload = json!({
            "iss": "https://id.test", "aud": "https://api.test", "sub": "u", "client_id": "c", "jti": "j",
            "exp": 2_000_000_000, "iat": 1_999_999_700,
        });
        let more: Value = serde_json::from_str(more).unwrap();
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let payload = payload.to_string().into_bytes();
        Arc::new(Verified::new(AccessClaims::parse(&payload).unwrap(), payload, 0, 1)).into()
    }

    #[test]
    fn debug_shows_who_and_no_token() {
        let shown =
            format!("{:?}", principal(&[("roles", "a b"), ("scope", "x"), ("sid", "secret-session")]));
        assert!(
            shown.contains("\"u\"") && shown.contains("\"b\"") && !shown.contains("secret-session"),
            "{shown}"
        );
    }

    #[test]
    fn claims_are_read_as_the_application_wants_them() {
        #[derive(serde::Deserialize)]
        struct Own {
            tier: String,
        }
        assert_eq!(principal(&[("tier", "gold")]).claims::<Own>().unwrap().tier, "gold");
        assert_eq!(principal(&[]).claims::<Own>().map(|own| own.tier), None);
    }
}
