//! Whether the server can do what a client wants of it: call the addresses that it names.

use crate::domain::claims::OPENID;
use crate::domain::client_authentication::ClientKeys;
use crate::outbound::Rules;
use crate::services::clients::ciba;
use crate::services::clients::form::{Blueprint, JWKS_URI};
use crate::services::clients::protocol::BACKCHANNEL_URI;
use crate::services::fields::FieldErrors;

/// A blueprint whose addresses may be called, as far as that can be said before their names are looked up.
pub(super) fn checked(blueprint: Blueprint, rules: &Rules) -> Result<Blueprint, FieldErrors> {
    let mut errors = FieldErrors::default();
    if let Some(ClientKeys::At(url)) = &blueprint.keys
        && let Err(refused) = rules.check(url.url())
    {
        errors.refuse(JWKS_URI, "unreachable", refused.to_string());
    }
    if let Some(told) = &blueprint.settings.protocol.backchannel_logout {
        if let Err(refused) = rules.check(told.uri.url()) {
            errors.refuse(BACKCHANNEL_URI, "unreachable", refused.to_string());
        }
        if !blueprint.scopes.contains(OPENID) {
            let message = "a client without the scope `openid` gets no ID token, so it is never told";
            errors.refuse(BACKCHANNEL_URI, "contradiction", message);
        }
    }
    if let Some(settings) = &blueprint.settings.protocol.openid.ciba {
        ciba::check_reach(&mut errors, settings, &blueprint.scopes, rules);
    }
    errors.finish(Some(blueprint))
}
