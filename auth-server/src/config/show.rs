//! Shows a configuration: every key there is, what holds, where it came from and what holds without it. Secrets are masked by
//! their type.

use std::fmt::Write as _;

use toml::{Table, Value};

use crate::config::known::{Key, KnownKeys};
use crate::config::{Config, IssuerSetting, Loaded, Origin};

/// Where the second half of a line begins.
const NOTES: usize = 48;

/// One key, and what holds.
#[derive(Debug, serde::Serialize)]
pub struct ShownValue {
    /// `section.key`.
    pub key: String,
    /// The value, or a mask when it is a secret. `None` when there is none.
    pub value: Option<Value>,
    /// Where it came from.
    pub source: String,
    /// What holds when nobody sets it, if that is a value.
    pub default: Option<Value>,
    /// What holds when nobody sets it, if that is none.
    pub without: Option<String>,
}

impl Loaded {
    /// Every key, with its value and its source.
    pub fn values(&self) -> Vec<ShownValue> {
        let (held, defaults) = (effective(&self.config), defaults(&self.config));
        let known = KnownKeys::of(&Config::schema());
        let shown = known.iter().map(|(key, rule)| ShownValue {
            key: key.to_string(),
            value: find(&held, key).cloned(),
            source: self.origin(key).to_string(),
            default: find(&defaults, key).cloned(),
            without: rule.without.clone(),
        });
        shown.collect()
    }

    /// The configuration as a file that would mean the same. Behind each value stands where it came from; keys without one are
    /// comments.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut open = "";
        let values = self.values();
        for shown in &values {
            let (section, name) = shown.key.split_once('.').unwrap_or_default();
            if section != open {
                let gap = if open.is_empty() { "" } else { "\n" };
                _ = writeln!(text, "{gap}[{section}]");
                open = section;
            }
            let line = match &shown.value {
                Some(value) => format!("{name} = {value}"),
                None => format!("# {name} ="),
            };
            _ = writeln!(text, "{line:<NOTES$} # {}", shown.note());
        }
        text
    }

    /// A secret that lies in a file came from wherever the file was named.
    fn origin(&self, key: &Key) -> &Origin {
        let file = Key::new(key.section.clone(), format!("{}_file", key.name));
        self.origins.get(key).or_else(|| self.origins.get(&file)).unwrap_or(&Origin::Default)
    }
}

impl ShownValue {
    fn note(&self) -> String {
        let without = self.without.as_deref().map(str::to_owned);
        let default = self.default.as_ref().map(ToString::to_string).or(without);
        let source = if self.value.is_some() { &self.source } else { "not set" };
        match default {
            Some(default) if self.value.is_none() => format!("{source}: {default}"),
            Some(default) if self.value != self.default => format!("{source}, default: {default}"),
            Some(_) | None => source.to_owned(),
        }
    }
}

fn find<'t>(table: &'t Table, key: &Key) -> Option<&'t Value> {
    table.get(&key.section)?.get(&key.name)
}

fn effective(config: &Config) -> Table {
    let mut config = config.clone();
    config.server.issuer = Some(IssuerSetting::from(config.issuer()));
    Table::try_from(&config).unwrap_or_default()
}

/// What would hold if nobody had set anything. Only the issuer follows from something else: where the server listens.
fn defaults(config: &Config) -> Table {
    let mut defaults = Config::default();
    let mut nameless = config.clone();
    nameless.server.issuer = None;
    defaults.server.issuer =
        config.server.listen.ip().is_loopback().then(|| IssuerSetting::from(nameless.issuer()));
    Table::try_from(&defaults).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::config::load::from_text;

    fn line(file: &str, name: &str) -> String {
        let text = from_text(file).unwrap().to_toml();
        let found = text.lines().find(|line| line.trim_start_matches("# ").starts_with(&format!("{name} =")));
        found.unwrap_or_else(|| panic!("{name}: {text}")).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_key_is_shown_with_its_default_whether_it_is_set_or_not() {
        let loaded = from_text("").unwrap();
        let schema = Config::schema();
        let keys: Vec<String> = schema["properties"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(section, found)| {
                found["properties"].as_object().unwrap().keys().map(move |name| format!("{section}.{name}"))
            })
            .collect();
        let shown: Vec<_> = loaded.values().into_iter().map(|shown| shown.key).collect();
        assert_eq!(shown, keys);
        for (name, expected) in [
            ("id_ttl_secs", "id_ttl_secs = 600 # default"),
            ("workers", "# workers = # not set: as many as there are processors"),
            ("master_key_file", "# master_key_file = # not set"),
            ("master_key", "# master_key = # not set: `master.key` in the data folder, made on first start"),
            ("url", "# url = # not set: SQLite in the data folder"),
            ("issuer", "issuer = \"http://localhost:8080\" # default"),
        ] {
            assert_eq!(line("", name), expected);
        }
    }

    #[test]
    fn what_is_set_says_where_and_what_it_would_be_otherwise() {
        let file = "[tokens]\nid_ttl_secs = 60\ncode_ttl_secs = 60\n[passwords]\nworkers = 3\n[server]\nlisten = \"127.0.0.1:9000\"\n\
                    issuer = \"https://id.example.com\"";
        for (name, expected) in [
            ("id_ttl_secs", "id_ttl_secs = 60 # configuration:2, default: 600"),
            ("code_ttl_secs", "code_ttl_secs = 60 # configuration:3"),
            ("workers", "workers = 3 # configuration:5, default: as many as there are processors"),
            (
                "issuer",
                "issuer = \"https://id.example.com\" # configuration:8, default: \"http://localhost:9000\"",
            ),
        ] {
            assert_eq!(line(file, name), expected);
        }
        let public = "[server]\nlisten = \"0.0.0.0:80\"\nissuer = \"https://id.example.com\"";
        assert_eq!(line(public, "issuer"), "issuer = \"https://id.example.com\" # configuration:3");
    }

    #[test]
    fn a_secret_is_masked_wherever_it_came_from() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("url");
        std::fs::write(&path, "postgres://a:hunter2@b/c").unwrap();
        let by_file = format!("[database]\nurl_file = {:?}", path.display().to_string());
        let note = "default: SQLite in the data folder";
        for file in ["[database]\nurl = \"postgres://a:hunter2@b/c\"", &by_file] {
            assert_eq!(line(file, "url"), format!("url = \"********\" # configuration:2, {note}"));
            let loaded = from_text(file).unwrap();
            let json = serde_json::to_string(&loaded.values()).unwrap();
            assert!(!json.contains("hunter2") && !loaded.to_toml().contains("hunter2"));
        }
    }

    #[test]
    fn what_is_shown_means_the_same_as_a_file() {
        let file = "[tokens]\nid_ttl_secs = 60\n[server]\ntrusted_proxies = [\"10.0.0.0/8\"]";
        let shown = from_text(file).unwrap();
        let again = from_text(&shown.to_toml()).unwrap();
        let values = |loaded: &crate::config::Loaded| {
            loaded.values().into_iter().map(|shown| (shown.key, shown.value)).collect::<Vec<_>>()
        };
        assert_eq!(values(&shown), values(&again));
    }
}
