//! What a rule says about objects: every object, one name, or a route template.

/// The most segments that a template may have.
const MAX_SEGMENTS: usize = 32;

/// The object field of a rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Object<'a> {
    /// `*`
    Any,
    /// A name, compared byte for byte: `orders`, `/v1.0/status`.
    Name(&'a str),
    /// A route template: `/orders/{id}`, `/docs/*`.
    Template(Template<'a>),
}

/// A path with segments left open.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Template<'a> {
    pub(crate) text: &'a str,
    pub(crate) segments: Vec<Segment<'a>>,
    /// Whether it ends in `/*`: everything below the segments, but not what they name themselves.
    pub(crate) open: bool,
}

/// One part between slashes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Segment<'a> {
    /// This text, in which no character is special.
    Literal(&'a str),
    /// `{name}`: any text but none at all. The name is for readers.
    Parameter,
}

/// Why a text is no object.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct ObjectError {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// Byte offset of the trouble within the field.
    pub(crate) offset: usize,
    pub(crate) fix: Option<String>,
}

impl<'a> Object<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, ObjectError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        refuse_regex(text)?;
        let open = text.ends_with("/*");
        let path = if open { text.strip_suffix("/*").unwrap_or(text) } else { text };
        let mut segments = Vec::new();
        let mut offset = 0;
        for part in path.split('/') {
            segments.push(Segment::parse(part).map_err(|error| error.within(text, part, offset))?);
            offset += part.len() + 1;
        }
        refuse_odd_path(text)?;
        if !open && !segments.contains(&Segment::Parameter) {
            return Ok(Self::Name(text));
        }
        if segments.len() > MAX_SEGMENTS {
            let message = format!("a template has at most {MAX_SEGMENTS} segments");
            return Err(ObjectError { code: "template-depth", message, offset: 0, fix: None });
        }
        Ok(Self::Template(Template { text, segments, open }))
    }

    /// The object as it is written.
    pub(crate) fn text(&self) -> &'a str {
        match self {
            Self::Any => "*",
            Self::Name(name) => name,
            Self::Template(template) => template.text,
        }
    }

    /// The same for two objects that match the same requests, whatever their parameters are called.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Any => "*".to_owned(),
            Self::Name(name) => (*name).to_owned(),
            Self::Template(template) => template.key(),
        }
    }
}

impl Template<'_> {
    fn key(&self) -> String {
        let segments = self.segments.iter().map(|segment| match segment {
            Segment::Literal(text) => text,
            Segment::Parameter => "{}",
        });
        segments.chain(self.open.then_some("*")).collect::<Vec<_>>().join("/")
    }
}

impl<'a> Segment<'a> {
    fn parse(part: &'a str) -> Result<Self, ObjectError> {
        if let Some(name) = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            return parameter(part, name);
        }
        if part.contains(['{', '}']) {
            let message = "a parameter is a whole segment in braces, such as `{id}`";
            return Err(ObjectError::template(message, part.find(['{', '}']), None));
        }
        if let Some(name) = part.strip_prefix(':') {
            let fix = Some(format!("{{{name}}}"));
            return Err(ObjectError::template("a parameter is written in braces", None, fix));
        }
        if let Some(offset) = part.find('*') {
            let message =
                "`*` stands for every object, or at the end of a path, after `/`, for everything below";
            let fix = (part == "*").then(|| "{name}".to_owned());
            return Err(ObjectError::template(message, Some(offset), fix));
        }
        Ok(Self::Literal(part))
    }
}

fn parameter<'a>(part: &str, name: &str) -> Result<Segment<'a>, ObjectError> {
    if name.starts_with('*') {
        let message = "a parameter is one segment; everything below is `/*`";
        return Err(ObjectError::template(message, None, Some("*".to_owned())));
    }
    if name.is_empty() || name.contains(|c: char| !c.is_alphanumeric() && c != '_' && c != '-') {
        let message = format!("`{part}` is no parameter: its name has letters, digits, `_` and `-`");
        return Err(ObjectError::template(&message, None, None));
    }
    Ok(Segment::Parameter)
}

