//! The refresh token grant, with rotation ([RFC 6749 §6](https://www.rfc-editor.org/rfc/rfc6749#section-6),
//! [RFC 9700 §4.14.2](https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2)).
//!
//! Each use spends the token and issues a successor, which is kept sealed beside it. A client that lost the answer may
//! repeat the request for a few seconds and gets the same successor; any other use of a spent token means that two
//! parties hold it, and revokes the family. The tokens of clients whose profile forbids that stay as they are.

use std::time::Duration;

use serde_json::json;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::clock::Timestamp;
use crate::domain::ids::GrantId;
use crate::domain::once::Once;
use crate::domain::parameters::Parameters;
use crate::domain::refresh::{Redemption, RefreshState};
use crate::domain::scope::ScopeSet;
use crate::domain::secret::{Digest32, OpaqueToken, TokenKind};
use crate::domain::security_profile::Rotation;
use crate::keys::seal::Sealer;
use crate::services::token::access::standing_holds;
use crate::services::token::target::still_given;
use crate::services::token::wish::{Given, Wish};
use crate::services::token::{Authorization, TokenCaller, TokenError, TokenService, request};
use crate::storage::grants::{FirstToken, Standing};
use crate::storage::refresh_tokens::{NewRefreshToken, RefreshToken};
use crate::storage::{StoreError, Tx, grants, refresh_tokens};

/// What successors are sealed for.
const PURPOSE: &str = "refresh token successor";

/// A family of refresh tokens that is about to begin.
pub(super) struct Family {
    pub(super) token: OpaqueToken,
    ttl: Duration,
    absolute: Duration,
}

impl Family {
    /// The first token.
    pub(super) fn first(&self, now: Timestamp) -> FirstToken {
        let absolute_expires_at = now.plus(self.absolute);
        FirstToken {
            digest: self.token.digest(),
            expires_at: now.plus(self.ttl).min(absolute_expires_at),
            absolute_expires_at,
        }
    }
}

/// One use of a refresh token.
struct Use {
    presented: Digest32,
    caller: TokenCaller,
    wish: Wish,
    successor: OpaqueToken,
    sealer: Sealer,
    ttl: Duration,
    retry_window: Duration,
}

/// What a use came to.
struct Refreshed {
    standing: Standing,
    scopes: ScopeSet,
    given: Given,
    /// What takes the place of the token, if something does.
    token: Option<OpaqueToken>,
}

impl TokenService {
    pub(super) fn new_family(&self) -> Family {
        Family {
            token: OpaqueToken::generate(TokenKind::Refresh, self.minter.entropy()),
            ttl: self.settings.refresh_ttl,
            absolute: self.settings.refresh_absolute,
        }
    }

    /// A client shows a refresh token.
    pub(super) async fn refresh_token(
        &self,
        caller: &TokenCaller,
        owed: &mut Once,
        parameters: &Parameters,
    ) -> Result<Authorization, TokenError> {
        let client = caller.client.client();
        let presented = request::required(parameters, "refresh_token")?;
        let presented = OpaqueToken::parse_as(TokenKind::Refresh, presented);
        let using = Use {
            presented: presented.map_err(|_| TokenError::RefreshNotSpendable)?.digest(),
            caller: caller.clone(),
            wish: self.wish(parameters, client, request::scope(parameters)?).await?,
            successor: OpaqueToken::generate(TokenKind::Refresh, self.minter.entropy()),
            sealer: self.sealer.clone(),
            ttl: self.settings.refresh_ttl,
            retry_window: self.settings.refresh_retry_window,
        };
        let rotation = client.settings.profile.rotation();
        let refreshed = self
            .spend(owed, move |tx, owed| {
                Box::pin(async move {
                    match rotation {
                        Rotation::EachUse => redeem(tx, using, owed).await,
                        Rotation::Never => renew(tx, using).await,
                    }
                })
            })
            .await?;
        let target = self.target(refreshed.given.api.as_ref()).await?;
        let allowed = (refreshed.scopes, &refreshed.given.details);
        let authorization = self.for_user(client, &refreshed.standing, allowed, target).await?;
        Ok(Authorization { refresh_token: refreshed.token, ..authorization })
    }
}

async fn redeem(tx: &mut Tx, using: Use, owed: &mut Once) -> Result<Refreshed, TokenError> {
    let now = using.caller.now;
    let sealed = using.sealer.seal(PURPOSE, using.presented.as_bytes(), using.successor.expose().as_bytes());
    let (client, held) = (&using.caller.client.client().id, using.caller.held.held());
    let Some(spent) = refresh_tokens::spend(tx, &using.presented, (client, &held), &sealed, now).await?
    else {
        return repeat(tx, using).await;
    };
    let refreshed = allow(tx, &using, &spent.grant, Some(using.successor.clone())).await?;
    let successor = NewRefreshToken {
        digest: using.successor.digest(),
        grant: spent.grant,
        client: spent.client,
        scopes: spent.scopes,
        expires_at: now.plus(using.ttl).min(spent.absolute_expires_at),
        absolute_expires_at: spent.absolute_expires_at,
        once: owed.clone(),
    };
    refresh_tokens::insert(tx, &successor).await?;
    owed.clear();
    Ok(refreshed)
}

