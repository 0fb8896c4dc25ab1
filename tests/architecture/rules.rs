//! The rules: each takes parsed files and returns what breaks it.

use std::fmt;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Fields, FieldsNamed, ImplItemFn, Item, ItemEnum, ItemFn, ItemMacro, ItemMod, ItemStruct, Signature,
};
use syn::{TraitItemFn, UseTree};

use crate::map::{
    FOREIGN, LAYERS, MAX_FIELDS, MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS, NAMELESS, WIDE_STRUCTS,
};
use crate::references::{Crate, Target};
use crate::source::{SourceFile, attributes, is_test, line_range};

/// One broken rule, at one place.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// Every edge between layers of the server is one that the map allows.
pub(crate) fn layers(this: &Crate, files: &[SourceFile]) -> Vec<Violation> {
    let mut broken = Vec::new();
    for (file, (name, mentions)) in files.iter().zip(&this.mentions) {
        let Some(from) = file.module.first() else { continue };
        let Some(layer) = LAYERS.iter().find(|layer| layer.module == from) else {
            broken.push(Violation {
                file: name.clone(),
                line: 1,
                what: format!("module `{from}` is not on the map"),
            });
            continue;
        };
        for mention in mentions {
            let Target::Own(target) = this.resolve(mention) else { continue };
            let Some(to) = target.first() else { continue };
            if to != from && !layer.may_name.contains(&to.as_str()) {
                let what = format!("`{from}` may not name `{to}` ({})", mention.segments.join("::"));
                broken.push(Violation { file: name.clone(), line: mention.line, what });
            }
        }
    }
    broken
}

/// A foreign crate is named only in the modules that own it.
pub(crate) fn foreign(this: &Crate, files: &[SourceFile]) -> Vec<Violation> {
    let mut broken = Vec::new();
    for (file, (name, mentions)) in files.iter().zip(&this.mentions) {
        let from = file.module.first().map_or("lib", String::as_str);
        for mention in mentions {
            let Target::Foreign(to) = this.resolve(mention) else { continue };
            let Some(rule) = FOREIGN.iter().find(|rule| rule.names.contains(&to.as_str())) else { continue };
            if !rule.only_in.contains(&from) {
                let what = format!("`{from}` may not name the crate `{to}`, only {:?} may", rule.only_in);
                broken.push(Violation { file: name.clone(), line: mention.line, what });
            }
        }
    }
    broken
}

/// Nothing hides an edge: no `super::super`, no glob, no renamed crate root, no `#[path]`, no own macro.
pub(crate) fn escapes(this: &Crate, files: &[SourceFile]) -> Vec<Violation> {
    let mut broken = Vec::new();
    for (name, mentions) in &this.mentions {
        for mention in mentions {
            let path: Vec<&str> = mention.segments.iter().map(String::as_str).collect();
            let what = match path.as_slice() {
                ["super", "super", ..] => "`super::super`: write the path from `crate`",
                ["crate" | "self" | "super"] => "the module itself is imported under a name",
                [.., "*"] => "a glob import: name what is used",
                _ => continue,
            };
            broken.push(Violation { file: name.clone(), line: mention.line, what: what.to_owned() });
        }
    }
    for file in files {
        let mut finder = Escapes { file: &file.name, broken: Vec::new() };
        finder.visit_file(&file.syntax);
        broken.append(&mut finder.broken);
    }
    broken
}

struct Escapes<'a> {
    file: &'a str,
    broken: Vec<Violation>,
}

impl Escapes<'_> {
    fn refuse(&mut self, line: usize, what: String) {
        self.broken.push(Violation { file: self.file.to_owned(), line, what });
    }
}

impl<'ast> Visit<'ast> for Escapes<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if let Some(path) = attributes(item).iter().find(|attribute| attribute.path().is_ident("path")) {
            self.refuse(path.span().start().line, "`#[path]` moves a module off the map".to_owned());
        }
        visit::visit_item(self, item);
    }

    fn visit_item_macro(&mut self, item: &'ast ItemMacro) {
        if let Some(name) = &item.ident {
            self.refuse(name.span().start().line, format!("own macro `{name}`"));
        }
        visit::visit_item_macro(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let name = item.ident.to_string();
        if NAMELESS.contains(&name.as_str()) {
            self.refuse(item.ident.span().start().line, format!("module `{name}` names no concept"));
        }
        visit::visit_item_mod(self, item);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if call.path.segments.last().is_some_and(|segment| segment.ident == "include") {
            self.refuse(call.span().start().line, "`include!` pastes code off the map".to_owned());
        }
        visit::visit_macro(self, call);
    }

    fn visit_use_tree(&mut self, tree: &'ast UseTree) {
        if let UseTree::Path(path) = tree
            && path.ident == "super"
            && matches!(&*path.tree, UseTree::Path(next) if next.ident == "super")
        {
            self.refuse(path.span().start().line, "`super::super`: write the path from `crate`".to_owned());
        }
        visit::visit_use_tree(self, tree);
    }
}

