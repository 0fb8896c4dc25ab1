//! What stands in `#[input(..)]` at one field.

use proc_macro2::{TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use syn::meta::ParseNestedMeta;
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{Attribute, Error, LitStr, Result, Token};

/// The kinds that are said by their name alone, and what is said about any kind.
const WORDS: &str = "`text`, `line`, `ident`, `email`, `opaque`, `html = ..`, `url = [..]`, `one_of = [..]`, `pattern = \"..\"`, \
                     `integer = a..=b`, `number = a..=b`, `length = a..=b`, `trimmed`, `visible`, `reject`, `rewrite`, `report`, \
                     `each(..)` or `nested`";

/// What a field is declared to be.
pub(crate) enum Declared {
    /// The items of it are, as this expression says.
    Each(TokenStream),
    /// Its type says more.
    Nested,
    /// It is, as this expression says.
    One(TokenStream),
}

/// What is said of a field or of items, while it is read.
#[derive(Default)]
struct Said {
    kind: Option<TokenStream>,
    length: Option<TokenStream>,
    trimmed: bool,
    visible: bool,
    action: Option<TokenStream>,
    each: Option<TokenStream>,
    nested: bool,
}

/// What the attributes of a field declare, if there are any for us.
pub(crate) fn declared(attributes: &[Attribute]) -> Result<Option<Declared>> {
    let mut own = attributes.iter().filter(|attribute| attribute.path().is_ident("input"));
    let Some(attribute) = own.next() else { return Ok(None) };
    if let Some(second) = own.next() {
        return Err(Error::new(second.span(), "all that is said of a field stands in one `#[input(..)]`"));
    }
    let mut said = Said::default();
    attribute.parse_nested_meta(|meta| said.read(&meta, true))?;
    said.whole(attribute).map(Some)
}

impl Said {
    fn read(&mut self, meta: &ParseNestedMeta<'_>, is_outer: bool) -> Result<()> {
        let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        let word = &meta.path;
        match name.as_str() {
            "text" | "line" | "ident" | "email" | "opaque" => {
                let call = quote_spanned!(word.span()=> ::portcullis_guard::Field::#word());
                set(&mut self.kind, call, meta, "a field has one kind")
            }
            "html" => {
                let profile = profile(meta.value()?)?;
                let call = quote_spanned!(word.span()=> ::portcullis_guard::Field::html(#profile));
                set(&mut self.kind, call, meta, "a field has one kind")
            }
            "url" | "one_of" | "pattern" | "integer" | "number" => {
                let value = value(meta.value()?)?;
                let call = quote_spanned!(word.span()=> ::portcullis_guard::Field::#word(#value));
                set(&mut self.kind, call, meta, "a field has one kind")
            }
            "length" => {
                let value = value(meta.value()?)?;
                set(&mut self.length, quote!(.length(#value)), meta, "`length` is said twice")
            }
            "reject" | "rewrite" | "report" => set(
                &mut self.action,
                quote!(.#word()),
                meta,
                "one of `reject`, `rewrite` and `report` is done",
            ),
            "trimmed" => flag(&mut self.trimmed, meta),
            "visible" => flag(&mut self.visible, meta),
            "nested" if is_outer => flag(&mut self.nested, meta),
            "each" if is_outer => {
                let mut items = Self::default();
                meta.parse_nested_meta(|meta| items.read(&meta, false))?;
                set(&mut self.each, items.expression(), meta, "`each` is said twice")
            }
            _ if is_outer => Err(meta.error(format!("one of {WORDS} is said here"))),
            _ => Err(meta.error("here stands what one item is: a kind, and what is said beside it")),
        }
    }

    /// What all of it declares.
    fn whole(self, attribute: &Attribute) -> Result<Declared> {
        let says_more = self.kind.is_some()
            || self.length.is_some()
            || self.action.is_some()
            || self.trimmed
            || self.visible;
        let refused = |message| Err(Error::new(attribute.span(), message));
        match (self.each.clone(), self.nested) {
            (Some(_), true) => refused("the items are declared here, or by their type"),
            (Some(_), false) | (None, true) if says_more => refused(
                "nothing is said of a field whose items or whose type is declared: it is no text itself",
            ),
            (Some(each), false) => Ok(Declared::Each(each)),
            (None, true) => Ok(Declared::Nested),
            (None, false) => Ok(Declared::One(self.expression())),
        }
    }

    fn expression(self) -> TokenStream {
        let kind = self.kind.unwrap_or_else(|| quote!(::portcullis_guard::Field::text()));
        let trimmed = self.trimmed.then(|| quote!(.trimmed()));
        let visible = self.visible.then(|| quote!(.visible()));
        let (length, action) = (self.length, self.action);
        quote!(#kind #length #trimmed #visible #action)
    }
}

fn set(
    slot: &mut Option<TokenStream>,
    what: TokenStream,
    meta: &ParseNestedMeta<'_>,
    twice: &str,
) -> Result<()> {
    if slot.replace(what).is_some() { Err(meta.error(twice)) } else { Ok(()) }
}

fn flag(slot: &mut bool, meta: &ParseNestedMeta<'_>) -> Result<()> {
    if std::mem::replace(slot, true) { Err(meta.error("this is said twice")) } else { Ok(()) }
}

/// An expression: all up to the next comma.
fn value(input: ParseStream<'_>) -> Result<TokenStream> {
    let mut value = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        value.extend([input.parse::<TokenTree>()?]);
    }
    if value.is_empty() { Err(input.error("a value stands here")) } else { Ok(value) }
}

/// The name of a profile of HTML, or an expression that is one.
fn profile(input: ParseStream<'_>) -> Result<TokenStream> {
    if !input.peek(LitStr) {
        return value(input);
    }
    let name: LitStr = input.parse()?;
    match name.value().as_str() {
        "inline" => Ok(quote!(::portcullis_guard::Html::inline())),
        "rich" => Ok(quote!(::portcullis_guard::Html::rich())),
        _ => Err(Error::new(
            name.span(),
            "the profiles are \"inline\" and \"rich\"; another one is an expression",
        )),
    }
}
