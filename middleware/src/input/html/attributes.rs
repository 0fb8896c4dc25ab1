//! How many attributes a tag may have, told before a parser sees the text.
//!
//! The tokenizer compares each attribute with those before it, so a tag costs the square of their number. Where a tag begins depends on
//! what stands around it: in a `<textarea>`, most of what looks like one is none. Here any `<` that may begin a tag is taken to do so,
//! and all of these tags are read side by side, since those that stand in the same place of the syntax go on in the same way.

/// Where the reader of a tag stands (HTML Standard, §13.2.5.8 and those after it).
#[derive(Clone, Copy)]
enum Place {
    TagName,
    /// Where another attribute may begin.
    Between,
    Name,
    AfterName,
    BeforeValue,
    Double,
    Single,
    Unquoted,
}

const PLACES: [Place; 8] = [
    Place::TagName,
    Place::Between,
    Place::Name,
    Place::AfterName,
    Place::BeforeValue,
    Place::Double,
    Place::Single,
    Place::Unquoted,
];

impl Place {
    /// Where it goes on after one more byte, and whether an attribute begins by it. None: the tag ends.
    const fn after(self, byte: u8) -> Option<(Self, bool)> {
        let is_space = matches!(byte, b'\t' | b'\n' | b'\x0c' | b'\r' | b' ');
        let to = match self {
            Self::Double if byte == b'"' => Self::Between,
            Self::Single if byte == b'\'' => Self::Between,
            Self::Double | Self::Single => self,
            _ if byte == b'>' => return None,
            Self::TagName if is_space || byte == b'/' => Self::Between,
            Self::Between if is_space || byte == b'/' => self,
            Self::Name | Self::AfterName if is_space => Self::AfterName,
            Self::Name | Self::AfterName if byte == b'/' => Self::Between,
            Self::Name | Self::AfterName if byte == b'=' => Self::BeforeValue,
            Self::Between | Self::AfterName => return Some((Self::Name, true)),
            Self::BeforeValue if is_space => self,
            Self::BeforeValue if byte == b'"' => Self::Double,
            Self::BeforeValue if byte == b'\'' => Self::Single,
            Self::Unquoted if is_space => Self::Between,
            Self::BeforeValue | Self::Unquoted => Self::Unquoted,
            Self::Name | Self::TagName => self,
        };
        Some((to, false))
    }
}

/// The tags that are read side by side: at which places some stand, and how many attributes the longest one at each has so far.
#[derive(Clone, Copy, Default)]
struct Tags {
    places: u8,
    counts: [u32; PLACES.len()],
}

impl Tags {
    /// Where nothing but a text in quotes is read.
    const QUOTED: u8 = 1 << Place::Double as u8;

    fn put(&mut self, place: Place, count: u32) {
        self.places |= 1 << place as u8;
        if let Some(known) = self.counts.get_mut(place as usize) {
            *known = (*known).max(count);
        }
    }

    /// Those after one more byte.
    fn after(&self, byte: u8) -> Self {
        let mut next = Self::default();
        let mut rest = self.places;
        while rest != 0 {
            let place = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            if let (Some(place), Some(count)) = (PLACES.get(place), self.counts.get(place))
                && let Some((to, begins)) = place.after(byte)
            {
                next.put(to, count + u32::from(begins));
            }
        }
        next
    }

    fn most(&self) -> u32 {
        self.counts.iter().copied().max().unwrap_or_default()
    }
}

/// The most attributes of any tag that a parser could find in a text, whatever it takes for a tag; or None, where that is more than `limit`.
pub(super) fn most(text: &str, limit: u32) -> Option<u32> {
    let mut most = 0;
    let mut tags = Tags::default();
    // Whether what was read last is `<`, or `</`.
    let (mut opened, mut closes) = (false, false);
    let mut rest = text.as_bytes();
    loop {
        // Most of a text is no tag, and most of a tag is an address: nothing happens there before one of these.
        let skipped = match tags.places {
            _ if opened || closes => Some(0),
            0 => memchr::memchr(b'<', rest),
            Tags::QUOTED => memchr::memchr2(b'"', b'<', rest),
            _ => Some(0),
        };
        let Some((byte, after)) = skipped.and_then(|skipped| rest.get(skipped..)?.split_first()) else {
            return Some(most);
        };
        let mut next = tags.after(*byte);
        most = most.max(next.most());
        if most > limit {
            return None;
        }
        if (opened || closes) && byte.is_ascii_alphabetic() {
            next.put(Place::TagName, 0);
        }
        (opened, closes) = (*byte == b'<', opened && *byte == b'/');
        (tags, rest) = (next, after);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use html5ever::TokenizerResult;
    use html5ever::tendril::StrTendril;
    use html5ever::tokenizer::states::{RawKind, State};
    use html5ever::tokenizer::{BufferQueue, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Longest(Cell<usize>);

    impl TokenSink for Longest {
        type Handle = ();

        fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
            if let Token::TagToken(tag) = token {
                self.0.set(self.0.get().max(tag.attrs.len()));
            }
            TokenSinkResult::Continue
        }
    }

    /// What the tokenizer finds, which begins as it does in an element of this kind.
    fn found(text: &str, element: Option<(RawKind, &str)>) -> usize {
        let initial_state = element.map(|(kind, _)| State::RawData(kind));
        let last_start_tag_name = element.map(|(_, name)| name.to_owned());
        let options = TokenizerOpts { initial_state, last_start_tag_name, ..TokenizerOpts::default() };
        let tokenizer = Tokenizer::new(Longest::default(), options);
        let queue = BufferQueue::default();
        queue.push_back(StrTendril::from_slice(text));
        while !matches!(tokenizer.feed(&queue), TokenizerResult::Done) {}
        tokenizer.end();
        tokenizer.sink.0.get()
    }

    #[test]
    fn attributes_are_counted_wherever_they_begin() {
        for (text, expected) in [
            ("", 0),
            ("a < b c d, 1 <2 3 4", 0),
            ("<b>", 0),
            ("<b a c d>", 3),
            ("<b a=1 c = '2'd=\"3\">", 3),
            ("<b/a/c/=d>", 3),
            ("<b a='x y z'>", 1),
            ("</b a c>", 2),
            ("<b a><i a c><u>", 2),
            // Any of the two may be the one that counts.
            ("<p a='<b c d e>'>", 3),
            ("<!-- <b a c -->", 3),
        ] {
            assert_eq!(most(text, 9), Some(expected), "{text}");
        }
        assert_eq!((most("<b a c d>", 3), most("<b a c d>", 2)), (Some(3), None));
    }

    proptest! {
        #[test]
        fn a_tokenizer_finds_no_more_wherever_it_begins(
            text in "(<|</|<[ab]|</a|[ab]|[ \n\r\t/>='\"!-]|é){0,60}",
        ) {
            let most = most(&text, u32::MAX).unwrap() as usize;
            for element in [None, Some((RawKind::Rcdata, "a")), Some((RawKind::Rawtext, "b"))] {
                let found = found(&text, element);
                prop_assert!(found <= most, "{} of {} in {:?}", found, most, text);
            }
        }
    }
}
