//! The patterns of rules, compiled once.
//!
//! Each means what Casbin documents. What Casbin's own functions make of characters that are special
//! in a regular expression is refused: a rule must not mean two things.

use std::net::IpAddr;

use regex::{Regex, RegexBuilder};

/// How large one expression may become when it is compiled, in bytes.
const MAX_REGEX_BYTES: usize = 128 * 1024;
const MAX_SEGMENTS: usize = 32;

/// A function of a matcher that compares a text with a pattern.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Function {
    Glob,
    Ip,
    Key,
    Key2,
    Key3,
    Key4,
    Key5,
    Regex,
}

/// Why a text is no pattern.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Refused {
    pub(super) code: &'static str,
    pub(super) message: String,
    /// Byte offset of the trouble.
    pub(super) offset: usize,
}

/// A compiled pattern.
#[derive(Debug)]
pub(super) enum Pattern {
    Exact(Box<str>),
    Network(Network),
    Path(Path),
    Prefix(Box<str>),
    Regex(Box<Regex>),
}

/// The text was no address, so nothing can be said about networks.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct NoAddress;

impl Pattern {
    pub(super) fn is_expression(&self) -> bool {
        matches!(self, Self::Regex(_))
    }
}

impl Function {
    pub(super) fn named(name: &str) -> Option<Self> {
        const NAMES: [(&str, Function); 8] = [
            ("globMatch", Function::Glob),
            ("ipMatch", Function::Ip),
            ("keyMatch", Function::Key),
            ("keyMatch2", Function::Key2),
            ("keyMatch3", Function::Key3),
            ("keyMatch4", Function::Key4),
            ("keyMatch5", Function::Key5),
            ("regexMatch", Function::Regex),
        ];
        NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, function)| function)
    }

    pub(super) fn compile(self, text: &str) -> Result<Pattern, Refused> {
        match self {
            Self::Glob => glob(text),
            Self::Ip => Network::parse(text).map(Pattern::Network),
            Self::Key => prefix(text),
            Self::Key2 => path(text, self, &colons(text)?),
            Self::Key3 | Self::Key4 | Self::Key5 => path(text, self, &braces(text)?),
            Self::Regex => regex(text, text),
        }
    }

    /// The part of the text that is compared: `keyMatch5` leaves out the query.
    fn part(self, text: &str) -> &str {
        match self {
            Self::Key5 => text.split_once('?').map_or(text, |(path, _)| path),
            Self::Glob | Self::Ip | Self::Key | Self::Key2 | Self::Key3 | Self::Key4 | Self::Regex => text,
        }
    }

    /// Whether the text fits a pattern of this function.
    pub(super) fn matches(self, text: &str, pattern: &Pattern) -> Result<bool, NoAddress> {
        let text = self.part(text);
        Ok(match pattern {
            Pattern::Exact(exact) => **exact == *text,
            Pattern::Network(network) => {
                network.contains(text.parse::<IpAddr>().map_err(|_| NoAddress)?.to_canonical())
            }
            Pattern::Path(path) => path.matches(text),
            Pattern::Prefix(prefix) => text.starts_with(&**prefix),
            Pattern::Regex(regex) => regex.is_match(text),
        })
    }
}

fn refused(offset: usize, message: impl Into<String>) -> Refused {
    Refused { code: "pattern", message: message.into(), offset }
}

/// `keyMatch`: everything that begins with what stands before the star.
fn prefix(text: &str) -> Result<Pattern, Refused> {
    match text.split_once('*') {
        None => Ok(Pattern::Exact(text.into())),
        Some((prefix, "")) => Ok(Pattern::Prefix(prefix.into())),
        Some((prefix, _)) => {
            let message = "`keyMatch` reads nothing behind the `*`: this would match more than it says";
            Err(refused(prefix.len() + 1, message))
        }
    }
}

fn regex(source: &str, text: &str) -> Result<Pattern, Refused> {
    if let Some(offset) = text.find(r"\p").or_else(|| text.find(r"\P")) {
        return Err(refused(offset, r"Unicode classes are not known here: use `\w`, `\d`, `\s` or a set"));
    }
    let built = RegexBuilder::new(source).size_limit(MAX_REGEX_BYTES).dfa_size_limit(MAX_REGEX_BYTES).build();
    built.map(|regex| Pattern::Regex(Box::new(regex))).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => Refused {
            code: "pattern-costly",
            message: format!("this expression needs more than {MAX_REGEX_BYTES} bytes: repeat less"),
            offset: 0,
        },
        _ => refused(0, "this is no regular expression of the kind that is matched in linear time"),
    })
}

