//! What a tree of HTML would take to make, counted and not made.

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;

use html5ever::tendril::StrTendril;
use html5ever::tree_builder::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::{Attribute, QualName, local_name, ns};

/// Counts what the builder of a tree does: each node with its attributes, each move, and each look at an element that is open.
#[derive(Default)]
pub(super) struct Steps {
    taken: Cell<usize>,
}

impl Steps {
    pub(super) const fn taken(&self) -> usize {
        self.taken.get()
    }

    fn take(&self, steps: usize) {
        self.taken.set(self.taken.get().saturating_add(steps));
    }
}

impl TreeSink for Steps {
    type Handle = Rc<QualName>;
    type Output = ();
    type ElemName<'a> = &'a QualName;

    fn finish(self) {}

    fn get_document(&self) -> Rc<QualName> {
        Rc::new(QualName::new(None, ns!(), local_name!("")))
    }

    fn elem_name<'a>(&'a self, target: &'a Rc<QualName>) -> &'a QualName {
        self.take(1);
        target
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, _: ElementFlags) -> Rc<QualName> {
        self.take(1 + attributes.len());
        Rc::new(name)
    }

    fn create_comment(&self, _: StrTendril) -> Rc<QualName> {
        self.take(1);
        self.get_document()
    }

    fn create_pi(&self, _: StrTendril, _: StrTendril) -> Rc<QualName> {
        self.take(1);
        self.get_document()
    }

    fn get_template_contents(&self, target: &Rc<QualName>) -> Rc<QualName> {
        Rc::clone(target)
    }

    fn same_node(&self, one: &Rc<QualName>, other: &Rc<QualName>) -> bool {
        self.take(1);
        Rc::ptr_eq(one, other)
    }

    fn add_attrs_if_missing(&self, _: &Rc<QualName>, attributes: Vec<Attribute>) {
        self.take(attributes.len());
    }

    fn append(&self, _: &Rc<QualName>, _: NodeOrText<Rc<QualName>>) {
        self.take(1);
    }

    fn append_based_on_parent_node(&self, _: &Rc<QualName>, _: &Rc<QualName>, _: NodeOrText<Rc<QualName>>) {
        self.take(1);
    }

    fn append_before_sibling(&self, _: &Rc<QualName>, _: NodeOrText<Rc<QualName>>) {
        self.take(1);
    }

    fn remove_from_parent(&self, _: &Rc<QualName>) {
        self.take(1);
    }

    fn reparent_children(&self, _: &Rc<QualName>, _: &Rc<QualName>) {
        self.take(1);
    }

    fn parse_error(&self, _: Cow<'static, str>) {}
    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}
    fn set_quirks_mode(&self, _: QuirksMode) {}
}
