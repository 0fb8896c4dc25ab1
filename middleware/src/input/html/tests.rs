//! What the cleaner leaves, as a browser would read it.

use std::cell::RefCell;
use std::rc::Rc;

use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::tree_builder::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::{Attribute, ParseOpts, QualName, local_name, ns, parse_fragment};

use super::*;
use crate::vectors;

pub(super) fn clean(profile: &Html, text: &str) -> String {
    let clean = profile.cleaner().unwrap().rewrite(text).unwrap();
    clean.unwrap_or_else(|| text.to_owned())
}

#[test]
fn scripts_handlers_and_dangerous_links_go_and_text_stays() {
    let table = [
        ("<b>bold</b>", "<b>bold</b>"),
        ("<script>alert(1)</script>x", "x"),
        ("<b onclick=alert(1)>x</b>", "<b>x</b>"),
        ("<a href=\"javascript:alert(1)\">x</a>", "<a rel=\"noopener noreferrer nofollow\">x</a>"),
        ("<a href=\"data:text/html,x\">x</a>", "<a rel=\"noopener noreferrer nofollow\">x</a>"),
        ("<img src=x onerror=alert(1)>x", "x"),
        ("<p style=\"width:expression(alert(1))\">x</p>", "<p>x</p>"),
        ("<h1>x</h1>", "x"),
    ];
    for (text, expected) in table {
        assert_eq!(clean(&Html::inline(), text), expected);
    }
    assert_eq!(clean(&Html::rich(), "<h1 id=x>x</h1><script>y</script>"), "<h1>x</h1>");
    for (address, stays) in [
        ("https://a.test/b", true),
        ("/b", true),
        ("//a.test/b", true),
        ("mailto:a@b.test", true),
        ("javascript:alert(1)", false),
        (" java\tscript:alert(1)", false),
        ("data:text/html,x", false),
        ("https://[", false),
    ] {
        for element in ["blockquote", "q", "ins", "del"] {
            let text = format!("<{element} cite=\"{address}\">x</{element}>");
            let bare = format!("<{element}>x</{element}>");
            assert_eq!(clean(&Html::rich(), &text), if stays { text.clone() } else { bare }, "{text}");
        }
    }
}

#[test]
fn a_text_that_does_not_concern_the_cleaner_is_not_changed_by_it() {
    for text in ["", "plain", "O'Brian \"x\"", "tab\tline\n", "é ü 😀", "a = b; c % d"] {
        assert!(!HtmlCleaner::concerns(text).unwrap(), "{text}");
        assert_eq!(clean(&Html::rich(), text), text);
    }
    for text in ["<", ">", "&", "\r", "\u{a0}", "\0"] {
        assert!(HtmlCleaner::concerns(text).unwrap(), "{text:?}");
    }
}

#[test]
fn links_that_a_table_moves_into_each_other_are_moved_before_anybody_sees_them() {
    let text = "<a href=x>1<a href=x><table><a href=x>2</table>";
    let once = clean(&Html::rich(), text);
    assert_eq!(clean(&Html::rich(), &once), once);
    assert!(once.ends_with("<table></table></a>") || once.ends_with("<table></table>"), "{once}");
}

#[test]
fn a_byte_order_mark_goes_once_nothing_stands_before_it() {
    for text in ["<x>\u{feff}a > b", "\u{feff}\u{feff}a > b", "<x>\u{feff}<y>\u{feff}a > b"] {
        let once = clean(&Html::inline(), text);
        assert_eq!(
            (once.as_str(), clean(&Html::inline(), &once).as_str()),
            ("a &gt; b", "a &gt; b"),
            "{text:?}"
        );
    }
    assert_eq!(clean(&Html::inline(), "<b>x</b>\u{feff}"), "<b>x</b>\u{feff}");
}

#[test]
fn a_field_that_is_too_long_or_grows_too_long_is_refused() {
    assert_eq!(HtmlCleaner::concerns(&"x".repeat(MAX_FIELD + 1)), Err(HtmlTooLong));
    let growing = "<a>".repeat(MAX_FIELD / 3);
    assert_eq!(Html::inline().cleaner().unwrap().rewrite(&growing), Err(HtmlTooLong));
}

// XS-07
#[test]
fn elements_in_each_other_take_little_of_the_stack() {
    let nested = |depth: usize| "<div>".repeat(depth);
    let deepest = (1..30)
        .rev()
        .map(|hundreds| hundreds * 100)
        .find(|depth| HtmlCleaner::concerns(&nested(*depth)).is_ok())
        .unwrap();
    assert!(deepest > 200, "{deepest}");
    let cleaning = std::thread::Builder::new().stack_size(256 * 1024).spawn(move || {
        let cleaner = Html::rich().cleaner().unwrap();
        (cleaner.clean(&nested(deepest)).map(SafeHtml::into_string), cleaner.clean(&nested(200_000)))
    });
    let (clean, long) = cleaning.unwrap().join().unwrap();
    assert_eq!(clean.unwrap(), format!("{}{}", "<div>".repeat(deepest), "</div>".repeat(deepest)));
    assert_eq!(long, Err(HtmlTooLong));
}

/// The elements that a browser would make of a text inside of a page, as `name attribute=value ...`.
fn elements(html: &str, is_scripted: bool) -> Vec<Made> {
    let context = QualName::new(None, ns!(html), local_name!("div"));
    let parser = parse_fragment(Reading::default(), ParseOpts::default(), context, Vec::new(), is_scripted);
    let mut made = parser.one(html);
    // The page around it: the root, and the element that the text stands in.
    made.retain(|element| {
        !matches!(element.name.local, local_name!("html")) || !element.attributes.is_empty()
    });
    made.split_off(1.min(made.len()))
}

