//! What the cleaner makes of texts that do not change, and the version that it goes by.

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::evasions::EVASIONS;
use super::tests::{assert_harmless, clean};
use super::{HARMLESS_ATTRIBUTES, Html};

/// By version, the digest of all that was made of the [corpus]. A line is added with a version, and none is ever changed: whoever keeps
/// what was cleaned learns by the version alone that it is to be cleaned again.
const OUTCOMES: [(u32, &str); 2] = [
    (1, "LiwyKi0rhorOghKUGWxqxiD9M3bdMywM83P5pOu-Ou4"),
    // `cite` holds an address.
    (2, "9hKYqXhCF7otcjbs7Yce5Bx3ig4j7obZKCKS8a4qk00"),
];

/// Texts that are harmless, beside those that are not.
const PLAIN: [&str; 18] = [
    "AT&T, O'Brian and a<b && c>d",
    "Vec::<u8> I <3 you 0.10 👩‍👩‍👧",
    "<b>bold</b> <i>and <u>more</u></i>",
    "<p>one<p>two",
    "<a href=https://a.test/?b=1&c=2 title=t hreflang=en>x</a>",
    "<a href=/here>x</a> <a href=mailto:a@b.test>y</a> <a href=ftp://a.test>z</a>",
    "<h1 id=a class=b>x</h1><ul><li>1<li>2</ul><ol start=3><li>3</ol>",
    "<table align=left><tr><td rowspan=2 colspan=3>x<th scope=row>y</table>",
    "<img src=https://a.test/i.png alt=x width=1 height=2>",
    "<blockquote cite=https://a.test>x</blockquote><q cite=/y>y</q>",
    "<del datetime=2026-01-01>x</del><ins>y</ins>",
    "<pre>\n x</pre><code>&lt;y&gt;</code>",
    "<br><hr/><wbr>",
    "a\r\nb\rc\u{a0}d\0e",
    "&nbsp;&copy;&#x1f600;&bogus;&amp",
    "\u{feff}<b>x</b>\u{feff}",
    "<!-- a --><!doctype html><![CDATA[x]]>",
    "<a href=x>1<a href=x><table><a href=x>2</table>",
];

fn profiles() -> [Html; 3] {
    let every = HARMLESS_ATTRIBUTES;
    let custom = Html::custom().element("a", every).element("img", every).element("table", every);
    [Html::inline(), Html::rich(), custom]
}

/// Each text under each profile.
fn corpus() -> impl Iterator<Item = (Html, &'static str)> {
    profiles()
        .into_iter()
        .flat_map(|profile| EVASIONS.into_iter().chain(PLAIN).map(move |text| (profile.clone(), text)))
}

// XS-05
#[test]
fn no_way_around_filters_leads_to_a_script() {
    for (profile, text) in corpus() {
        let once = clean(&profile, text);
        assert_harmless(&once, text);
        assert_eq!(clean(&profile, &once), once, "of {text:?}");
    }
}

#[test]
fn what_cleaning_does_changes_with_its_version_only() {
    let mut digest = Context::new(&SHA256);
    for (profile, text) in corpus() {
        digest.update(clean(&profile, text).as_bytes());
        // No text has this byte, so no two texts make the digest of two others.
        digest.update(&[0xff]);
    }
    let digest = URL_SAFE_NO_PAD.encode(digest.finish());
    let (version, expected) = OUTCOMES[OUTCOMES.len() - 1];
    assert!(OUTCOMES.is_sorted_by(|(one, _), (next, _)| one < next));
    assert_eq!(version, Html::VERSION, "a version has a line of its own");
    assert_eq!(digest, expected, "cleaning does something else now: raise Html::VERSION and add a line");
}
