//! The grants that a person decides about elsewhere: that of devices ([RFC 8628 §3.4]), and that of sign-ins which a client started from
//! behind ([CIBA §10.1]).
//!
//! As long as nobody decided, a question is one statement. What somebody allowed lies in the store of what is used once, so
//! that what the client asks with buys one grant however often and wherever it is shown.
//!
//! [RFC 8628 §3.4]: https://www.rfc-editor.org/rfc/rfc8628#section-3.4
//! [CIBA §10.1]: https://openid.net/specs/openid-client-initiated-backchannel-authentication-core-1_0.html#token_request

use serde_json::{Map, Value, json};

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::ciba::AUTH_REQ_ID_CLAIM;
use crate::domain::claim::SingleClaims;
use crate::domain::client::GrantType;
use crate::domain::confirmation::Confirmation;
use crate::domain::decoupled::{Approval, PollState};
use crate::domain::grant::{Grant, GrantIdentity};
use crate::domain::once::Once;
use crate::domain::parameters::Parameters;
use crate::domain::secret::{Digest32, OpaqueToken, TokenKind};
use crate::services::token::refresh_token::Family;
use crate::services::token::target::still_given;
use crate::services::token::{
    Authorization, TokenCaller, TokenError, TokenService, binding, family, request,
};
use crate::storage::grants::Standing;
use crate::storage::single_use::Purpose;
use crate::storage::{
    StoreError, Tx, ciba_requests, device_authorizations, grants, refresh_tokens, single_use,
};

/// Where the person decides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Decoupled {
    /// On a page that lists what waits for the person.
    Ciba,
    /// Where the person types the code of a device.
    Device,
}

impl Decoupled {
    /// The parameter with which a client asks.
    const fn parameter(self) -> &'static str {
        match self {
            Self::Ciba => "auth_req_id",
            Self::Device => "device_code",
        }
    }

    const fn kind(self) -> TokenKind {
        match self {
            Self::Ciba => TokenKind::AuthReqId,
            Self::Device => TokenKind::DeviceCode,
        }
    }

    const fn purpose(self) -> Purpose {
        match self {
            Self::Ciba => Purpose::AuthReqId,
            Self::Device => Purpose::DeviceCode,
        }
    }

    /// What it is called in the audit trail.
    const fn name(self) -> &'static str {
        match self {
            Self::Ciba => "ciba",
            Self::Device => "device",
        }
    }
}

/// A client that asks.
struct Presented {
    way: Decoupled,
    code: OpaqueToken,
    digest: Digest32,
    caller: TokenCaller,
}

impl Presented {
    fn read(way: Decoupled, caller: &TokenCaller, parameters: &Parameters) -> Result<Self, TokenError> {
        let code = request::required(parameters, way.parameter())?;
        let code = OpaqueToken::parse_as(way.kind(), code).map_err(|_| TokenError::CodeNotSpendable)?;
        Ok(Self { way, digest: code.digest(), code, caller: caller.clone() })
    }

    async fn poll(&self, tx: &mut Tx) -> Result<Option<PollState>, StoreError> {
        let (client, now) = (&self.caller.client.client().id, self.caller.now);
        match self.way {
            Decoupled::Ciba => ciba_requests::poll(tx, &self.digest, client, now).await,
            Decoupled::Device => device_authorizations::poll(tx, &self.digest, client, now).await,
        }
    }

    /// §10.3.1 of CIBA has an ID token say which request it answers.
    fn claims(&self) -> Map<String, Value> {
        match self.way {
            Decoupled::Ciba => Map::from_iter([(AUTH_REQ_ID_CLAIM.to_owned(), self.code.expose().into())]),
            Decoupled::Device => Map::new(),
        }
    }

    fn event(&self, action: AuditAction, approval: &Approval) -> AuditEvent {
        AuditEvent::new(Actor::Client(approval.client.clone()), action)
            .on(&approval.grant)
            .from(Some(self.caller.address))
            .with(json!({ "user": approval.user.as_str(), (self.way.name()): true }))
    }
}

