//! A client before and after a change.

use crate::domain::client::Client;
use crate::services::clients::profile;

/// Whether what was issued to a client may be more than what would be issued now, bound to less, or call somebody by another name.
pub(super) fn has_other_reach(before: &Client, after: &Client) -> bool {
    let exchange = |client: &Client| client.settings.protocol.token_exchange.clone();
    let subject = |client: &Client| client.settings.protocol.openid.subject.clone();
    let constraint = |client: &Client| client.settings.protocol.sender_constraint;
    before.scopes != after.scopes
        || before.settings.apis != after.settings.apis
        || before.settings.details_types != after.settings.details_types
        || exchange(before) != exchange(after)
        || subject(before) != subject(after)
        || constraint(before) != constraint(after)
        || profile::is_tightened(before, after)
}

pub(super) fn differences(before: &Client, after: &Client) -> Vec<&'static str> {
    [
        ("name", before.name != after.name),
        ("organisation", before.organisation != after.organisation),
        ("authentication", before.authentication.method != after.authentication.method),
        ("jwks", before.authentication.keys != after.authentication.keys),
        ("grants", before.grants != after.grants),
        ("redirect_uris", before.redirects != after.redirects),
        ("post_logout_redirect_uris", before.post_logout_redirects != after.post_logout_redirects),
        ("scopes", before.scopes != after.scopes),
        ("apis", before.settings.apis != after.settings.apis),
        ("authorization_details_types", before.settings.details_types != after.settings.details_types),
        ("serves", before.settings.serves != after.settings.serves),
        (
            "options",
            (before.settings.first_party, before.settings.id_token_alg)
                != (after.settings.first_party, after.settings.id_token_alg),
        ),
        ("profile", before.settings.profile != after.settings.profile),
        ("protocol", before.settings.protocol != after.settings.protocol),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}
