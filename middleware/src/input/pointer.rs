//! Places in a document: JSON Pointers (RFC 6901), and patterns of them.

use std::borrow::Cow;

/// How much of a pointer a refusal shows: a hostile key may be as long as the body.
const SHOWN: usize = 200;

/// One step into a document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Segment<'a> {
    Index(usize),
    Key(Cow<'a, str>),
}

/// The way to a value, as RFC 6901 writes it, cut to a length that is safe to show.
pub(crate) fn written(path: &[Segment<'_>]) -> String {
    let mut pointer = String::new();
    for segment in path {
        pointer.push('/');
        match segment {
            Segment::Index(index) => pointer.push_str(&index.to_string()),
            Segment::Key(key) => pointer.push_str(&escaped(key)),
        }
        if pointer.len() > SHOWN {
            pointer.truncate(pointer.floor_char_boundary(SHOWN));
            pointer.push('…');
            break;
        }
    }
    pointer
}

fn escaped(key: &str) -> String {
    let key = key.get(..key.floor_char_boundary(SHOWN)).unwrap_or_default();
    key.replace('~', "~0").replace('/', "~1")
}

/// A JSON Pointer in which `*` stands for any one key or index, and `**` for any number of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Pattern(Vec<Step>);

/// What stands at a place.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Shape {
    /// An array or an object.
    Container,
    Object,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Step {
    Any,
    Many,
    Named(String, Option<usize>),
}

/// A pointer that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a JSON pointer such as /comments/*/html")]
pub struct NotAPointer(String);

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, NotAPointer> {
        let refused = || NotAPointer(text.to_owned());
        let steps = text.strip_prefix('/').ok_or_else(refused)?.split('/').map(Step::parse);
        steps.collect::<Option<_>>().map(Self).ok_or_else(refused)
    }

    /// The pattern of one name at the root.
    pub(crate) fn named(name: &str) -> Self {
        Self(vec![Step::named(name.to_owned())])
    }

    pub(crate) fn matches(&self, path: &[Segment<'_>]) -> bool {
        // Nearly every value ends in another name: then nothing else needs to be looked at.
        if let (Some(step), Some(segment)) = (self.0.last(), path.last())
            && !step.matches(segment)
        {
            return false;
        }
        let (mut step, mut at) = (0, 0);
        // Where to go on when what follows the last `**` does not match: with one segment more inside it.
        let mut retry = None;
        loop {
            match (self.0.get(step), path.get(at)) {
                (Some(Step::Many), _) => {
                    step += 1;
                    retry = Some((step, at));
                }
                (Some(own), Some(segment)) if own.matches(segment) => {
                    step += 1;
                    at += 1;
                }
                (None, None) => return true,
                _ => match retry {
                    Some((after, from)) if from < path.len() => {
                        (step, at) = (after, from + 1);
                        retry = Some((step, at));
                    }
                    _ => return false,
                },
            }
        }
    }

    /// The places above this one, from the root, and what has to stand there for this one to be.
    pub(crate) fn above(&self) -> impl Iterator<Item = (Self, Shape)> {
        self.0.iter().enumerate().filter_map(|(depth, step)| {
            let shape = match step {
                // It says nothing of where it begins.
                Step::Many => return None,
                _ if depth > 0 && self.0.get(depth - 1) == Some(&Step::Many) => return None,
                Step::Any | Step::Named(_, Some(_)) => Shape::Container,
                Step::Named(_, None) => Shape::Object,
            };
            Some((Self(self.0.get(..depth)?.to_vec()), shape))
        })
    }

    /// Whether it names the items of what has this name in a form, where a list is a name that stands there again.
    pub(crate) fn matches_items_of(&self, name: &str) -> bool {
        let path = [Segment::Key(name.into()), Segment::Index(0)];
        matches!(self.0[..], [_, Step::Any]) && self.matches(&path)
    }

    /// For each step whether it stands for more than one name: what is said of one name counts before what is said of any.
    pub(crate) fn breadth(&self) -> Vec<bool> {
        self.0.iter().map(|step| !matches!(step, Step::Named(..))).collect()
    }

    /// Whether it names a tree of values rather than a value.
    pub(crate) fn is_open(&self) -> bool {
        self.0.last() == Some(&Step::Many)
    }
}

impl Step {
    /// A name, which may be a place in an array.
    fn named(name: String) -> Self {
        let index = name.parse().ok();
        Self::Named(name, index)
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        if text == "**" {
            return Some(Self::Many);
        }
        // RFC 6901 §3: a `~` is followed by 0 or 1; §4: `~1` is read before `~0`.
        let strays = text.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1']));
        (!strays).then(|| Self::named(text.replace("~1", "/").replace("~0", "~")))
    }

    fn matches(&self, segment: &Segment<'_>) -> bool {
        match (self, segment) {
            (Self::Any | Self::Many, _) => true,
            (Self::Named(name, _), Segment::Key(key)) => name == key,
            (Self::Named(_, own), Segment::Index(index)) => *own == Some(*index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Segment<'_> {
        Segment::Key(name.into())
    }

    #[test]
    fn a_pattern_matches_whole_paths_only() {
        let pattern = Pattern::parse("/comments/*/html").unwrap();
        assert!(pattern.matches(&[key("comments"), Segment::Index(7), key("html")]));
        assert!(pattern.matches(&[key("comments"), key("x"), key("html")]));
        assert!(!pattern.matches(&[key("comments"), Segment::Index(7)]));
        assert!(!pattern.matches(&[key("comments"), Segment::Index(7), key("html"), key("x")]));
        assert!(!pattern.matches(&[key("Comments"), Segment::Index(7), key("html")]));
    }

    #[test]
    fn two_stars_stand_for_any_number_of_steps() {
        let matches = |pattern: &str, path: &str| {
            let path: Vec<_> = path.split('/').skip(1).map(key).collect();
            Pattern::parse(pattern).unwrap().matches(&path)
        };
        for (pattern, path) in [
            ("/**", ""),
            ("/**", "/a/b/c"),
            ("/a/**", "/a"),
            ("/a/**", "/a/b"),
            ("/**/html", "/html"),
            ("/**/html", "/a/html/b/html"),
            ("/a/**/b/*/c", "/a/b/b/x/c"),
            ("/**/a/**/b", "/x/a/y/a/b"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in
            [("/a/**", ""), ("/a/**", "/b/a"), ("/**/html", "/html/a"), ("/a/**/b/*/c", "/a/b/c")]
        {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
        // Many of them cost no more than the product of the lengths.
        let nested = Pattern::parse(&"/**/a".repeat(30)).unwrap();
        assert!(!nested.matches(&vec![key("b"); 32]));
        assert!(nested.is_open() != Pattern::parse("/a/**").unwrap().is_open());
    }

    #[test]
    fn escapes_are_those_of_the_rfc() {
        assert!(Pattern::parse("/a~1b/m~0n").unwrap().matches(&[key("a/b"), key("m~n")]));
        assert!(Pattern::parse("/0").unwrap().matches(&[Segment::Index(0)]));
        assert_eq!(written(&[key("a/b"), key("m~n"), Segment::Index(3)]), "/a~1b/m~0n/3");
        for bad in ["note", "", "/a~2", "/a~"] {
            assert_eq!(Pattern::parse(bad).unwrap_err().0, bad);
        }
    }

    #[test]
    fn a_long_key_is_cut() {
        let long = "ä".repeat(10_000);
        assert!(written(&[key(&long), key(&long)]).len() < 250);
    }
}
