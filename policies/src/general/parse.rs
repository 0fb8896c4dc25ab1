//! The text of a model, in Casbin's PERM language, read into its definitions.

use super::effect::Effect;
use crate::report::{Finding, Findings, Place, PolicyFile, closest, quoted};

const MAX_TEXT_BYTES: usize = 64 * 1024;

/// How many fields a request or a rule may have, and how many kinds of roles a model.
pub(super) const MAX_FIELDS: usize = 12;
const MAX_ROLE_DEFINITIONS: usize = 8;

/// The sections of a model, and the key that each must have.
const SECTIONS: [(&str, &str); 4] =
    [("matchers", "m"), ("policy_definition", "p"), ("policy_effect", "e"), ("request_definition", "r")];
const ROLES: &str = "role_definition";

/// What a model defines.
pub(super) struct Model {
    pub(super) request: Vec<String>,
    pub(super) policy: Vec<String>,
    pub(super) roles: Vec<RoleDefinition>,
    pub(super) effect: Effect,
    pub(super) matcher: Text,
}

/// A kind of roles: `g = _, _` or `g2 = _, _, _`.
pub(super) struct RoleDefinition {
    pub(super) name: String,
    /// Whether its rows name a domain.
    pub(super) in_domains: bool,
}

/// A value of the model, which may come from several lines.
pub(super) struct Text {
    pub(super) text: String,
    pieces: Vec<Piece>,
}

/// From byte `start` on, the text stands in this line from this column on.
#[derive(Clone, Copy)]
struct Piece {
    start: usize,
    line: u32,
    column: u32,
}

impl Text {
    /// Where the byte at this offset stands in the model.
    pub(super) fn place(&self, at: usize) -> Place {
        let first = Piece { start: 0, line: 1, column: 1 };
        let piece = self.pieces.iter().rfind(|piece| piece.start <= at).copied().unwrap_or(first);
        let before = self.text.get(piece.start..at).unwrap_or_default().chars().count();
        let column = piece.column.saturating_add(u32::try_from(before).unwrap_or(u32::MAX));
        Place { file: PolicyFile::Model, line: piece.line, column }
    }

    /// The part from byte `at` on, without the spaces around it.
    fn tail(&self, at: usize) -> Self {
        let rest = self.text.get(at..).unwrap_or_default();
        let start = at + (rest.len() - rest.trim_start().len());
        let Place { line, column, .. } = self.place(start);
        let later = self.pieces.iter().filter(|piece| piece.start > start);
        let later = later.map(|piece| Piece { start: piece.start - start, ..*piece });
        let pieces = std::iter::once(Piece { start: 0, line, column }).chain(later).collect();
        Self { text: rest.trim().to_owned(), pieces }
    }

    fn error(&self, at: usize, code: &'static str, message: impl Into<String>) -> Finding {
        Finding::error(self.place(at), code, message)
    }
}

/// Reads a model. `None` when it is none that this crate knows, which is then reported.
pub(super) fn parse(text: &str, findings: &mut Findings) -> Option<Model> {
    if text.len() > MAX_TEXT_BYTES {
        let message = format!("the model has {} bytes; the most is {MAX_TEXT_BYTES}", text.len());
        findings.push(Finding::error(Place::model(1), "too-large", message));
        return None;
    }
    let mut entries = Entries::default();
    let mut sound = true;
    for line in logical_lines(text) {
        if let Err(finding) = entries.read(&line) {
            findings.push(finding);
            sound = false;
        }
    }
    for (section, key) in SECTIONS {
        if sound && entries.get(section, key).is_none() {
            let message = format!("the model has no `{key}` in a section [{section}]");
            findings.push(Finding::error(Place::model(1), "model-syntax", message));
            sound = false;
        }
    }
    if !sound {
        return None;
    }
    entries.into_model().map_err(|finding| findings.push(finding)).ok()
}

/// Lines that hold something; a `\` at the end of one goes on in the next.
fn logical_lines(text: &str) -> Vec<Text> {
    let skipped = |line: &str| line.is_empty() || line.starts_with(['#', ';']);
    let mut lines = (1..).zip(text.lines());
    let mut read = Vec::new();
    while let Some((number, raw)) = lines.next() {
        if skipped(raw.trim()) {
            continue;
        }
        let mut line = Text { text: String::new(), pieces: Vec::new() };
        line.append(number, raw);
        while let Some(open) = line.text.strip_suffix('\\') {
            let length = open.trim_end().len();
            line.text.truncate(length);
            let Some((number, raw)) = lines.next().filter(|(_, raw)| !skipped(raw.trim())) else { break };
            line.append(number, raw);
        }
        read.push(line);
    }
    read
}

impl Text {
    fn append(&mut self, line: u32, raw: &str) {
        let indent = raw.chars().take_while(|c| c.is_whitespace()).count();
        let column = u32::try_from(indent).unwrap_or(u32::MAX).saturating_add(1);
        self.pieces.push(Piece { start: self.text.len(), line, column });
        self.text.push_str(raw.trim());
    }
}

