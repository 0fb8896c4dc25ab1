//! The applications of a person: what each was allowed, and which hold something that still counts.

use crate::domain::clock::Timestamp;
use crate::domain::consent::Consent;
use crate::domain::ids::{ApiId, ClientId, UserId};
use crate::domain::reach::ApiSet;
use crate::domain::scope::ScopeSet;
use crate::storage::{StoreError, Tx, consents};

/// A grant counts as long as its session, or, where it may outlive that, as long as a token of it can be used.
/// Spaces around both sides make the word a whole word.
const HELD: &str = "
    SELECT g.client_id, g.scopes, g.api_id, g.apis, MIN(g.created_at)
      FROM grants g
     WHERE g.user_id = $1 AND g.revoked_at IS NULL
       AND ((SELECT s.expires_at FROM sessions s WHERE s.id = g.session_id AND s.ended_at IS NULL) > $2
            OR (' ' || g.scopes || ' ' LIKE '% offline_access %'
                AND (SELECT COUNT(*) FROM refresh_tokens t
                      WHERE t.grant_id = g.id AND t.spent_at IS NULL AND t.revoked_at IS NULL
                        AND t.expires_at > $2) > 0))
     GROUP BY g.client_id, g.scopes, g.api_id, g.apis
     ORDER BY g.client_id LIMIT $3";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[HELD];

/// What somebody allowed an application, with what that looks like.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// What was allowed.
    pub consent: Consent,
    /// What the logo of the application is served as, and where it came from.
    pub logo: Option<(String, String)>,
}

/// What an application holds: grants that are of the same.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Held {
    /// The application.
    pub client: ClientId,
    /// What it may do.
    pub scopes: ScopeSet,
    /// Where.
    pub apis: ApiSet,
    /// When it got the first of them.
    pub since: Timestamp,
}

/// What somebody allowed, by application and API.
pub async fn allowed(tx: &mut Tx, user: &UserId, limit: u32) -> Result<Vec<Allowed>, StoreError> {
    let rows = tx.fetch_all(tx.dialect().allowed_applications(), &[user.into(), limit.into()]).await?;
    rows.iter()
        .map(|row| {
            let name: Option<String> = row.get(7)?;
            let logo = name.zip(row.get::<Option<String>>(8)?);
            Ok(Allowed { consent: consents::read_at(row, 0)?, logo })
        })
        .collect()
}

/// What applications hold of somebody that counts at `now`, by application.
pub async fn held(tx: &mut Tx, user: &UserId, now: Timestamp, limit: u32) -> Result<Vec<Held>, StoreError> {
    let rows = tx.fetch_all(HELD, &[user.into(), now.into(), limit.into()]).await?;
    rows.iter()
        .map(|row| {
            let mut apis: ApiSet = row.parse(3)?;
            row.get::<Option<ApiId>>(2)?.into_iter().for_each(|api| apis.add(api));
            Ok(Held { client: row.get(0)?, scopes: row.get(1)?, apis, since: row.get(4)? })
        })
        .collect()
}
