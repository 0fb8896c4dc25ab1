//! Content codings (RFC 9110 §8.4): a body that is compressed is unpacked here, or not taken.

use std::io::{BufRead, Read};

use bytes::Bytes;
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};

use super::fault::{Fault, Rule};

/// Up to here, no output is out of proportion: every body may be so long.
const ALWAYS_ALLOWED: usize = 16 * 1024;
/// Bodies longer than this are unpacked on the blocking pool.
const INLINE: usize = 4 * 1024;

/// How a body is packed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Coding {
    Deflate,
    Gzip,
    Identity,
    /// Another one, or several of them.
    Other,
}

impl Coding {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let fields = headers.get_all(header::CONTENT_ENCODING).iter();
        let mut found = Self::Identity;
        for coding in fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b',')) {
            let coding = match coding.trim_ascii().to_ascii_lowercase().as_slice() {
                b"identity" | b"" => continue,
                b"gzip" | b"x-gzip" => Self::Gzip,
                b"deflate" => Self::Deflate,
                _ => Self::Other,
            };
            found = if found == Self::Identity { coding } else { Self::Other };
        }
        found
    }
}

/// How far a body may grow when it is unpacked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growth {
    pub(super) longest: usize,
    /// How many times its own length.
    pub(super) ratio: usize,
}

/// The body as it was before it was packed. What follows the packed data is refused: one reader would go on with it.
pub(super) async fn unpack(coding: Coding, body: Bytes, growth: Growth) -> Result<Bytes, Fault> {
    if body.len() <= INLINE {
        return unpack_now(coding, &body, growth).map_err(Fault::whole);
    }
    let unpacking = tokio::task::spawn_blocking(move || unpack_now(coding, &body, growth));
    // The task can only fail by a panic in the decoder.
    unpacking.await.unwrap_or(Err(Rule::BrokenCoding)).map_err(Fault::whole)
}

fn unpack_now(coding: Coding, body: &[u8], growth: Growth) -> Result<Bytes, Rule> {
    let mut rest = body;
    let unpacked = match coding {
        Coding::Deflate => bounded(ZlibDecoder::new(&mut rest), body.len(), growth)?,
        Coding::Gzip => bounded(MultiGzDecoder::new(&mut rest), body.len(), growth)?,
        Coding::Identity | Coding::Other => return Err(Rule::ContentCoding),
    };
    let is_over = rest.fill_buf().is_ok_and(<[u8]>::is_empty);
    if is_over { Ok(unpacked.into()) } else { Err(Rule::Trailing) }
}

fn bounded(decoder: impl Read, packed: usize, growth: Growth) -> Result<Vec<u8>, Rule> {
    let in_proportion = packed.saturating_mul(growth.ratio).max(ALWAYS_ALLOWED);
    let most = growth.longest.min(in_proportion);
    let one_more = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut unpacked = Vec::new();
    decoder.take(one_more).read_to_end(&mut unpacked).map_err(|_| Rule::BrokenCoding)?;
    if unpacked.len() <= most {
        return Ok(unpacked);
    }
    Err(if most < growth.longest { Rule::Ratio } else { Rule::Size })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    const GROWTH: Growth = Growth { longest: 1 << 20, ratio: 20 };

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_coding_is_one_that_is_known() {
        let of = |fields: &[&'static str]| {
            let line = |field: &&'static str| (header::CONTENT_ENCODING, field.parse().unwrap());
            Coding::of(&fields.iter().map(line).collect())
        };
        for (fields, coding) in [
            (&[][..], Coding::Identity),
            (&["identity"], Coding::Identity),
            (&["GZip"], Coding::Gzip),
            (&["identity", "x-gzip"], Coding::Gzip),
            (&["deflate"], Coding::Deflate),
            (&["br"], Coding::Other),
            (&["gzip, gzip"], Coding::Other),
            (&["gzip", "deflate"], Coding::Other),
            (&["identity;q=1"], Coding::Other),
        ] {
            assert_eq!(of(fields), coding, "{fields:?}");
        }
    }

    #[tokio::test]
    async fn a_packed_body_is_unpacked_whole() {
        let long: Vec<u8> = (0..40_000_u32).flat_map(u32::to_le_bytes).collect();
        for text in [&b""[..], b"{\"a\":1}", &long] {
            for (coding, packed) in [(Coding::Gzip, gzip(text)), (Coding::Deflate, deflate(text))] {
                assert_eq!(unpack(coding, packed.into(), GROWTH).await.unwrap(), text);
            }
        }
        let members = [gzip(b"[1,"), gzip(b"2]")].concat();
        assert_eq!(unpack_now(Coding::Gzip, &members, GROWTH).unwrap(), "[1,2]");
    }

    #[test]
    fn what_is_broken_or_goes_on_is_refused() {
        let packed = gzip(b"{\"a\":1}");
        let cut = &packed[..packed.len() - 1];
        let mut flipped = packed.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for body in [&b""[..], b"{}", cut, &flipped, &deflate(b"x"), &[packed.as_slice(), b"x"].concat()] {
            assert_eq!(unpack_now(Coding::Gzip, body, GROWTH), Err(Rule::BrokenCoding), "{body:?}");
        }
        assert_eq!(unpack_now(Coding::Deflate, &packed, GROWTH), Err(Rule::BrokenCoding));
        let more = [deflate(b"x").as_slice(), b"y"].concat();
        assert_eq!(unpack_now(Coding::Deflate, &more, GROWTH), Err(Rule::Trailing));
    }

    // HT-11
    #[test]
    fn a_bomb_is_refused_before_it_goes_off() {
        let bomb = gzip(&vec![b' '; 10 << 20]);
        assert!(bomb.len() < 16 * 1024);
        assert_eq!(unpack_now(Coding::Gzip, &bomb, GROWTH), Err(Rule::Ratio));
        let roomy = Growth { ratio: 2_000, ..GROWTH };
        assert_eq!(unpack_now(Coding::Gzip, &bomb, roomy), Err(Rule::Size));
        // A short body may be as regular as it likes.
        assert_eq!(
            unpack_now(Coding::Gzip, &gzip(&[b' '; ALWAYS_ALLOWED]), GROWTH).unwrap().len(),
            ALWAYS_ALLOWED
        );
    }
}
