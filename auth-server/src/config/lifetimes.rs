//! The `tokens` and `sessions` sections: how long things last.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// How long codes and tokens last.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tokens {
    /// Life of an access token, unless its API says otherwise.
    #[schemars(range(min = 30, max = 86_400))]
    pub access_ttl_secs: u64,
    /// Life of an ID token.
    #[schemars(range(min = 30, max = 86_400))]
    pub id_ttl_secs: u64,
    /// Life of an authorization code. RFC 6749 section 4.1.2 asks for ten minutes at most.
    #[schemars(range(min = 10, max = 600))]
    pub code_ttl_secs: u64,
    /// Life of an authorization request that a client pushed, until the browser brings its handle.
    #[schemars(range(min = 5, max = 600))]
    pub pushed_request_ttl_secs: u64,
    /// Life of the code that a device shows, in which somebody has to type it and decide.
    #[schemars(range(min = 60, max = 1800))]
    pub device_code_ttl_secs: u64,
    /// Life of a sign-in that a client started from behind, in which the person has to approve it. A client may ask for less.
    #[schemars(range(min = 30, max = 1800))]
    pub ciba_request_ttl_secs: u64,
    /// Days after which a refresh token that nobody used is dead.
    #[schemars(range(min = 1, max = 365))]
    pub refresh_ttl_days: u64,
    /// Days after which a grant cannot be refreshed any more, however often it was used.
    #[schemars(range(min = 1, max = 3650))]
    pub refresh_absolute_days: u64,
    /// Seconds in which a client that lost the answer may repeat a refresh and get the same answer.
    #[schemars(range(min = 0, max = 60))]
    pub refresh_retry_window_secs: u64,
}

impl Tokens {
    /// Life of an access token, unless its API says otherwise.
    pub const fn access_ttl(&self) -> Duration {
        Duration::from_secs(self.access_ttl_secs)
    }

    /// Life of an ID token.
    pub const fn id_ttl(&self) -> Duration {
        Duration::from_secs(self.id_ttl_secs)
    }

    /// Life of an authorization code.
    pub const fn code_ttl(&self) -> Duration {
        Duration::from_secs(self.code_ttl_secs)
    }

    /// Life of an authorization request that a client pushed.
    pub const fn pushed_request_ttl(&self) -> Duration {
        Duration::from_secs(self.pushed_request_ttl_secs)
    }

    /// Life of the code that a device shows.
    pub const fn device_code_ttl(&self) -> Duration {
        Duration::from_secs(self.device_code_ttl_secs)
    }

    /// Life of a sign-in that a client started from behind.
    pub const fn ciba_request_ttl(&self) -> Duration {
        Duration::from_secs(self.ciba_request_ttl_secs)
    }

    /// Life of a refresh token that nobody uses.
    pub const fn refresh_ttl(&self) -> Duration {
        Duration::from_secs(self.refresh_ttl_days * DAY)
    }

    /// Life of a grant that is refreshed again and again.
    pub const fn refresh_absolute(&self) -> Duration {
        Duration::from_secs(self.refresh_absolute_days * DAY)
    }

    /// In what time a refresh may be repeated.
    pub const fn refresh_retry_window(&self) -> Duration {
        Duration::from_secs(self.refresh_retry_window_secs)
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            access_ttl_secs: 300,
            id_ttl_secs: 600,
            code_ttl_secs: 60,
            pushed_request_ttl_secs: 60,
            device_code_ttl_secs: 600,
            ciba_request_ttl_secs: 300,
            refresh_ttl_days: 14,
            refresh_absolute_days: 90,
            refresh_retry_window_secs: 10,
        }
    }
}

/// How long somebody stays signed in.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    /// Hours after which a session ends, however much it was used.
    #[schemars(range(min = 1, max = 8760))]
    pub ttl_hours: u64,
    /// Hours after which a session that nobody used ends.
    #[schemars(range(min = 1, max = 8760))]
    pub idle_hours: u64,
    /// Minutes for which a sign-in that was begun may be finished.
    #[schemars(range(min = 1, max = 1440))]
    pub interaction_ttl_mins: u64,
    /// Who has to sign in with a second step.
    pub second_step: SecondStepFor,
}

/// Who has to sign in with a second step. Whoever has one is asked for it, whatever this says.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecondStepFor {
    /// Whoever opens pages of the administration: they are led to add one first.
    #[default]
    Administrators,
    /// Nobody.
    Optional,
}

impl Sessions {
    /// Life of a session, however much it is used.
    pub const fn ttl(&self) -> Duration {
        Duration::from_secs(self.ttl_hours * HOUR)
    }

    /// Life of a session that nobody uses.
    pub const fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_hours * HOUR)
    }

    /// Life of a sign-in that was begun.
    pub const fn interaction_ttl(&self) -> Duration {
        Duration::from_secs(self.interaction_ttl_mins * MINUTE)
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self { ttl_hours: 24, idle_hours: 8, interaction_ttl_mins: 20, second_step: SecondStepFor::default() }
    }
}
