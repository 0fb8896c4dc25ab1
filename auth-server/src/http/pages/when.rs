//! Times, as pages show and take them.

use std::net::IpAddr;

use serde::Serialize;

use crate::domain::clock::Timestamp;

/// A time, for programs and for people.
#[derive(Serialize)]
pub(super) struct TimeShown {
    iso: String,
    text: String,
}

impl TimeShown {
    pub(super) fn of(time: Timestamp) -> Self {
        Self { iso: time.rfc3339(), text: readable(time) }
    }
}

/// From where and when somebody asked.
#[derive(Serialize)]
pub(super) struct Asked {
    address: Option<String>,
    at: TimeShown,
}

impl Asked {
    pub(super) fn of(address: Option<IpAddr>, at: Timestamp) -> Self {
        Self { address: address.map(|address| address.to_string()), at: TimeShown::of(at) }
    }
}

/// A time as people read it: `2026-11-22 13:05 UTC`.
fn readable(time: Timestamp) -> String {
    let text = time.rfc3339();
    let minute = text.get(..16).unwrap_or(&text);
    format!("{} UTC", minute.replace('T', " "))
}

/// A time from a field for one, which browsers fill in without a zone: here it is UTC, as the label says. Where a browser
/// has no such field people type the time, so a blank between day and hour will do, and a zone if they give one.
pub(super) fn in_utc(typed: &str) -> Option<Timestamp> {
    let typed = typed.trim().replacen(' ', "T", 1);
    let with = |end: &str| format!("{typed}{end}").parse().ok();
    with("").or_else(|| with("Z")).or_else(|| with(":00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_to_the_minute() {
        let shown = TimeShown::of(Timestamp::from_secs(1_795_352_700));
        assert_eq!(
            (shown.iso.as_str(), shown.text.as_str()),
            ("2026-11-22T13:05:00Z", "2026-11-22 13:05 UTC")
        );
    }

    #[test]
    fn a_time_is_taken_as_browsers_and_people_write_it() {
        let time = Some(Timestamp::from_secs(1_795_352_700));
        for typed in [
            "2026-11-22T13:05",
            "2026-11-22T13:05:00",
            " 2026-11-22 13:05 ",
            "2026-11-22T14:05:00+01:00",
            "2026-11-22T13:05:00Z",
        ] {
            assert_eq!(in_utc(typed), time, "{typed}");
        }
        for none in ["", "tomorrow", "2026-11-22", "13:05", "22.11.2026 13:05", "2026-02-30T13:05"] {
            assert_eq!(in_utc(none), None, "{none}");
        }
    }
}
