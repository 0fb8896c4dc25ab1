//! Shows a configuration: what holds, and where it came from. Secrets are masked by their type.

use std::fmt::Write as _;

use toml::{Table, Value};

use crate::config::known::Key;
use crate::config::{Config, IssuerSetting, Loaded, Origin};

/// One value that holds.
#[derive(Debug, serde::Serialize)]
pub struct ShownValue {
    /// `section.key`.
    pub key: String,
    /// The value, or a mask when it is a secret.
    pub value: Value,
    /// Where it came from.
    pub source: String,
}

impl Loaded {
    /// Every value that holds, with its source.
    pub fn values(&self) -> Vec<ShownValue> {
        let shown = |section: &str, name: &String, value: Value| {
            let key = Key::new(section, name);
            let source = self.origin(&key).to_string();
            ShownValue { key: key.to_string(), value, source }
        };
        let tables = effective(&self.config).into_iter();
        tables
            .filter_map(|(section, values)| match values {
                Value::Table(values) => Some((section, values)),
                _ => None,
            })
            .flat_map(|(section, values)| {
                values.into_iter().map(|(name, value)| shown(&section, &name, value)).collect::<Vec<_>>()
            })
            .collect()
    }

    /// The configuration as a file that would mean the same, each line with its source when asked for.
    pub fn to_toml(&self, sources: SourceNotes) -> String {
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
            let line = format!("{name} = {}", shown.value);
            _ = match sources {
                SourceNotes::Shown => writeln!(text, "{line:<48} # {}", shown.source),
                SourceNotes::Hidden => writeln!(text, "{line}"),
            };
        }
        text
    }

    /// A secret that lies in a file came from wherever the file was named.
    fn origin(&self, key: &Key) -> &Origin {
        let file = Key::new(key.section.clone(), format!("{}_file", key.name));
        self.origins.get(key).or_else(|| self.origins.get(&file)).unwrap_or(&Origin::Default)
    }
}

/// Whether each line says where its value came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SourceNotes {
    /// It does not.
    Hidden,
    /// It does.
    Shown,
}

fn effective(config: &Config) -> Table {
    let mut config = config.clone();
    config.server.issuer = Some(IssuerSetting::from(config.issuer()));
    Table::try_from(&config).unwrap_or_default()
}
