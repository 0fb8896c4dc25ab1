//! Fields that a request type declares itself.

use std::any::type_name;
use std::collections::{BTreeMap, HashMap};

use super::field::{Field, FieldFault};
use super::pointer::Pattern;

/// A type that is read from requests and says what its fields are. With the feature `derive`, it says so at each field:
///
/// ```
/// # #[cfg(feature = "derive")]
/// # mod articles {
/// use portcullis_guard::{InputFields, InputPolicy};
/// use serde::Deserialize;
///
/// #[derive(Deserialize, InputFields)]
/// #[serde(rename_all = "camelCase")]
/// struct Article {
///     #[input(line, length = 1..=120, trimmed, rewrite)]
///     main_title: String,
///     #[input(each(ident, length = ..=30))]
///     tags: Vec<String>,
///     #[input(url = ["https"], report)]
///     source: Option<String>,
///     #[input(nested)]
///     authors: Vec<Author>,
/// }
///
/// #[derive(Deserialize, InputFields)]
/// struct Author {
///     #[input(email)]
///     contact: String,
/// }
///
/// # pub(crate) fn run() -> Result<(), portcullis_guard::InputError> {
/// let articles = InputPolicy::strict().body_fields::<Article>().build()?;
/// # assert_eq!(articles.reports().len(), 1);
/// # Ok(())
/// # }
/// # }
/// # #[cfg(feature = "derive")]
/// # articles::run().unwrap();
/// ```
///
/// By hand it is
///
/// ```
/// use portcullis_guard::{Field, FieldList, InputFields};
///
/// struct Money;
///
/// impl InputFields for Money {
///     fn declare(fields: &mut FieldList) {
///         fields.field("amount", Field::pattern(r"\d{1,9}\.\d\d"));
///         fields.field("currency", Field::one_of(["EUR", "USD"]));
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what its fields are",
    note = "derive `InputFields` for it, or say in place of `nested` of what kind the field is"
)]
pub trait InputFields {
    /// Declares each field.
    fn declare(fields: &mut FieldList);
}

/// The fields of a request type, as it [declares](InputFields::declare) them, and those of the types within.
#[derive(Debug, Default)]
pub struct FieldList {
    /// Where the type that is being read stands, as a JSON Pointer.
    place: String,
    /// The types that it stands in, and itself.
    within: Vec<&'static str>,
    declared: Vec<(String, Field)>,
    /// What cannot be declared, and where.
    fault: Option<(String, FieldFault)>,
}

impl FieldList {
    pub(super) fn of<T: InputFields>() -> Self {
        let mut list = Self::default();
        list.flattened::<T>();
        list
    }

    /// A field of this name.
    pub fn field(&mut self, name: &str, field: Field) {
        self.below(name, |list| list.here(field));
    }

    /// A list of this name, or a map, whose items are fields.
    pub fn each(&mut self, name: &str, field: Field) {
        self.below(name, |list| list.at("/*", |list| list.here(field)));
    }

    /// The type itself, if it is but one value.
    pub fn here(&mut self, field: Field) {
        self.declared.push((self.place.clone(), field));
    }

    /// A field of this name that has fields itself.
    pub fn nested<T: InputFields>(&mut self, name: &str) {
        self.below(name, Self::flattened::<T>);
    }

    /// Fields of another type that stand among those of this one.
    pub fn flattened<T: InputFields>(&mut self) {
        let name = type_name::<T>();
        if self.within.contains(&name) {
            self.refuse(FieldFault::EndlessType);
            return;
        }
        self.within.push(name);
        T::declare(self);
        self.within.pop();
    }

    /// The items of this type, if it is a list or a map.
    pub fn items<T: InputFields>(&mut self) {
        self.at("/*", Self::flattened::<T>);
    }

    fn refuse(&mut self, fault: FieldFault) {
        let place = self.place.clone();
        self.fault.get_or_insert((place, fault));
    }

    fn below(&mut self, name: &str, declare: impl FnOnce(&mut Self)) {
        if matches!(name, "*" | "**") {
            self.refuse(FieldFault::NoPlace);
        }
        let step = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        self.at(&step, declare);
    }

    fn at(&mut self, step: &str, declare: impl FnOnce(&mut Self)) {
        let length = self.place.len();
        self.place.push_str(step);
        declare(self);
        self.place.truncate(length);
    }

