//! Where the two databases differ, one named function each.

/// Which database.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Dialect {
    Postgres,
    Sqlite,
}

/// Where replicas on PostgreSQL tell each other that caches have to be emptied.
pub(super) const CHANNEL: &str = "portcullis_epoch";

impl Dialect {
    /// Keeps every other process from migrating until the transaction ends. The number of the lock is ours; any
    /// would do.
    pub(super) const fn lock_migrations(self) -> &'static str {
        match self {
            Self::Postgres => "SELECT pg_advisory_xact_lock(7010411217)",
            Self::Sqlite => "BEGIN IMMEDIATE",
        }
    }

    /// Waits for one's turn among transactions that are done one at a time.
    pub(super) const fn take_turn(self) -> Option<&'static str> {
        match self {
            Self::Postgres => Some("SELECT pg_advisory_xact_lock($1)"),
            Self::Sqlite => None,
        }
    }

    /// Holds the row of a user against everybody who adds a session or a grant: those refer to it, and wait.
    pub(super) const fn hold_user(self) -> Option<&'static str> {
        match self {
            Self::Postgres => Some("SELECT 1 FROM users WHERE id = $1 FOR UPDATE"),
            Self::Sqlite => None,
        }
    }

    /// Holds it less tightly: so does whoever adds what refers to the user, and they do not wait for each other.
    pub(super) const fn keep_user(self) -> Option<&'static str> {
        match self {
            Self::Postgres => Some("SELECT 1 FROM users WHERE id = $1 FOR KEY SHARE"),
            Self::Sqlite => None,
        }
    }

    /// Uses up what a user allowed, holds the row of the user as [`keep_user`] does, and says which row that was.
    ///
    /// [`keep_user`]: Self::keep_user
    pub(super) const fn consume_from_user(self) -> &'static str {
        match self {
            Self::Postgres => {
                "UPDATE single_use SET used_at = $3
                  WHERE purpose = $1 AND digest = $2 AND used_at IS NULL AND expires_at > $3
              RETURNING payload, (SELECT u.id FROM users u WHERE u.id = single_use.user_id FOR KEY SHARE)"
            }
            Self::Sqlite => {
                "UPDATE single_use SET used_at = $3
                  WHERE purpose = $1 AND digest = $2 AND used_at IS NULL AND expires_at > $3
              RETURNING payload, user_id"
            }
        }
    }

    /// What a user allowed, with the logos of applications. On PostgreSQL these are found by their index in the order of text that it has.
    pub(super) const fn allowed_applications(self) -> &'static str {
        match self {
            Self::Postgres => {
                "SELECT c.user_id, c.client_id, NULLIF(c.api_id, ''), c.scopes, c.granted_at, c.claims, c.details,
                        (SELECT l.name FROM client_logos l WHERE l.client_id = c.client_id COLLATE \"default\"),
                        (SELECT l.uri FROM client_logos l WHERE l.client_id = c.client_id COLLATE \"default\")
                   FROM consents c
                  WHERE c.user_id = $1
                  ORDER BY c.client_id, c.api_id LIMIT $2"
            }
            Self::Sqlite => {
                "SELECT c.user_id, c.client_id, NULLIF(c.api_id, ''), c.scopes, c.granted_at, c.claims, c.details,
                        (SELECT l.name FROM client_logos l WHERE l.client_id = c.client_id),
                        (SELECT l.uri FROM client_logos l WHERE l.client_id = c.client_id)
                   FROM consents c
                  WHERE c.user_id = $1
                  ORDER BY c.client_id, c.api_id LIMIT $2"
            }
        }
    }

    /// Finds out whether the table of migrations is there.
    pub(super) const fn has_migrations(self) -> &'static str {
        match self {
            Self::Postgres => {
                "SELECT 1 FROM pg_catalog.pg_tables
                  WHERE schemaname = current_schema() AND tablename = 'schema_migrations'"
            }
            Self::Sqlite => "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'",
        }
    }

    /// Tells other replicas, when the transaction commits, that caches have to be emptied.
    pub(super) const fn notify(self) -> Option<&'static str> {
        match self {
            Self::Postgres => Some("SELECT pg_notify('portcullis_epoch', '')"),
            Self::Sqlite => None,
        }
    }

    /// Makes the rows that a statement is about to change wait for nobody: they are skipped while another holds them.
    pub(super) const fn due_jobs(self) -> &'static str {
        match self {
            Self::Postgres => {
                "UPDATE jobs SET leased_until = $1, lease_token = $2, attempts = attempts + 1
                  WHERE id = (SELECT id FROM jobs
                               WHERE finished_at IS NULL AND run_at <= $3 AND (leased_until IS NULL OR leased_until <= $3)
                               ORDER BY run_at LIMIT 1 FOR UPDATE SKIP LOCKED)
              RETURNING id, kind, payload, attempts"
            }
            Self::Sqlite => {
                "UPDATE jobs SET leased_until = $1, lease_token = $2, attempts = attempts + 1
                  WHERE id = (SELECT id FROM jobs
                               WHERE finished_at IS NULL AND run_at <= $3 AND (leased_until IS NULL OR leased_until <= $3)
                               ORDER BY run_at LIMIT 1)
              RETURNING id, kind, payload, attempts"
            }
        }
    }

    /// The same for notices of sign-outs, several at once.
    pub(super) const fn due_logout_notices(self) -> &'static str {
        match self {
            Self::Postgres => {
                "UPDATE logout_notices SET leased_until = $1, lease_token = $2, attempts = attempts + 1
                  WHERE id IN (SELECT id FROM logout_notices
                                WHERE settled_at IS NULL AND due_at <= $3 AND (leased_until IS NULL OR leased_until <= $3)
                                ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED)
              RETURNING id, session_id, client_id, subject, created_at, attempts, state, due_at, settled_at, last_error"
            }
            Self::Sqlite => {
                "UPDATE logout_notices SET leased_until = $1, lease_token = $2, attempts = attempts + 1
                  WHERE id IN (SELECT id FROM logout_notices
                                WHERE settled_at IS NULL AND due_at <= $3 AND (leased_until IS NULL OR leased_until <= $3)
                                ORDER BY due_at LIMIT $4)
              RETURNING id, session_id, client_id, subject, created_at, attempts, state, due_at, settled_at, last_error"
            }
        }
    }

    /// The same for what clients are told of a decision.
    pub(super) const fn due_pings(self) -> &'static str {
        match self {
            Self::Postgres => {
                "UPDATE ciba_requests SET ping_leased_until = $1, ping_lease_token = $2, ping_attempts = ping_attempts + 1
                  WHERE id IN (SELECT id FROM ciba_requests
                                WHERE ping_due_at <= $3 AND (ping_leased_until IS NULL OR ping_leased_until <= $3)
                                ORDER BY ping_due_at LIMIT $4 FOR UPDATE SKIP LOCKED)
              RETURNING id, client_id, ping, ping_attempts, expires_at"
            }
            Self::Sqlite => {
                "UPDATE ciba_requests SET ping_leased_until = $1, ping_lease_token = $2, ping_attempts = ping_attempts + 1
                  WHERE id IN (SELECT id FROM ciba_requests
                                WHERE ping_due_at <= $3 AND (ping_leased_until IS NULL OR ping_leased_until <= $3)
                                ORDER BY ping_due_at LIMIT $4)
              RETURNING id, client_id, ping, ping_attempts, expires_at"
            }
        }
    }

    /// The same for letters.
    pub(super) const fn due_letters(self) -> &'static str {
        match self {
            Self::Postgres => {
                "UPDATE mail_outbox SET leased_until = $1, lease_token = $2, attempts = attempts + 1
                  WHERE id IN (SELECT id FROM mail_outbox
                                WHERE settled_at IS NULL AND due_at <= $3 AND (leased_until IS NULL OR leased_until <= $3)
                                ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED)
              RETURNING id, kind, user_id, sealed, created_at, expires_at, attempts, last_error"
            }
            Self::Sqlite => {
                "UPDATE mail_outbox SET leased_until = $1, lease_token = $2, attempts = attempts + 1
                  WHERE id IN (SELECT id FROM mail_outbox
                                WHERE settled_at IS NULL AND due_at <= $3 AND (leased_until IS NULL OR leased_until <= $3)
                                ORDER BY due_at LIMIT $4)
              RETURNING id, kind, user_id, sealed, created_at, expires_at, attempts, last_error"
            }
        }
    }
}