/// `globMatch`: `*` and `?` stay within a segment.
fn glob(text: &str) -> Result<Pattern, Refused> {
    let mut source = String::from("^");
    for (at, c) in text.char_indices() {
        match c {
            '*' if text.get(at + 1..).is_some_and(|rest| rest.starts_with('*')) => {
                return Err(refused(at, "`**` is not the same everywhere: `*` is one segment"));
            }
            '*' => source.push_str("[^/]*"),
            '?' => source.push_str("[^/]"),
            '[' | ']' | '{' | '}' | '\\' => {
                return Err(refused(at, "only `*` and `?` are special in `globMatch` here"));
            }
            c => source.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    source.push('$');
    if text.contains(['*', '?']) { regex(&source, "") } else { Ok(Pattern::Exact(text.into())) }
}

/// A part of a pattern for paths.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Part<'a> {
    Literal(&'a str),
    /// At least one character, but no slash.
    Segment(&'a str),
    /// Anything, at the end also nothing.
    Rest,
}

/// Where the next part begins that is not literal, and with it how long it is.
type Found<'a> = (usize, usize, Part<'a>);

fn split<'a>(text: &'a str, special: impl Fn(&'a str) -> Option<Found<'a>>) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((at, length, part)) = special(rest) {
        parts.extend(rest.get(..at).filter(|literal| !literal.is_empty()).map(Part::Literal));
        parts.push(part);
        rest = rest.get(at + length..).unwrap_or_default();
    }
    parts.extend((!rest.is_empty()).then_some(Part::Literal(rest)));
    parts
}

fn open_end(text: &str) -> Option<Found<'_>> {
    text.find("/*").map(|at| (at + 1, 1, Part::Rest))
}

/// `keyMatch2`: `:name` is one segment.
fn colons(text: &str) -> Result<Vec<Part<'_>>, Refused> {
    if let Some(at) = text.find(['{', '}']) {
        return Err(refused(at, "a parameter of `keyMatch2` is written `:name`"));
    }
    Ok(split(text, |text| {
        let named = text.find(':').map(|at| {
            let name = text.get(at + 1..).unwrap_or_default();
            let name = name.split('/').next().unwrap_or_default();
            (at, 1 + name.len(), Part::Segment(name))
        });
        [named, open_end(text)].into_iter().flatten().min_by_key(|(at, _, _)| *at)
    }))
}

/// `keyMatch3`, `keyMatch4`, `keyMatch5`: `{name}` is one segment or a part of one.
fn braces(text: &str) -> Result<Vec<Part<'_>>, Refused> {
    let parts = split(text, |text| {
        let named = text.find('{').and_then(|at| {
            let (name, _) = text.get(at + 1..)?.split_once('}')?;
            Some((at, name.len() + 2, Part::Segment(name)))
        });
        [named, open_end(text)].into_iter().flatten().min_by_key(|(at, _, _)| *at)
    });
    let loose = |part: &Part<'_>| matches!(part, Part::Literal(text) if text.contains(['{', '}']));
    if parts.iter().any(loose) {
        return Err(refused(0, "a brace stands alone: a parameter is written `{name}`"));
    }
    Ok(parts)
}

