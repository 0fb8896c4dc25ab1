//! Token exchange ([RFC 8693](https://www.rfc-editor.org/rfc/rfc8693)): a service that was called for a user calls another one for
//! the same user, and the new token says so.
//!
//! It never says more than the token that it is made of: not in scopes, not in time. It is of the same grant and session, and
//! ends with them.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::claims::{AccessTokenClaims, PERSONAL};
use crate::domain::client::{Client, FirstParty};
use crate::domain::client_protocol::TokenExchange;
use crate::domain::clock::Timestamp;
use crate::domain::delegation::{Delegate, may_act};
use crate::domain::details::Details;
use crate::domain::details::fault::DetailsFault;
use crate::domain::ids::ApiId;
use crate::domain::issuer::Issuer;
use crate::domain::once::Once;
use crate::domain::parameters::Parameters;
use crate::domain::scope::ScopeSet;
use crate::services::details;
use crate::services::token::access::LiveToken;
use crate::services::token::exchange_error::ExchangeError;
use crate::services::token::target::{Asked, Target};
use crate::services::token::{Authorization, TokenCaller, TokenError, TokenService, request};
use crate::storage::grants::Standing;

/// The one kind of token that is taken and given (RFC 8693 §3).
pub(super) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// What a token says that was made of another one.
pub(super) struct Exchanged {
    /// Who acts; `None` for a client that passes for the user.
    pub(super) act: Option<Delegate>,
    /// When the tokens end that it was made of.
    pub(super) ends_at: Timestamp,
}

/// A token that counts, all that it says, and what stands behind it.
struct Shown {
    claims: AccessTokenClaims,
    all: Map<String, Value>,
    standing: Option<Standing>,
}

/// Who acts for the user.
enum Acting {
    /// Whom the actor token names, until it ends.
    Named(String, Timestamp),
    /// The client itself.
    Client(String),
    /// The client, which passes for the user.
    Unseen(String),
}

impl TokenService {
    /// A client shows a token of a user, and wants one for another API.
    pub(super) async fn token_exchange(
        &self,
        caller: &TokenCaller,
        owed: &mut Once,
        parameters: &Parameters,
    ) -> Result<Authorization, TokenError> {
        let client = caller.client.client();
        let permission = client.settings.protocol.token_exchange.as_ref();
        let permission = permission.filter(|_| caller.client.is_confidential());
        let permission = permission.ok_or(TokenError::GrantNotAllowed)?;
        check_types(parameters)?;
        let subject = self.shown(caller, request::required(parameters, "subject_token")?).await?;
        let standing = subject.standing.as_ref().ok_or(ExchangeError::NoUser)?;
        let acting = self.acting(caller, parameters, permission).await?;
        // Somebody who acts for herself would hide who really does.
        if matches!(&acting, Acting::Named(actor, _) if *actor == subject.claims.sub) {
            return Err(ExchangeError::ActorIsSubject.into());
        }
        let exchanged = exchanged(&subject, &acting, self.minter.issuer())?;
        let target = self.exchange_target(parameters, &subject, client).await?;
        let wish = request::scope(parameters)?;
        if let Target::Api(api) = &target {
            Asked::Api(Arc::clone(api)).meet(wish.as_ref())?;
        }
        let scopes = narrowed(wish, &subject.claims.scope, client)?;
        let details = self.exchanged_details(parameters, &subject, (client, &target)).await?;
        let mut authorization = self.for_user(client, standing, (scopes, &details), target).await?;
        if authorization.target.id().is_some() && audience(&authorization.target) == subject.claims.aud {
            // Roles of the same API: none that the token does not have.
            authorization.roles.retain(|role| subject.claims.roles.contains(role));
        }
        if matches!(acting, Acting::Unseen(_)) {
            self.note_impersonation(caller, owed, standing, &authorization).await?;
        }
        Ok(Authorization { exchanged: Some(exchanged), ..authorization })
    }

    /// A token of ours that counts now, and that the client has honestly.
    async fn shown(&self, caller: &TokenCaller, token: &str) -> Result<Shown, TokenError> {
        let (claims, all) = self.tokens.read_all(token, caller.now).ok_or(ExchangeError::NotLive)?;
        unbound(&all)?;
        if !self.concerns(caller.client.client(), &claims).await? {
            return Err(ExchangeError::NotConcerned.into());
        }
        let live = self.tokens.check(&mut self.store.read().await?, claims, caller.now).await?;
        let LiveToken { claims, standing, .. } = live.ok_or(ExchangeError::NotLive)?;
        Ok(Shown { claims, all, standing })
    }