/// Files, functions, parameter lists and structs stay within the limits.
pub(crate) fn limits(files: &[SourceFile]) -> (Vec<Violation>, Measured) {
    let mut sizes = Sizes::default();
    for file in files {
        sizes.file.clone_from(&file.name);
        // A module that is called so holds nothing but unit tests.
        let is_tests = file.module.last().is_some_and(|name| name == "tests");
        let lines = if is_tests { 0 } else { file.lines_without_tests() };
        sizes.measured.largest_file.note(lines, &file.name, &file.name);
        if lines > MAX_FILE_LINES {
            sizes.refuse(1, format!("{lines} lines without unit tests, {MAX_FILE_LINES} are allowed"));
        }
        sizes.visit_file(&file.syntax);
    }
    (sizes.broken, sizes.measured)
}

/// The largest of its kind.
#[derive(Default)]
pub(crate) struct Largest {
    pub(crate) size: usize,
    pub(crate) name: String,
    pub(crate) file: String,
}

impl Largest {
    fn note(&mut self, size: usize, name: &str, file: &str) {
        if size > self.size {
            *self = Self { size, name: name.to_owned(), file: file.to_owned() };
        }
    }
}

/// What the limits rule saw.
#[derive(Default)]
pub(crate) struct Measured {
    pub(crate) largest_file: Largest,
    pub(crate) longest_function: Largest,
}

#[derive(Default)]
struct Sizes {
    file: String,
    broken: Vec<Violation>,
    measured: Measured,
}

impl Sizes {
    fn refuse(&mut self, line: usize, what: String) {
        self.broken.push(Violation { file: self.file.clone(), line, what });
    }

    /// A function counts from `fn` to its closing brace; its documentation and attributes do not count.
    fn function(&mut self, signature: &Signature, body: Option<&syn::Block>) {
        let start = *line_range(signature).start();
        let name = &signature.ident;
        let lines = body.map_or(1, |body| line_range(body).end() - start + 1);
        self.measured.longest_function.note(lines, &name.to_string(), &self.file);
        if lines > MAX_FUNCTION_LINES {
            self.refuse(start, format!("`{name}` has {lines} lines, {MAX_FUNCTION_LINES} are allowed"));
        }
        let parameters = signature.inputs.len();
        if parameters > MAX_PARAMETERS {
            self.refuse(start, format!("`{name}` has {parameters} parameters, {MAX_PARAMETERS} are allowed"));
        }
    }

    fn fields(&mut self, owner: &str, fields: &FieldsNamed) {
        let count = fields.named.len();
        let excused = WIDE_STRUCTS.iter().any(|(file, name)| *file == self.file && *name == owner);
        if count > MAX_FIELDS && !excused {
            let line = fields.span().start().line;
            self.refuse(line, format!("`{owner}` has {count} fields, {MAX_FIELDS} are allowed"));
        }
    }
}

impl<'ast> Visit<'ast> for Sizes {
    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.function(&item.sig, Some(&item.block));
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast ItemEnum) {
        for variant in &item.variants {
            if let Fields::Named(fields) = &variant.fields {
                self.fields(&format!("{}::{}", item.ident, variant.ident), fields);
            }
        }
        visit::visit_item_enum(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        // The cases of a table test are parameters and attributes, not a design.
        if !is_test_function(item) {
            self.function(&item.sig, Some(&item.block));
        }
        visit::visit_item_fn(self, item);
    }

    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        if let Fields::Named(fields) = &item.fields {
            self.fields(&item.ident.to_string(), fields);
        }
        visit::visit_item_struct(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        self.function(&item.sig, item.default.as_ref());
        visit::visit_trait_item_fn(self, item);
    }
}

/// Whether the runner runs it.
pub(crate) fn is_test_function(item: &ItemFn) -> bool {
    item.attrs.iter().any(|attribute| {
        attribute.path().segments.last().is_some_and(|last| last.ident == "test" || last.ident == "rstest")
    })
}

/// Names that the files themselves carry: a file may not be called after no concept either.
pub(crate) fn file_names(files: &[SourceFile]) -> Vec<Violation> {
    let nameless = |file: &&SourceFile| file.module.iter().any(|part| NAMELESS.contains(&part.as_str()));
    let refuse = |file: &SourceFile| Violation {
        file: file.name.clone(),
        line: 1,
        what: "the file's name names no concept".to_owned(),
    };
    files.iter().filter(nameless).map(refuse).collect()
}

/// Entries of the list of wide structs that excuse nothing any more.
pub(crate) fn stale_excuses(files: &[SourceFile]) -> Vec<String> {
    let wide = |file: &str, name: &str| {
        files.iter().filter(|candidate| candidate.name == file).flat_map(|file| &file.syntax.items).any(
            |item| {
                matches!(item, Item::Struct(found) if found.ident == name && found.fields.len() > MAX_FIELDS)
                    && !is_test(item)
            },
        )
    };
    let stale = WIDE_STRUCTS.iter().filter(|(file, name)| !wide(file, name));
    stale.map(|(file, name)| format!("{file}: `{name}`")).collect()
}
