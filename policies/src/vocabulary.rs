//! The names that rules have.

use crate::ledger::Ledger;
use crate::model;
use crate::object;
use crate::report::Findings;
use crate::rules;
use crate::source::PolicySource;

/// Every name in the rules of a policy, without `*`: in the order of their bytes, each once.
///
/// Whoever decides about each of them finds all that the rules give by name. What a `*` gives beside
/// has no names.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Vocabulary {
    /// The actions.
    pub actions: Vec<String>,
    /// The objects as they are written, templates among them. Of several that match the same
    /// requests, the first.
    pub objects: Vec<String>,
    /// The roles, those of `g` lines among them.
    pub roles: Vec<String>,
    /// The users, by the subject of their tokens, without the prefix.
    pub users: Vec<String>,
}

impl Vocabulary {
    /// Reads the names. `None` under another model than the default, where a field of a rule may be
    /// a pattern or an attribute instead of a name.
    ///
    /// A line that is no rule names nothing: [`lint`](crate::lint) says what is wrong with it.
    pub fn of(source: &PolicySource) -> Option<Self> {
        if !model::is_default(&source.model) {
            return None;
        }
        let ledger = Ledger::of(&rules::parse(&source.rules, &mut Findings::default()));
        Some(Self {
            actions: sorted(ledger.actions.iter()),
            objects: sorted(ledger.objects.iter()),
            roles: sorted(ledger.roles.iter()),
            users: sorted(ledger.users.iter()),
        })
    }
}

impl Vocabulary {
    /// Whether a rule names this action.
    pub fn names_action(&self, action: &str) -> bool {
        self.actions.iter().any(|named| named == action)
    }

    /// Whether a rule names this object, or a template that matches it.
    pub fn names_object(&self, object: &str) -> bool {
        self.objects.iter().any(|named| object::matches(named, object))
    }
}

fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<_> = names.filter(|name| *name != "*").map(str::to_owned).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once_and_no_star() {
        let source = PolicySource::with_default_model(
            "p, viewer, *, orders, read
             p, viewer, acme, /orders/{id}, read
             p, editor, *, /orders/{order}, write, deny
             p, owner, *, *, *
             p, user:17, *, /docs/*, read
             g, editor, viewer, *
             g, guest, nobody, acme
             # p, comment, *, comment, comment",
        );
        let names = Vocabulary::of(&source).unwrap();
        assert_eq!(names.actions, ["read", "write"]);
        assert_eq!(names.objects, ["/docs/*", "/orders/{id}", "orders"]);
        assert_eq!(names.roles, ["editor", "guest", "nobody", "owner", "viewer"]);
        assert_eq!(names.users, ["17"]);
        assert!(names.names_action("write") && !names.names_action("*") && !names.names_action("wrote"));
        for named in ["orders", "/orders/17", "/orders/{id}", "/docs/a/b"] {
            assert!(names.names_object(named), "{named}");
        }
        assert!(!names.names_object("order") && !names.names_object("/orders"));
    }

    #[test]
    fn another_model_has_no_vocabulary() {
        let model = "
            [request_definition]
            r = sub, obj, act
            [policy_definition]
            p = sub, obj, act
            [policy_effect]
            e = some(where (p.eft == allow))
            [matchers]
            m = r.sub == p.sub && keyMatch(r.obj, p.obj) && r.act == p.act";
        let source = PolicySource { model: model.to_owned(), rules: "p, a, /x/*, read".to_owned() };
        assert_eq!(Vocabulary::of(&source), None);
    }
}