    /// A client shows its own tokens, and those that it was called with.
    async fn concerns(&self, client: &Client, claims: &AccessTokenClaims) -> Result<bool, TokenError> {
        if claims.client_id == client.id {
            return Ok(true);
        }
        let Some(serves) = &client.settings.serves else { return Ok(false) };
        let api = self.store.api(serves).await?;
        Ok(api.is_some_and(|api| api.audience.as_str() == claims.aud))
    }

    async fn acting(
        &self,
        caller: &TokenCaller,
        parameters: &Parameters,
        permission: &TokenExchange,
    ) -> Result<Acting, TokenError> {
        let client = caller.client.client().id.to_string();
        let Some(token) = parameters.get("actor_token")? else {
            let unseen = permission.impersonation.is_allowed();
            return Ok(if unseen { Acting::Unseen(client) } else { Acting::Client(client) });
        };
        let actor = self.shown(caller, token).await?;
        if actor.claims.act.is_some() {
            return Err(ExchangeError::SecondHand.into());
        }
        Ok(Acting::Named(actor.claims.sub, Timestamp::from_secs(actor.claims.exp)))
    }

    /// The one API that is asked for, if the client may exchange tokens for it.
    async fn exchange_target(
        &self,
        parameters: &Parameters,
        subject: &Shown,
        client: &Client,
    ) -> Result<Target, TokenError> {
        let resource = request::resource(parameters)?;
        let asked = match (parameters.get("audience")?, resource.as_deref()) {
            (None, None) => subject.claims.aud.as_str(),
            (Some(one), None) | (None, Some(one)) => one,
            (Some(one), Some(same)) if one == same => one,
            (Some(_), Some(_)) => return Err(TokenError::TargetSeveral),
        };
        let api = self.store.api_by_audience(asked).await?.ok_or(TokenError::TargetNotGranted)?;
        // Administrators act themselves, and nobody for them.
        if api.administers || !may_reach(client, &api.id, subject) {
            return Err(TokenError::TargetNotGranted);
        }
        Ok(Target::Api(api))
    }

    /// What the token has in detail, or less of it (RFC 9396 §6). For another API that is nothing: each type is one of an API.
    async fn exchanged_details(
        &self,
        parameters: &Parameters,
        subject: &Shown,
        (client, target): (&Client, &Target),
    ) -> Result<Details, TokenError> {
        let asked = details::asked(parameters)?;
        if let Some(asked) = &asked {
            let places = details::places(&self.store, client, asked).await?;
            if places.iter().any(|place| Some(place) != target.id()) {
                return Err(DetailsFault::Elsewhere.into());
            }
        }
        let has = &subject.claims.authorization_details;
        has.narrowed(asked.as_ref()).ok_or_else(|| DetailsFault::Exceeding.into())
    }

    /// A token that does not say who acts leaves no other trace of it.
    async fn note_impersonation(
        &self,
        caller: &TokenCaller,
        owed: &mut Once,
        standing: &Standing,
        authorization: &Authorization,
    ) -> Result<(), TokenError> {
        let client = caller.client.client().id.clone();
        let detail =
            json!({ "api": authorization.target.id(), "scope": authorization.allowed.scopes.to_string() });
        let event = AuditEvent::new(Actor::Client(client), AuditAction::UserImpersonated)
            .on(&standing.user.id)
            .from(Some(caller.address))
            .with(detail);
        self.spend(owed, move |tx, _| {
            Box::pin(async move {
                tx.audit(event);
                Ok(())
            })
        })
        .await
    }
}

/// RFC 9449 §6 and RFC 8705 §3: whoever shows a bound token has to prove that the key is theirs. Nobody proves it here, and the new
/// token would be bound to nothing.
fn unbound(all: &Map<String, Value>) -> Result<(), ExchangeError> {
    if all.contains_key("cnf") { Err(ExchangeError::Bound) } else { Ok(()) }
}

/// RFC 8693 §4.1 and §4.4: who acts stands before those who acted, if the subject lets them.
fn exchanged(subject: &Shown, acting: &Acting, issuer: &Issuer) -> Result<Exchanged, ExchangeError> {
    let (Acting::Named(actor, _) | Acting::Client(actor) | Acting::Unseen(actor)) = acting;
    if !subject.all.get("may_act").is_none_or(|claim| may_act(claim, actor, issuer)) {
        return Err(ExchangeError::ActorUnwanted);
    }
    let ends_at = Timestamp::from_secs(subject.claims.exp);
    let before = subject.claims.act.clone();
    let behind = |before| Delegate::behind(actor.clone(), before).map(Some).ok_or(ExchangeError::Chain);
    Ok(match acting {
        Acting::Named(_, until) => Exchanged { act: behind(before)?, ends_at: ends_at.min(*until) },
        Acting::Client(_) => Exchanged { act: behind(before)?, ends_at },
        Acting::Unseen(_) => Exchanged { act: before, ends_at },
    })
}

