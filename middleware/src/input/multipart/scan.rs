//! Taking a `multipart/form-data` body apart as it arrives (RFC 2046 §5.1, RFC 7578), by the one reading that it may have.
//!
//! No text before the first delimiter or after the last one, no white space at a delimiter, and nothing in a part that a reader
//! with other ideas of a line's end could take for a delimiter.

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;

use crate::input::fault::Rule;

/// The longest head of a part, in bytes.
const MAX_HEAD: usize = 8 * 1024;

const CRLF: &[u8] = b"\r\n";

/// A piece of the body. All of them together are the body.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Piece {
    /// The content of a part has ended; the delimiter follows.
    ContentEnd,
    Content(Bytes),
    /// What stands between parts.
    Delimiter(Bytes),
    /// The fields of a part and the empty line after them.
    Head(Bytes),
}

pub(super) struct Scanner {
    /// `--` and the boundary.
    dash_boundary: Finder<'static>,
    held: BytesMut,
    state: State,
    /// Where the next search in what is held begins.
    searched: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Start,
    Delimited,
    Head,
    /// In a part, and whether nothing of its content was handed out yet.
    Content {
        fresh: bool,
    },
    /// At a delimiter that is known to be one.
    Delimiter,
    /// After the last delimiter, where one line break may follow.
    End,
    Over,
}

impl Scanner {
    pub(super) fn new(boundary: &str) -> Self {
        let dash_boundary = [b"--", boundary.as_bytes()].concat();
        Self {
            dash_boundary: Finder::new(&dash_boundary).into_owned(),
            held: BytesMut::new(),
            state: State::Start,
            searched: 0,
        }
    }

    /// Whether a text holds what could be taken for a delimiter.
    pub(super) fn is_delimiting(&self, text: &[u8]) -> bool {
        self.dash_boundary.find(text).is_some()
    }

    pub(super) fn push(&mut self, data: &[u8]) {
        self.held.extend_from_slice(data);
    }

    /// The next piece, or `None` until more of the body is there.
    pub(super) fn next(&mut self) -> Result<Option<Piece>, Rule> {
        match self.state {
            State::Start => self.start(),
            State::Delimited => self.delimited(),
            State::Head => self.head(),
            State::Content { fresh } => self.content(fresh),
            State::Delimiter => {
                self.state = State::Delimited;
                let length = CRLF.len() + self.dash_boundary.needle().len();
                Ok(Some(Piece::Delimiter(self.take(length))))
            }
            State::End => self.end(),
            State::Over if self.held.is_empty() => Ok(None),
            State::Over => Err(Rule::Trailing),
        }
    }

    /// Says that the body has ended.
    pub(super) fn finish(&self) -> Result<(), Rule> {
        match self.state {
            State::End | State::Over if self.held.is_empty() => Ok(()),
            State::End | State::Over => Err(Rule::Trailing),
            State::Start | State::Delimited | State::Head | State::Content { .. } | State::Delimiter => {
                Err(Rule::Interrupted)
            }
        }
    }

    fn start(&mut self) -> Result<Option<Piece>, Rule> {
        let delimiter = self.dash_boundary.needle();
        let known = delimiter.len().min(self.held.len());
        if self.held.get(..known) != delimiter.get(..known) {
            return Err(Rule::Syntax);
        }
        if known < delimiter.len() {
            return Ok(None);
        }
        self.state = State::Delimited;
        Ok(Some(Piece::Delimiter(self.take(known))))
    }

    fn delimited(&mut self) -> Result<Option<Piece>, Rule> {
        self.state = match self.held.get(..2) {
            None => return Ok(None),
            Some(CRLF) => State::Head,
            Some(b"--") => State::End,
            Some(_) => return Err(Rule::Syntax),
        };
        Ok(Some(Piece::Delimiter(self.take(2))))
    }

