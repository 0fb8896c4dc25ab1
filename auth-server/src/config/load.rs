//! Lays the sources over one another and turns the result into a [`Config`].

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use crate::config::check::{self, Finding};
use crate::config::known::{Key, KnownKeys};
use crate::config::{Config, ConfigError, ConfigErrors, Origin};

/// Prefix of the environment variables that are read.
const VARIABLE_PREFIX: &str = "PORTCULLIS__";

/// Where to read the configuration from. The environment is an argument, so that a test has its own.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file, when there is one.
    pub file: Option<PathBuf>,
    /// The variables of the process; those without our prefix are passed over.
    pub environment: Vec<(OsString, OsString)>,
    /// What the command line sets.
    pub flags: Vec<Flag>,
}

/// One value from the command line.
#[derive(Clone, Debug)]
pub struct Flag {
    /// `section.key`.
    pub key: String,
    /// The value as it was typed.
    pub value: String,
    /// The flag as a message names it: `--listen`.
    pub written: String,
}

/// A checked configuration that knows where each value came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    pub(crate) origins: Origins,
}

impl Loaded {
    /// Whether somebody set a value, in whatever way.
    pub(crate) fn is_set(&self, section: &str, name: &str) -> bool {
        self.origins.contains_key(&Key::new(section, name))
    }
}

/// Where each value that somebody set came from.
pub(crate) type Origins = BTreeMap<Key, Origin>;

/// What a file, or several sources, can be read into: sections of keys, and lists of them.
pub(crate) trait Settings: DeserializeOwned + JsonSchema {
    /// Reads the secrets that lie in files, and returns everything that does not go together.
    fn complete(&mut self) -> Vec<Finding>;
}

impl Settings for Config {
    fn complete(&mut self) -> Vec<Finding> {
        check::complete(self)
    }
}

/// The JSON Schema of a configuration.
pub(crate) fn schema_of<C: JsonSchema>() -> serde_json::Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<C>().to_value()
}

/// What stands in a file.
pub(crate) fn text_of(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| ConfigError {
        origin: Origin::Default,
        key: None,
        message: format!("the configuration file {} cannot be read: {error}", path.display()),
    })
}

impl Sources {
    /// Reads every source, reports every mistake.
    pub fn load(&self) -> Result<Loaded, ConfigErrors> {
        let mut reader = Reader::new();
        if let Some(path) = &self.file {
            match text_of(path) {
                Ok(text) => reader.file(path, &text),
                Err(mistake) => reader.mistakes.push(mistake),
            }
        }
        self.environment.iter().for_each(|(name, value)| reader.variable(name, value));
        self.flags.iter().for_each(|flag| reader.flag(flag));
        reader.finish().map(Loaded::from)
    }
}

impl From<(Config, Origins)> for Loaded {
    fn from((config, origins): (Config, Origins)) -> Self {
        Self { config, origins }
    }
}

/// Reads TOML text alone.
pub(crate) fn from_text(text: &str) -> Result<Loaded, ConfigErrors> {
    let mut reader = Reader::new();
    reader.file(Path::new("configuration"), text);
    reader.finish().map(Loaded::from)
}

/// Reads a configuration, and goes on where something is wrong with it.
pub(crate) struct Reader<C> {
    known: KnownKeys,
    values: BTreeMap<Key, Value>,
    /// The elements of lists, by section.
    lists: BTreeMap<String, Vec<Value>>,
    /// Whether an element of a list cannot be read.
    is_spoiled: bool,
    origins: Origins,
    mistakes: Vec<ConfigError>,
    read_into: PhantomData<C>,
}

impl<C: Settings> Reader<C> {
    pub(crate) fn new() -> Self {
        Self {
            known: KnownKeys::of(&schema_of::<C>()),
            values: BTreeMap::new(),
            lists: BTreeMap::new(),
            is_spoiled: false,
            origins: Origins::new(),
            mistakes: Vec::new(),
            read_into: PhantomData,
        }
    }

    fn mistake(&mut self, origin: Origin, key: Option<Key>, message: String) {
        self.mistakes.push(ConfigError { origin, key, message });
    }

