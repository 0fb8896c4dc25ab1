//! The forms that the texts of claims have ([OpenID Connect Core §5.1]).
//!
//! [OpenID Connect Core §5.1]: https://openid.net/specs/openid-connect-core-1_0.html#StandardClaims

use url::Url;

/// The longest address of a page.
const LONGEST_URL: usize = 2048;
/// The longest language tag and the longest name of a time zone; real ones are far shorter.
const LONGEST_NAME: usize = 64;

/// Why a text is not the value of a claim.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidText {
    /// No date, or one that no calendar has.
    #[error("has to be a date as 1815-12-10, as 0000-12-10 without the year, or as 1815 without the day")]
    Birthdate,
    /// A control character, or one that changes the direction of the text.
    #[error("must not contain control characters")]
    Control,
    /// No language tag.
    #[error("has to be a language tag of BCP 47, such as de or de-CH")]
    Language,
    /// More characters than fit.
    #[error("must not be longer than {0} characters")]
    Long(usize),
    /// A blank at either end.
    #[error("must not start or end with a blank")]
    Padded,
    /// No telephone number that is good everywhere.
    #[error(
        "has to be a telephone number of E.164: a plus and 7 to 15 digits, perhaps with ;ext= and an extension"
    )]
    Phone,
    /// No name of a time zone.
    #[error("has to be a name of the time zone database, such as Europe/Vienna")]
    TimeZone,
    /// No address that browsers open safely.
    #[error("has to be an https address without user name and password")]
    Url,
}

/// One line that people read.
pub(super) fn line(raw: &str, longest: usize) -> Result<(), InvalidText> {
    if raw.contains(['\n', '\r']) { Err(InvalidText::Control) } else { lines(raw, longest) }
}

/// Lines that people read.
pub(super) fn lines(raw: &str, longest: usize) -> Result<(), InvalidText> {
    let odd = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\r'))
            // Marks that change the order in which the text around them is shown.
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if raw.trim() != raw {
        Err(InvalidText::Padded)
    } else if raw.chars().nth(longest).is_some() {
        Err(InvalidText::Long(longest))
    } else if raw.contains(odd) {
        Err(InvalidText::Control)
    } else {
        Ok(())
    }
}

/// An address of a page or a picture.
pub(crate) fn address_of_a_page(raw: &str) -> Result<(), InvalidText> {
    if raw.len() > LONGEST_URL {
        return Err(InvalidText::Long(LONGEST_URL));
    }
    // The URL parser repairs what browsers repair: whoever gets the claim may not.
    if !raw.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return Err(InvalidText::Url);
    }
    let url = Url::parse(raw).map_err(|_| InvalidText::Url)?;
    let plain = url.username().is_empty() && url.password().is_none();
    (url.scheme() == "https" && url.has_host() && plain).then_some(()).ok_or(InvalidText::Url)
}

/// `YYYY-MM-DD`, where `0000` leaves the year out, or `YYYY` alone.
pub(super) fn birthdate(raw: &str) -> Result<(), InvalidText> {
    let number = |digits: &str, width: usize| {
        let plain = digits.len() == width && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse::<u32>().ok()).flatten()
    };
    let mut parts = raw.split('-');
    let date = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(year), None, None, None) => number(year, 4).filter(|year| *year > 0).map(|_| ()),
        (Some(year), Some(month), Some(day), None) => {
            let days = number(year, 4).zip(number(month, 2)).and_then(|(year, month)| days_of(year, month));
            number(day, 2).zip(days).filter(|(day, days)| (1..=*days).contains(day)).map(|_| ())
        }
        _ => None,
    };
    date.ok_or(InvalidText::Birthdate)
}

/// How many days a month has. In a year that is left out, February may have had its 29th.
const fn days_of(year: u32, month: u32) -> Option<u32> {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => Some(29),
        2 => Some(28),
        _ => None,
    }
}