    fn head(&mut self) -> Result<Option<Piece>, Rule> {
        let from = self.searched.saturating_sub(3);
        let rest = self.held.get(from..).unwrap_or_default();
        let Some(at) = memchr::memmem::find(rest, b"\r\n\r\n") else {
            self.searched = self.held.len();
            return if self.searched > MAX_HEAD { Err(Rule::PartHead) } else { Ok(None) };
        };
        let length = from + at + 4;
        if length > MAX_HEAD {
            return Err(Rule::PartHead);
        }
        self.state = State::Content { fresh: true };
        Ok(Some(Piece::Head(self.take(length))))
    }

    fn content(&mut self, fresh: bool) -> Result<Option<Piece>, Rule> {
        while let Some(found) = self.dash_boundary.find(self.held.get(self.searched..).unwrap_or_default()) {
            let at = self.searched + found;
            let before = self.held.get(..at).unwrap_or_default();
            if before.ends_with(CRLF) {
                return Ok(Some(self.before_delimiter(at - CRLF.len())));
            }
            // One reader sees a delimiter here and another does not.
            if before.ends_with(b"\n") || before.ends_with(b"\r") || (fresh && at == 0) {
                return Err(Rule::Syntax);
            }
            self.searched = at + 1;
        }
        // What is left may be the beginning of a delimiter, line break included.
        let kept = CRLF.len() + self.dash_boundary.needle().len() - 1;
        let free = self.held.len().saturating_sub(kept);
        if free == 0 {
            return Ok(None);
        }
        self.state = State::Content { fresh: false };
        let searched = self.held.len().saturating_sub(self.dash_boundary.needle().len() - 1);
        let content = self.take(free);
        self.searched = self.searched.max(searched - free);
        Ok(Some(Piece::Content(content)))
    }

    /// The rest of a content, or its end where there is no rest.
    fn before_delimiter(&mut self, length: usize) -> Piece {
        if length == 0 {
            self.state = State::Delimiter;
            return Piece::ContentEnd;
        }
        self.state = State::Content { fresh: false };
        Piece::Content(self.take(length))
    }

    fn end(&mut self) -> Result<Option<Piece>, Rule> {
        if self.held.is_empty() || self.held.as_ref() == b"\r" {
            return Ok(None);
        }
        if self.held.as_ref() != CRLF {
            return Err(Rule::Trailing);
        }
        self.state = State::Over;
        Ok(Some(Piece::Delimiter(self.take(CRLF.len()))))
    }

