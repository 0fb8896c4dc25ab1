//! Assignments: who holds which role, and where it counts.

use crate::domain::ids::{ApiId, AssignmentId, ClientId, RoleId, UserId};
use crate::domain::rbac::{Assignment, AssignmentSubject, OrganisationScope, RoleName};
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "
    INSERT INTO assignments (id, role_id, api_id, subject_kind, subject_id, organisation)
    SELECT $1, r.id, r.api_id, $3, $4, $5 FROM roles r WHERE r.id = $2
        ON CONFLICT (subject_id, role_id, organisation) DO NOTHING";
const FIND: &str =
    "SELECT id, role_id, subject_kind, subject_id, organisation FROM assignments WHERE id = $1";
const LIST: &str = "
    SELECT id, role_id, subject_kind, subject_id, organisation
      FROM assignments WHERE api_id = $1 AND id > $2 ORDER BY id LIMIT $3";
const DELETE: &str = "DELETE FROM assignments WHERE id = $1";
const DELETE_OF: &str = "DELETE FROM assignments WHERE subject_id = $1";
const ROLE_IS_HELD: &str = "SELECT 1 FROM assignments WHERE role_id = $1 LIMIT 1";
const ENABLED_HOLDERS: &str = "
    SELECT u.id, r.name
      FROM assignments a
      JOIN roles r ON r.id = a.role_id
      JOIN users u ON u.id = a.subject_id
     WHERE a.api_id = $1 AND a.organisation = '*' AND u.disabled_at IS NULL
       AND EXISTS (SELECT 1 FROM credentials c WHERE c.user_id = u.id)";
const ROLES_HELD: &str = "
    SELECT r.name
      FROM assignments a
      JOIN roles r ON r.id = a.role_id
     WHERE a.subject_id = $1 AND a.api_id = $2 AND a.organisation = '*'
     ORDER BY r.name";
const ADMINISTERS: &str = "
    SELECT 1 FROM assignments a JOIN apis p ON p.id = a.api_id
     WHERE a.subject_id = $1 AND p.administers = 1 LIMIT 1";
const ROLES_OF_USER: &str = "
    SELECT DISTINCT r.name
      FROM assignments a
      JOIN roles r ON r.id = a.role_id
      JOIN users u ON u.id = a.subject_id
     WHERE a.subject_id = $1 AND a.api_id = $2 AND a.organisation IN ('*', u.organisation_id)
     ORDER BY r.name";
const ROLES_OF_CLIENT: &str = "
    SELECT DISTINCT r.name
      FROM assignments a
      JOIN roles r ON r.id = a.role_id
      JOIN clients c ON c.id = a.subject_id
     WHERE a.subject_id = $1 AND a.api_id = $2 AND (a.organisation = '*' OR a.organisation = c.organisation_id)
     ORDER BY r.name";
// Whoever is cut off is cut off whole: of half of somebody's roles, those that deny might be missing.
const USERS_WITH_ROLES: &str = "
    SELECT DISTINCT u.sub, u.organisation_id, r.name
      FROM users u
      JOIN assignments a ON a.subject_id = u.id
      JOIN roles r ON r.id = a.role_id
     WHERE a.api_id = $1 AND a.organisation IN ('*', u.organisation_id)
       AND u.sub IN (
           SELECT DISTINCT h.sub
             FROM assignments g
             JOIN users h ON h.id = g.subject_id
            WHERE g.api_id = $1 AND h.sub > $2 AND h.disabled_at IS NULL
              AND g.organisation IN ('*', h.organisation_id)
            ORDER BY h.sub LIMIT $3)
     ORDER BY u.sub, r.name";
