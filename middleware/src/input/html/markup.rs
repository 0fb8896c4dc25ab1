//! How much work a text makes for the cleaner, told before the work is done.
//!
//! The parser of HTML opens every formatting element that was left open again in every block that follows, so the nodes that it makes
//! are bounded only by the product of the two: 16 KiB can become millions of nodes. Tokens, in contrast, are bounded by the text.

use std::cell::{Cell, RefCell};

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use html5ever::{LocalName, local_name};

/// The most nodes that unclosed formatting may be worth. A long article with a handful of them stays far below.
const MAX_NODES: usize = 20_000;

/// Whether cleaning the text takes work in proportion to its length.
pub(super) fn is_bounded(text: &str) -> bool {
    // Each tag begins with one of these and counts itself and those before it at most: so few cannot be too much.
    let tags = memchr::memchr_iter(b'<', text.as_bytes()).count();
    if tags * (tags + 1) / 2 <= MAX_NODES {
        return true;
    }
    let tokenizer = Tokenizer::new(Reckoning::default(), TokenizerOpts::default());
    let queue = BufferQueue::default();
    queue.push_back(StrTendril::from_slice(text));
    // Nobody answers that a script is to be run, so the text is read to its end.
    let _ = tokenizer.feed(&queue);
    tokenizer.end();
    tokenizer.sink.nodes.get() <= MAX_NODES
}

/// Reckons the worst case: whatever is not closed in order stays open for the rest of the text.
#[derive(Default)]
struct Reckoning {
    open: RefCell<Vec<LocalName>>,
    formatting: Cell<usize>,
    nodes: Cell<usize>,
}

impl TokenSink for Reckoning {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        if let Token::TagToken(tag) = token {
            self.see(tag);
        }
        TokenSinkResult::Continue
    }
}

impl Reckoning {
    fn see(&self, tag: Tag) {
        self.nodes.set(self.nodes.get().saturating_add(1 + self.formatting.get()));
        let mut open = self.open.borrow_mut();
        match tag.kind {
            TagKind::StartTag if is_void(&tag.name) => {}
            TagKind::StartTag => {
                self.formatting.set(self.formatting.get() + usize::from(is_formatting(&tag.name)));
                open.push(tag.name);
            }
            TagKind::EndTag if open.last() == Some(&tag.name) => {
                self.formatting
                    .set(self.formatting.get().saturating_sub(usize::from(is_formatting(&tag.name))));
                open.pop();
            }
            TagKind::EndTag => {}
        }
    }
}

/// The elements that the parser opens again ("formatting" in the HTML Standard, §13.2.4.2).
fn is_formatting(name: &LocalName) -> bool {
    matches!(
        *name,
        local_name!("a")
            | local_name!("b")
            | local_name!("big")
            | local_name!("code")
            | local_name!("em")
            | local_name!("font")
            | local_name!("i")
            | local_name!("nobr")
            | local_name!("s")
            | local_name!("small")
            | local_name!("strike")
            | local_name!("strong")
            | local_name!("tt")
            | local_name!("u")
    )
}

/// The elements that nothing is inside of, which need no end.
fn is_void(name: &LocalName) -> bool {
    matches!(
        *name,
        local_name!("area")
            | local_name!("base")
            | local_name!("br")
            | local_name!("col")
            | local_name!("embed")
            | local_name!("hr")
            | local_name!("img")
            | local_name!("input")
            | local_name!("link")
            | local_name!("meta")
            | local_name!("source")
            | local_name!("track")
            | local_name!("wbr")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many different formatting tags that are never closed, and as many paragraphs as still fit.
    fn bomb(length: usize, opening: impl Fn(usize) -> String) -> String {
        let mut text = "<p>".to_owned();
        for number in 0.. {
            let tag = opening(number);
            if text.len() + tag.len() > length / 2 {
                break;
            }
            text.push_str(&tag);
        }
        let rest = length - text.len();
        [text, "<p>x".repeat(rest / 4)].concat()
    }

    #[test]
    fn formatting_that_is_opened_again_and_again_is_refused_at_any_length() {
        for text in [
            bomb(2 * 1024, |number| format!("<b a{number}>")),
            bomb(16 * 1024, |number| format!("<b a{number}>")),
            bomb(16 * 1024, |number| format!("<i a{number}><br></u>")),
            // An end that only looks like one: in an attribute, in a comment, in the wrong order.
            bomb(16 * 1024, |number| format!("<b a{number}='</b>'>")),
            bomb(16 * 1024, |number| format!("<b a{number}><!--</b>-->")),
            bomb(16 * 1024, |number| format!("<b a{number}><object></b></object>")),
        ] {
            assert!(!is_bounded(&text), "{}..", &text[..40]);
        }
    }

    #[test]
    fn so_few_tags_that_they_are_not_read_are_worth_no_more_than_may_be() {
        // The most that their number allows: 199 of them are not read, and two more are.
        for (tags, is_bounded_by) in [(199, true), (200, false), (201, false)] {
            assert_eq!(is_bounded(&"<b>".repeat(tags)), is_bounded_by, "{tags}");
        }
    }

    #[test]
    fn what_people_write_is_not_refused() {
        let paragraph =
            "<p>Some <b>bold</b> and <i>slanted <a href=\"https://example.org/?a>b\">link</a></i><br>text";
        let article = paragraph.repeat(16 * 1024 / paragraph.len());
        assert!(is_bounded(&article));
        for text in ["", "a < b", "<b>never closed", &"<b>x".repeat(100), &"<li>x".repeat(3_000)] {
            assert!(is_bounded(text), "{}", &text[..text.len().min(40)]);
        }
    }
}