/// Uses a token that stays: it lives on as if it were new. One that was spent while the client had another profile still leads to its
/// successor, or to the end of its family.
async fn renew(tx: &mut Tx, using: Use) -> Result<Refreshed, TokenError> {
    let now = using.caller.now;
    let (client, held) = (&using.caller.client.client().id, using.caller.held.held());
    let until = now.plus(using.ttl);
    let Some(token) = refresh_tokens::renew(tx, &using.presented, (client, &held), until, now).await? else {
        return repeat(tx, using).await;
    };
    allow(tx, &using, &token.grant, None).await
}

/// A token that cannot be spent: unknown, of another client, bound to what it does not hold, expired, revoked, or spent before.
async fn repeat(tx: &mut Tx, using: Use) -> Result<Refreshed, TokenError> {
    let found = refresh_tokens::find(tx, &using.presented).await?;
    // Whoever is not the client learns nothing and changes nothing.
    let found = found.filter(|token| token.client == using.caller.client.client().id);
    let token = found.ok_or(TokenError::RefreshNotSpendable)?;
    // Nor does whoever lacks the key: a public client proves by it who it is.
    let standing = grants::standing(tx, &token.grant).await?;
    if !standing.is_some_and(|standing| standing.grant.binding.is_met_by(&using.caller.held.held())) {
        return Err(TokenError::RefreshNotSpendable);
    }
    match token.state.present(using.caller.now, using.retry_window) {
        Redemption::Refuse | Redemption::Rotate => Err(TokenError::RefreshNotSpendable),
        Redemption::BurnFamily => Err(burn(tx, &using, &token.grant).await?),
        Redemption::Retry => match unspent_successor(tx, &using, &token).await? {
            Some(successor) => allow(tx, &using, &token.grant, Some(successor)).await,
            // The successor was used: its holder got the answer, so this is somebody else.
            None => Err(burn(tx, &using, &token.grant).await?),
        },
    }
}

async fn unspent_successor(
    tx: &mut Tx,
    using: &Use,
    token: &RefreshToken,
) -> Result<Option<OpaqueToken>, TokenError> {
    let unreadable = || StoreError::Corrupt { what: "refresh_tokens.successor".to_owned() };
    let sealed = token.successor.as_deref().ok_or_else(unreadable)?;
    let opened = using.sealer.open(PURPOSE, using.presented.as_bytes(), sealed).map_err(|_| unreadable())?;
    let text = str::from_utf8(&opened).map_err(|_| unreadable())?;
    let successor = OpaqueToken::parse_as(TokenKind::Refresh, text).map_err(|_| unreadable())?;
    let state = refresh_tokens::find(tx, &successor.digest()).await?.map(|token| token.state);
    Ok(matches!(state, Some(RefreshState::Active { .. })).then_some(successor))
}

/// Makes sure that the grant still stands and covers what is asked for.
///
/// A wish that goes too far rolls the rotation back: the client keeps its token.
async fn allow(
    tx: &mut Tx,
    using: &Use,
    grant: &GrantId,
    token: Option<OpaqueToken>,
) -> Result<Refreshed, TokenError> {
    let standing = grants::standing_to_issue(tx, grant).await?.ok_or(TokenError::GrantEnded)?;
    if !standing_holds(&standing, using.caller.now) {
        return Err(TokenError::GrantEnded);
    }
    let (granted, client) = (&standing.grant, using.caller.client.client());
    // What the client may ask for can have shrunk since.
    let scopes = narrowed(using.wish.scopes.as_ref(), &granted.scopes.intersection(&client.scopes))?;
    let given = using.wish.within(&granted.reach, &scopes)?;
    still_given(client, given.api.as_ref())?;
    Ok(Refreshed { standing, scopes, given, token })
}

/// RFC 6749 §6: fewer scopes for this one access token, never more; the refresh token keeps them all.
fn narrowed(asked: Option<&ScopeSet>, granted: &ScopeSet) -> Result<ScopeSet, TokenError> {
    match asked {
        None => Ok(granted.clone()),
        Some(asked) if asked.is_subset_of(granted) => Ok(asked.clone()),
        Some(_) => Err(TokenError::Scope),
    }
}

/// Revokes the family and the grant, and with it the access tokens.
async fn burn(tx: &mut Tx, using: &Use, grant: &GrantId) -> Result<TokenError, StoreError> {
    let now = using.caller.now;
    grants::revoke(tx, grant, now).await?;
    refresh_tokens::revoke_family(tx, grant, now).await?;
    let client = using.caller.client.client().id.clone();
    let event = AuditEvent::new(Actor::Client(client), AuditAction::RefreshTokenReplayed);
    tx.audit(event.on(grant).from(Some(using.caller.address)).refused().with(json!({ "family": "revoked" })));
    Ok(TokenError::RefreshReplayed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_narrows_and_never_widens() {
        let set = |text: &str| ScopeSet::parse(text).unwrap();
        let granted = set("openid email");
        assert_eq!(narrowed(None, &granted).unwrap(), granted);
        assert_eq!(narrowed(Some(&set("openid")), &granted).unwrap(), set("openid"));
        assert!(matches!(narrowed(Some(&set("openid profile")), &granted), Err(TokenError::Scope)));
    }
}
