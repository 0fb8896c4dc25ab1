//! The `passwords`, `limits` and `log` sections: how much work is done for whom, and what is written about it.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The cost of a password hash (Argon2id) and the queue in front of it.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Passwords {
    /// Memory for one hash. A change re-hashes each password when its owner signs in next.
    #[schemars(range(min = 64, max = 4_194_304))]
    pub memory_kib: u32,
    /// Passes over that memory.
    #[schemars(range(min = 1, max = 64))]
    pub iterations: u32,
    /// Lanes of one hash.
    #[schemars(range(min = 1, max = 16))]
    pub parallelism: u32,
    /// Hashes computed at one time. Without it: as many as there are processors.
    #[schemars(range(min = 1, max = 256))]
    pub workers: Option<usize>,
    /// How long a sign-in waits for a free worker before it is told to come back.
    #[schemars(range(min = 10, max = 60_000))]
    pub queue_deadline_ms: u64,
    /// How hard a new password has to be to guess, as zxcvbn estimates it: 4 is more than ten thousand million guesses, 3 more than a hundred
    /// million, 2 more than a million; 0 asks for nothing.
    #[schemars(range(min = 0, max = 4))]
    pub least_score: u8,
    /// A list of passwords that became known, which nobody may choose: lines of SHA-1 in hexadecimal digits, in order, with or without a
    /// colon and a count, as such lists are published. It is read where it lies, so it may be as long as it likes.
    pub breached_file: Option<PathBuf>,
}

impl Passwords {
    /// How long a sign-in waits for a free worker.
    pub const fn queue_deadline(&self) -> Duration {
        Duration::from_millis(self.queue_deadline_ms)
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            memory_kib: 19_456,
            iterations: 2,
            parallelism: 1,
            workers: None,
            queue_deadline_ms: 2_000,
            least_score: 3,
            breached_file: None,
        }
    }
}

/// How often somebody may try.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Sign-in attempts from one address (IPv6: one /64 network).
    #[schemars(range(min = 1, max = 1_000_000))]
    pub login_per_address_per_minute: u32,
    /// Sign-in attempts on one account from devices that never signed in there.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub login_per_account_per_minute: u32,
    /// Token requests of one client; of a client without a secret, or one that signs, from one address.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub token_per_client_per_minute: u32,
    /// Failed client authentications from one address.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub client_failures_per_address_per_minute: u32,
    /// Sign-ins that one address (IPv6: one /64 network) may begin at applications.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub flows_per_address_per_minute: u32,
    /// Calls to the admin API by one caller.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub admin_per_caller_per_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            login_per_address_per_minute: 60,
            login_per_account_per_minute: 10,
            token_per_client_per_minute: 60_000,
            client_failures_per_address_per_minute: 60,
            flows_per_address_per_minute: 600,
            admin_per_caller_per_minute: 1_200,
        }
    }
}

/// What is written to the log, and how.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Form of a line.
    pub format: LogFormat,
    /// What is written: a level, or `target=level` pairs with commas between them.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, filter: "info".to_owned() }
    }
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For reading on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For reading.
    Pretty,
}