#[derive(Debug)]
struct Made {
    name: QualName,
    attributes: Vec<(String, String)>,
}

/// Takes down the elements that are made, wherever they would stand.
#[derive(Default)]
struct Reading(RefCell<Vec<Made>>);

impl TreeSink for Reading {
    type Handle = Rc<QualName>;
    type Output = Vec<Made>;
    type ElemName<'a> = &'a QualName;

    fn finish(self) -> Vec<Made> {
        self.0.into_inner()
    }

    fn get_document(&self) -> Rc<QualName> {
        Rc::new(QualName::new(None, ns!(), local_name!("")))
    }

    fn elem_name<'a>(&'a self, target: &'a Rc<QualName>) -> &'a QualName {
        target
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, _: ElementFlags) -> Rc<QualName> {
        let plain = |own: Attribute| (own.name.local.to_string(), own.value.to_string());
        let attributes = attributes.into_iter().map(plain).collect();
        self.0.borrow_mut().push(Made { name: name.clone(), attributes });
        Rc::new(name)
    }

    fn create_comment(&self, _: StrTendril) -> Rc<QualName> {
        self.get_document()
    }

    fn create_pi(&self, _: StrTendril, _: StrTendril) -> Rc<QualName> {
        self.get_document()
    }

    fn get_template_contents(&self, _: &Rc<QualName>) -> Rc<QualName> {
        self.get_document()
    }

    fn same_node(&self, one: &Rc<QualName>, other: &Rc<QualName>) -> bool {
        Rc::ptr_eq(one, other)
    }

    fn add_attrs_if_missing(&self, target: &Rc<QualName>, attributes: Vec<Attribute>) {
        self.create_element(target.as_ref().clone(), attributes, ElementFlags::default());
    }

    fn parse_error(&self, _: Cow<'static, str>) {}
    fn append(&self, _: &Rc<QualName>, _: NodeOrText<Rc<QualName>>) {}
    fn append_based_on_parent_node(&self, _: &Rc<QualName>, _: &Rc<QualName>, _: NodeOrText<Rc<QualName>>) {}
    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}
    fn set_quirks_mode(&self, _: QuirksMode) {}
    fn append_before_sibling(&self, _: &Rc<QualName>, _: NodeOrText<Rc<QualName>>) {}
    fn remove_from_parent(&self, _: &Rc<QualName>) {}
    fn reparent_children(&self, _: &Rc<QualName>, _: &Rc<QualName>) {}
}

const BANNED: [&str; 16] = [
    "applet", "base", "embed", "form", "frame", "iframe", "input", "link", "math", "meta", "noscript",
    "object", "script", "style", "svg", "template",
];

fn is_harmless(made: &Made) -> bool {
    let is_loaded = |(name, value): &(String, String)| {
        let links =
            ["action", "background", "cite", "data", "formaction", "href", "poster", "src", "srcset", "ping"];
        // As a browser reads it, which knows more ways to write a scheme than can be listed.
        let page = url::Url::parse("https://page.test/").unwrap();
        let scheme = page.join(value).map_or("none".to_owned(), |url| url.scheme().to_owned());
        links.contains(&name.as_str()) && !["http", "https", "mailto", "none"].contains(&scheme.as_str())
    };
    let runs = |(name, _): &(String, String)| name.starts_with("on") || name == "style" || name == "srcdoc";
    made.name.ns == ns!(html)
        && !BANNED.contains(&&*made.name.local)
        && !made.attributes.iter().any(|attribute| runs(attribute) || is_loaded(attribute))
}

pub(super) fn assert_harmless(html: &str, payload: &str) {
    for is_scripted in [true, false] {
        for made in elements(html, is_scripted) {
            assert!(is_harmless(&made), "{made:?} in {html:?}, cleaned from {payload:?}");
        }
    }
}

#[test]
fn the_reader_sees_what_a_browser_would() {
    for payload in [
        "<script>x</script>",
        "<b onclick=x>",
        "<a href=\"java&Tab;script:alert(1)\">",
        "<svg><a>",
        "<math><mi>",
        "<p style=x>",
        "<img src='data:text/html,x'>",
    ] {
        assert!(!elements(payload, true).iter().all(is_harmless), "{payload}");
    }
    let names: Vec<_> =
        elements("<table><p><a href=/x>y", true).iter().map(|made| made.name.local.to_string()).collect();
    assert_eq!(names, ["table", "p", "a"]);
}

// XS-05
#[test]
fn the_payloads_of_dompurify_come_out_harmless_and_stay_so() {
    let Some(cases) = vectors::document("dompurify/expect.json") else { return };
    let cases = cases.as_array().unwrap();
    let every = HARMLESS_ATTRIBUTES;
    let custom = Html::custom().element("a", every).element("img", every).element("table", every);
    let profiles = [Html::inline(), Html::rich(), custom];
    let mut cleaned = 0;
    for payload in cases.iter().filter_map(|case| case["payload"].as_str()) {
        for profile in &profiles {
            let once = clean(profile, payload);
            assert_harmless(&once, payload);
            assert_eq!(clean(profile, &once), once, "of {payload}");
            cleaned += 1;
        }
    }
    assert!(cleaned > 200, "{cleaned}");
}
