//! Just enough of the Distinguished Encoding Rules to find names in a certificate (X.690).

/// The tags that are met.
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const PRINTABLE_STRING: u8 = 0x13;
pub(super) const IA5_STRING: u8 = 0x16;

/// A tag, and what it has behind its length.
pub(super) type Element<'a> = (u8, &'a [u8]);

/// Reads one element after another. What is not encoded as the rules want ends the reading.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    pub(super) const fn is_at_end(self) -> bool {
        self.0.is_empty()
    }

    /// The next element.
    pub(super) fn next(&mut self) -> Option<Element<'a>> {
        let (tag, rest) = self.0.split_first()?;
        // Tags of several bytes are in no certificate.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (length, rest) = length(rest)?;
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, value))
    }

    /// What the next element holds, which has to be of this kind.
    pub(super) fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, value)| value)
    }

    /// The next element if it is of this kind; otherwise it is left.
    pub(super) fn take_if(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let value = ahead.take(tag)?;
        *self = ahead;
        Some(value)
    }
}

/// A length in its shortest form, as the distinguished rules want it (X.690 §10.1).
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first < 0x80 {
        return Some((usize::from(*first), rest));
    }
    let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
    // Of four bytes at most, without a leading zero, and not for what fits into one.
    let is_short = (1..=4).contains(&digits.len()) && digits.first() != Some(&0);
    let length = digits.iter().fold(0_usize, |length, digit| length << 8 | usize::from(*digit));
    (is_short && length >= 0x80).then_some((length, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_one_after_another() {
        let bytes = [0x0c, 2, b'h', b'i', 0x01, 1, 0xff];
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.take_if(BOOLEAN), None);
        assert_eq!(reader.take(UTF8_STRING), Some(&b"hi"[..]));
        assert_eq!(reader.next(), Some((BOOLEAN, &[0xff][..])));
        assert!(reader.is_at_end() && reader.next().is_none());
    }

    #[test]
    fn long_lengths_are_read_in_their_shortest_form_only() {
        let of = |head: &[u8], length: usize| {
            let bytes = [head, &vec![7; length]].concat();
            Reader::new(&bytes).next().map(|(_, value)| value.len())
        };
        assert_eq!(of(&[0x04, 0x81, 0x80], 128), Some(128));
        assert_eq!(of(&[0x04, 0x82, 0x01, 0x00], 256), Some(256));
        for odd in [
            &[0x04, 0x81, 0x7f][..],
            &[0x04, 0x82, 0x00, 0x80],
            &[0x04, 0x80],
            &[0x1f, 1],
            &[0x04, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x04, 0x85, 1, 0, 0, 0, 0],
        ] {
            assert_eq!(of(odd, 200), None, "{odd:?}");
        }
    }
}