#[derive(Default)]
struct Entries {
    section: Option<&'static str>,
    values: Vec<(&'static str, String, Text)>,
}

impl Entries {
    fn get(&self, section: &str, key: &str) -> Option<&Text> {
        let is_it = |(of, name, _): &&(&str, String, Text)| *of == section && name == key;
        self.values.iter().find(is_it).map(|(_, _, text)| text)
    }

    fn read(&mut self, line: &Text) -> Result<(), Finding> {
        if let Some(name) = line.text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let mut sections = SECTIONS.map(|(section, _)| section).into_iter().chain([ROLES]);
            self.section = sections.clone().find(|section| *section == name);
            return self.section.map(|_| ()).ok_or_else(|| {
                let message = format!("{} is no section of a model", quoted(name));
                line.error(0, "model-syntax", message).with_fix(closest(name, &mut sections))
            });
        }
        let Some((key, _)) = line.text.split_once('=') else {
            let message = "a line of a model is a `[section]` or `key = value`";
            return Err(line.error(0, "model-syntax", message));
        };
        let value = without_comment(line.tail(key.len() + 1))?;
        let key = key.trim();
        let Some(section) = self.section.filter(|section| is_key(section, key)) else {
            let message =
                format!("this version evaluates no definition {} here: a model has one each", quoted(key));
            return Err(line.error(0, "model-unsupported", message));
        };
        if self.get(section, key).is_some() {
            return Err(line.error(0, "model-syntax", format!("`{key}` is defined twice")));
        }
        self.values.push((section, key.to_owned(), value));
        Ok(())
    }

    fn into_model(self) -> Result<Model, Finding> {
        let missing = || Finding::error(Place::model(1), "model-syntax", "a definition is missing");
        let get = |section, key| self.get(section, key).ok_or_else(missing);
        let effect = get("policy_effect", "e")?;
        let request = fields(get("request_definition", "r")?)?;
        let policy = fields(get("policy_definition", "p")?)?;
        let effect_of = Effect::parse(&effect.text).ok_or_else(|| {
            let message = format!("{} is none of the four effects", quoted(&effect.text));
            effect.error(0, "model-effect", message).with_fix(Some(Effect::AllowAndDeny.text()))
        })?;
        if effect_of == Effect::DenyOverride && !policy.iter().any(|field| field == "eft") {
            let message = "no rule of this model can deny, so everything would be allowed: `p` has no `eft`";
            return Err(effect.error(0, "model-effect", message));
        }
        let of_roles = self.values.iter().filter(|(section, _, _)| *section == ROLES);
        let roles =
            of_roles.map(|(_, name, value)| role_definition(name, value)).collect::<Result<_, _>>()?;
        let matcher = get("matchers", "m")?.tail(0);
        Ok(Model { request, policy, roles, effect: effect_of, matcher })
    }
}

fn is_key(section: &str, key: &str) -> bool {
    let number = key.strip_prefix('g').filter(|_| section == ROLES);
    let is_role = number.is_some_and(|number| {
        number.is_empty() || number.parse::<usize>().is_ok_and(|n| (2..=MAX_ROLE_DEFINITIONS).contains(&n))
    });
    is_role || SECTIONS.contains(&(section, key))
}

/// Casbin ends the value at a `#`, in whichever of its lines that stands.
fn without_comment(mut value: Text) -> Result<Text, Finding> {
    let Some(at) = value.text.find('#') else { return Ok(value) };
    if value.pieces.iter().any(|piece| piece.start > at) {
        let message = "a comment here would end the whole definition, and with it the lines below";
        return Err(value.error(at, "model-syntax", message));
    }
    value.text.truncate(at);
    value.text.truncate(value.text.trim_end().len());
    Ok(value)
}

fn fields(value: &Text) -> Result<Vec<String>, Finding> {
    let mut fields: Vec<String> = Vec::new();
    for name in value.text.split(',').map(str::trim) {
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !begins || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let message = format!("{} is no name of a field", quoted(name));
            return Err(value.error(0, "model-syntax", message));
        }
        if fields.iter().any(|field| field == name) {
            return Err(value.error(0, "model-syntax", format!("the field `{name}` is there twice")));
        }
        fields.push(name.to_owned());
    }
    if fields.len() > MAX_FIELDS {
        return Err(value.error(0, "model-syntax", format!("a definition has at most {MAX_FIELDS} fields")));
    }
    Ok(fields)
}

fn role_definition(name: &str, value: &Text) -> Result<RoleDefinition, Finding> {
    let places: Vec<_> = value.text.split(',').map(str::trim).collect();
    let in_domains = match places.as_slice() {
        ["_", "_"] => false,
        ["_", "_", "_"] => true,
        _ => {
            let message = format!("`{name}` has two places, or three with a domain");
            return Err(value.error(0, "model-roles", message).with_fix(Some("_, _")));
        }
    };
    Ok(RoleDefinition { name: name.to_owned(), in_domains })
}