    /// What was declared for a body: what has a name before what may have any, as whoever reads it has it.
    pub(super) fn into_body(self) -> Result<Vec<(String, Field)>, (String, FieldFault)> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let mut declared = self.declared;
        declared.sort_by_cached_key(|(place, _)| Pattern::parse(place).map(|pattern| pattern.breadth()).ok());
        Ok(declared)
    }

    /// What was declared for a query, in which each name may stand more than once.
    pub(super) fn into_query(self) -> Result<Vec<(String, Field)>, (String, FieldFault)> {
        let named = self.into_body()?.into_iter().map(|(place, field)| {
            let name = place.strip_prefix('/').map(|name| name.strip_suffix("/*").unwrap_or(name));
            match name {
                Some(name) if name != "*" && !name.contains('/') => {
                    Ok((name.replace("~1", "/").replace("~0", "~"), field))
                }
                _ => Err((place, FieldFault::NestedInQuery)),
            }
        });
        named.collect()
    }
}

impl<T: InputFields> InputFields for Box<T> {
    fn declare(fields: &mut FieldList) {
        fields.flattened::<T>();
    }
}

impl<T: InputFields> InputFields for Option<T> {
    fn declare(fields: &mut FieldList) {
        fields.flattened::<T>();
    }
}

impl<T: InputFields> InputFields for Vec<T> {
    fn declare(fields: &mut FieldList) {
        fields.items::<T>();
    }
}

impl<T: InputFields, const N: usize> InputFields for [T; N] {
    fn declare(fields: &mut FieldList) {
        fields.items::<T>();
    }
}

impl<K, T: InputFields> InputFields for BTreeMap<K, T> {
    fn declare(fields: &mut FieldList) {
        fields.items::<T>();
    }
}

impl<K, T: InputFields, S> InputFields for HashMap<K, T, S> {
    fn declare(fields: &mut FieldList) {
        fields.items::<T>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Amount;

    impl InputFields for Amount {
        fn declare(fields: &mut FieldList) {
            fields.here(Field::integer(0..=9));
        }
    }

    struct Line;

    impl InputFields for Line {
        fn declare(fields: &mut FieldList) {
            fields.nested::<Option<Amount>>("a/b~c");
            fields.each("tags", Field::line());
        }
    }

    struct Order;

    impl InputFields for Order {
        fn declare(fields: &mut FieldList) {
            fields.field("note", Field::text());
            fields.nested::<Vec<Line>>("lines");
            fields.nested::<HashMap<String, [Box<Amount>; 2]>>("sums");
            fields.nested::<BTreeMap<String, Amount>>("more");
            fields.flattened::<Line>();
        }
    }

    struct Tree;

    impl InputFields for Tree {
        fn declare(fields: &mut FieldList) {
            fields.field("name", Field::line());
            fields.nested::<Vec<Tree>>("children");
        }
    }

    fn places<T: InputFields>() -> Vec<String> {
        FieldList::of::<T>().into_body().unwrap().into_iter().map(|(place, _)| place).collect()
    }

    #[test]
    fn fields_have_the_places_where_they_stand() {
        let expected =
            ["/note", "/a~1b~0c", "/more/*", "/tags/*", "/lines/*/a~1b~0c", "/lines/*/tags/*", "/sums/*/*"];
        assert_eq!(places::<Order>(), expected);
    }

    struct Wide;

    impl InputFields for Wide {
        fn declare(fields: &mut FieldList) {
            fields.items::<Amount>();
            fields.field("note", Field::text());
            fields.nested::<Vec<Line>>("lines");
        }
    }

    struct Starred;

    impl InputFields for Starred {
        fn declare(fields: &mut FieldList) {
            fields.field("*", Field::text());
        }
    }

    #[test]
    fn what_has_a_name_counts_before_what_may_have_any() {
        assert_eq!(places::<Wide>(), ["/note", "/lines/*/a~1b~0c", "/lines/*/tags/*", "/*"]);
    }

    #[test]
    fn no_name_is_taken_for_any_name() {
        let refused = FieldList::of::<Starred>().into_body();
        assert!(matches!(refused, Err((place, FieldFault::NoPlace)) if place.is_empty()));
        assert!(matches!(FieldList::of::<Wide>().into_query(), Err((_, FieldFault::NestedInQuery))));
    }

    #[test]
    fn a_type_that_stands_in_itself_is_refused() {
        let refused = FieldList::of::<Tree>().into_body();
        assert!(matches!(refused, Err((place, FieldFault::EndlessType)) if place == "/children/*"));
    }

    #[test]
    fn a_query_holds_names_and_nothing_below_them() {
        let names = FieldList::of::<Line>().into_query().unwrap();
        assert_eq!(names.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a/b~c", "tags"]);
        for refused in [FieldList::of::<Order>().into_query(), FieldList::of::<Amount>().into_query()] {
            assert!(matches!(refused, Err((_, FieldFault::NestedInQuery))));
        }
    }
}