impl ObjectError {
    fn template(message: &str, offset: Option<usize>, fix: Option<String>) -> Self {
        let message = message.to_owned();
        Self { code: "template", message, offset: offset.unwrap_or(0), fix }
    }

    /// Turns an error about one part into one about the whole text.
    fn within(mut self, text: &str, part: &str, offset: usize) -> Self {
        self.offset += offset;
        let tail = offset + part.len();
        self.fix =
            self.fix.and_then(|fix| Some(format!("{}{fix}{}", text.get(..offset)?, text.get(tail..)?)));
        self
    }
}

/// Refuses what a reader might take for a regular expression.
///
/// Here these characters would be literal; in Casbin's own `keyMatch5` they are not, and an
/// unbalanced one stops every decision. A rule must not mean two things.
fn refuse_regex(text: &str) -> Result<(), ObjectError> {
    const SPECIAL: [char; 10] = ['\\', '^', '$', '|', '(', ')', '[', ']', '+', '?'];
    let Some(offset) = text.find(SPECIAL) else { return Ok(()) };
    let message = "an object is a name or a route template, not a regular expression".to_owned();
    Err(ObjectError { code: "object-regex", message, offset, fix: None })
}

fn refuse_odd_path(text: &str) -> Result<(), ObjectError> {
    if is_canonical(text) {
        return Ok(());
    }
    let message = "no request matches a path with an empty, `.` or `..` segment".to_owned();
    Err(ObjectError { code: "object-path", message, offset: 0, fix: None })
}

/// Whether an object is written the one way that is compared with rules.
///
/// Control characters, `//` and dot segments make two readers see two different objects, so no rule
/// has them and a request that has them is denied.
pub(crate) fn is_canonical(text: &str) -> bool {
    !has_control(text) && is_canonical_path(text)
}

/// Whether the object of a rule, given as its text, matches the object of a request.
pub(crate) fn matches(rule: &str, asked: &str) -> bool {
    if rule == "*" {
        return true;
    }
    let (path, open) = opened(rule);
    let mut asked = asked.split('/');
    let fits = |segment: &str, asked: Option<&str>| {
        asked.is_some_and(|asked| if is_parameter(segment) { !asked.is_empty() } else { segment == asked })
    };
    path.split('/').all(|segment| fits(segment, asked.next())) && asked.next().is_some() == open
}

/// Whether one object of a rule matches every request that the other matches. Both are given as texts.
pub(crate) fn covers(wide: &str, narrow: &str) -> bool {
    if wide == "*" || narrow == "*" {
        return wide == "*";
    }
    let ((narrow_path, narrow_open), (wide_path, wide_open)) = (opened(narrow), opened(wide));
    if !narrow_open {
        return matches(wide, narrow);
    }
    wide_open && (matches(wide_path, narrow_path) || matches(wide, narrow_path))
}

/// Whether some request is matched by both objects. Both are given as texts.
pub(crate) fn overlap(one: &str, other: &str) -> bool {
    if one == "*" || other == "*" {
        return true;
    }
    let ((one, one_open), (other, other_open)) = (opened(one), opened(other));
    let (mut ones, mut others) = (one.split('/'), other.split('/'));
    loop {
        match (ones.next(), others.next()) {
            (None, None) => return one_open == other_open,
            (None, Some(_)) => return one_open,
            (Some(_), None) => return other_open,
            (Some(one), Some(other)) => {
                let both = match (is_parameter(one), is_parameter(other)) {
                    (true, true) => true,
                    (true, false) => !other.is_empty(),
                    (false, true) => !one.is_empty(),
                    (false, false) => one == other,
                };
                if !both {
                    return false;
                }
            }
        }
    }
}

