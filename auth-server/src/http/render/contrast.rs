//! Whether people with weak eyes can read the pages: WCAG 2.2, success criteria 1.4.3 and 1.4.11.

use std::collections::BTreeMap;

const STYLE: &str = include_str!("../../../static/style.css");

/// The colours of light and of dark pages, as the style sheet names them.
fn themes() -> [BTreeMap<&'static str, [u8; 3]>; 2] {
    let mut blocks = STYLE.split(":root {").skip(1).map(|rest| rest.split('}').next().unwrap());
    [blocks.next().unwrap(), blocks.next().unwrap()].map(|block| {
        block
            .lines()
            .filter_map(|line| line.trim().strip_prefix("--")?.strip_suffix(';')?.split_once(": #"))
            .map(|(name, hex)| (name, [0, 2, 4].map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())))
            .collect()
    })
}

/// Relative luminance, as WCAG defines it.
fn luminance(colour: [u8; 3]) -> f64 {
    let [red, green, blue] = colour.map(|channel| {
        let channel = f64::from(channel) / 255.0;
        if channel <= 0.04045 { channel / 12.92 } else { ((channel + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

fn require(least: f64, pairs: &[(&str, &str)]) {
    for (theme, colours) in ["light", "dark"].into_iter().zip(themes()) {
        for (front, back) in pairs {
            let found = contrast(colours[front], colours[back]);
            assert!(found >= least, "{theme}: {front} on {back} is {found:.2}, {least} is needed");
        }
    }
}

#[test]
fn text_can_be_read() {
    require(
        4.5,
        &[
            ("accent", "ground"),
            ("accent", "sheet"),
            ("accent", "tint"),
            ("accent-strong", "sheet"),
            ("on-accent", "accent"),
            ("on-accent", "accent-strong"),
            ("quiet", "ground"),
            ("quiet", "sheet"),
            ("quiet", "tint"),
            ("text", "ground"),
            ("text", "sheet"),
            ("text", "tint"),
            ("text", "well"),
            ("wrong", "sheet"),
            ("wrong", "wrong-tint"),
        ],
    );
}

#[test]
fn the_edges_of_what_can_be_used_can_be_seen() {
    require(
        3.0,
        &[("accent", "ground"), ("accent", "sheet"), ("edge", "sheet"), ("edge", "well"), ("wrong", "well")],
    );
}

#[test]
fn the_contrast_of_black_on_white_is_21() {
    assert!((contrast([0; 3], [255; 3]) - 21.0).abs() < 1e-9);
}
