//! How much work a text makes for the cleaner, told before the work is done.
//!
//! The parser of HTML opens every formatting element that was left open again in every block that follows, with its attributes, so what
//! it makes is bounded only by the product of the two: 16 KiB can become millions of nodes. For nearly every tag it looks through the
//! elements that are open, so thousands in each other cost the square of their number. Tokens, in contrast, are bounded by the text.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts};
use html5ever::{LocalName, QualName, TokenizerResult, local_name, ns};

use super::attributes;
use super::steps::Steps;

/// The most nodes and attributes that unclosed formatting may be worth. A long article with a handful of them stays far below.
const MAX_NODES: usize = 20_000;
/// The most that the parser may do to the open elements. An article has few of them open at a time.
const MAX_STEPS: usize = 400_000;
/// The most attributes of one tag.
const MAX_ATTRIBUTES: u32 = 100;

/// Whether cleaning the text takes work in proportion to its length.
pub(super) fn is_bounded(text: &str) -> bool {
    let Some(attributes) = attributes::most(text, MAX_ATTRIBUTES) else { return false };
    // Each tag begins with one of these and counts itself and those before it at most: so few cannot be too much.
    let tags = memchr::memchr_iter(b'<', text.as_bytes()).count();
    tags * (tags + 1) / 2 * (1 + attributes as usize) <= MAX_NODES || !Reckoning::of(text).is_exceeded()
}

/// Reads a text as the cleaner does, since what is a tag depends on where it stands, and makes no tree of it.
struct Reckoning {
    builder: TreeBuilder<Rc<QualName>, Steps>,
    worst: Worst,
}

/// Reckons the worst case: whatever is not closed in order stays open for the rest of the text.
#[derive(Default)]
struct Worst {
    /// Each with what it is worth where it is opened again, which is nothing unless it is.
    open: RefCell<Vec<(LocalName, usize)>>,
    formatting: Cell<usize>,
    nodes: Cell<usize>,
}

impl Reckoning {
    fn of(text: &str) -> Self {
        let context = Rc::new(QualName::new(None, ns!(html), local_name!("div")));
        let builder =
            TreeBuilder::new_for_fragment(Steps::default(), context, None, TreeBuilderOpts::default());
        let initial_state = Some(builder.tokenizer_state_for_context_elem(false));
        let options = TokenizerOpts { initial_state, ..TokenizerOpts::default() };
        let tokenizer = Tokenizer::new(Self { builder, worst: Worst::default() }, options);
        let queue = BufferQueue::default();
        queue.push_back(StrTendril::from_slice(text));
        // It stops where a script would run, and goes on when it is told to.
        while !matches!(tokenizer.feed(&queue), TokenizerResult::Done) {}
        tokenizer.end();
        tokenizer.sink
    }

    const fn is_exceeded(&self) -> bool {
        self.worst.nodes.get() > MAX_NODES || self.builder.sink.taken() > MAX_STEPS
    }
}

impl TokenSink for Reckoning {
    type Handle = Rc<QualName>;

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<Rc<QualName>> {
        if let Token::TagToken(tag) = &token {
            self.worst.see(tag);
        }
        // Nobody needs to know by how much.
        if self.is_exceeded() { TokenSinkResult::Continue } else { self.builder.process_token(token, line) }
    }

    fn end(&self) {
        if !self.is_exceeded() {
            self.builder.end();
        }
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.builder.adjusted_current_node_present_but_not_in_html_namespace()
    }
}

impl Worst {
    fn see(&self, tag: &Tag) {
        let worth = 1 + tag.attrs.len();
        self.nodes.set(self.nodes.get().saturating_add(worth + self.formatting.get()));
        let mut open = self.open.borrow_mut();
        match tag.kind {
            TagKind::StartTag if is_void(&tag.name) => {}
            TagKind::StartTag => {
                let worth = if is_formatting(&tag.name) { worth } else { 0 };
                self.formatting.set(self.formatting.get() + worth);
                open.push((tag.name.clone(), worth));
            }
            TagKind::EndTag => {
                if let Some((_, worth)) = open.pop_if(|(name, _)| *name == tag.name) {
                    self.formatting.set(self.formatting.get().saturating_sub(worth));
                }
            }
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
    fn what_only_some_readers_take_for_an_attribute_hides_nothing() {
        for element in ["textarea", "title", "style", "xmp", "iframe", "noembed", "noframes"] {
            for text in [
                bomb(8 * 1024, |number| format!("<b a{number}>")),
                format!("<b {}>{}", attributes(90, 0), "<p>x".repeat(1_000)),
                "<div>".repeat(3_000),
            ] {
                let text = format!("<{element}><p x='</{element}>{text}'>");
                assert!(!is_bounded(&text), "{}..", &text[..60]);
            }
        }
    }

    fn attributes(number: usize, from: usize) -> String {
        (from..from + number).map(|number| format!("{number:x}")).collect::<Vec<_>>().join(" ")
    }

    // XS-07
    #[test]
    fn attributes_are_bounded_in_a_tag_and_in_what_is_opened_again() {
        for text in [
            format!("<p {}>", attributes(5_000, 0)),
            format!("<p {}>", attributes(MAX_ATTRIBUTES as usize + 1, 0)),
            format!("</p {}>", attributes(MAX_ATTRIBUTES as usize + 1, 0)),
            format!("<p {}", attributes(5_000, 0)),
            format!("<b {}>{}", attributes(90, 0), "<p>x".repeat(1_000)),
            (0..150)
                .map(|number| format!("<b {}>", attributes(20, number * 20)))
                .collect::<Vec<_>>()
                .concat(),
        ] {
            assert!(!is_bounded(&text), "{}..", &text[..40]);
        }
        assert!(is_bounded(&format!("<p {}>", attributes(MAX_ATTRIBUTES as usize, 0))));
        assert!(is_bounded(&format!("<p {}>x</p>", attributes(20, 0)).repeat(200)));
    }

    // XS-07
    #[test]
    fn elements_in_each_other_are_bounded_and_no_more_is_done_than_may_be() {
        let nested = |depth: usize| "<div>".repeat(depth);
        for text in
            [nested(3_000), "<ul><li>".repeat(2_000), format!("{}{}", nested(1_500), "<p>".repeat(2_500))]
        {
            let reckoning = Reckoning::of(&text);
            assert!(reckoning.is_exceeded(), "{}..", &text[..40]);
            // One tag more than may be, which looks through all that is open.
            let taken = reckoning.builder.sink.taken();
            assert!(taken < MAX_STEPS + 8 * 3_000, "{taken}");
        }
        assert!(is_bounded(&nested(200)));
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