/// A number of E.164, with the extension of RFC 3966 if there is one (OpenID Connect Core §5.1).
pub(super) fn phone(raw: &str) -> Result<(), InvalidText> {
    let (number, extension) = match raw.split_once(";ext=") {
        Some((number, extension)) => (number, Some(extension)),
        None => (raw, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let good_number = number
        .strip_prefix('+')
        .is_some_and(|number| (7..=15).contains(&number.len()) && digits(number) && !number.starts_with('0'));
    let good_extension = extension.is_none_or(|text| (1..=8).contains(&text.len()) && digits(text));
    (good_number && good_extension).then_some(()).ok_or(InvalidText::Phone)
}

/// The form that names of the time zone database have. Which names there are changes several times a year, so that is not looked at.
pub(super) fn time_zone(raw: &str) -> Result<(), InvalidText> {
    let part = |part: &str| {
        (1..=14).contains(&part.len())
            && part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
    };
    let good = raw.len() <= LONGEST_NAME && raw.split('/').count() <= 3 && raw.split('/').all(part);
    good.then_some(()).ok_or(InvalidText::TimeZone)
}

/// A language tag, as RFC 5646 §2.1 forms them.
pub(super) fn language(raw: &str) -> Result<(), InvalidText> {
    if raw.len() > LONGEST_NAME {
        return Err(InvalidText::Language);
    }
    let mut parts = raw.split('-').peekable();
    let alphabetic = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphabetic());
    let alphanumeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let first = parts.next().unwrap_or_default();
    if !first.eq_ignore_ascii_case("x") {
        if !((2..=8).contains(&first.len()) && alphabetic(first)) {
            return Err(InvalidText::Language);
        }
        for _ in 0..3 {
            _ = parts.next_if(|part| first.len() <= 3 && part.len() == 3 && alphabetic(part));
        }
        _ = parts.next_if(|part| part.len() == 4 && alphabetic(part));
        _ = parts.next_if(|part| {
            (part.len() == 2 && alphabetic(part))
                || (part.len() == 3 && part.bytes().all(|b| b.is_ascii_digit()))
        });
        let is_variant = |part: &&str| {
            alphanumeric(part)
                && ((5..=8).contains(&part.len())
                    || (part.len() == 4 && part.starts_with(|c: char| c.is_ascii_digit())))
        };
        while parts.next_if(is_variant).is_some() {}
        while parts
            .next_if(|part| part.len() == 1 && alphanumeric(part) && !part.eq_ignore_ascii_case("x"))
            .is_some()
        {
            let mut count = 0;
            while parts.next_if(|part| (2..=8).contains(&part.len()) && alphanumeric(part)).is_some() {
                count += 1;
            }
            if count == 0 {
                return Err(InvalidText::Language);
            }
        }
    }
    private_use(parts, first.eq_ignore_ascii_case("x"))
}

/// What ends a language tag: an `x` and what whoever wrote it means by it, or nothing.
fn private_use<'a>(mut rest: impl Iterator<Item = &'a str>, begun: bool) -> Result<(), InvalidText> {
    if !begun {
        match rest.next() {
            None => return Ok(()),
            Some(part) if part.eq_ignore_ascii_case("x") => {}
            Some(_) => return Err(InvalidText::Language),
        }
    }
    let parts: Vec<&str> = rest.collect();
    let good = |part: &&str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    (!parts.is_empty() && parts.iter().all(good)).then_some(()).ok_or(InvalidText::Language)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn try_each(check: fn(&str) -> Result<(), InvalidText>, good: &[&str], bad: &[&str], error: InvalidText) {
        for text in good {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for text in bad {
            assert_eq!(check(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_date_of_birth_may_lack_its_year_or_its_day() {
        let good = ["1815-12-10", "0000-02-29", "2000-02-29", "1852"];
        let bad = [
            "1900-02-29",
            "2001-02-29",
            "1815-13-01",
            "1815-00-01",
            "1815-04-31",
            "1815-12-00",
            "0000",
            "815",
            "1815-12",
            "10.12.1815",
            "1815-12-10-1",
            "+815-12-10",
            "1815-12-1",
            "",
        ];
        try_each(birthdate, &good, &bad, InvalidText::Birthdate);
    }

    #[test]
    fn a_telephone_number_is_good_everywhere() {
        let good = ["+4366012345", "+1234567", "+123456789012345", "+56255500;ext=5678"];
        let bad = [
            "066012345",
            "+066012345",
            "+123456",
            "+1234567890123456",
            "+43 660 12345",
            "+56255500;ext=",
            "+56255500;x=1",
            "+\u{664}366012345",
        ];
        try_each(phone, &good, &bad, InvalidText::Phone);
    }

    #[test]
    fn a_time_zone_has_the_form_of_its_database() {
        let good = ["Europe/Vienna", "America/Argentina/ComodRivadavia", "Etc/GMT+1", "UTC"];
        let bad = [
            "",
            "Europe/",
            "/Vienna",
            "Europe/../etc",
            "a/b/c/d",
            "Europe Vienna",
            "+01:00",
            "Europe/Averyverylongname",
        ];
        try_each(time_zone, &good, &bad, InvalidText::TimeZone);
    }

    #[test]
    fn a_language_has_a_tag_of_bcp_47() {
        let good = [
            "de",
            "de-CH",
            "sl-rozaj-biske",
            "zh-cmn-Hans-CN",
            "de-CH-1901",
            "es-419",
            "en-US-u-islamcal",
            "az-Arab-x-AZE-derbend",
            "x-whatever",
            "en-a-bbb-x-a-ccc",
        ];
        let bad =
            ["", "d", "de_CH", "de-", "de-a", "x", "de-x", "a-DE", "de-419-DE", "1de", "dé", "de-abcdefghi"];
        try_each(language, &good, &bad, InvalidText::Language);
    }

    #[test]
    fn an_address_is_one_that_browsers_open_safely() {
        let good = ["https://example.org/ada?x#y"];
        let bad = [
            "http://example.org/",
            "javascript:alert(1)",
            "https://ada@example.org/",
            "https://",
            "example.org",
            "https://exam ple.org/",
            "https://example.org/\u{e9}",
            "https:\\\\example.org",
        ];
        try_each(address_of_a_page, &good, &bad, InvalidText::Url);
        let long = format!("https://example.org/{}", "x".repeat(LONGEST_URL));
        assert_eq!(address_of_a_page(&long), Err(InvalidText::Long(LONGEST_URL)));
    }

    #[test]
    fn what_people_read_has_no_controls_no_blanks_around_it_and_an_end() {
        assert_eq!(line("Ada Lovelace", 12), Ok(()));
        assert_eq!(line("Ada Lovelace", 11), Err(InvalidText::Long(11)));
        assert_eq!(line(" Ada", 12), Err(InvalidText::Padded));
        assert_eq!(line("A\nda", 12), Err(InvalidText::Control));
        assert_eq!(lines("A\nda", 12), Ok(()));
        assert_eq!(lines("A\u{202e}da", 12), Err(InvalidText::Control));
        assert_eq!(lines("A\u{0}da", 12), Err(InvalidText::Control));
    }
}
