//! The implementation of the trait for one type.

use std::collections::BTreeSet;

use proc_macro2::{Span, TokenStream};
use quote::quote;
use serde_derive_internals::ast::{Container, Data, Field, Style};
use serde_derive_internals::{Ctxt, Derive};
use syn::{DeriveInput, Error, Generics, Ident, Result, parse_quote};

use crate::field::{Declared, declared};

pub(crate) fn implement(item: &DeriveInput) -> Result<TokenStream> {
    let context = Ctxt::new();
    let container =
        Container::from_ast(&context, item, Derive::Deserialize, &Ident::new("__private", Span::call_site()));
    context.check()?;
    let Some(container) = container else { return Err(Error::new_spanned(item, NO_FIELDS)) };
    let (fields, is_value) = fields(&container)?;
    let mut statements = fields.iter().map(|field| statement(field, is_value)).collect::<Result<Vec<_>>>()?;
    // A name is that of a field of the type before it is that of one that is flattened.
    statements.sort_by_key(|statement| statement.is_flattened);
    let name = &container.ident;
    let generics = bounded(container.generics.clone(), &statements);
    let (parameters, arguments, conditions) = generics.split_for_impl();
    let statements = statements.into_iter().map(|statement| statement.tokens);
    Ok(quote! {
        #[automatically_derived]
        impl #parameters ::portcullis_guard::InputFields for #name #arguments #conditions {
            fn declare(fields: &mut ::portcullis_guard::FieldList) {
                #(#statements)*
            }
        }
    })
}

const NO_FIELDS: &str =
    "a struct with fields says what they hold: implement `InputFields` by hand for any other type";

/// The fields of a struct, and whether the only one of them is the value itself.
fn fields<'a>(container: &'a Container<'a>) -> Result<(&'a [Field<'a>], bool)> {
    let is_read_otherwise =
        container.attrs.type_from().is_some() || container.attrs.type_try_from().is_some();
    let is_nested = |field: &Field<'_>| matches!(declared(&field.original.attrs), Ok(Some(Declared::Nested)));
    match &container.data {
        Data::Struct(Style::Newtype, fields) if !(is_read_otherwise && fields.iter().any(is_nested)) => {
            Ok((fields, true))
        }
        Data::Struct(Style::Newtype | Style::Struct, _) if is_read_otherwise => Err(Error::new_spanned(
            container.original,
            "another type is read in place of this one: declare the fields of that one",
        )),
        Data::Struct(Style::Struct, fields) => Ok((fields, container.attrs.transparent())),
        Data::Struct(..) | Data::Enum(_) => Err(Error::new_spanned(container.original, NO_FIELDS)),
    }
}

/// What declares one field.
struct Statement {
    tokens: TokenStream,
    /// Whether a type says it.
    is_nested: bool,
    /// Whether its fields stand among those of the type.
    is_flattened: bool,
}