    pub(crate) fn file(&mut self, path: &Path, text: &str) {
        let place = |offset: usize| Origin::File { path: path.to_owned(), line: line_of(text, offset) };
        let (spans, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            // `message` alone: the full form quotes the line, which may hold a secret.
            let offset = error.span().map_or(0, |span| span.start);
            self.mistake(place(offset), None, format!("is not TOML: {}", error.message()));
        }
        let Ok(values) = toml::from_str::<Table>(text) else { return };
        for (section, span) in spans.get_ref() {
            if let Some(value) = values.get(section.get_ref().as_ref()) {
                let origin = place(section.span().start);
                self.section(section.get_ref(), (span.get_ref(), value), origin, &place);
            }
        }
    }

    /// Takes a section with its keys, or a list of them.
    fn section(
        &mut self,
        section: &str,
        (spans, value): (&DeValue<'_>, &Value),
        origin: Origin,
        place: &dyn Fn(usize) -> Origin,
    ) {
        let is_table =
            value.is_table() || value.as_array().is_some_and(|all| all.iter().any(Value::is_table));
        if is_table && !self.known.has_section(section) {
            let meant = self.known.suggest_section(section);
            let advice = meant.map_or_else(String::new, |meant| format!("; did you mean `[{meant}]`?"));
            return self.mistake(origin, None, format!("there is no section [{section}]{advice}"));
        }
        match (value, self.known.is_list(section)) {
            (Value::Array(elements), true) => {
                for (span, element) in spans.as_array().into_iter().flatten().zip(elements) {
                    self.element(section, (span.get_ref(), element), place(span.span().start), place);
                }
            }
            (Value::Table(_), true) => {
                let message = format!("there is a list of [[{section}]]: write both brackets twice");
                self.mistake(origin, None, message);
            }
            (Value::Table(values), false) => {
                for name in spans.as_table().into_iter().flat_map(DeTable::keys) {
                    if let Some(value) = values.get(name.get_ref().as_ref()) {
                        let key = Key::new(section, name.get_ref().as_ref());
                        self.offer(key, vec![value.clone()], place(name.span().start));
                    }
                }
            }
            (_, _) => {
                let message = self.unknown(&Key::new("", section), ToString::to_string);
                self.mistake(origin, None, format!("`{section}` stands outside of any [section]{message}"));
            }
        }
    }

    /// Takes an element of a list, if it has the keys and the types of one.
    fn element(
        &mut self,
        section: &str,
        (keys, element): (&DeValue<'_>, &Value),
        origin: Origin,
        place: &dyn Fn(usize) -> Origin,
    ) {
        let own = keys.as_table().into_iter().flat_map(DeTable::keys);
        let keys = own.map(|name| (Key::new(section, name.get_ref().as_ref()), place(name.span().start)));
        let unknown: Vec<_> = keys.filter(|(key, _)| self.known.rule(key).is_none()).collect();
        let elements = self.lists.entry(section.to_owned()).or_default();
        elements.push(element.clone());
        let number = Key::new(section, elements.len().to_string());
        self.origins.insert(number.clone(), origin.clone());
        if unknown.is_empty() {
            let table = Table::from_iter([(section.to_owned(), Value::Array(vec![element.clone()]))]);
            if let Err(error) = C::deserialize(table) {
                self.is_spoiled = true;
                self.mistake(origin, Some(number), error.message().trim_end().to_owned());
            }
        }
        self.is_spoiled |= !unknown.is_empty();
        for (key, origin) in unknown {
            self.no_such_key(key, origin);
        }
    }

    /// Reads one of our variables. What is not UTF-8 is refused without its value, which may be a secret.
    fn variable(&mut self, name: &OsStr, value: &OsStr) {
        let shown = name.to_string_lossy();
        if !shown.starts_with(VARIABLE_PREFIX) {
            return;
        }
        match (name.to_str(), value.to_str()) {
            (Some(name), Some(text)) => self.readable_variable(name, text),
            (readable, _) => {
                let what = if readable.is_some() { "value" } else { "name" };
                let message = format!("its {what} is not UTF-8");
                self.mistake(Origin::Variable(shown.into_owned()), None, message);
            }
        }
    }

    fn readable_variable(&mut self, name: &str, text: &str) {
        let Some(rest) = name.strip_prefix(VARIABLE_PREFIX) else { return };
        let origin = Origin::Variable(name.to_owned());
        match rest.to_lowercase().split_once("__") {
            Some((section, key)) => self.offer(Key::new(section, key), readings(text), origin),
            None => self.mistake(origin, None, format!("must look like {VARIABLE_PREFIX}SECTION__KEY")),
        }
    }

    fn flag(&mut self, flag: &Flag) {
        let origin = Origin::Flag(flag.written.clone());
        let Some(key) = Key::parse(&flag.key) else {
            return self.mistake(origin, None, format!("`{}` must look like section.key", flag.key));
        };
        if self.known.rule(&key).is_some_and(|rule| rule.secret) {
            let message = format!(
                "a secret cannot be an argument, because everybody on this machine can read it: use `{key}_file`"
            );
            return self.mistake(origin, Some(key), message);
        }
        self.offer(key, readings(&flag.value), origin);
    }

    /// Takes the first reading of a value that fits its key.
    fn offer(&mut self, key: Key, readings: Vec<Value>, origin: Origin) {
        let Some(rule) = self.known.rule(&key) else { return self.no_such_key(key, origin) };
        let mut refusals = Vec::new();
        for value in readings {
            match fits::<C>(&key, &value).and_then(|()| rule.bounds(&value)) {
                Ok(()) => {
                    self.values.insert(key.clone(), value);
                    self.origins.insert(key, origin);
                    return;
                }
                Err(refusal) => refusals.push(refusal),
            }
        }
        // A refusal of the value says more than one of its type.
        let telling = refusals.iter().find(|refusal| !refusal.starts_with("invalid type"));
        let message = match telling.or(refusals.first()) {
            Some(refusal) if !rule.secret => refusal.trim_end().to_owned(),
            _ => "must be a text".to_owned(),
        };
        self.mistake(origin, Some(key), message);
    }

    fn no_such_key(&mut self, key: Key, origin: Origin) {
        let message = self.unknown(&key, |meant| match origin {
            Origin::Variable(_) => {
                format!("{VARIABLE_PREFIX}{}__{}", meant.section, meant.name).to_uppercase()
            }
            _ => meant.to_string(),
        });
        self.mistake(origin, Some(key), format!("there is no such key{message}"));
    }

    fn unknown(&self, key: &Key, written: impl Fn(&Key) -> String) -> String {
        self.known
            .suggest(key)
            .map_or_else(String::new, |meant| format!("; did you mean `{}`?", written(meant)))
    }

    pub(crate) fn finish(mut self) -> Result<(C, Origins), ConfigErrors> {
        if self.is_spoiled {
            // What goes together with a list that cannot be read, nobody can say.
            return Err(ConfigErrors(self.mistakes));
        }
        let lists = std::mem::take(&mut self.lists)
            .into_iter()
            .map(|(section, elements)| (section, Value::Array(elements)));
        let mut table: Table = lists.collect();
        for (key, value) in &self.values {
            let section = table.entry(key.section.clone()).or_insert_with(|| Value::Table(Table::new()));
            if let Some(section) = section.as_table_mut() {
                section.insert(key.name.clone(), value.clone());
            }
        }
        let mut config = match C::deserialize(table) {
            Ok(config) => config,
            Err(error) => {
                self.mistake(Origin::Default, None, error.message().to_owned());
                return Err(ConfigErrors(self.mistakes));
            }
        };
        // What a key lacks that was given and refused is no second mistake.
        let refused: BTreeSet<Key> = self.mistakes.iter().filter_map(|mistake| mistake.key.clone()).collect();
        for (key, message) in config.complete().into_iter().filter(|(key, _)| !refused.contains(key)) {
            let origin = self.origins.get(&key).cloned().unwrap_or(Origin::Default);
            self.mistake(origin, Some(key), message);
        }
        if self.mistakes.is_empty() {
            return Ok((config, self.origins));
        }
        Err(ConfigErrors(self.mistakes))
    }
}

/// Whether a value has the type of its key: asked of a configuration that consists of that value alone.
fn fits<C: Settings>(key: &Key, value: &Value) -> Result<(), String> {
    let section = Table::from_iter([(key.name.clone(), value.clone())]);
    let table = Table::from_iter([(key.section.clone(), Value::Table(section))]);
    C::deserialize(table).map(drop).map_err(|error| error.message().to_owned())
}

/// What a text from the environment or the command line may mean: itself, a TOML value, a list with commas.
fn readings(text: &str) -> Vec<Value> {
    let toml =
        toml::from_str::<Table>(&format!("value = {text}")).ok().and_then(|mut table| table.remove("value"));
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    let list = Value::Array(items.map(|item| Value::String(item.to_owned())).collect());
    [Some(Value::String(text.to_owned())), toml, Some(list)].into_iter().flatten().collect()
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(
        file: &str,
        environment: &[(&str, &str)],
        flags: &[(&str, &str)],
    ) -> Result<Loaded, ConfigErrors> {
        let mut reader = Reader::new();
        reader.file(Path::new("portcullis.toml"), file);
        for (name, value) in environment {
            reader.variable(name.as_ref(), value.as_ref());
        }
        for (key, value) in flags {
            let written = format!("--set {key}");
            reader.flag(&Flag { key: (*key).to_owned(), value: (*value).to_owned(), written });
        }
        reader.finish().map(Loaded::from)
    }

    fn mistakes(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Vec<String> {
        load(file, environment, flags).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nothing_at_all_is_a_complete_configuration() {
        let config = load("", &[("PATH", "/bin")], &[]).unwrap().config;
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.issuer().as_str(), "http://localhost:8080");
        assert_eq!(config.database_url().expose(), "sqlite:./data/portcullis.db");
    }

    #[test]
    fn the_issuer_follows_the_port_even_when_it_is_the_default_one() {
        let issuer =
            |listen| load("", &[], &[("server.listen", listen)]).unwrap().config.issuer().to_string();
        assert_eq!(issuer("127.0.0.1:9000"), "http://localhost:9000");
        assert_eq!(issuer("[::1]:80"), "http://localhost");
    }

    #[test]
    fn a_flag_beats_the_environment_which_beats_the_file() {
        let file = "[tokens]\naccess_ttl_secs = 60\nid_ttl_secs = 60\ncode_ttl_secs = 30";
        let environment =
            [("PORTCULLIS__TOKENS__ACCESS_TTL_SECS", "70"), ("PORTCULLIS__TOKENS__ID_TTL_SECS", "70")];
        let loaded = load(file, &environment, &[("tokens.access_ttl_secs", "80")]).unwrap();
        let tokens = loaded.config.tokens.clone();
        assert_eq!((tokens.access_ttl_secs, tokens.id_ttl_secs, tokens.code_ttl_secs), (80, 70, 30));
        let source = |key: &str| loaded.values().into_iter().find(|shown| shown.key == key).unwrap().source;
        assert_eq!(source("tokens.access_ttl_secs"), "--set tokens.access_ttl_secs");
        assert_eq!(source("tokens.id_ttl_secs"), "PORTCULLIS__TOKENS__ID_TTL_SECS");
        assert_eq!(source("tokens.code_ttl_secs"), "portcullis.toml:4");
        assert_eq!(source("tokens.refresh_ttl_days"), "default");
    }

    #[test]
    fn the_environment_holds_numbers_lists_and_words() {
        let environment = [
            ("PORTCULLIS__SERVER__TRUSTED_PROXIES", "10.0.0.0/8, 192.168.1.7"),
            ("PORTCULLIS__SERVER__PROXY_HEADER", "forwarded"),
            ("PORTCULLIS__PASSWORDS__WORKERS", "3"),
            ("PORTCULLIS__LOG__FILTER", "portcullis_server=debug,info"),
        ];
        let config = load("", &environment, &[]).unwrap().config;
        let proxies: Vec<_> = config.server.trusted_proxies.iter().map(ToString::to_string).collect();
        assert_eq!(proxies, ["10.0.0.0/8", "192.168.1.7/32"]);
        assert_eq!(config.passwords.workers, Some(3));
        assert_eq!(config.journal.log.filter, "portcullis_server=debug,info");
    }

    #[test]
    fn every_mistake_is_reported_at_once_with_its_place() {
        let file =
            "[server]\nlisten = \"nowhere\"\nlisen = \"x\"\n\n[tokens]\naccess_ttl_secs = 5\n[tokns]\nx = 1";
        let environment = [
            ("PORTCULLIS__SERVER__ISUER", "https://id.example.com"),
            ("PORTCULLIS__TOKENS__ID_TTL_SECS", "soon"),
            ("PORTCULLIS__LISTEN", "x"),
        ];
        let flags = [("log.format", "xml"), ("server.access_ttl_secs", "60"), ("nothing", "1")];
        assert_eq!(
            mistakes(file, &environment, &flags),
            [
                "portcullis.toml:3: server.lisen: there is no such key; did you mean `server.listen`?",
                "portcullis.toml:2: server.listen: invalid socket address syntax",
                "portcullis.toml:6: tokens.access_ttl_secs: must be from 30 to 86400, not 5",
                "portcullis.toml:7: there is no section [tokns]; did you mean `[tokens]`?",
                "PORTCULLIS__SERVER__ISUER: server.isuer: there is no such key; did you mean `PORTCULLIS__SERVER__ISSUER`?",
                "PORTCULLIS__TOKENS__ID_TTL_SECS: tokens.id_ttl_secs: invalid type: string \"soon\", expected u64",
                "PORTCULLIS__LISTEN: must look like PORTCULLIS__SECTION__KEY",
                "--set log.format: log.format: unknown variant `xml`, expected one of `auto`, `json`, `pretty`",
                "--set server.access_ttl_secs: server.access_ttl_secs: there is no such key; did you mean \
             `tokens.access_ttl_secs`?",
                "--set nothing: `nothing` must look like section.key",
            ]
        );
    }

    #[test]
    fn a_variable_that_is_not_utf_8_is_refused_by_its_name_and_without_its_value() {
        use std::os::unix::ffi::OsStrExt as _;
        let name = |text: &[u8]| OsStr::from_bytes(text).to_owned();
        let environment = vec![
            (name(b"PORTCULLIS__KEYS__MASTER_KEY"), name(b"hidden\xff")),
            (name(b"PORTCULLIS__LOG__\xff"), name(b"hidden")),
            (name(b"ANOTHER"), name(b"hidden\xff")),
        ];
        let refused = Sources { environment, ..Sources::default() }.load().unwrap_err();
        let refused: Vec<_> = refused.iter().map(ToString::to_string).collect();
        assert_eq!(
            refused,
            [
                "PORTCULLIS__KEYS__MASTER_KEY: its value is not UTF-8",
                "PORTCULLIS__LOG__\u{fffd}: its name is not UTF-8",
            ]
        );
    }

    #[test]
    fn an_unknown_section_is_refused_although_it_holds_nothing() {
        let refused = mistakes("[srever]\n", &[], &[]);
        assert_eq!(refused, ["portcullis.toml:1: there is no section [srever]; did you mean `[server]`?"]);
    }

    #[test]
    fn a_public_issuer_over_plain_http_is_refused_with_an_explanation() {
        // One that is given is not missing besides, although everybody reaches this server.
        let file = "[server]\nlisten = \"0.0.0.0:8080\"\nissuer = \"http://id.example.com\"";
        let refused = mistakes(file, &[], &[]);
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert!(refused[0].contains("must use https"), "{refused:?}");
        assert!(refused[0].contains("and `https://id.example.com` here"), "{refused:?}");
    }

    #[test]
    fn a_server_that_everybody_reaches_must_say_its_name() {
        let refused = mistakes("", &[("PORTCULLIS__SERVER__LISTEN", "0.0.0.0:8080")], &[]);
        assert!(refused[0].starts_with("server.issuer: must be set"), "{refused:?}");
        let named = [
            ("PORTCULLIS__SERVER__LISTEN", "0.0.0.0:8080"),
            ("PORTCULLIS__SERVER__ISSUER", "https://id.example.com"),
        ];
        assert_eq!(load("", &named, &[]).unwrap().config.issuer().as_str(), "https://id.example.com");
    }

    #[test]
    fn a_file_that_is_not_toml_is_refused_without_quoting_it() {
        let refused = mistakes("[keys]\nmaster_key = \"hunter2\n", &[], &[]);
        assert!(refused[0].starts_with("portcullis.toml:2: is not TOML"), "{refused:?}");
        assert!(!refused.concat().contains("hunter2"), "{refused:?}");
        let refused = mistakes("listen = \"127.0.0.1:1\"", &[], &[]);
        assert_eq!(
            refused,
            ["portcullis.toml:1: `listen` stands outside of any [section]; did you mean `server.listen`?"]
        );
    }

    #[test]
    fn a_secret_is_never_quoted_and_never_an_argument() {
        let refused =
            mistakes("[keys]\nmaster_key = 12345", &[], &[("database.url", "postgres://a:hunter2@b/c")]);
        assert_eq!(refused[0], "portcullis.toml:2: keys.master_key: must be a text");
        assert!(refused[1].contains("cannot be an argument"), "{refused:?}");
        assert!(!refused.concat().contains("hunter2") && !refused.concat().contains("12345"), "{refused:?}");
        let loaded = load("[database]\nurl = \"postgres://a:hunter2@b/c\"", &[], &[]).unwrap();
        let shown = loaded.to_toml();
        assert!(shown.contains("url = \"********\""), "{shown}");
        assert!(!shown.contains("hunter2") && !format!("{loaded:?}").contains("hunter2"));
    }

    #[test]
    fn a_secret_comes_from_a_file_or_is_given_but_not_both() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("url");
        std::fs::write(&path, "postgres://a:b@c/d\n").unwrap();
        let file = format!("[database]\nurl_file = \"{}\"", path.display());
        assert_eq!(load(&file, &[], &[]).unwrap().config.database_url().expose(), "postgres://a:b@c/d");
        let both = mistakes(&file, &[("PORTCULLIS__DATABASE__URL", "sqlite:x")], &[]);
        assert!(
            both[0].contains("portcullis.toml:2: database.url_file: is set beside `database.url`"),
            "{both:?}"
        );
        let missing = mistakes("[keys]\nmaster_key_file = \"/does/not/exist\"", &[], &[]);
        assert!(missing[0].contains("cannot be read"), "{missing:?}");
    }

    #[test]
    fn keys_that_contradict_one_another_are_found_together() {
        let file = "[keys]\nrotate_after_days = 5\noverlap_days = 5\n[sessions]\nttl_hours = 1\n[log]\nfilter = \"a=b=c\"\n[database]\nurl = \"mysql://x\"";
        let found = mistakes(file, &[], &[]);
        let keys = ["database.url", "keys.overlap_days", "sessions.idle_hours", "log.filter"];
        assert_eq!(found.len(), keys.len(), "{found:?}");
        for (mistake, key) in found.iter().zip(keys) {
            assert!(mistake.contains(key), "{mistake}");
        }
    }

    #[test]
    fn the_schema_names_every_key_and_its_bounds() {
        let schema = Config::schema();
        let ttl = &schema["properties"]["tokens"]["properties"]["access_ttl_secs"];
        assert_eq!((&ttl["minimum"], &ttl["maximum"]), (&30.into(), &86400.into()));
        assert!(ttl["description"].as_str().unwrap().starts_with("Life of an access token"));
        assert_eq!(schema["properties"]["keys"]["properties"]["master_key"]["format"], "password");
    }
}
