//! Source files of a package, parsed once and seen by every rule.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::{Attribute, Item};

/// The path of a module below the crate root: `["http", "oauth", "token"]`.
pub(crate) type ModulePath = Vec<String>;

/// One parsed file.
pub(crate) struct SourceFile {
    /// Where it is, below the workspace root; what a violation names.
    pub(crate) name: String,
    pub(crate) module: ModulePath,
    pub(crate) syntax: syn::File,
    pub(crate) lines: usize,
}

impl SourceFile {
    /// Parses `text` as the file `name` (`auth-server/src/http/mod.rs`).
    ///
    /// # Panics
    ///
    /// When the text is not Rust: such a file does not compile either.
    pub(crate) fn parse(name: &str, text: &str) -> Self {
        let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name: name.to_owned(), module: module_of(name), syntax, lines: text.lines().count() }
    }

    /// Lines of the file without its unit tests.
    pub(crate) fn lines_without_tests(&self) -> usize {
        let tests: usize = self.syntax.items.iter().filter(|item| is_test(item)).map(line_count).sum();
        self.lines - tests
    }
}

/// Every Rust file below `directory`, a path relative to the workspace root.
pub(crate) fn load(directory: &str) -> Vec<SourceFile> {
    let root = workspace_root();
    let mut files = Vec::new();
    collect(&root.join(directory), &mut files);
    files.sort();
    let parse = |path: &PathBuf| {
        let name = path.strip_prefix(&root).expect("collected below the root").to_string_lossy();
        SourceFile::parse(&name, &fs::read_to_string(path).expect("a source file is UTF-8"))
    };
    files.iter().map(parse).collect()
}

/// The directory that holds the workspace `Cargo.toml`.
pub(crate) fn workspace_root() -> PathBuf {
    // Asked for now: a program in a target folder that checkouts share may have been built in another one.
    let package = std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    Path::new(&package).parent().expect("tests/ lies in the workspace").to_owned()
}

/// The files that exist in every build: those of modules declared `#[cfg(test)] mod ..;` are left out.
pub(crate) fn without_tests(files: Vec<SourceFile>) -> Vec<SourceFile> {
    let tests: Vec<ModulePath> = files.iter().flat_map(test_modules).collect();
    files.into_iter().filter(|file| !tests.iter().any(|module| file.module.starts_with(module))).collect()
}

fn test_modules(file: &SourceFile) -> impl Iterator<Item = ModulePath> {
    let tests = file.syntax.items.iter().filter(|item| is_test(item));
    tests.filter_map(|item| match item {
        Item::Mod(module) if module.content.is_none() => {
            Some(file.module.iter().cloned().chain([module.ident.to_string()]).collect())
        }
        _ => None,
    })
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries {
        let path = entry.expect("a readable directory entry").path();
        if path.is_dir() {
            // What is built is not written by anybody: the package of the fuzz targets has a folder of its own for it.
            if !path.ends_with("target") {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// `auth-server/src/http/mod.rs` is `["http"]`; the crate roots are `[]` and `["main"]`.
fn module_of(name: &str) -> ModulePath {
    let below = name.split_once("src/").map_or(name, |(_, rest)| rest);
    let stem = below.strip_suffix(".rs").unwrap_or(below);
    let mut module: ModulePath = stem.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod" || (module.len() == 1 && last == "lib")) {
        module.pop();
    }
    module
}

/// Whether the item exists only in test builds.
pub(crate) fn is_test(item: &Item) -> bool {
    attributes(item).iter().any(is_cfg_test)
}

fn is_cfg_test(attribute: &Attribute) -> bool {
    let Ok(list) = attribute.meta.require_list() else { return false };
    list.path.is_ident("cfg") && list.tokens.to_string() == "test"
}

/// The attributes of an item, whichever kind it is.
pub(crate) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// How many lines the tokens of a node cover.
pub(crate) fn line_count(node: &impl Spanned) -> usize {
    let lines = line_range(node);
    lines.end() - lines.start() + 1
}

/// The first and the last line of a node.
pub(crate) fn line_range(node: &impl Spanned) -> RangeInclusive<usize> {
    let span = node.span();
    span.start().line..=span.end().line
}
