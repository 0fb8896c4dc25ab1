//! What a login takes from its guard.

use crate::binding::Bindings;
use crate::csrf::CsrfRules;
use crate::entropy::Entropy;
use crate::token::TokenPolicy;

#[cfg_attr(not(feature = "login"), expect(dead_code, reason = "nobody reads what nobody can build with"))]
pub(crate) struct LoginGround<'a> {
    pub(crate) tokens: &'a TokenPolicy,
    pub(crate) entropy: &'a Entropy,
    pub(crate) csrf: &'a CsrfRules,
    pub(crate) bound: &'a Bindings,
}
