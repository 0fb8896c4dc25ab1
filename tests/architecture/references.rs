//! Which names a file mentions, resolved to the module that owns them.
//!
//! `use` trees are flattened, so a group hides nothing; aliases and re-exports are followed, so a detour hides
//! nothing; tokens inside macros and attributes are scanned, so neither do they.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, Macro, Path, UseTree};

use crate::source::{ModulePath, SourceFile, is_test};

/// A path that a file mentions, as written: `["crate", "storage", "Store"]`.
#[derive(Clone)]
pub(crate) struct Mention {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    /// The module it is written in: the file's own, or an inline module of it.
    pub(crate) module: ModulePath,
}

/// Where a mention leads.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Target {
    Foreign(String),
    Own(ModulePath),
}

/// The modules of one crate and what each file mentions.
pub(crate) struct Crate {
    modules: BTreeSet<ModulePath>,
    imports: BTreeMap<(ModulePath, String), Vec<String>>,
    pub(crate) mentions: Vec<(String, Vec<Mention>)>,
    /// What the crate is called where `crate` is not possible: in its own binary.
    package: &'static str,
}

impl Crate {
    pub(crate) fn read(package: &'static str, files: &[SourceFile]) -> Self {
        let mut this =
            Self { modules: BTreeSet::new(), imports: BTreeMap::new(), mentions: Vec::new(), package };
        for file in files {
            let mut reader = Reader { module: file.module.clone(), found: Vec::new(), imports: Vec::new() };
            reader.visit_file(&file.syntax);
            this.modules.insert(file.module.clone());
            this.imports.extend(reader.imports);
            this.mentions.push((file.name.clone(), reader.found));
        }
        this
    }

    /// The module or the foreign crate that a mention leads to.
    pub(crate) fn resolve(&self, mention: &Mention) -> Target {
        let mut path = match self.absolute(&mention.segments, &mention.module) {
            Ok(path) => path,
            Err(foreign) => return Target::Foreign(foreign),
        };
        // A chain of re-exports longer than this is a knot that the cycle rule reports anyway.
        for _ in 0..16 {
            let module = self.longest_module(&path);
            let Some(name) = path.get(module.len()) else { return Target::Own(module) };
            let Some(import) = self.imports.get(&(module.clone(), name.clone())) else {
                return Target::Own(module);
            };
            match self.absolute(import, &module) {
                Ok(next) if next == path => return Target::Own(module),
                Ok(next) => path = next.into_iter().chain(path.into_iter().skip(module.len() + 1)).collect(),
                Err(foreign) => return Target::Foreign(foreign),
            }
        }
        Target::Own(self.longest_module(&path))
    }

    /// The path below the crate root, or the name of the foreign crate it starts with.
    fn absolute(&self, segments: &[String], module: &[String]) -> Result<ModulePath, String> {
        let (first, rest) = segments.split_first().expect("a path has a segment");
        let below = |base: &[String]| base.iter().chain(rest).cloned().collect::<ModulePath>();
        match first.as_str() {
            "crate" => Ok(rest.to_vec()),
            "self" => Ok(below(module)),
            "super" => Ok(below(module.split_last().map_or(&[], |(_, parent)| parent))),
            name if name == self.package => Ok(rest.to_vec()),
            name => {
                let own: ModulePath = module.iter().cloned().chain([name.to_owned()]).collect();
                let imported = self.imports.contains_key(&(module.to_vec(), name.to_owned()));
                let whole: ModulePath = module.iter().chain(segments).cloned().collect();
                if self.modules.contains(&own) || (imported && !self.imports_itself(module, name)) {
                    Ok(whole)
                } else {
                    Err(name.to_owned())
                }
            }
        }
    }

    /// `use sqlx;` or `use http::{self}`: the import names a foreign crate by its own name.
    fn imports_itself(&self, module: &[String], name: &str) -> bool {
        let import = self.imports.get(&(module.to_vec(), name.to_owned()));
        import.and_then(|path| path.first()).is_some_and(|first| first == name)
    }

    fn longest_module(&self, path: &[String]) -> ModulePath {
        let mut module = path.to_vec();
        while !module.is_empty() && !self.modules.contains(&module) {
            module.pop();
        }
        module
    }
}

/// Collects what one file mentions.
struct Reader {
    module: ModulePath,
    found: Vec<Mention>,
    imports: Vec<((ModulePath, String), Vec<String>)>,
}

impl Reader {
    fn mention(&mut self, segments: Vec<String>, line: usize) {
        self.found.push(Mention { segments, line, module: self.module.clone() });
    }

    fn flatten(&mut self, tree: &UseTree, prefix: &[String]) {
        let join = |name: String| prefix.iter().cloned().chain([name]).collect::<Vec<_>>();
        match tree {
            UseTree::Path(path) => self.flatten(&path.tree, &join(path.ident.to_string())),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.flatten(tree, prefix);
                }
            }
            UseTree::Glob(glob) => self.mention(join("*".to_owned()), glob.span().start().line),
            UseTree::Name(name) => {
                let path = match name.ident.to_string() {
                    itself if itself == "self" => prefix.to_vec(),
                    other => join(other),
                };
                self.import(path.last().cloned(), path, name.span().start().line);
            }
            UseTree::Rename(rename) => {
                let alias = Some(rename.rename.to_string());
                self.import(alias, join(rename.ident.to_string()), rename.span().start().line);
            }
        }
    }

    fn import(&mut self, name: Option<String>, path: Vec<String>, line: usize) {
        if let Some(name) = name {
            self.imports.push(((self.module.clone(), name), path.clone()));
        }
        if !path.is_empty() {
            self.mention(path, line);
        }
    }

    fn scan(&mut self, tokens: TokenStream) {
        for (segments, line) in paths_in(tokens) {
            self.mention(segments, line);
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(item) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.flatten(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if path.segments.len() > 1 {
            let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.mention(segments, path.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.scan(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Ok(list) = attribute.meta.require_list() {
            self.scan(list.tokens.clone());
        }
        visit::visit_attribute(self, attribute);
    }
}

/// The paths of two or more segments in unparsed tokens.
fn paths_in(tokens: TokenStream) -> Vec<(Vec<String>, usize)> {
    let mut found = Vec::new();
    let mut current: Vec<String> = Vec::new();
    let (mut line, mut colons) = (0, 0);
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                if colons != 2 {
                    finish(&mut current, line, &mut found);
                    line = ident.span().start().line;
                }
                current.push(ident.to_string());
                colons = 0;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
            TokenTree::Group(group) => {
                finish(&mut current, line, &mut found);
                found.extend(paths_in(group.stream()));
                colons = 0;
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {
                finish(&mut current, line, &mut found);
                colons = 0;
            }
        }
    }
    finish(&mut current, line, &mut found);
    found
}

fn finish(current: &mut Vec<String>, line: usize, found: &mut Vec<(Vec<String>, usize)>) {
    let path = std::mem::take(current);
    if path.len() > 1 {
        found.push((path, line));
    }
}
