//! Which methods a route answers.

use std::collections::BTreeSet;

use axum::routing::MethodRouter;

/// The methods that handlers were given for, or `*` for every one.
///
/// A [`MethodRouter`] tells nobody what it answers but in its debug text, where the value of its `Allow` header stands last.
/// What cannot be read there may be any method, so that a route never looks narrower than it is.
pub(crate) fn methods_of<S>(router: &MethodRouter<S>) -> Vec<String> {
    named(&format!("{router:?}")).unwrap_or_else(|| vec!["*".to_owned()])
}

/// Who answers at a path.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Handlers {
    /// The methods that have a handler of their own. `HEAD` is not among them where the handler of `GET` answers it.
    pub(crate) methods: BTreeSet<&'static str>,
    /// Whether somebody answers every other method.
    pub(crate) others: bool,
}

/// How a [`MethodRouter`] calls its parts, in this order.
const FIELDS: [(&str, &str); 9] = [
    ("get: ", "GET"),
    ("head: ", "HEAD"),
    ("delete: ", "DELETE"),
    ("options: ", "OPTIONS"),
    ("patch: ", "PATCH"),
    ("post: ", "POST"),
    ("put: ", "PUT"),
    ("trace: ", "TRACE"),
    ("connect: ", "CONNECT"),
];

impl Handlers {
    /// `None` where a router shows them in a way that is not known here.
    pub(crate) fn of<S>(router: &MethodRouter<S>) -> Option<Self> {
        Self::read(&format!("{router:?}"))
    }

    /// The same by the debug text of a router, which has to be as it is known, word for word: a part that is new may be one that
    /// answers.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix("MethodRouter { ")?.strip_suffix(" }")?;
        let mut handlers = Self::default();
        for (field, method) in FIELDS {
            let (handler, next) = rest.strip_prefix(field)?.split_once(", ")?;
            match handler {
                "None" => {}
                "BoxedHandler" | "Route" => _ = handlers.methods.insert(method),
                _ => return None,
            }
            rest = next;
        }
        let (fallback, allow) = rest.strip_prefix("fallback: ")?.split_once(", allow_header: ")?;
        handlers.others = match fallback {
            "Default(Route)" => false,
            "BoxedHandler" | "Service(Route)" => true,
            _ => return None,
        };
        let is_list = |allow: &str| allow.strip_prefix("Bytes(b\"").is_some_and(|list| list.ends_with("\")"));
        (["None", "Skip"].contains(&allow) || is_list(allow)).then_some(handlers)
    }
}

fn named(shown: &str) -> Option<Vec<String>> {
    let (before, allow) = shown.rsplit_once("allow_header: ")?;
    let (_, fallback) = before.rsplit_once("fallback: ")?;
    let (names, _) = allow.strip_prefix("Bytes(b\"")?.split_once('"')?;
    let is_method = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase());
    let methods: Vec<String> = names.split(',').map(str::to_owned).collect();
    // Another fallback answers what no handler does.
    (fallback.starts_with("Default(") && methods.iter().all(|name| is_method(name))).then_some(methods)
}

#[cfg(test)]
mod tests {
    use axum::routing::{MethodFilter, any, delete, get, on, options, patch, post, put, trace};

    use super::*;

    async fn handler() {}

    fn methods(router: &MethodRouter) -> String {
        methods_of(router).join(" ")
    }

    /// Whoever takes over a new version of axum finds out here whether it still shows them.
    #[test]
    fn the_methods_of_every_kind_of_route_are_known() {
        assert_eq!(methods(&get(handler)), "GET HEAD");
        assert_eq!(methods(&get(handler).post(handler)), "GET HEAD POST");
        assert_eq!(methods(&put(handler).merge(delete(handler))), "PUT DELETE");
        assert_eq!(methods(&patch(handler).options(handler).trace(handler)), "PATCH OPTIONS TRACE");
        assert_eq!(methods(&options(handler)), "OPTIONS");
        assert_eq!(methods(&trace(handler)), "TRACE");
        assert_eq!(methods(&on(MethodFilter::CONNECT, handler)), "CONNECT");
        assert_eq!(methods(&post(handler).layer(tower::layer::util::Identity::new())), "POST");
    }

    /// Whoever takes over a new version of axum finds out here as well.
    #[test]
    fn it_is_known_which_methods_have_a_handler_of_their_own() {
        let handlers = |router: MethodRouter| Handlers::of(&router).expect("axum shows them in another way");
        let of = |methods: &[&'static str], others| Handlers {
            methods: methods.iter().copied().collect(),
            others,
        };
        let every = get(handler).head(handler).delete(handler).options(handler).patch(handler);
        let every = every.post(handler).put(handler).trace(handler).connect(handler);
        let names = FIELDS.map(|(_, method)| method);
        assert_eq!(handlers(get(handler)), of(&["GET"], false));
        assert_eq!(handlers(get(handler).head(handler)), of(&["GET", "HEAD"], false));
        assert_eq!(handlers(every.clone()), of(&names, false));
        assert_eq!(handlers(any(handler)), of(&[], true));
        assert_eq!(handlers(any(handler).get(handler)), of(&["GET"], true));
        assert_eq!(handlers(post(handler).fallback(handler)), of(&["POST"], true));
        assert_eq!(handlers(MethodRouter::new()), of(&[], false));
        let layer = tower::layer::util::Identity::new();
        assert_eq!(handlers(every.layer(layer.clone())), of(&names, false));
        assert_eq!(handlers(any(handler).get(handler).layer(layer)), of(&["GET"], true));
        let service = any(handler).with_state::<()>(());
        assert_eq!(handlers(MethodRouter::new().get_service(service.clone())), of(&["GET"], false));
        assert_eq!(handlers(MethodRouter::new().fallback_service(service)), of(&[], true));
    }

    #[test]
    fn what_shows_its_handlers_in_another_way_is_not_taken_for_one_that_has_none() {
        let router: MethodRouter = get(handler).post(handler);
        let known = format!("{router:?}");
        assert!(Handlers::read(&known).is_some(), "{known}");
        for (part, other) in [
            ("MethodRouter {", "MethodRouter2 {"),
            ("head: None", "head: Nothing"),
            ("head: None, ", ""),
            ("trace: None", "trace: None, query: BoxedHandler"),
            ("fallback: Default(Route)", "fallback: Route"),
            ("allow_header: ", "allow: "),
            ("\") }", "\"), query: BoxedHandler }"),
            ("Bytes(b\"GET,HEAD,POST\")", "All"),
        ] {
            assert!(known.contains(part), "{part} {known}");
            assert_eq!(Handlers::read(&known.replace(part, other)), None, "{other}");
        }
    }

    #[test]
    fn what_may_answer_any_method_says_so() {
        assert_eq!(methods(&any(handler)), "*");
        assert_eq!(methods(&any(handler).get(handler)), "*");
        assert_eq!(methods(&get(handler).fallback(handler)), "*");
        assert_eq!(methods(&MethodRouter::new()), "*");
        for unreadable in
            ["", "allow_header: Bytes(b\"GET\")", "fallback: Default(x), allow_header: Bytes(b\"get\")"]
        {
            assert_eq!(named(unreadable), None, "{unreadable}");
        }
    }
}
