//! Which methods a route answers.

use axum::routing::MethodRouter;

/// The methods that handlers were given for, or `*` for every one.
///
/// A [`MethodRouter`] tells nobody what it answers but in its debug text, where the value of its `Allow` header stands last.
/// What cannot be read there may be any method, so that a route never looks narrower than it is.
pub(crate) fn methods_of<S>(router: &MethodRouter<S>) -> Vec<String> {
    methods_shown(&format!("{router:?}"))
}

/// The same by the debug text of a router.
pub(crate) fn methods_shown(text: &str) -> Vec<String> {
    named(text).unwrap_or_else(|| vec!["*".to_owned()])
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
