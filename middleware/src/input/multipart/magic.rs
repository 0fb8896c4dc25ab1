//! What a file begins with, by its type.

/// As much of a file as is looked at.
pub(super) const LOOKED_AT: usize = 16;

/// The kinds of files that can be told by their first bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Format {
    Bmp,
    Flac,
    Gif,
    Gzip,
    Icon,
    /// MP4 and its relatives.
    IsoMedia,
    Jpeg,
    Matroska,
    Mp3,
    Ogg,
    Pdf,
    Png,
    Tiff,
    Wave,
    Webp,
    Woff,
    /// Archives, and the documents that are archives.
    Zip,
}

/// Whether the beginning of a file contradicts the type that it is said to have. Types that are not known here contradict nothing.
pub(super) fn contradicts(content_type: &str, beginning: &[u8]) -> bool {
    match format_of(content_type) {
        Some(declared) => !declared.begins(beginning),
        None if is_textual(content_type) => {
            beginning.contains(&0) || BINARY.iter().any(|format| format.begins(beginning))
        }
        None => false,
    }
}

/// Those whose beginning no text has.
const BINARY: [Format; 11] = [
    Format::Flac,
    Format::Gif,
    Format::Gzip,
    Format::IsoMedia,
    Format::Jpeg,
    Format::Matroska,
    Format::Ogg,
    Format::Pdf,
    Format::Png,
    Format::Woff,
    Format::Zip,
];

fn is_textual(content_type: &str) -> bool {
    content_type.starts_with("text/")
        || content_type.ends_with("+json")
        || content_type.ends_with("+xml")
        || matches!(content_type, "application/json" | "application/xml" | "application/javascript")
}

fn format_of(content_type: &str) -> Option<Format> {
    Some(match content_type {
        "image/bmp" => Format::Bmp,
        "audio/flac" => Format::Flac,
        "image/gif" => Format::Gif,
        "application/gzip" | "application/x-gzip" => Format::Gzip,
        "image/vnd.microsoft.icon" | "image/x-icon" => Format::Icon,
        "audio/mp4" | "audio/x-m4a" | "image/avif" | "image/heic" | "image/heif" | "video/mp4"
        | "video/quicktime" => Format::IsoMedia,
        "image/jpeg" | "image/jpg" | "image/pjpeg" => Format::Jpeg,
        "audio/webm" | "video/webm" | "video/x-matroska" => Format::Matroska,
        "audio/mp3" | "audio/mpeg" => Format::Mp3,
        "application/ogg" | "audio/ogg" | "video/ogg" => Format::Ogg,
        "application/pdf" => Format::Pdf,
        "image/png" => Format::Png,
        "image/tiff" => Format::Tiff,
        "audio/wav" | "audio/wave" | "audio/x-wav" => Format::Wave,
        "image/webp" => Format::Webp,
        "font/woff" | "font/woff2" => Format::Woff,
        "application/epub+zip"
        | "application/java-archive"
        | "application/x-zip-compressed"
        | "application/zip" => Format::Zip,
        other => {
            let office =
                ["application/vnd.openxmlformats-officedocument.", "application/vnd.oasis.opendocument."];
            return office.iter().any(|prefix| other.starts_with(prefix)).then_some(Format::Zip);
        }
    })
}

impl Format {
    fn begins(self, file: &[u8]) -> bool {
        let at = |offset: usize, word: &[u8]| file.get(offset..).is_some_and(|rest| rest.starts_with(word));
        match self {
            Self::Bmp => at(0, b"BM"),
            Self::Flac => at(0, b"fLaC"),
            Self::Gif => at(0, b"GIF87a") || at(0, b"GIF89a"),
            Self::Gzip => at(0, b"\x1f\x8b"),
            Self::Icon => at(0, b"\0\0\x01\0"),
            Self::IsoMedia => [&b"ftyp"[..], b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"]
                .iter()
                .any(|word| at(4, word)),
            Self::Jpeg => at(0, b"\xff\xd8\xff"),
            Self::Matroska => at(0, b"\x1a\x45\xdf\xa3"),
            Self::Mp3 => at(0, b"ID3") || matches!(file, [0xff, second, ..] if second & 0xe0 == 0xe0),
            Self::Ogg => at(0, b"OggS"),
            Self::Pdf => at(0, b"%PDF-"),
            Self::Png => at(0, b"\x89PNG\r\n\x1a\n"),
            Self::Tiff => at(0, b"II*\0") || at(0, b"MM\0*"),
            Self::Wave => at(0, b"RIFF") && at(8, b"WAVE"),
            Self::Webp => at(0, b"RIFF") && at(8, b"WEBP"),
            Self::Woff => at(0, b"wOFF") || at(0, b"wOF2"),
            Self::Zip => at(0, b"PK\x03\x04") || at(0, b"PK\x05\x06"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    const HTML: &[u8] = b"<!doctype html><";
    const MP4: &[u8] = b"\0\0\0\x18ftypmp42";

    #[test]
    fn a_file_is_what_it_says_or_is_found_out() {
        for (content_type, file) in [
            ("image/png", PNG),
            ("image/jpeg", b"\xff\xd8\xff\xe0"),
            ("image/webp", b"RIFF\x01\x02\x03\x04WEBP"),
            ("audio/mpeg", b"\xff\xfb\x90"),
            ("application/pdf", b"%PDF-1.7"),
            ("application/vnd.oasis.opendocument.text", b"PK\x03\x04"),
            ("video/mp4", MP4),
            ("text/html", HTML),
            ("text/csv", b"a,b"),
            ("text/plain", b""),
            ("application/octet-stream", PNG),
            ("application/x-unheard-of", PNG),
        ] {
            assert!(!contradicts(content_type, file), "{content_type}");
        }
        for (content_type, file) in [
            ("image/png", HTML),
            ("image/png", b""),
            ("image/png", b"\x89PNG"),
            ("image/jpeg", PNG),
            ("image/webp", b"RIFF\x01\x02\x03\x04WAVE"),
            ("application/pdf", b" %PDF-1.7"),
            ("video/mp4", b"MZ\x90\0"),
            ("text/html", PNG),
            ("text/csv", b"a\0b"),
            ("image/svg+xml", b"\x1f\x8b\x08"),
        ] {
            assert!(contradicts(content_type, file), "{content_type}");
        }
    }
}
