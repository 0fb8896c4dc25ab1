//! What is public in a library, a line for each item.

use std::collections::BTreeSet;
use std::path::Path;

use public_api::Builder;

/// # Panics
///
/// When the file is none of the compiler's, or of a version of it that is not read.
pub(crate) fn listing(described: &Path) -> String {
    // What is implemented for every type says nothing of these.
    let api = Builder::from_rustdoc_json(described).omit_blanket_impls(true).build();
    let api = api.unwrap_or_else(|error| {
        panic!("{}: {error} (what Rust 1.95 writes is read)", described.display());
    });
    let lines = api.items().map(|item| format!("{item}\n"));
    lines.filter(|line| !is_by_the_way(line)).collect()
}

/// Of what the compiler implements by itself, programs rely on `Send`, `Sync` and `Unpin`. The rest changes with private fields,
/// and with what is below them.
fn is_by_the_way(line: &str) -> bool {
    const BY_THE_WAY: [&str; 4] = [
        "core::marker::Freeze for ",
        "core::marker::UnsafeUnpin for ",
        "core::panic::unwind_safe::RefUnwindSafe for ",
        "core::panic::unwind_safe::UnwindSafe for ",
    ];
    line.starts_with("impl") && BY_THE_WAY.iter().any(|name| line.contains(name))
}

/// What is gone from a listing, and what is new.
pub(crate) fn differences(listed: &str, shown: &str) -> Vec<String> {
    let (gone, new) = (without(listed, shown), without(shown, listed));
    gone.map(|line| format!("-{line}")).chain(new.map(|line| format!("+{line}"))).collect()
}

/// The lines of a text that another lacks.
pub(crate) fn without<'a>(text: &'a str, other: &'a str) -> impl Iterator<Item = &'a str> {
    let known: BTreeSet<&str> = other.lines().collect();
    text.lines().filter(move |line| !known.contains(line))
}

#[test]
fn what_is_gone_and_what_is_new_is_told() {
    let (listed, shown) = ("pub mod a\npub fn a::b()\n", "pub mod a\npub fn a::b(u8)\npub fn a::c()\n");
    assert_eq!(differences(listed, shown), ["-pub fn a::b()", "+pub fn a::b(u8)", "+pub fn a::c()"]);
    assert_eq!(differences(listed, listed), [""; 0]);
    assert_eq!(differences("", "pub mod a\n"), ["+pub mod a"]);
}

#[test]
fn what_nobody_relies_on_is_not_listed() {
    for (line, expected) in [
        ("impl core::marker::Freeze for a::A\n", true),
        ("impl !core::panic::unwind_safe::UnwindSafe for a::A\n", true),
        ("impl<B> core::panic::unwind_safe::RefUnwindSafe for a::A<B> where B: core::marker::Sync\n", true),
        ("impl core::marker::Send for a::A\n", false),
        ("impl !core::marker::Sync for a::A\n", false),
        ("pub fn a::b(impl core::panic::unwind_safe::UnwindSafe)\n", false),
    ] {
        assert_eq!(is_by_the_way(line), expected, "{line}");
    }
}
