//! What a crate shows to those who use it: names of foreign crates there tie them to the versions of these.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Block, ImplItemFn, Item, ItemFn, ItemImpl, ItemStruct, ItemUse, Path, TraitItemFn, UseTree,
    Visibility,
};

use crate::map::SHOWN;
use crate::references::{Crate, Mention, Target};
use crate::rules::Violation;
use crate::source::{SourceFile, is_test};

/// A public item names no foreign crate that the map does not list.
pub(crate) fn surface(this: &Crate, files: &[SourceFile]) -> Vec<Violation> {
    let mut broken = Vec::new();
    for file in files {
        let mut shown = Shown { found: Vec::new(), file };
        shown.visit_file(&file.syntax);
        for mention in shown.found {
            let Target::Foreign(name) = this.resolve(&mention) else { continue };
            // A type parameter, or a type that every program knows.
            let is_crate = name.starts_with(|first: char| first.is_ascii_lowercase())
                && !PRIMITIVE.contains(&name.as_str());
            if is_crate && !is_listed(&name, &file.name) {
                let what = format!("what is public names the crate `{name}`");
                broken.push(Violation { file: file.name.clone(), line: mention.line, what });
            }
        }
    }
    broken
}

const PRIMITIVE: [&str; 10] = ["bool", "char", "f64", "i64", "str", "u8", "u16", "u32", "u64", "usize"];

fn is_listed(name: &str, file: &str) -> bool {
    SHOWN.iter().any(|(shown, places)| *shown == name && (places.is_empty() || places.contains(&file)))
}

/// Collects what the public items of a file name.
struct Shown<'a> {
    found: Vec<Mention>,
    file: &'a SourceFile,
}

impl Shown<'_> {
    fn mention(&mut self, segments: Vec<String>, line: usize) {
        self.found.push(Mention { segments, line, module: self.file.module.clone() });
    }

    fn name(&mut self, tree: &UseTree, prefix: &[String]) {
        let join = |name: &syn::Ident| prefix.iter().cloned().chain([name.to_string()]).collect::<Vec<_>>();
        match tree {
            UseTree::Path(path) => self.name(&path.tree, &join(&path.ident)),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.name(tree, prefix)),
            UseTree::Glob(_) => self.mention(prefix.to_vec(), tree.span().start().line),
            UseTree::Name(name) => self.mention(join(&name.ident), tree.span().start().line),
            UseTree::Rename(name) => self.mention(join(&name.ident), tree.span().start().line),
        }
    }
}

const fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Whether everybody may see an item, or see what is implemented by it.
fn is_shown(item: &Item) -> bool {
    match item {
        Item::Const(item) => is_public(&item.vis),
        Item::Enum(item) => is_public(&item.vis),
        Item::Fn(item) => is_public(&item.vis),
        Item::Struct(item) => is_public(&item.vis),
        Item::Trait(item) => is_public(&item.vis),
        Item::Type(item) => is_public(&item.vis),
        Item::Use(item) => is_public(&item.vis),
        // Of a type that nobody sees, only its trait could be told; that it is a foreign one is no secret then.
        Item::Impl(_) => true,
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Shown<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(item) && is_shown(item) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.name(&item.tree, &[]);
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        // A trait is implemented for those who know it: only its methods of the crate's own are shown by all.
        if item.trait_.is_none() {
            item.items.iter().for_each(|item| self.visit_impl_item(item));
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if is_public(&item.vis) {
            self.visit_signature(&item.sig);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.visit_signature(&item.sig);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        self.visit_signature(&item.sig);
    }

    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        self.visit_generics(&item.generics);
        let shown = item.fields.iter().filter(|field| is_public(&field.vis));
        shown.for_each(|field| self.visit_type(&field.ty));
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.mention(segments, path.span().start().line);
        visit::visit_path(self, path);
    }

    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_block(&mut self, _: &'ast Block) {}
}