/// The object that matches exactly what both objects match, if they overlap. All are texts.
pub(crate) fn meet(one: &str, other: &str) -> Option<String> {
    if !overlap(one, other) {
        return None;
    }
    if one == "*" || other == "*" {
        return Some(if one == "*" { other } else { one }.to_owned());
    }
    let ((one, one_open), (other, other_open)) = (opened(one), opened(other));
    let (mut ones, mut others) = (one.split('/'), other.split('/'));
    let mut segments: Vec<&str> = Vec::new();
    loop {
        match (ones.next(), others.next()) {
            (None, None) => break,
            (Some(segment), None) | (None, Some(segment)) => segments.push(segment),
            (Some(one), Some(other)) => segments.push(if is_parameter(one) { other } else { one }),
        }
    }
    segments.extend((one_open && other_open).then_some("*"));
    Some(segments.join("/"))
}

/// In how many segments a request differs from the object of a rule.
pub(crate) fn distance(rule: &str, asked: &str) -> u32 {
    let (path, open) = opened(rule);
    let (mut rule, mut asked) = (path.split('/'), asked.split('/'));
    let mut differing = 0;
    loop {
        match (rule.next(), asked.next()) {
            (None, None) => return differing + u32::from(open),
            (None, Some(_)) if open => return differing,
            (Some(one), Some(other)) if one == other || (is_parameter(one) && !other.is_empty()) => {}
            _ => differing += 1,
        }
    }
}

/// The text without the `/*` at its end, and whether there was one.
fn opened(text: &str) -> (&str, bool) {
    text.strip_suffix("/*").map_or((text, false), |path| (path, true))
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{')
}

pub(crate) fn has_control(text: &str) -> bool {
    // Every byte is looked at without a branch, which a compiler does many at a time.
    let marks = text.bytes().fold(0, |marks, byte| {
        marks | u8::from(byte < b' ') | u8::from(byte == 0x7f) | (u8::from(byte >= 0x80) << 1)
    });
    marks & 1 != 0 || (marks != 0 && text.chars().any(char::is_control))
}

/// Only the first segment (the path is absolute) and the last (it ends in a slash) may be empty.
fn is_canonical_path(text: &str) -> bool {
    let mut start = 0;
    let bytes = text.as_bytes();
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
        if is_odd_segment(bytes.get(start..at), at > 0) {
            return false;
        }
        start = at + 1;
    }
    !is_odd_segment(bytes.get(start..), false)
}

