//! Pictures that an authenticator app reads, drawn as one path.

use std::fmt::Write as _;

use qrcodegen::{QrCode, QrCodeEcc};
use serde::Serialize;

/// Light squares around the picture (ISO/IEC 18004 asks for four).
const QUIET: i32 = 4;

/// A picture of a text.
#[derive(Serialize)]
pub(super) struct Picture {
    /// Where it begins and how large it is, as SVG has it.
    view: String,
    /// The dark squares, as SVG has them.
    path: String,
}

impl Picture {
    /// `None` for a text that is too long: whoever shows it shows the text beside it.
    pub(super) fn of(text: &str) -> Option<Self> {
        let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
        let (size, mut path) = (code.size(), String::new());
        for y in 0..size {
            let mut x = 0;
            while x < size {
                let width = (x..size).take_while(|x| code.get_module(*x, y)).count();
                if width > 0 {
                    // Writing to a text cannot fail.
                    _ = write!(path, "M{x} {y}h{width}v1h-{width}z");
                }
                x += i32::try_from(width).unwrap_or(size) + 1;
            }
        }
        let whole = size + 2 * QUIET;
        Some(Self { view: format!("-{QUIET} -{QUIET} {whole} {whole}"), path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dark_square_is_in_the_path_and_no_other() {
        let text = "otpauth://totp/id.example.com:ada?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        let (picture, code) =
            (Picture::of(text).unwrap(), QrCode::encode_text(text, QrCodeEcc::Medium).unwrap());
        let mut dark = Vec::new();
        for run in picture.path.split('M').skip(1) {
            let (place, rest) = run.split_once('h').unwrap();
            let (x, y) = place.split_once(' ').unwrap();
            let (x, y): (i32, i32) = (x.parse().unwrap(), y.parse().unwrap());
            let width: i32 = rest.split('v').next().unwrap().parse().unwrap();
            dark.extend((x..x + width).map(|x| (x, y)));
        }
        dark.sort_unstable();
        let all = (0..code.size()).flat_map(|x| (0..code.size()).map(move |y| (x, y)));
        assert_eq!(dark, all.filter(|(x, y)| code.get_module(*x, *y)).collect::<Vec<_>>());
        assert_eq!(picture.view, format!("-4 -4 {0} {0}", code.size() + 8));
        assert!(Picture::of(&"x".repeat(9999)).is_none());
    }
}