const CLIENTS_WITH_ROLES: &str = "
    SELECT DISTINCT c.id, c.organisation_id, r.name
      FROM clients c
      JOIN assignments a ON a.subject_id = c.id
      JOIN roles r ON r.id = a.role_id
     WHERE a.api_id = $1 AND (a.organisation = '*' OR a.organisation = c.organisation_id)
       AND c.id IN (
           SELECT DISTINCT h.id
             FROM assignments g
             JOIN clients h ON h.id = g.subject_id
            WHERE g.api_id = $1 AND h.id > $2 AND h.disabled_at IS NULL
              AND (g.organisation = '*' OR g.organisation = h.organisation_id)
            ORDER BY h.id LIMIT $3)
     ORDER BY c.id, r.name";

const OWN: &str = "
    SELECT p.audience, p.name, r.name, a.organisation, o.name
      FROM assignments a
      JOIN roles r ON r.id = a.role_id
      JOIN apis p ON p.id = a.api_id
      LEFT JOIN organisations o ON o.id = a.organisation
     WHERE a.subject_id = $1
     ORDER BY p.audience, r.name, a.organisation LIMIT $2";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    INSERT,
    FIND,
    LIST,
    DELETE,
    DELETE_OF,
    ROLE_IS_HELD,
    ENABLED_HOLDERS,
    ROLES_HELD,
    ADMINISTERS,
    ROLES_OF_USER,
    ROLES_OF_CLIENT,
    USERS_WITH_ROLES,
    CLIENTS_WITH_ROLES,
    OWN,
];

/// A role that somebody who is switched on holds where it counts for their tokens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HeldRole {
    /// The `sub` of a user, or the id of a client.
    pub subject: String,
    /// The organisation. A client may have none.
    pub organisation: Option<String>,
    /// The role.
    pub role: RoleName,
}

/// A role that somebody holds, by the names of all that it is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OwnRole {
    /// The API that it is of.
    pub audience: String,
    /// What that API is called.
    pub api: String,
    /// The role.
    pub role: RoleName,
    /// Where it counts.
    pub organisation: OrganisationScope,
    /// What the organisation is called, if it is one.
    pub organisation_name: Option<String>,
}

/// Gives somebody a role; `false` when they hold it there already, or there is no such role.
pub async fn insert(tx: &mut Tx, assignment: &Assignment) -> Result<bool, StoreError> {
    let values = [
        (&assignment.id).into(),
        (&assignment.role).into(),
        assignment.subject.kind().into(),
        assignment.subject.id().into(),
        assignment.organisation.as_str().into(),
    ];
    Ok(tx.execute(INSERT, &values).await? > 0)
}

/// Whether somebody holds a role of the API that administers the server. Nobody does not, by the same statement.
pub async fn administers(tx: &mut Tx, user: Option<&UserId>) -> Result<bool, StoreError> {
    let user = user.map_or("", UserId::as_str);
    Ok(tx.fetch_optional(ADMINISTERS, &[user.into()]).await?.is_some())
}

/// The assignment with this identifier.
pub async fn find(tx: &mut Tx, id: &AssignmentId) -> Result<Option<Assignment>, StoreError> {
    tx.fetch_optional(FIND, &[id.into()]).await?.as_ref().map(read).transpose()
}