fn audience(target: &Target) -> &str {
    match target {
        Target::Api(api) => api.audience.as_str(),
        Target::Issuer => "",
    }
}

/// RFC 8693 §2.1 and §3.
fn check_types(parameters: &Parameters) -> Result<(), TokenError> {
    let given = |name: &'static str| Ok::<_, TokenError>(parameters.get(name)?.is_some());
    if request::required(parameters, "subject_token_type")? != ACCESS_TOKEN {
        return Err(ExchangeError::TokenType.into());
    }
    if given("actor_token")? != given("actor_token_type")? {
        return Err(ExchangeError::ActorType.into());
    }
    for name in ["actor_token_type", "requested_token_type"] {
        if parameters.get(name)?.is_some_and(|kind| kind != ACCESS_TOKEN) {
            return Err(ExchangeError::TokenType.into());
        }
    }
    Ok(())
}

/// Whether the client may exchange tokens for an API. With what a user granted to itself it gets no further than the user let it,
/// unless it belongs to us: what a service was called with, it may carry on.
fn may_reach(client: &Client, api: &ApiId, subject: &Shown) -> bool {
    let permitted =
        client.settings.protocol.token_exchange.as_ref().is_some_and(|exchange| exchange.apis.contains(api));
    let grant = subject.standing.as_ref().map(|standing| &standing.grant);
    // Not whom the token is of: an exchanged one is of whoever exchanged it.
    let own = grant.is_none_or(|grant| grant.client == client.id);
    let granted = grant.is_some_and(|grant| grant.reach.apis.contains(api));
    permitted
        && client.settings.apis.contains(api)
        && (!own || client.settings.first_party == FirstParty::Yes || granted)
}

/// What the token has and the client may ask for; never more. An exchange is for an API and brings neither ID token nor refresh token,
/// so the scopes of the sign-in fall away.
fn narrowed(asked: Option<ScopeSet>, subject: &ScopeSet, client: &Client) -> Result<ScopeSet, TokenError> {
    let within = subject.intersection(&client.scopes);
    match asked {
        Some(asked) if asked.is_subset_of(&within) && !asked.is_empty() => Ok(without_sign_in(&asked)),
        Some(_) => Err(TokenError::Scope),
        None => Ok(without_sign_in(&within)),
    }
}

