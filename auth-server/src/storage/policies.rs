//! Policy sets: revisions and drafts.

use crate::domain::ids::ApiId;
use crate::domain::policy::{PolicyDraft, PolicyRevision, PolicyText};
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx};

const INSERT_REVISION: &str = "
    INSERT INTO policy_revisions (api_id, number, model, rules, cases, sha256, author, message, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const FIND_REVISION: &str = "
    SELECT api_id, number, model, rules, cases, sha256, author, message, created_at
      FROM policy_revisions WHERE api_id = $1 AND number = $2";
const LIST_REVISIONS: &str = "
    SELECT api_id, number, model, rules, cases, sha256, author, message, created_at
      FROM policy_revisions WHERE api_id = $1 AND number < $2 ORDER BY number DESC LIMIT $3";
const NEWEST_REVISION: &str = "
    SELECT number FROM policy_revisions WHERE api_id = $1 ORDER BY number DESC LIMIT 1";
const FIND_DRAFT: &str = "
    SELECT api_id, model, rules, cases, version, updated_by, updated_at FROM policy_drafts WHERE api_id = $1";
const INSERT_DRAFT: &str = "
    INSERT INTO policy_drafts (api_id, model, rules, cases, version, updated_by, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (api_id) DO NOTHING";
const UPDATE_DRAFT: &str = "
    UPDATE policy_drafts
       SET model = $2, rules = $3, cases = $4, version = $5, updated_by = $6, updated_at = $7
     WHERE api_id = $1 AND version = $5 - 1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    INSERT_REVISION,
    FIND_REVISION,
    LIST_REVISIONS,
    NEWEST_REVISION,
    FIND_DRAFT,
    INSERT_DRAFT,
    UPDATE_DRAFT,
];

/// Adds a revision; a number is given once.
pub async fn insert_revision(tx: &mut Tx, revision: &PolicyRevision) -> Result<(), StoreError> {
    let values = [
        (&revision.api).into(),
        revision.number.into(),
        revision.text.model.as_str().into(),
        revision.text.rules.as_str().into(),
        revision.text.cases.as_str().into(),
        (&revision.sha256).into(),
        revision.author.as_str().into(),
        revision.message.as_str().into(),
        revision.created_at.into(),
    ];
    tx.execute(INSERT_REVISION, &values).await.map(drop)
}

/// One revision.
pub async fn find_revision(
    tx: &mut Tx,
    api: &ApiId,
    number: u64,
) -> Result<Option<PolicyRevision>, StoreError> {
    tx.fetch_optional(FIND_REVISION, &[api.into(), number.into()])
        .await?
        .as_ref()
        .map(read_revision)
        .transpose()
}

/// The revisions before `before`, newest first.
pub async fn list_revisions(
    tx: &mut Tx,
    api: &ApiId,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<PolicyRevision>, StoreError> {
    let values = [api.into(), before.unwrap_or(u64::MAX).into(), limit.into()];
    tx.fetch_all(LIST_REVISIONS, &values).await?.iter().map(read_revision).collect()
}

/// The number of the newest revision.
pub async fn newest_revision(tx: &mut Tx, api: &ApiId) -> Result<Option<u64>, StoreError> {
    tx.fetch_optional(NEWEST_REVISION, &[api.into()]).await?.map(|row| row.get(0)).transpose()
}

/// The draft of an API.
pub async fn find_draft(tx: &mut Tx, api: &ApiId) -> Result<Option<PolicyDraft>, StoreError> {
    tx.fetch_optional(FIND_DRAFT, &[api.into()]).await?.as_ref().map(read_draft).transpose()
}

/// Saves a draft if its version is the one after the stored one: of two people who write at once, one is told.
pub async fn save_draft(tx: &mut Tx, draft: &PolicyDraft) -> Result<bool, StoreError> {
    let values = [
        (&draft.api).into(),
        draft.text.model.as_str().into(),
        draft.text.rules.as_str().into(),
        draft.text.cases.as_str().into(),
        draft.version.into(),
        draft.updated_by.as_str().into(),
        draft.updated_at.into(),
    ];
    let sql = if draft.version == 1 { INSERT_DRAFT } else { UPDATE_DRAFT };
    Ok(tx.execute(sql, &values).await? > 0)
}

fn read_revision(row: &Row) -> Result<PolicyRevision, StoreError> {
    Ok(PolicyRevision {
        api: row.get(0)?,
        number: row.get(1)?,
        text: read_text(row, 2)?,
        sha256: row.get(5)?,
        author: row.get(6)?,
        message: row.get(7)?,
        created_at: row.get(8)?,
    })
}

fn read_draft(row: &Row) -> Result<PolicyDraft, StoreError> {
    Ok(PolicyDraft {
        api: row.get(0)?,
        text: read_text(row, 1)?,
        version: row.get(4)?,
        updated_by: row.get(5)?,
        updated_at: row.get(6)?,
    })
}

/// The three columns from `first` on.
pub(super) fn read_text(row: &Row, first: usize) -> Result<PolicyText, StoreError> {
    Ok(PolicyText { model: row.get(first)?, rules: row.get(first + 1)?, cases: row.get(first + 2)? })
}