fn is_odd_segment(segment: Option<&[u8]>, inner: bool) -> bool {
    match segment.unwrap_or_default() {
        b"" => inner,
        segment => segment == b"." || segment == b"..",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> &'static str {
        Object::parse(text).unwrap_err().code
    }

    #[test]
    fn names_templates_and_the_star_are_told_apart() {
        assert_eq!(Object::parse("*"), Ok(Object::Any));
        assert_eq!(Object::parse("/v1.0/x"), Ok(Object::Name("/v1.0/x")));
        let Ok(Object::Template(template)) = Object::parse("/orders/{id}/*") else { panic!("a template") };
        assert_eq!(template.segments, [Segment::Literal(""), Segment::Literal("orders"), Segment::Parameter]);
        assert!(template.open);
    }

    #[test]
    fn templates_that_differ_only_in_parameter_names_have_one_key() {
        let key = |text| Object::parse(text).unwrap().key();
        assert_eq!(key("/orders/{id}"), key("/orders/{order}"));
        assert_ne!(key("/orders/{id}"), key("/orders/{id}/*"));
    }

    #[test]
    fn a_bad_template_is_refused_with_the_place_and_a_way_out() {
        let error = Object::parse("/orders/:id/lines").unwrap_err();
        assert_eq!((error.code, error.offset), ("template", 8));
        assert_eq!(error.fix.as_deref(), Some("/orders/{id}/lines"));
        let error = Object::parse("/files/{*path}").unwrap_err();
        assert_eq!(error.fix.as_deref(), Some("/files/*"));
        for text in
            ["/a/{id", "/a/id}", "/a/{}", "/a/x{id}", "/a/{id}.json", "/a/{i d}", "/*/b", "/a*", "a*b"]
        {
            assert_eq!(code(text), "template", "{text}");
        }
    }

    #[test]
    fn regular_expressions_are_refused() {
        for text in ["/a(", "/a/[0-9]", "^/a$", "/a|/b", "/a.+", "/a?x"] {
            assert_eq!(code(text), "object-regex", "{text}");
        }
    }

    #[test]
    fn paths_that_two_readers_would_read_differently_are_refused() {
        for text in ["/a/../b", "/./a", "//a", "/a//b", "/a/..", ".", "..", "//"] {
            assert_eq!(code(text), "object-path", "{text}");
        }
        for text in ["/a/", "/.well-known/x"] {
            assert_eq!(Object::parse(text), Ok(Object::Name(text)));
        }
    }

    #[test]
    fn one_object_covers_another_when_it_matches_all_that_the_other_matches() {
        for (wide, narrow, expected) in [
            ("*", "/a/*", true),
            ("/a/*", "*", false),
            ("/a/*", "/a/{x}", true),
            ("/a/*", "/a/{x}/*", true),
            ("/{x}/*", "/a/*", true),
            ("/a/{x}", "/a/*", false),
            ("/a/{x}/*", "/a/*", false),
            ("/*", "/a/*", true),
            ("/a/{x}", "/a/b", true),
            ("/a/{x}", "/a/", false),
            ("/a/b", "/a/{x}", false),
            ("/a/*", "/a", false),
            ("/a/*", "/a/*", true),
        ] {
            assert_eq!(covers(wide, narrow), expected, "{wide} {narrow}");
        }
    }

    #[test]
    fn objects_overlap_when_some_request_is_matched_by_both() {
        for (one, other, expected) in [
            ("*", "orders", true),
            ("/a/{x}", "/{y}/b", true),
            ("/a/{x}", "/a/", false),
            ("/a/*", "/{y}/b/c", true),
            ("/a/*", "/a", false),
            ("/a/*", "/{x}/{y}/*", true),
            ("/a/*", "/b/*", false),
        ] {
            assert_eq!(overlap(one, other), expected, "{one} {other}");
            assert_eq!(overlap(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn two_objects_meet_in_what_both_match() {
        for (one, other, expected) in [
            ("*", "orders", Some("orders")),
            ("/{a}/b", "/x/{c}", Some("/x/b")),
            ("/a/*", "/{y}/b/{z}", Some("/a/b/{z}")),
            ("/a/*", "/{x}/{y}/*", Some("/a/{y}/*")),
            ("/a/{x}", "/b/{x}", None),
        ] {
            assert_eq!(meet(one, other).as_deref(), expected, "{one} {other}");
            assert_eq!(meet(other, one).as_deref(), expected, "{other} {one}");
        }
    }

    #[test]
    fn the_nearer_of_two_objects_differs_in_fewer_segments() {
        assert_eq!(distance("/orders/{id}", "/orders/1/x"), 1);
        assert_eq!(distance("/orders/{id}", "/order/1"), 1);
        assert_eq!(distance("/docs/*", "/docs"), 1);
        assert_eq!(distance("/stock/{id}/x", "/orders/1"), 2);
    }

    #[test]
    fn a_template_is_at_most_as_deep_as_the_limit() {
        // A leading slash is a segment too.
        let template = |segments: usize| format!("{}/{{id}}", "/a".repeat(segments - 2));
        let deepest = template(MAX_SEGMENTS);
        let Ok(Object::Template(parsed)) = Object::parse(&deepest) else { panic!("a template") };
        assert_eq!(parsed.segments.len(), MAX_SEGMENTS);
        assert_eq!(code(&template(MAX_SEGMENTS + 1)), "template-depth");
    }
}
