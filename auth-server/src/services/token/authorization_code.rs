//! The authorization code grant ([RFC 6749 §4.1.3](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3)).

use std::sync::Arc;

use serde_json::json;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::client::{Client, FirstParty, GrantType};
use crate::domain::code::CodePayload;
use crate::domain::confirmation::Confirmation;
use crate::domain::grant::{Grant, GrantIdentity};
use crate::domain::once::Once;
use crate::domain::parameters::Parameters;
use crate::domain::pkce::{CodeChallenge, CodeVerifier};
use crate::domain::secret::{Digest32, OpaqueToken, TokenKind};
use crate::services::token::refresh_token::Family;
use crate::services::token::target::still_given;
use crate::services::token::{
    Authorization, Identity, TokenCaller, TokenError, TokenService, binding, family, request,
};
use crate::storage::grants::Standing;
use crate::storage::single_use::Purpose;
use crate::storage::{Tx, grants, refresh_tokens, single_use};

/// What the client shows beside the code.
struct Presented {
    code: Digest32,
    /// Missing where the client may have sent no challenge.
    verifier: Option<CodeVerifier>,
    redirect_uri: Option<String>,
    client: Arc<Client>,
    caller: TokenCaller,
}

impl Presented {
    fn read(caller: &TokenCaller, parameters: &Parameters) -> Result<Self, TokenError> {
        let code = request::required(parameters, "code")?;
        let code = OpaqueToken::parse_as(TokenKind::AuthorizationCode, code);
        let client = Arc::clone(caller.client.client());
        let verifier = match parameters.get("code_verifier")? {
            None if client.must_use_pkce() => return Err(TokenError::Missing("code_verifier")),
            verifier => verifier.map(CodeVerifier::parse).transpose(),
        };
        Ok(Self {
            code: code.map_err(|_| TokenError::CodeNotSpendable)?.digest(),
            verifier: verifier.map_err(|_| TokenError::PkceMismatch)?,
            redirect_uri: parameters.get("redirect_uri")?.map(str::to_owned),
            client,
            caller: caller.clone(),
        })
    }

    /// Whether all that comes with a code fits it.
    fn fits(&self, payload: &CodePayload) -> Result<(), TokenError> {
        if payload.client != self.client.id {
            return Err(TokenError::CodeOfOtherClient);
        }
        let redirect_fits = match self.redirect_uri.as_deref() {
            // Left out in the authorization request, or by a client of OAuth 2.1: it may be left out here too.
            None => {
                payload.redirect_uri.is_empty() || !self.client.settings.profile.demands_repeated_redirect()
            }
            Some(uri) if payload.redirect_uri.is_empty() => self.client.redirect_for(uri).is_some(),
            Some(uri) => uri == payload.redirect_uri,
        };
        if !redirect_fits {
            return Err(TokenError::RedirectMismatch);
        }
        self.answers(payload.binding.challenge.as_ref())?;
        // RFC 9449 §10.
        let named = Confirmation { jkt: payload.binding.jkt.clone(), x5t: None };
        if named.is_met_by(&self.caller.held.held()) { Ok(()) } else { Err(TokenError::KeyMismatch) }
    }

    /// A challenge that was sent is answered, whatever the client is spared; and where none was, nothing answers it (RFC 9700 §2.1.1).
    fn answers(&self, challenge: Option<&CodeChallenge>) -> Result<(), TokenError> {
        match (challenge, &self.verifier) {
            (Some(challenge), Some(verifier)) if challenge.verify(verifier) => Ok(()),
            (Some(_), _) => Err(TokenError::PkceMismatch),
            (None, Some(_)) => Err(TokenError::PkceUnasked),
            // The client may have been held to it meanwhile.
            (None, None) if self.client.must_use_pkce() => Err(TokenError::PkceMismatch),
            (None, None) => Ok(()),
        }
    }

    fn event(&self, action: AuditAction, payload: &CodePayload) -> AuditEvent {
        AuditEvent::new(Actor::Client(self.client.id.clone()), action)
            .on(&payload.grant)
            .from(Some(self.caller.address))
            .with(json!({ "user": payload.user.as_str() }))
    }
}

