//! `#[derive(InputFields)]` of `portcullis-guard`, where it is documented with an example: a request type says at each field what it
//! may hold.

mod declare;
mod field;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Declares the fields of a request type by what stands at each of them in `#[input(..)]`:
///
/// - one kind: `text` (if none is named), `line`, `ident`, `email`, `opaque`, `html = "inline"`, `html = "rich"` or an `Html`,
///   `url = ["https"]`, `one_of = [..]`, `pattern = ".."`, `integer = 1..=9`, `number = 0.0..=1.0`;
/// - beside it `length = 1..=80`, `trimmed`, `visible`, and one of `reject`, `rewrite`, `report`, as the methods of `Field` say;
/// - `each(..)` in place of these, for the items of a list or the values of a map;
/// - `nested`, for a field whose own type declares its fields, or whose items do.
///
/// A field of which nothing is said is not declared. Fields have the names that serde reads: `rename`, `rename_all`, `alias`, `flatten`
/// and `transparent` are followed. Of a struct with a single unnamed field, the field is the value itself. An enum is declared by hand.
#[proc_macro_derive(InputFields, attributes(input))]
pub fn input_fields(item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as DeriveInput);
    declare::implement(&item).unwrap_or_else(|error| error.to_compile_error()).into()
}
