//! Pictures of strangers, taken apart and written anew: of what was sent, nothing is left but what it shows.

use std::io::Cursor;

use image_webp::WebPDecoder;
use png::{BitDepth, ColorType, Limits, Transformations};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// The most pixels on a side of what is taken apart.
const MAX_SIDE: u32 = 1024;
/// The most on a side of what is written.
const SIDE: u32 = 128;
/// The most memory that a decoder takes for itself.
const MAX_MEMORY: usize = 16 * 1024 * 1024;
/// Red, green, blue, and how much of them is seen.
const CHANNELS: usize = 4;

/// Why there is no picture.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum PictureError {
    #[error("it is neither PNG nor JPEG nor WebP")]
    Kind,
    #[error("it has more than {MAX_SIDE} pixels on a side, or none")]
    Size,
    #[error("it cannot be read")]
    Unreadable,
}

/// Four bytes for each pixel, line by line.
struct Picture {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

/// A small PNG of what a PNG, JPEG or WebP shows. What it is said to be is not listened to.
pub(super) fn rewritten(bytes: &[u8]) -> Result<Vec<u8>, PictureError> {
    let picture = match bytes {
        [0x89, b'P', b'N', b'G', ..] => of_png(bytes),
        [0xff, 0xd8, 0xff, ..] => of_jpeg(bytes),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => of_webp(bytes),
        _ => Err(PictureError::Kind),
    }?;
    picture.fitted().written()
}

fn of_png(bytes: &[u8]) -> Result<Picture, PictureError> {
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: MAX_MEMORY });
    decoder.set_transformations(Transformations::EXPAND | Transformations::ALPHA | Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let mut reader = decoder.read_info().map_err(unreadable)?;
    let (width, height) = sized((reader.info().width, reader.info().height))?;
    let mut pixels = vec![0; reader.output_buffer_size().ok_or(PictureError::Size)?];
    let shown = reader.next_frame(&mut pixels).map_err(unreadable)?;
    let pixels = match shown.color_type {
        ColorType::Rgba => pixels,
        ColorType::GrayscaleAlpha => spread(&pixels, |pixel: [u8; 2]| {
            let [grey, seen] = pixel;
            [grey, grey, grey, seen]
        }),
        ColorType::Grayscale | ColorType::Indexed | ColorType::Rgb => return Err(PictureError::Unreadable),
    };
    Picture::of(width, height, pixels)
}

fn of_jpeg(bytes: &[u8]) -> Result<Picture, PictureError> {
    let side = usize::try_from(MAX_SIDE).map_err(unreadable)?;
    let options = DecoderOptions::new_safe()
        .set_max_width(side)
        .set_max_height(side)
        .jpeg_set_out_colorspace(ColorSpace::RGBA);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(unreadable)?;
    let info = decoder.info().ok_or(PictureError::Unreadable)?;
    let (width, height) = sized((u32::from(info.width), u32::from(info.height)))?;
    Picture::of(width, height, decoder.decode().map_err(unreadable)?)
}

fn of_webp(bytes: &[u8]) -> Result<Picture, PictureError> {
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(unreadable)?;
    decoder.set_memory_limit(MAX_MEMORY);
    let (width, height) = sized(decoder.dimensions())?;
    let mut pixels = vec![0; decoder.output_buffer_size().ok_or(PictureError::Size)?];
    decoder.read_image(&mut pixels).map_err(unreadable)?;
    let opaque = |pixel: [u8; 3]| {
        let [red, green, blue] = pixel;
        [red, green, blue, u8::MAX]
    };
    let pixels = if decoder.has_alpha() { pixels } else { spread(&pixels, opaque) };
    Picture::of(width, height, pixels)
}

/// Before anything is taken apart.
fn sized((width, height): (u32, u32)) -> Result<(u32, u32), PictureError> {
    let fits = |side| (1..=MAX_SIDE).contains(&side);
    if fits(width) && fits(height) { Ok((width, height)) } else { Err(PictureError::Size) }
}

fn unreadable<E>(_: E) -> PictureError {
    PictureError::Unreadable
}

/// Four bytes for each pixel that has fewer.
fn spread<const N: usize>(pixels: &[u8], full: impl Fn([u8; N]) -> [u8; CHANNELS]) -> Vec<u8> {
    pixels.as_chunks::<N>().0.iter().flat_map(|pixel| full(*pixel)).collect()
}

impl Picture {
    fn of(width: u32, height: u32, pixels: Vec<u8>) -> Result<Self, PictureError> {
        let expected = u64::from(width) * u64::from(height) * CHANNELS as u64;
        if u64::try_from(pixels.len()) != Ok(expected) {
            return Err(PictureError::Unreadable);
        }
        Ok(Self { width, height, pixels })
    }

    /// Small enough to be shown: each pixel is the mean of a square.
    fn fitted(self) -> Self {
        let square = self.width.max(self.height).div_ceil(SIDE);
        if square <= 1 {
            return self;
        }
        let (width, height) = (self.width.div_ceil(square), self.height.div_ceil(square));
        let mut means = vec![Mean::default(); width as usize * height as usize];
        let (pixels, _) = self.pixels.as_chunks::<CHANNELS>();
        for (row, line) in (0_u32..).zip(pixels.chunks(self.width as usize)) {
            for (column, pixel) in (0_u32..).zip(line) {
                let place = (row / square) as usize * width as usize + (column / square) as usize;
                if let Some(mean) = means.get_mut(place) {
                    mean.add(*pixel);
                }
            }
        }
        Self { width, height, pixels: means.iter().flat_map(Mean::pixel).collect() }
    }

