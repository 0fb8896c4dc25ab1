//! The `database`, `keys` and `records` sections: what is kept, under which key, and for how long.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::SecretText;
use crate::domain::decision::Room;

const HOURS_A_DAY: u64 = 24;
const MIB: u64 = 1_024 * 1_024;

/// Where everything is stored.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/NAME`. Without it: SQLite in the data folder.
    pub url: Option<SecretText>,
    /// File that holds the URL, instead of `url`.
    pub url_file: Option<PathBuf>,
    /// Connections held to the database at most.
    #[schemars(range(min = 1, max = 1000))]
    pub max_connections: u32,
    /// How long a start waits for a database that does not answer yet.
    #[schemars(range(min = 1, max = 600))]
    pub connect_timeout_secs: u64,
}

impl Database {
    /// How long a start waits for a database that does not answer yet.
    pub(crate) const fn connect_timeout(&self) -> Duration {
        Duration::from_secs(self.connect_timeout_secs)
    }
}

impl Default for Database {
    fn default() -> Self {
        Self { url: None, url_file: None, max_connections: 10, connect_timeout_secs: 30 }
    }
}

/// The key that seals private keys at rest, and the schedule on which signing keys are replaced.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// 32 random bytes in base64. Without it: `master.key` in the data folder, made on first start.
    pub master_key: Option<SecretText>,
    /// File that holds the master key, instead of `master_key`. Only its owner may be able to read it.
    pub master_key_file: Option<PathBuf>,
    /// Days for which a key signs before its successor takes over.
    #[schemars(range(min = 2, max = 3650))]
    pub rotate_after_days: u64,
    /// Days for which a key is published before it signs, and after it has stopped signing.
    #[schemars(range(min = 1, max = 365))]
    pub overlap_days: u64,
}

impl Keys {
    /// For how long a key signs.
    pub(crate) const fn rotate_after(&self) -> Duration {
        Duration::from_hours(self.rotate_after_days * HOURS_A_DAY)
    }

    /// For how long a key is published on either side of its time as signer.
    pub(crate) const fn overlap(&self) -> Duration {
        Duration::from_hours(self.overlap_days * HOURS_A_DAY)
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self { master_key: None, master_key_file: None, rotate_after_days: 90, overlap_days: 7 }
    }
}

/// What is kept of the decisions that services make.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Records {
    /// Days for which they are kept. 0: none are taken.
    #[schemars(range(min = 0, max = 366))]
    pub keep_days: u32,
    /// Different requests of one API and day that are kept. Those beyond are only counted. With names of usual lengths one takes
    /// some 350 bytes on SQLite and 500 on PostgreSQL, so 100,000 of them take 50 MiB.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_requests_per_day: u64,
    /// Keeps what this server decides itself (`AuthZEN`) without the subjects: a keyed digest stands for each. A guard chooses that for
    /// what it decides.
    pub authzen_pseudonyms: bool,
    /// What the records of one API and day may take in MiB, about. Those beyond are only counted. The longest names take 5 KiB,
    /// and 100,000 such requests would take 480 MiB a day. All days of an API together take this times `keep_days` and one
    /// more, 2 GiB unless changed; what rules on trial would decide otherwise, 50 MiB more.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub max_mib_per_day: u64,
}

impl Records {
    /// What a day has room for.
    pub(crate) const fn room(&self) -> Room {
        Room { requests: self.max_requests_per_day, bytes: self.max_mib_per_day.saturating_mul(MIB) }
    }
}

impl Default for Records {
    fn default() -> Self {
        Self { keep_days: 30, max_requests_per_day: 100_000, max_mib_per_day: 64, authzen_pseudonyms: false }
    }
}