/// The assignments of an API behind the identifier `after`, oldest first.
pub async fn list(
    tx: &mut Tx,
    api: &ApiId,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Assignment>, StoreError> {
    let rows = tx.fetch_all(LIST, &[api.into(), after.unwrap_or_default().into(), limit.into()]).await?;
    rows.iter().map(read).collect()
}

/// Takes a role away; gives whether it was held.
pub async fn delete(tx: &mut Tx, id: &AssignmentId) -> Result<bool, StoreError> {
    Ok(tx.execute(DELETE, &[id.into()]).await? > 0)
}

/// Takes every role away that somebody holds.
pub async fn delete_of(tx: &mut Tx, subject: &AssignmentSubject) -> Result<(), StoreError> {
    tx.execute(DELETE_OF, &[subject.id().into()]).await.map(drop)
}

/// Whether anybody holds the role anywhere.
pub async fn role_is_held(tx: &mut Tx, role: &RoleId) -> Result<bool, StoreError> {
    Ok(tx.fetch_optional(ROLE_IS_HELD, &[role.into()]).await?.is_some())
}

/// The users who hold a role of the API in every organisation and can sign in: enabled, and with a credential.
pub async fn enabled_holders(tx: &mut Tx, api: &ApiId) -> Result<Vec<(UserId, RoleName)>, StoreError> {
    let rows = tx.fetch_all(ENABLED_HOLDERS, &[api.into()]).await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// The roles of the API that somebody holds in every organisation, by name.
pub async fn roles_held(
    tx: &mut Tx,
    subject: &AssignmentSubject,
    api: &ApiId,
) -> Result<Vec<RoleName>, StoreError> {
    names(&tx.fetch_all(ROLES_HELD, &[subject.id().into(), api.into()]).await?)
}

/// The roles that a token of a user carries: those held in every organisation, or in the user's own.
pub async fn roles_of_user(tx: &mut Tx, user: &UserId, api: &ApiId) -> Result<Vec<RoleName>, StoreError> {
    names(&tx.fetch_all(ROLES_OF_USER, &[user.into(), api.into()]).await?)
}

/// The roles that a token of a client carries: those held in every organisation, or in the client's own.
pub async fn roles_of_client(
    tx: &mut Tx,
    client: &ClientId,
    api: &ApiId,
) -> Result<Vec<RoleName>, StoreError> {
    names(&tx.fetch_all(ROLES_OF_CLIENT, &[client.into(), api.into()]).await?)
}

/// What the tokens of users carry, for the first `limit` users with a role whose `sub` comes behind `after`.
pub async fn users_with_roles(
    tx: &mut Tx,
    api: &ApiId,
    after: &str,
    limit: u32,
) -> Result<Vec<HeldRole>, StoreError> {
    held_roles(&tx.fetch_all(USERS_WITH_ROLES, &[api.into(), after.into(), limit.into()]).await?)
}

/// What the tokens of clients carry, for the first `limit` clients with a role whose id comes behind `after`.
pub async fn clients_with_roles(
    tx: &mut Tx,
    api: &ApiId,
    after: &str,
    limit: u32,
) -> Result<Vec<HeldRole>, StoreError> {
    held_roles(&tx.fetch_all(CLIENTS_WITH_ROLES, &[api.into(), after.into(), limit.into()]).await?)
}

/// All roles that a user holds, by API and name.
pub async fn own(tx: &mut Tx, user: &UserId, limit: u32) -> Result<Vec<OwnRole>, StoreError> {
    let rows = tx.fetch_all(OWN, &[user.into(), limit.into()]).await?;
    rows.iter()
        .map(|row| {
            Ok(OwnRole {
                audience: row.get(0)?,
                api: row.get(1)?,
                role: row.get(2)?,
                organisation: row.parse(3)?,
                organisation_name: row.get(4)?,
            })
        })
        .collect()
}

fn held_roles(rows: &[Row]) -> Result<Vec<HeldRole>, StoreError> {
    let read =
        |row: &Row| Ok(HeldRole { subject: row.get(0)?, organisation: row.get(1)?, role: row.get(2)? });
    rows.iter().map(read).collect()
}

fn names(rows: &[Row]) -> Result<Vec<RoleName>, StoreError> {
    rows.iter().map(|row| row.get(0)).collect()
}

fn read(row: &Row) -> Result<Assignment, StoreError> {
    let subject = match row.get::<String>(2)?.as_str() {
        "client" => AssignmentSubject::Client(row.get(3)?),
        "user" => AssignmentSubject::User(row.get(3)?),
        _ => return Err(row.corrupt(2)),
    };
    Ok(Assignment { id: row.get(0)?, role: row.get(1)?, subject, organisation: row.parse(4)? })
}