    fn written(&self) -> Result<Vec<u8>, PictureError> {
        let mut written = Vec::new();
        let mut encoder = png::Encoder::new(&mut written, self.width, self.height);
        encoder.set_color(ColorType::Rgba);
        encoder.set_depth(BitDepth::Eight);
        let mut writer = encoder.write_header().map_err(unreadable)?;
        writer.write_image_data(&self.pixels).map_err(unreadable)?;
        writer.finish().map_err(unreadable)?;
        Ok(written)
    }
}

/// The mean of some pixels. A colour counts as much as it is seen.
#[derive(Clone, Default)]
struct Mean {
    colours: [u32; 3],
    seen: u32,
    pixels: u32,
}

impl Mean {
    fn add(&mut self, [red, green, blue, seen]: [u8; CHANNELS]) {
        let seen = u32::from(seen);
        for (sum, colour) in self.colours.iter_mut().zip([red, green, blue]) {
            *sum += u32::from(colour) * seen;
        }
        self.seen += seen;
        self.pixels += 1;
    }

    fn pixel(&self) -> [u8; CHANNELS] {
        let share = |sum: u32, of: u32| u8::try_from(sum.checked_div(of).unwrap_or(0)).unwrap_or(u8::MAX);
        let [red, green, blue] = self.colours.map(|sum| share(sum, self.seen));
        [red, green, blue, share(self.seen, self.pixels)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PNG of one colour.
    fn png_of(width: u32, height: u32, pixel: [u8; CHANNELS]) -> Vec<u8> {
        let pixels = pixel.repeat(width as usize * height as usize);
        Picture { width, height, pixels }.written().unwrap()
    }

    fn shown(png: &[u8]) -> Picture {
        of_png(png).unwrap()
    }

    #[test]
    fn a_picture_is_written_anew_small_and_without_what_it_does_not_show() {
        let mut written = Vec::new();
        let mut encoder = png::Encoder::new(&mut written, 400, 200);
        encoder.set_color(ColorType::Grayscale);
        encoder.set_depth(BitDepth::Sixteen);
        encoder.add_text_chunk("Comment".to_owned(), "<script>alert(1)</script>".to_owned()).unwrap();
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&vec![0x80; 400 * 200 * 2]).unwrap();
        writer.finish().unwrap();
        let mut padded = written.clone();
        padded.extend_from_slice(b"<html>");
        let made = rewritten(&padded).unwrap();
        assert!(!made.windows(6).any(|part| part == b"script" || part == b"<html>"));
        let picture = shown(&made);
        assert_eq!((picture.width, picture.height), (100, 50));
        assert!(
            picture.pixels.as_chunks::<CHANNELS>().0.iter().all(|pixel| *pixel == [0x80, 0x80, 0x80, 255])
        );
    }

    #[test]
    fn a_jpeg_and_a_webp_are_read_as_well() {
        for (bytes, width) in [
            (include_bytes!("testdata/red.jpg").as_slice(), 16),
            (include_bytes!("testdata/red.webp").as_slice(), 16),
        ] {
            let picture = shown(&rewritten(bytes).unwrap());
            assert_eq!(picture.width, width);
            let pixel = picture.pixels.first_chunk::<CHANNELS>().unwrap();
            assert!(pixel[0] > 240 && pixel[1] < 16 && pixel[2] < 16 && pixel[3] == 255, "{pixel:?}");
        }
    }

    #[test]
    fn what_is_seen_little_counts_little() {
        let mut pixels = [255, 0, 0, 255].repeat(256 * 256 / 2);
        pixels.extend([0, 255, 0, 0].repeat(256 * 256 / 2));
        let small = Picture { width: 256, height: 256, pixels }.fitted();
        assert_eq!((small.width, small.height), (128, 128));
        assert_eq!(small.pixels.first_chunk(), Some(&[255, 0, 0, 255]));
        assert_eq!(small.pixels.last_chunk(), Some(&[0, 0, 0, 0]));
    }

    #[test]
    fn what_is_too_large_or_no_picture_is_refused() {
        assert!(rewritten(&png_of(MAX_SIDE, 1, [1, 2, 3, 4])).is_ok());
        assert_eq!(rewritten(&png_of(MAX_SIDE + 1, 1, [0; 4])), Err(PictureError::Size));
        assert_eq!(rewritten(&png_of(1, MAX_SIDE + 1, [0; 4])), Err(PictureError::Size));
        for other in [
            b"<svg xmlns='http://www.w3.org/2000/svg'/>".as_slice(),
            b"GIF89a\x01\x00\x01\x00",
            b"<!doctype html>",
            b"",
        ] {
            assert_eq!(rewritten(other), Err(PictureError::Kind));
        }
        let whole = png_of(64, 64, [9, 8, 7, 6]);
        for end in [8, 20, 40, whole.len() - 20] {
            assert_eq!(rewritten(&whole[..end]), Err(PictureError::Unreadable), "{end}");
        }
        for cut in [include_bytes!("testdata/red.jpg").as_slice(), include_bytes!("testdata/red.webp")] {
            assert!(rewritten(&cut[..cut.len() / 4]).is_err());
        }
    }
}