fn path(text: &str, function: Function, parts: &[Part<'_>]) -> Result<Pattern, Refused> {
    check_parts(text, parts)?;
    let segments: Vec<_> = parts.iter().filter(|part| matches!(part, Part::Segment(_))).collect();
    if segments.len() > MAX_SEGMENTS {
        return Err(refused(0, format!("a pattern has at most {MAX_SEGMENTS} parameters")));
    }
    if segments.is_empty() && !parts.contains(&Part::Rest) {
        return Ok(Pattern::Exact(text.into()));
    }
    if is_certain(parts) {
        return Ok(Pattern::Path(Path::new(parts, function == Function::Key4)));
    }
    let in_one_segment = |text: &str| text.matches('{').count() > 1;
    if function == Function::Key4 || (function == Function::Key3 && text.split('/').any(in_one_segment)) {
        let message = "where one parameter ends and the next begins is not certain: let each be a segment";
        return Err(refused(0, message));
    }
    let mut source = String::from("^");
    for part in parts {
        match part {
            Part::Literal(text) => source.push_str(&regex::escape(text)),
            Part::Rest => source.push_str(".*"),
            Part::Segment(_) => source.push_str("[^/]+"),
        }
    }
    source.push('$');
    regex(&source, "")
}

fn check_parts(text: &str, parts: &[Part<'_>]) -> Result<(), Refused> {
    const SPECIAL: [char; 11] = ['\\', '^', '$', '|', '(', ')', '[', ']', '+', '?', '*'];
    for part in parts {
        let (words, message) = match part {
            Part::Literal(literal) => {
                (literal.contains(SPECIAL), "only `regexMatch` takes regular expressions")
            }
            Part::Segment(name) => (
                name.is_empty() || name.contains(|c: char| !c.is_alphanumeric() && c != '_' && c != '-'),
                "the name of a parameter has letters, digits, `_` and `-`, and ends at a slash or its brace",
            ),
            Part::Rest => (false, ""),
        };
        if words {
            let offset = text.find(SPECIAL).unwrap_or(0);
            return Err(refused(offset, message));
        }
    }
    Ok(())
}

/// Whether it is certain where each part ends: a parameter at a slash, the rest at the end.
fn is_certain(parts: &[Part<'_>]) -> bool {
    let ends = |pair: &[Part<'_>]| match pair {
        [Part::Segment(_), Part::Literal(next)] => next.starts_with('/'),
        [Part::Segment(_) | Part::Rest, _] => false,
        _ => true,
    };
    parts.windows(2).all(ends)
}

/// A path with open segments, each of which ends at a slash.
#[derive(Debug)]
pub(super) struct Path {
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Literal(Box<str>),
    Rest,
    Segment,
    /// The same text as in the parameter with this number.
    Same(usize),
}

impl Path {
    /// `repeats`: whether parameters of one name stand for one text.
    fn new(parts: &[Part<'_>], repeats: bool) -> Self {
        let mut names: Vec<&str> = Vec::new();
        let mut steps = Vec::with_capacity(parts.len());
        for part in parts {
            steps.push(match part {
                Part::Literal(text) => Step::Literal((*text).into()),
                Part::Rest => Step::Rest,
                Part::Segment(name) => {
                    let before = names.iter().position(|known| known == name).filter(|_| repeats);
                    names.push(name);
                    before.map_or(Step::Segment, Step::Same)
                }
            });
        }
        Self { steps }
    }

    fn matches(&self, text: &str) -> bool {
        let mut rest = text;
        let mut taken = [""; MAX_SEGMENTS];
        let mut count = 0;
        for step in &self.steps {
            match step {
                Step::Literal(literal) => match rest.strip_prefix(&**literal) {
                    Some(behind) => rest = behind,
                    None => return false,
                },
                Step::Rest => return !rest.contains('\n'),
                Step::Segment | Step::Same(_) => {
                    let (segment, behind) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                    let is_same = |before: &usize| taken.get(*before) == Some(&segment);
                    if segment.is_empty() || matches!(step, Step::Same(before) if !is_same(before)) {
                        return false;
                    }
                    if let Some(slot) = taken.get_mut(count) {
                        *slot = segment;
                    }
                    (rest, count) = (behind, count + 1);
                }
            }
        }
        rest.is_empty()
    }
}

/// An address, or all that begin with the same bits.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn parse(text: &str) -> Result<Self, Refused> {
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let wrong = |offset| refused(offset, "this is no IP address, nor one with `/` and a number of bits");
        let parsed: IpAddr = address.parse().map_err(|_| wrong(0))?;
        let most = if parsed.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) => {
                bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(|| wrong(address.len()))?
            }
        };
        let address = parsed.to_canonical();
        if address.is_ipv4() == parsed.is_ipv4() {
            return Ok(Self { address, bits });
        }
        // All of ::ffff:0:0/96 is IPv4, and nothing that is wider.
        bits.checked_sub(96).map(|bits| Self { address, bits }).ok_or_else(|| wrong(0))
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differ = network.to_bits() ^ address.to_bits();
                differ.leading_zeros() >= self.bits
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differ = network.to_bits() ^ address.to_bits();
                differ.leading_zeros() >= self.bits
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}
