//! Server-sent events (HTML §9.2.6), as far as a guard needs them: the data of each event.

use std::collections::VecDeque;

use http::header;

use crate::media_type::{EVENT_STREAM, is_of_type};

/// The longest event that is read.
pub(super) const MAX_BYTES: usize = 128 * 1024 * 1024;

/// A stream of events.
pub(super) struct Events {
    response: reqwest::Response,
    parser: Parser,
    /// Events that are complete and were not asked for yet.
    ready: VecDeque<String>,
}

impl Events {
    /// The events of an answer, if it is a stream of them.
    pub(super) fn of(response: reqwest::Response) -> Option<Self> {
        let is_stream = is_of_type(response.headers().get(header::CONTENT_TYPE), EVENT_STREAM);
        is_stream.then(|| Self { response, parser: Parser::new(MAX_BYTES), ready: VecDeque::new() })
    }

    /// The data of the next event; `None` when the stream ended or is not what it should be.
    pub(super) async fn next(&mut self) -> Option<String> {
        while self.ready.is_empty() {
            let chunk = self.response.chunk().await.ok()??;
            self.ready.extend(self.parser.read(&chunk)?);
        }
        self.ready.pop_front()
    }
}

/// Cuts a stream of bytes into events.
struct Parser {
    /// How long an event may be.
    max_bytes: usize,
    /// The line that is not complete yet.
    line: Vec<u8>,
    data: String,
    /// Whether the last byte was a carriage return: a line feed behind it belongs to it.
    after_return: bool,
}

impl Parser {
    const fn new(max_bytes: usize) -> Self {
        Self { max_bytes, line: Vec::new(), data: String::new(), after_return: false }
    }

    /// The data of every event that these bytes complete; `None` when there is too much, or it is not UTF-8.
    fn read(&mut self, bytes: &[u8]) -> Option<Vec<String>> {
        let mut events = Vec::new();
        for byte in bytes {
            let belongs = std::mem::replace(&mut self.after_return, *byte == b'\r') && *byte == b'\n';
            match byte {
                b'\n' if belongs => {}
                b'\n' | b'\r' => self.end_line(&mut events)?,
                byte if self.line.len() + self.data.len() < self.max_bytes => self.line.push(*byte),
                _ => return None,
            }
        }
        Some(events)
    }

    /// `None` when the line is not UTF-8.
    fn end_line(&mut self, events: &mut Vec<String>) -> Option<()> {
        let line = String::from_utf8(std::mem::take(&mut self.line)).ok()?;
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            events.extend((!data.is_empty()).then_some(data));
        } else if let Some(data) = line.strip_prefix("data:") {
            if !self.data.is_empty() {
                self.data.push('\n');
            }
            self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str) -> Vec<String> {
        Parser::new(MAX_BYTES).read(text.as_bytes()).unwrap()
    }

    #[test]
    fn an_event_ends_with_an_empty_line_whatever_ends_lines() {
        for text in
            ["id: 1\ndata: a\n\ndata: b\n\n", "data: a\r\n\r\ndata:b\r\n\r\n", "data: a\r\rdata: b\r\r"]
        {
            assert_eq!(events(text), ["a", "b"], "{text:?}");
        }
        assert_eq!(events("data: a\ndata: b\n\n"), ["a\nb"]);
        assert_eq!(events(": a comment\nevent: x\n\n\ndata: unfinished"), Vec::<String>::new());
    }

    #[test]
    fn it_does_not_matter_where_the_network_cuts() {
        let text = "data: über\r\n\r\nid: 7\ndata: b\n\n".as_bytes();
        for cut in 0..text.len() {
            let (first, second) = text.split_at(cut);
            let mut parser = Parser::new(MAX_BYTES);
            let mut all = parser.read(first).unwrap();
            all.extend(parser.read(second).unwrap());
            assert_eq!(all, ["über", "b"], "{cut}");
        }
    }

    #[test]
    fn what_is_not_text_ends_the_stream() {
        assert_eq!(Parser::new(MAX_BYTES).read(b"data: \xff\n"), None);
    }

    #[test]
    fn an_event_that_is_too_long_ends_the_stream_however_it_is_cut() {
        let read = |max_bytes, text: &str| {
            let mut parser = Parser::new(max_bytes);
            let pieces: Option<Vec<_>> = text.as_bytes().chunks(3).map(|piece| parser.read(piece)).collect();
            pieces.map(|events| events.concat())
        };
        let lengths = "data: 123456\n\ndata: 123456\n\n";
        assert_eq!(read(12, lengths).unwrap(), ["123456", "123456"], "each for itself");
        assert_eq!(read(11, lengths), None);
        let lines = "data: 123456\ndata: 123456\n\n";
        assert_eq!(read(18, lines).unwrap(), ["123456\n123456"], "what was read before counts");
        assert_eq!(read(17, lines), None);
        assert_eq!(read(11, ": no data, and no end"), None);
    }
}