impl TokenService {
    /// A client asks whether somebody allowed it.
    pub(super) async fn decoupled(
        &self,
        way: Decoupled,
        caller: &TokenCaller,
        owed: &mut Once,
        parameters: &Parameters,
    ) -> Result<Authorization, TokenError> {
        let presented = Presented::read(way, caller, parameters)?;
        let claims = presented.claims();
        let binding = binding::of_refresh_tokens(caller)?;
        let family = caller.client.client().allows(GrantType::RefreshToken).then(|| self.new_family());
        let refresh_token = family.as_ref().map(|family| family.token.clone());
        let client = caller.client.client();
        let wish = self.wish(parameters, client, None).await?;
        let (approval, given, standing) = self
            .spend(owed, move |tx, owed| {
                Box::pin(async move {
                    let (approval, standing) = redeem(tx, &presented, (family, binding), owed).await?;
                    let given = wish.within(&standing.grant.reach, &approval.scopes)?;
                    Ok((approval, given, standing))
                })
            })
            .await?;
        let target = self.target(given.api.as_ref()).await?;
        let allowed = (approval.scopes, &given.details);
        let mut authorization = self.for_user(client, &standing, allowed, target).await?;
        authorization.identity.about.extend(claims);
        Ok(Authorization { refresh_token, ..authorization })
    }
}

/// Finds out what was decided; what was allowed is spent.
async fn redeem(
    tx: &mut Tx,
    presented: &Presented,
    (family, binding): (Option<Family>, Confirmation),
    owed: &mut Once,
) -> Result<(Approval, Standing), TokenError> {
    let TokenCaller { client, now, .. } = &presented.caller;
    let client = client.client();
    match presented.poll(tx).await?.ok_or(TokenError::CodeNotSpendable)? {
        PollState::Allowed => {}
        PollState::Denied => return Err(TokenError::SignInDenied),
        PollState::Expired => return Err(TokenError::SignInExpired),
        PollState::Hurried => return Err(TokenError::SignInHurried),
        PollState::Pending => return Err(TokenError::SignInPending),
    }
    let spent = single_use::consume_from_user(tx, presented.way.purpose(), &presented.digest, *now).await?;
    let Some(approval): Option<Approval> = spent else {
        return Err(refuse_replay(tx, presented).await?);
    };
    // What the client may ask for can have shrunk since the person was asked.
    still_given(client, approval.resource.as_ref())?;
    let approval = Approval { scopes: approval.scopes.intersection(&client.scopes), ..approval };
    let grant = Grant {
        id: approval.grant.clone(),
        client: approval.client.clone(),
        user: approval.user.clone(),
        session: approval.session.clone(),
        scopes: approval.scopes.clone(),
        reach: approval.resource.clone().into(),
        identity: GrantIdentity { auth_time: approval.auth_time, claims: SingleClaims::default() },
        created_at: *now,
        revoked_at: None,
        binding,
    };
    let event = presented.event(AuditAction::GrantCreated, &approval);
    let standing = family::begin(tx, &grant, (family, owed), event, *now).await?;
    Ok((approval, standing))
}

/// What was spent before. Whether the client repeats itself or somebody else has its code, whoever holds what it
/// bought may be the wrong one: it is revoked, as with a replayed authorization code.
async fn refuse_replay(tx: &mut Tx, presented: &Presented) -> Result<TokenError, TokenError> {
    let spent = single_use::find_spent(tx, presented.way.purpose(), &presented.digest).await?;
    let Some(approval): Option<Approval> = spent else { return Ok(TokenError::CodeNotSpendable) };
    grants::revoke(tx, &approval.grant, presented.caller.now).await?;
    refresh_tokens::revoke_family(tx, &approval.grant, presented.caller.now).await?;
    tx.audit(presented.event(AuditAction::CodeReplayed, &approval).refused());
    Ok(TokenError::CodeReplayed)
}
