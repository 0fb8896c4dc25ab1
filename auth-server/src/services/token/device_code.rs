//! The device authorization grant ([RFC 8628 §3.4](https://www.rfc-editor.org/rfc/rfc8628#section-3.4)).
//!
//! As long as nobody decided, a question is one statement. What somebody allowed lies in the store of what is used once, so
//! that a device code buys one grant however often and wherever it is shown.

use serde_json::json;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::claim::SingleClaims;
use crate::domain::client::GrantType;
use crate::domain::confirmation::Confirmation;
use crate::domain::device::{DeviceApproval, DeviceState};
use crate::domain::grant::{Grant, GrantIdentity};
use crate::domain::parameters::Parameters;
use crate::domain::secret::{Digest32, OpaqueToken, TokenKind};
use crate::services::token::refresh_token::Family;
use crate::services::token::target::still_given;
use crate::services::token::{
    Authorization, TokenCaller, TokenError, TokenService, binding, family, request,
};
use crate::storage::grants::Standing;
use crate::storage::single_use::Purpose;
use crate::storage::{Tx, device_authorizations, grants, refresh_tokens, single_use};

/// A device that asks.
struct Presented {
    code: Digest32,
    caller: TokenCaller,
}

impl Presented {
    fn read(caller: &TokenCaller, parameters: &Parameters) -> Result<Self, TokenError> {
        let code = request::required(parameters, "device_code")?;
        let code = OpaqueToken::parse_as(TokenKind::DeviceCode, code);
        let code = code.map_err(|_| TokenError::CodeNotSpendable)?.digest();
        Ok(Self { code, caller: caller.clone() })
    }

    fn event(&self, action: AuditAction, approval: &DeviceApproval) -> AuditEvent {
        AuditEvent::new(Actor::Client(approval.client.clone()), action)
            .on(&approval.grant)
            .from(Some(self.caller.address))
            .with(json!({ "user": approval.user.as_str(), "device": true }))
    }
}

impl TokenService {
    /// A device asks whether somebody allowed it.
    pub(super) async fn device_code(
        &self,
        caller: &TokenCaller,
        parameters: &Parameters,
    ) -> Result<Authorization, TokenError> {
        let presented = Presented::read(caller, parameters)?;
        let binding = binding::of_refresh_tokens(caller)?;
        let family = caller.client.client().allows(GrantType::RefreshToken).then(|| self.new_family());
        let refresh_token = family.as_ref().map(|family| family.token.clone());
        let client = caller.client.client();
        let wish = self.wish(parameters, client, None).await?;
        let (approval, given, standing) = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    let (approval, standing) = redeem(tx, &presented, (family, binding)).await?;
                    let given = wish.within(&standing.grant.reach, &approval.scopes)?;
                    Ok::<_, TokenError>((approval, given, standing))
                })
            })
            .await?;
        let target = self.target(given.api.as_ref()).await?;
        let allowed = (approval.scopes, &given.details);
        let authorization = self.for_user(client, &standing, allowed, target).await?;
        Ok(Authorization { refresh_token, ..authorization })
    }
}

/// Finds out what was decided; what was allowed is spent.
async fn redeem(
    tx: &mut Tx,
    presented: &Presented,
    (family, binding): (Option<Family>, Confirmation),
) -> Result<(DeviceApproval, Standing), TokenError> {
    let TokenCaller { client, now, .. } = &presented.caller;
    let client = client.client();
    let state = device_authorizations::poll(tx, &presented.code, &client.id, *now).await?;
    match state.ok_or(TokenError::CodeNotSpendable)? {
        DeviceState::Allowed => {}
        DeviceState::Denied => return Err(TokenError::DeviceDenied),
        DeviceState::Expired => return Err(TokenError::DeviceExpired),
        DeviceState::Hurried => return Err(TokenError::DeviceHurried),
        DeviceState::Pending => return Err(TokenError::DevicePending),
    }
    let spent = single_use::consume::<DeviceApproval>(tx, Purpose::DeviceCode, &presented.code, *now).await?;
    let Some(approval) = spent else {
        return Err(refuse_replay(tx, presented).await?);
    };
    // What the client may ask for can have shrunk since the person was asked.
    still_given(client, approval.resource.as_ref())?;
    let approval = DeviceApproval { scopes: approval.scopes.intersection(&client.scopes), ..approval };
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
    let standing =
        family::begin(tx, &grant, (family, presented.caller.held.proof.clone()), event, *now).await?;
    Ok((approval, standing))
}

/// A device code that was spent before. Whether the device repeats itself or somebody else has its code, whoever holds what it
/// bought may be the wrong one: it is revoked, as with a replayed authorization code.
async fn refuse_replay(tx: &mut Tx, presented: &Presented) -> Result<TokenError, TokenError> {
    let spent = single_use::find_spent::<DeviceApproval>(tx, Purpose::DeviceCode, &presented.code).await?;
    let Some(approval) = spent else { return Ok(TokenError::CodeNotSpendable) };
    grants::revoke(tx, &approval.grant, presented.caller.now).await?;
    refresh_tokens::revoke_family(tx, &approval.grant, presented.caller.now).await?;
    tx.audit(presented.event(AuditAction::CodeReplayed, &approval).refused());
    Ok(TokenError::CodeReplayed)
}
