//! What a person allowed a client, remembered.

use crate::domain::claim::ClaimSet;
use crate::domain::client::{Client, FirstParty};
use crate::domain::clock::Timestamp;
use crate::domain::details::Details;
use crate::domain::ids::{ApiId, ClientId, UserId};
use crate::domain::scope::ScopeSet;

/// What a user allowed a client, until it is taken back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Consent {
    /// Who allowed it.
    pub user: UserId,
    /// To whom.
    pub client: ClientId,
    /// Where the client may act for the user; `None` for nowhere but at this server.
    ///
    /// A token for an API carries the roles that the user has there, so what was allowed for one API says nothing of another.
    pub api: Option<ApiId>,
    /// What.
    pub scopes: ScopeSet,
    /// Claims that the scopes do not reveal, each asked for by itself.
    pub claims: ClaimSet,
    /// What was allowed in detail at the API, as far as that is remembered.
    pub details: Details,
    /// When it was allowed last.
    pub granted_at: Timestamp,
}

/// Whether the request itself wants the person to be asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConsentPrompt {
    /// `prompt=consent` (OpenID Connect Core §3.1.2.1).
    Always,
    /// Only when there is something new.
    WhenNeeded,
}

/// Whether a person has to be asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConsentNeed {
    /// Ask.
    Ask,
    /// Go on: it was allowed before, or the client is our own.
    None,
}

impl Consent {
    /// Whether these scopes and single claims were allowed. Who allowed a scope allowed each claim that it reveals.
    pub fn covers(&self, scopes: &ScopeSet, claims: &ClaimSet) -> bool {
        scopes.is_subset_of(&self.scopes) && claims.beyond(&self.scopes).is_subset_of(&self.claims)
    }
}

/// Whether what is asked for in detail was allowed before: each is one that is remembered, or less of it (RFC 9396 §6.1).
pub fn details_need(client: &Client, asked: &Details, held: Option<&Consent>) -> ConsentNeed {
    let is_ours = client.settings.first_party == FirstParty::Yes;
    let allowed = asked.is_empty() || held.is_some_and(|consent| consent.details.cover(asked));
    if is_ours || allowed { ConsentNeed::None } else { ConsentNeed::Ask }
}

/// Decides whether a person has to be asked before `client` gets `scopes` and single `claims`; `held` is what was allowed for the same
/// API.
pub fn needs_consent(
    client: &Client,
    (scopes, claims): (&ScopeSet, &ClaimSet),
    held: Option<&Consent>,
    prompt: ConsentPrompt,
) -> ConsentNeed {
    let allowed_before = held.is_some_and(|consent| consent.covers(scopes, claims));
    match (prompt, client.settings.first_party) {
        (ConsentPrompt::WhenNeeded, FirstParty::Yes) => ConsentNeed::None,
        (ConsentPrompt::WhenNeeded, FirstParty::No) if allowed_before => ConsentNeed::None,
        (ConsentPrompt::Always, _) | (ConsentPrompt::WhenNeeded, FirstParty::No) => ConsentNeed::Ask,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::domain::secret::Entropy;

    const NOW: Timestamp = Timestamp::from_secs(1);

    fn scopes(raw: &str) -> ScopeSet {
        ScopeSet::parse(raw).unwrap()
    }

    fn client(first_party: FirstParty) -> Client {
        let mut client = Client { scopes: scopes("openid email"), ..Client::sample() };
        client.settings.first_party = first_party;
        client
    }

    fn held(client: &Client, raw: &str) -> Consent {
        let user = UserId::generate(NOW, &Entropy::seeded(2));
        let claims = ClaimSet::default();
        let (client, details) = (client.id.clone(), Details::default());
        Consent { user, client, api: None, scopes: scopes(raw), claims, details, granted_at: NOW }
    }

    #[test]
    fn a_stranger_is_asked_until_everything_was_allowed() {
        let client = client(FirstParty::No);
        let need = |held: Option<&Consent>| {
            needs_consent(
                &client,
                (&scopes("openid email"), &ClaimSet::default()),
                held,
                ConsentPrompt::WhenNeeded,
            )
        };
        assert_eq!(need(None), ConsentNeed::Ask);
        assert_eq!(need(Some(&held(&client, "openid"))), ConsentNeed::Ask);
        assert_eq!(need(Some(&held(&client, "openid email profile"))), ConsentNeed::None);
    }

    #[test]
    fn our_own_client_asks_only_when_told_to() {
        let client = client(FirstParty::Yes);
        let (asked, none) = (scopes("openid"), ClaimSet::default());
        let need = |prompt| needs_consent(&client, (&asked, &none), None, prompt);
        assert_eq!(need(ConsentPrompt::WhenNeeded), ConsentNeed::None);
        assert_eq!(need(ConsentPrompt::Always), ConsentNeed::Ask);
    }

    #[test]
    fn a_single_claim_is_allowed_by_itself_or_with_its_scope() {
        let client = client(FirstParty::No);
        let wanted: ClaimSet = "nickname".parse().unwrap();
        let need = |consent: &Consent| {
            needs_consent(&client, (&scopes("openid"), &wanted), Some(consent), ConsentPrompt::WhenNeeded)
        };
        let plain = held(&client, "openid email");
        assert_eq!(need(&plain), ConsentNeed::Ask);
        assert_eq!(need(&held(&client, "openid profile")), ConsentNeed::None);
        assert_eq!(need(&Consent { claims: wanted.clone(), ..plain.clone() }), ConsentNeed::None);
        assert_eq!(need(&Consent { claims: "gender".parse().unwrap(), ..plain }), ConsentNeed::Ask);
    }

    #[test]
    fn details_are_allowed_once_they_are_remembered_and_as_long_as_they_are_no_more() {
        let details = |raw: &str| Details::parse(raw).unwrap();
        let (client, ours) = (client(FirstParty::No), client(FirstParty::Yes));
        let both = details(r#"[{"type":"files","actions":["read","write"]}]"#);
        let less = details(r#"[{"type":"files","actions":["read"]}]"#);
        let consent = |details: &Details| Consent { details: details.clone(), ..held(&client, "openid") };
        assert_eq!(details_need(&client, &Details::default(), None), ConsentNeed::None);
        assert_eq!(details_need(&client, &both, None), ConsentNeed::Ask);
        assert_eq!(details_need(&client, &both, Some(&consent(&less))), ConsentNeed::Ask);
        assert_eq!(details_need(&client, &less, Some(&consent(&both))), ConsentNeed::None);
        assert_eq!(details_need(&ours, &both, None), ConsentNeed::None);
    }
}