    fn take(&mut self, length: usize) -> Bytes {
        self.searched = 0;
        self.held.split_to(length.min(self.held.len())).freeze()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The heads and contents, and all pieces put together again.
    fn scan(chunks: &[&[u8]]) -> Result<(Vec<String>, Vec<u8>), Rule> {
        let mut scanner = Scanner::new("xy");
        let (mut parts, mut whole) = (Vec::new(), Vec::new());
        for chunk in chunks {
            scanner.push(chunk);
            while let Some(piece) = scanner.next()? {
                match &piece {
                    Piece::Head(head) => {
                        parts.push(String::from_utf8_lossy(head).trim_end().to_owned() + "|");
                    }
                    Piece::Content(content) => {
                        parts.last_mut().unwrap().push_str(&String::from_utf8_lossy(content));
                    }
                    Piece::ContentEnd => parts.last_mut().unwrap().push('.'),
                    Piece::Delimiter(_) => {}
                }
                if let Piece::Head(bytes) | Piece::Content(bytes) | Piece::Delimiter(bytes) = piece {
                    whole.extend_from_slice(&bytes);
                }
            }
        }
        scanner.finish()?;
        Ok((parts, whole))
    }

    fn rule(body: &str) -> Rule {
        let whole = scan(&[body.as_bytes()]).unwrap_err();
        let bytes: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
        assert_eq!(scan(&bytes).unwrap_err(), whole, "{body:?} byte by byte");
        whole
    }

    const BODY: &[u8] =
        b"--xy\r\nA: 1\r\n\r\none--x\r\n-\r\n--x\r\n--xy\r\nB: 2\r\nC: 3\r\n\r\n\r\n--xy\r\nD: 4\r\n\r\na --xy b\r\n\r\n--xy--\r\n";

    #[test]
    fn parts_are_found_wherever_the_chunks_end() {
        let parts = ["A: 1|one--x\r\n-\r\n--x.", "B: 2\r\nC: 3|.", "D: 4|a --xy b\r\n."].map(str::to_owned);
        for length in 1..=BODY.len() {
            let chunks: Vec<&[u8]> = BODY.chunks(length).collect();
            assert_eq!(scan(&chunks).unwrap(), (parts.to_vec(), BODY.to_vec()), "chunks of {length}");
        }
        assert_eq!(scan(&[b"--xy--"]).unwrap().0, [""; 0]);
    }

    #[test]
    fn what_two_readers_could_take_apart_in_two_ways_is_refused() {
        for (body, expected) in [
            ("", Rule::Interrupted),
            ("--x", Rule::Interrupted),
            ("--xy", Rule::Interrupted),
            ("--xy\r\nA: 1\r\n\r\none", Rule::Interrupted),
            ("--xy\r\nA: 1\r\n\r\none\r\n--xy", Rule::Interrupted),
            ("--xy\r\nA: 1\r\n\r\none\r\n--xy-", Rule::Interrupted),
            ("preamble\r\n--xy--", Rule::Syntax),
            ("\r\n--xy--", Rule::Syntax),
            ("--xyz\r\n", Rule::Syntax),
            ("--xy \r\nA: 1\r\n\r\none\r\n--xy--", Rule::Syntax),
            ("--xy\nA: 1\n\none\n--xy--", Rule::Syntax),
            ("--xy\r\nA: 1\r\n\r\none\n--xy--", Rule::Syntax),
            ("--xy\r\nA: 1\r\n\r\none\r--xy--", Rule::Syntax),
            ("--xy\r\nA: 1\r\n\r\none\r\n--xyz\r\n--xy--", Rule::Syntax),
            ("--xy\r\nA: 1\r\n\r\n--xy--", Rule::Syntax),
            ("--xy--epilogue", Rule::Trailing),
            ("--xy--\r", Rule::Trailing),
            ("--xy--\r\n\r\n", Rule::Trailing),
            ("--xy--\r\n--xy\r\nA: 1\r\n\r\n\r\n--xy--", Rule::Trailing),
        ] {
            assert_eq!(rule(body), expected, "{body:?}");
        }
        assert_eq!(rule(&format!("--xy\r\nA: {}", "x".repeat(MAX_HEAD))), Rule::PartHead);
        assert_eq!(rule(&format!("--xy\r\nA: {}\r\n\r\n", "x".repeat(MAX_HEAD))), Rule::PartHead);
    }

    #[test]
    fn a_long_content_is_not_held() {
        let mut scanner = Scanner::new("xy");
        scanner.push(b"--xy\r\nA: 1\r\n\r\n");
        while scanner.next().unwrap().is_some() {}
        for _ in 0..100 {
            scanner.push(&[b'-'; 10_000]);
            while scanner.next().unwrap().is_some() {}
            assert!(scanner.held.len() < 8, "{}", scanner.held.len());
        }
    }

    proptest! {
        #[test]
        fn how_a_body_is_cut_makes_no_difference(
            body in "(--xy|\r\n|\n|\r|-|x|y|A: 1\r\n\r\n){0,24}",
            cut in prop::collection::vec(1..9_usize, 1..60),
        ) {
            let body = body.as_bytes();
            let mut chunks = Vec::new();
            let mut rest = body;
            for length in cut.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (chunk, after) = rest.split_at((*length).min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            let whole = scan(&[body]);
            prop_assert_eq!(scan(&chunks), whole.clone());
            if let Ok((_, again)) = whole {
                prop_assert_eq!(again, body);
            }
        }
    }
}