fn statement(field: &Field<'_>, is_value: bool) -> Result<Statement> {
    let refused = |message: &str| Err(Error::new_spanned(field.original, message));
    let nothing = Statement { tokens: TokenStream::new(), is_nested: false, is_flattened: false };
    let Some(declared) = declared(&field.original.attrs)? else { return Ok(nothing) };
    if field.attrs.skip_deserializing() {
        return refused("the field is never read from a request");
    }
    if field.attrs.deserialize_with().is_some() && !matches!(declared, Declared::One(_)) {
        return refused("a function reads the field, and nobody knows from what: give it a type of its own");
    }
    let (is_nested, is_flattened) = (matches!(declared, Declared::Nested), field.attrs.flatten());
    let ty = field.ty;
    let tokens = match (declared, is_value, is_flattened) {
        (Declared::Nested, true, _) | (Declared::Nested, _, true) => quote!(fields.flattened::<#ty>();),
        (_, _, true) => return refused("the fields of a flattened field are its own: `nested`"),
        (Declared::One(what), true, _) => quote!(fields.here(#what);),
        (Declared::Each(_), true, _) => {
            return refused("declare the type of the items, and this as `nested`");
        }
        (declared, false, false) => {
            let names = names(field)?;
            let each = names.iter().map(|name| match &declared {
                Declared::Each(what) => quote!(fields.each(#name, #what);),
                Declared::Nested => quote!(fields.nested::<#ty>(#name);),
                Declared::One(what) => quote!(fields.field(#name, #what);),
            });
            quote!(#(#each)*)
        }
    };
    Ok(Statement { tokens, is_nested, is_flattened })
}

/// The names by which serde reads a field.
fn names(field: &Field<'_>) -> Result<BTreeSet<String>> {
    let aliases = field.attrs.aliases().iter().map(|name| name.value.clone());
    let names: BTreeSet<_> = aliases.chain([field.attrs.name().deserialize_name().value.clone()]).collect();
    if names.contains("*") || names.contains("**") {
        return Err(Error::new_spanned(field.original, "no pointer leads to a field of this name alone"));
    }
    Ok(names)
}

/// A type that says something through its parameters asks them for it.
fn bounded(mut generics: Generics, statements: &[Statement]) -> Generics {
    if statements.iter().any(|statement| statement.is_nested) {
        for parameter in generics.type_params_mut() {
            parameter.bounds.push(parse_quote!(::portcullis_guard::InputFields));
        }
    }
    generics
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(item: &str) -> String {
        let item: DeriveInput = syn::parse_str(item).unwrap();
        match implement(&item) {
            Ok(tokens) => tokens.to_string().replace(' ', ""),
            Err(error) => format!("refused: {error}"),
        }
    }

    fn declares(item: &str, statement: &str) {
        let written = written(item);
        assert!(written.contains(&statement.replace(' ', "")), "{item}: {written}");
    }

    #[test]
    fn each_word_becomes_the_method_of_its_name() {
        let field = "::portcullis_guard::Field";
        for (words, expression) in [
            ("line", "line()"),
            ("length = 1..=80, trimmed", "text().length(1..=80).trimmed()"),
            ("rewrite, ident, visible", "ident().visible().rewrite()"),
            ("html = \"inline\"", "html(::portcullis_guard::Html::inline())"),
            ("html = own()", "html(own())"),
            ("url = [\"https\", \"mailto\"], report", "url([\"https\",\"mailto\"]).report()"),
            ("pattern = \"[a-z]+\", length = ..=9", "pattern(\"[a-z]+\").length(..=9)"),
            ("integer = 1..=9", "integer(1..=9)"),
            ("number = -1.5..=1.5", "number(-1.5..=1.5)"),
            ("one_of = [\"a\", \"b\"]", "one_of([\"a\",\"b\"])"),
        ] {
            let one = format!("struct A {{ #[input({words})] x: String }}");
            declares(&one, &format!("fields.field(\"x\",{field}::{expression});"));
            let each = format!("struct A {{ #[input(each({words}))] x: Vec<String> }}");
            declares(&each, &format!("fields.each(\"x\",{field}::{expression});"));
        }
    }

    #[test]
    fn fields_have_the_names_that_serde_reads() {
        let camel = "#[serde(rename_all = \"camelCase\")] struct A { #[input(line)] main_title: String }";
        declares(camel, "fields.field(\"mainTitle\",");
        let renamed = "struct A { #[serde(rename(serialize = \"out\", deserialize = \"in\"))] #[input(line)] x: String }";
        declares(renamed, "fields.field(\"in\",");
        let alias = "struct A { #[serde(alias = \"y\")] #[input(line)] x: String }";
        declares(alias, "fields.field(\"x\",");
        declares(alias, "fields.field(\"y\",");
        declares("struct A { #[input(line)] r#type: String }", "fields.field(\"type\",");
        declares("struct A { #[serde(flatten)] #[input(nested)] x: B }", "fields.flattened::<B>();");
        let hidden = "struct A { #[serde(flatten)] #[input(nested)] x: B, #[input(line)] y: String }";
        let hidden = written(hidden);
        assert!(hidden.find("fields.field(") < hidden.find("fields.flattened::<B>"), "{hidden}");
        declares("struct A { #[input(nested)] x: Vec<B> }", "fields.nested::<Vec<B>>(\"x\");");
        declares("struct A(#[input(line)] String);", "fields.here(");
        declares("#[serde(transparent)] struct A { #[input(line)] x: String }", "fields.here(");
        declares("#[serde(try_from = \"String\")] struct A(#[input(email)] String);", "fields.here(");
    }

    #[test]
    fn a_type_asks_its_parameters_only_for_what_it_needs() {
        declares(
            "struct Page<T> { #[input(nested)] items: Vec<T> }",
            "impl<T: ::portcullis_guard::InputFields> ::portcullis_guard::InputFields for Page<T>",
        );
        declares(
            "struct Page<T> { #[input(line)] x: String, y: T }",
            "impl<T> ::portcullis_guard::InputFields for Page<T>",
        );
        assert!(written("struct A { x: String }").ends_with("FieldList){}}"));
    }

    #[test]
    fn what_says_nothing_clear_is_refused() {
        for (item, message) in [
            ("struct A { #[input(line, email)] x: String }", "a field has one kind"),
            ("struct A { #[input(reject, report)] x: String }", "one of `reject`"),
            ("struct A { #[input(trimmed, trimmed)] x: String }", "twice"),
            ("struct A { #[input(length = 1..=2, length = 3..=4)] x: String }", "twice"),
            ("struct A { #[input(each(line), each(line))] x: String }", "twice"),
            ("struct A { #[input(line)] #[input(trimmed)] x: String }", "one `#[input(..)]`"),
            ("struct A { #[input(max = 9)] x: String }", "one of `text`"),
            ("struct A { #[input(each(nested))] x: Vec<B> }", "what one item is"),
            ("struct A { #[input(length)] x: String }", "expected `=`"),
            ("struct A { #[input(length = )] x: String }", "a value stands here"),
            ("struct A { #[input] x: String }", "expected attribute arguments"),
            ("struct A { #[input(html = \"none\")] x: String }", "the profiles are"),
            ("struct A { #[input(nested, line)] x: B }", "no text itself"),
            ("struct A { #[input(nested, each(line))] x: B }", "or by their type"),
            ("struct A { #[serde(skip)] #[input(line)] x: String }", "never read"),
            ("struct A { #[serde(flatten)] #[input(line)] x: B }", "`nested`"),
            ("struct A { #[serde(rename = \"*\")] #[input(line)] x: String }", "no pointer"),
            ("struct A(#[input(each(line))] Vec<String>);", "declare the type of the items"),
            ("#[serde(from = \"B\")] struct A { #[input(line)] x: String }", "another type is read"),
            ("#[serde(try_from = \"B\")] struct A(#[input(nested)] C);", "another type is read"),
            (
                "struct A { #[serde(deserialize_with = \"f\")] #[input(each(line))] x: Vec<String> }",
                "a function reads",
            ),
            ("struct A { #[serde(with = \"m\")] #[input(nested)] x: B }", "a function reads"),
            ("struct A { #[serde(nothing)] x: String }", "unknown serde field attribute"),
            ("enum A { B { #[input(line)] x: String } }", "by hand"),
            ("struct A(#[input(line)] String, String);", "by hand"),
            ("struct A;", "by hand"),
            ("union A { x: u8 }", "unions"),
        ] {
            let refused = written(item);
            assert!(refused.starts_with("refused: ") && refused.contains(message), "{item}: {refused}");
        }
    }
}