impl TokenService {
    /// A client shows a code.
    pub(super) async fn authorization_code(
        &self,
        caller: &TokenCaller,
        owed: &mut Once,
        parameters: &Parameters,
    ) -> Result<Authorization, TokenError> {
        let presented = Presented::read(caller, parameters)?;
        let family = caller.client.client().allows(GrantType::RefreshToken).then(|| self.new_family());
        let binding = binding::of_refresh_tokens(caller)?;
        let refresh_token = family.as_ref().map(|family| family.token.clone());
        let client = caller.client.client();
        let wish = self.wish(parameters, client, None).await?;
        let (payload, given, standing) = self
            .spend(owed, move |tx, owed| {
                Box::pin(async move {
                    let (payload, standing) = redeem(tx, &presented, (family, binding), owed).await?;
                    let given = wish.within(&payload.reach, &payload.scopes)?;
                    Ok((payload, given, standing))
                })
            })
            .await?;
        let target = self.target(given.api.as_ref()).await?;
        let allowed = (payload.scopes, &given.details);
        let authorization = self.for_user(client, &standing, allowed, target).await?;
        let identity = Identity { nonce: payload.identity.nonce, ..authorization.identity };
        Ok(Authorization { identity, refresh_token, ..authorization })
    }
}

/// Spends the code and makes its grant.
async fn redeem(
    tx: &mut Tx,
    presented: &Presented,
    (family, binding): (Option<Family>, Confirmation),
    owed: &mut Once,
) -> Result<(CodePayload, Standing), TokenError> {
    let now = presented.caller.now;
    let purpose = Purpose::AuthorizationCode;
    let spent = single_use::consume_from_user::<CodePayload>(tx, purpose, &presented.code, now).await?;
    let Some(payload) = spent else {
        return Err(refuse_replay(tx, presented).await?);
    };
    presented.fits(&payload)?;
    // What the client may ask for can have shrunk since the person was asked.
    let client = presented.caller.client.client();
    still_given(client, payload.reach.apis.iter())?;
    let payload = CodePayload { scopes: payload.scopes.intersection(&client.scopes), ..payload };
    let grant = Grant {
        id: payload.grant.clone(),
        client: payload.client.clone(),
        user: payload.user.clone(),
        session: payload.session.clone(),
        scopes: payload.scopes.clone(),
        reach: payload.reach.clone(),
        binding,
        identity: GrantIdentity { auth_time: payload.auth_time, claims: payload.identity.claims.clone() },
        created_at: now,
        revoked_at: None,
    };
    let event = presented.event(AuditAction::GrantCreated, &payload);
    let standing = family::begin(tx, &grant, (family, owed), event.clone(), now).await?;
    // Somebody took the consent back after the code was issued.
    let is_remembered = standing.at_issue.as_ref().is_some_and(|known| known.is_remembered);
    if client.settings.first_party == FirstParty::No && !is_remembered {
        grants::revoke(tx, &grant.id, now).await?;
        tx.audit(event.refused());
        return Err(TokenError::GrantOver);
    }
    Ok((payload, standing))
}

/// A code that cannot be spent: unknown, expired, or spent before.
///
/// RFC 6749 §4.1.2 and RFC 9700 §4.2.4: a replay revokes what the code bought. It counts only with everything that the
/// first use needed, or whoever saw the code could sign somebody out.
async fn refuse_replay(tx: &mut Tx, presented: &Presented) -> Result<TokenError, TokenError> {
    let spent =
        single_use::find_spent::<CodePayload>(tx, Purpose::AuthorizationCode, &presented.code).await?;
    let Some(payload) = spent.filter(|payload| presented.fits(payload).is_ok()) else {
        return Ok(TokenError::CodeNotSpendable);
    };
    grants::revoke(tx, &payload.grant, presented.caller.now).await?;
    refresh_tokens::revoke_family(tx, &payload.grant, presented.caller.now).await?;
    tx.audit(presented.event(AuditAction::CodeReplayed, &payload).refused());
    Ok(TokenError::CodeReplayed)
}