fn without_sign_in(scopes: &ScopeSet) -> ScopeSet {
    scopes.only(|scope| !PERSONAL.contains(&scope))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> ScopeSet {
        ScopeSet::parse(text).unwrap()
    }

    fn scopes(asked: Option<&str>, subject: &str, registered: &str) -> Option<String> {
        let client = Client { scopes: set(registered), ..Client::sample() };
        narrowed(asked.map(set), &set(subject), &client).ok().map(|scopes| scopes.to_string())
    }

    fn shown(more: &Value) -> Shown {
        let mut all = json!({ "iss": "https://id.example.com", "sub": "ada", "aud": "https://orders.test",
            "client_id": "cli_00000000000070008000000000000001", "exp": 1_000_300, "iat": 1_000_000, "jti": "a" });
        let all = all.as_object_mut().unwrap();
        all.extend(more.as_object().unwrap().clone());
        let mut known = all.clone();
        known.remove("cnf");
        let claims = serde_json::from_value(Value::Object(known)).unwrap();
        Shown { claims, all: all.clone(), standing: None }
    }

    fn acts(subject: &Shown, acting: &Acting) -> Result<(Value, i64), ExchangeError> {
        let issuer = Issuer::parse("https://id.example.com").unwrap();
        exchanged(subject, acting, &issuer).map(|found| (json!(found.act), found.ends_at.as_secs()))
    }

    #[test]
    fn who_acts_stands_first_and_who_passes_for_the_user_not_at_all() {
        let named = |secs| Acting::Named("bob".to_owned(), Timestamp::from_secs(secs));
        let (client, unseen) = (Acting::Client("cli_b".to_owned()), Acting::Unseen("cli_b".to_owned()));
        let plain = shown(&json!({}));
        assert_eq!(acts(&plain, &client), Ok((json!({ "sub": "cli_b" }), 1_000_300)));
        assert_eq!(
            acts(&plain, &named(1_000_100)),
            Ok((json!({ "sub": "bob" }), 1_000_100)),
            "until both end"
        );
        assert_eq!(acts(&plain, &named(1_000_900)), Ok((json!({ "sub": "bob" }), 1_000_300)));
        assert_eq!(acts(&plain, &unseen), Ok((json!(null), 1_000_300)));
        let acted = shown(&json!({ "act": { "sub": "cli_a" } }));
        assert_eq!(acts(&acted, &client).unwrap().0, json!({ "sub": "cli_b", "act": { "sub": "cli_a" } }));
        assert_eq!(acts(&acted, &unseen).unwrap().0, json!({ "sub": "cli_a" }), "who acted is not forgotten");
    }

    #[test]
    fn a_token_that_names_who_may_act_lets_nobody_else() {
        let subject = shown(&json!({ "may_act": { "sub": "bob" } }));
        let later = Timestamp::from_secs(1_000_300);
        assert!(acts(&subject, &Acting::Named("bob".to_owned(), later)).is_ok());
        for other in [
            Acting::Named("eve".to_owned(), later),
            Acting::Client("cli_b".to_owned()),
            Acting::Unseen("cli_b".to_owned()),
        ] {
            assert_eq!(acts(&subject, &other), Err(ExchangeError::ActorUnwanted));
        }
    }

    #[test]
    fn a_bound_token_is_not_exchanged_whatever_it_is_bound_to() {
        assert_eq!(unbound(&shown(&json!({})).all), Ok(()));
        for cnf in [json!({ "jkt": "x" }), json!({ "x5t#S256": "x" }), json!({}), json!(null), json!("odd")] {
            assert_eq!(unbound(&shown(&json!({ "cnf": cnf })).all), Err(ExchangeError::Bound), "{cnf}");
        }
    }

    #[test]
    fn scopes_are_those_of_the_token_and_of_the_client_and_never_more() {
        assert_eq!(scopes(None, "read write", "read audit").as_deref(), Some("read"));
        assert_eq!(scopes(Some("read"), "read write", "read write").as_deref(), Some("read"));
        assert_eq!(scopes(Some("write"), "read", "read write"), None, "not in the token");
        assert_eq!(scopes(Some("write"), "read write", "read"), None, "not the client's");
        assert_eq!(scopes(None, "read", "").as_deref(), Some(""));
        let all = "openid offline_access email read";
        assert_eq!(
            scopes(None, all, all).as_deref(),
            Some("read"),
            "nobody signs in, and no API is told of who did"
        );
        assert_eq!(scopes(Some(all), all, all).as_deref(), Some("read"));
    }

    #[test]
    fn kinds_of_tokens_are_named_and_only_access_tokens_are_taken() {
        let outcome = |more: &str| {
            let form = format!("subject_token=x&subject_token_type={ACCESS_TOKEN}&{more}");
            match check_types(&Parameters::parse(form.as_bytes()).unwrap()) {
                Ok(()) => None,
                Err(TokenError::Exchange(error)) => Some(error),
                Err(error) => panic!("{error}"),
            }
        };
        let id_token = "urn:ietf:params:oauth:token-type:id_token";
        let refresh = "urn:ietf:params:oauth:token-type:refresh_token";
        assert_eq!(outcome(""), None);
        assert_eq!(outcome(&format!("requested_token_type={ACCESS_TOKEN}")), None);
        assert_eq!(outcome(&format!("actor_token=y&actor_token_type={ACCESS_TOKEN}")), None);
        assert_eq!(outcome(&format!("requested_token_type={refresh}")), Some(ExchangeError::TokenType));
        assert_eq!(
            outcome(&format!("actor_token=y&actor_token_type={id_token}")),
            Some(ExchangeError::TokenType)
        );
        assert_eq!(outcome("actor_token=y"), Some(ExchangeError::ActorType));
        assert_eq!(outcome(&format!("actor_token_type={ACCESS_TOKEN}")), Some(ExchangeError::ActorType));
        let other = Parameters::parse(format!("subject_token_type={id_token}").as_bytes()).unwrap();
        assert!(matches!(check_types(&other), Err(TokenError::Exchange(ExchangeError::TokenType))));
        let none = Parameters::parse(b"subject_token=x").unwrap();
        assert!(matches!(check_types(&none), Err(TokenError::Missing("subject_token_type"))));
    }
}
