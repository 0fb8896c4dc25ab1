//! What a service says about its routes: the document that a guard announces and the server keeps.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

const MAX_API_BYTES: usize = 1_024;
const MAX_VERSION_BYTES: usize = 64;
const MAX_PATH_BYTES: usize = 1_024;
const MAX_METHODS: usize = 16;
const MAX_METHOD_BYTES: usize = 20;
/// Of an object, an action, a scope or an issuer.
const MAX_NAME_BYTES: usize = 512;
const MAX_DEPTH: usize = 8;
/// Of one route.
const MAX_PARTS: usize = 64;

/// The method of a route that answers all of them.
const EVERY_METHOD: &str = "*";

/// Every route of a service, and what each needs.
///
/// The same routes have one document, whatever the order in which they were added, and one text: JSON without spaces,
/// as RFC 8785 writes it. Who has the text can name it by its digest.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RouteDocument {
    /// The API (its audience) that the service is.
    pub api: String,
    /// The routes, by path, each once.
    pub routes: Vec<Route>,
    /// The version of the service, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// One route: methods that need the same, at one path.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// What its handler asks the policy beside, about what only it knows: `rbac` alone, whose object may be a template of all that
    /// it asks about. Of routes whose handlers ask nothing it is not written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asks: Vec<Need>,
    /// The methods in the order of the alphabet, or `*` alone for all of them.
    pub methods: Vec<String>,
    /// The template of its path, as the router of the service has it.
    pub path: String,
    /// What a caller needs.
    pub requires: Need,
}

/// What a route needs of its callers.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub enum Need {
    /// All of these.
    All(Vec<Need>),
    /// One of these.
    Any(Vec<Need>),
    /// A good token.
    Authenticated,
    /// Details of this type in the token, and perhaps more of them (RFC 9396).
    Details(String),
    /// A token that is bound to a key, with a proof (RFC 9449).
    Dpop,
    /// A token of this issuer.
    Issuer(String),
    /// A token that is bound to a certificate (RFC 8705).
    Mtls,
    /// Nothing; a token is looked at if there is one.
    Optional,
    /// Nothing.
    Public,
    /// That the policy allows it.
    Rbac {
        /// What is done.
        action: String,
        /// With what: a name, a path or the template of a route.
        object: String,
    },
    /// A scope in the token.
    Scope(String),
    /// How the user signed in (RFC 9470).
    #[serde(rename = "sign_in")]
    SignIn {
        /// One of these classes, the best first; any class if there are none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        acr_values: Vec<String>,
        /// At most so many seconds ago.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_age: Option<u64>,
    },
    /// The route says nothing: nobody passes where there is a policy.
    Unstated,
}

/// Why a document is none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RoutesFault {
    /// Where, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What is wrong there.
    pub message: String,
}

impl std::error::Error for RoutesFault {}

impl fmt::Display for RoutesFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.pointer, self.message)
    }
}

impl RouteDocument {
    /// The longest text of a document, in bytes.
    pub const MAX_BYTES: usize = 256 * 1024;

    /// The most routes of a document.
    pub const MAX_ROUTES: usize = 2_000;

    /// The document of these routes.
    pub fn new(api: impl Into<String>, version: Option<String>, routes: Vec<Route>) -> Self {
        let mut this = Self { api: api.into(), routes, version };
        this.routes.sort_unstable();
        this.routes.dedup();
        this
    }

    /// Checks that the document is within its bounds, and in the one order that it has.
    pub fn check(&self) -> Result<(), RoutesFault> {
        check_name(&self.api, MAX_API_BYTES).map_err(|said| fault("/api", said))?;
        if let Some(version) = &self.version {
            check_version(version).map_err(|said| fault("/version", said))?;
        }
        if self.routes.len() > Self::MAX_ROUTES {
            return Err(fault("/routes", format!("has to be at most {} routes", Self::MAX_ROUTES)));
        }
        for (position, route) in self.routes.iter().enumerate() {
            let within = |(rest, said): (&str, String)| fault(&format!("/routes/{position}{rest}"), said);
            route.check().map_err(within)?;
        }
        let is_ordered = self.routes.is_sorted_by(|one, other| one < other);
        if is_ordered { Ok(()) } else { Err(fault("/routes", "has to be in order, and each route once")) }
    }
}

impl Route {
    /// A route that answers these methods, in any order.
    pub fn new(methods: Vec<String>, path: impl Into<String>, requires: Need) -> Self {
        let path = path.into();
        if methods.iter().any(|method| method == EVERY_METHOD) {
            return Self::every_method(path, requires);
        }
        let mut this = Self { asks: Vec::new(), methods, path, requires };
        this.methods.sort_unstable();
        this.methods.dedup();
        this
    }

    /// A route that answers every method.
    pub fn every_method(path: impl Into<String>, requires: Need) -> Self {
        Self { asks: Vec::new(), methods: vec![EVERY_METHOD.to_owned()], path: path.into(), requires }
    }

    /// The route with what its handler asks the policy beside: the permissions among these needs, in any order.
    #[must_use]
    pub fn asking(mut self, needs: impl IntoIterator<Item = Need>) -> Self {
        needs.into_iter().for_each(|need| need.permissions(&mut self.asks));
        self.asks.sort_unstable();
        self.asks.dedup();
        self
    }

    fn place(&self) -> (&str, &[String], &Need, &[Need]) {
        (&self.path, &self.methods, &self.requires, &self.asks)
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        check_name(&self.path, MAX_PATH_BYTES).map_err(|said| ("/path", said))?;
        if !self.path.starts_with('/') {
            return Err(("/path", "has to start with a slash".to_owned()));
        }
        self.check_methods().map_err(|said| ("/methods", said.to_owned()))?;
        let mut parts = 0;
        self.requires.check(MAX_DEPTH, &mut parts).map_err(|said| ("/requires", said))?;
        self.check_asks().map_err(|said| ("/asks", said))
    }

    fn check_asks(&self) -> Result<(), String> {
        let mut parts = 0;
        for need in &self.asks {
            if !matches!(need, Need::Rbac { .. }) {
                return Err("has to have nothing but `rbac`".to_owned());
            }
            need.check(MAX_DEPTH, &mut parts)?;
        }
        let is_ordered = self.asks.is_sorted_by(|one, other| one < other);
        if is_ordered { Ok(()) } else { Err("has to be in order, and each permission once".to_owned()) }
    }

    fn check_methods(&self) -> Result<(), &'static str> {
        if self.methods == [EVERY_METHOD] {
            return Ok(());
        }
        let is_method = |method: &String| {
            (1..=MAX_METHOD_BYTES).contains(&method.len())
                && method.bytes().all(|byte| byte.is_ascii_uppercase())
        };
        if !(1..=MAX_METHODS).contains(&self.methods.len()) || !self.methods.iter().all(is_method) {
            return Err("has to be a few names of methods in capitals, or `*` alone");
        }
        let is_ordered = self.methods.is_sorted_by(|one, other| one < other);
        if is_ordered { Ok(()) } else { Err("has to be in the order of the alphabet, and each method once") }
    }
}

// By path first: the fields stand in the order in which they are written.
impl Ord for Route {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for Route {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Need {
    /// Adds the permissions in it to others.
    fn permissions(self, found: &mut Vec<Self>) {
        match self {
            Self::All(needs) | Self::Any(needs) => needs.into_iter().for_each(|need| need.permissions(found)),
            Self::Rbac { .. } => found.push(self),
            Self::Authenticated
            | Self::Details(_)
            | Self::Dpop
            | Self::Issuer(_)
            | Self::Mtls
            | Self::Optional
            | Self::Public
            | Self::Scope(_)
            | Self::SignIn { .. }
            | Self::Unstated => {}
        }
    }

    fn check(&self, depth: usize, parts: &mut usize) -> Result<(), String> {
        *parts += 1;
        if *parts > MAX_PARTS {
            return Err(format!("has to have at most {MAX_PARTS} parts"));
        }
        match self {
            Self::All(needs) | Self::Any(needs) => {
                let below = depth.checked_sub(1);
                let below = below.ok_or_else(|| format!("has to be at most {MAX_DEPTH} levels deep"))?;
                if needs.is_empty() {
                    return Err("has to have parts in `all` and `any`".to_owned());
                }
                needs.iter().try_for_each(|need| need.check(below, parts))
            }
            Self::Rbac { action, object } => {
                check_name(action, MAX_NAME_BYTES).and_then(|()| check_name(object, MAX_NAME_BYTES))
            }
            Self::Details(name) | Self::Issuer(name) | Self::Scope(name) => check_name(name, MAX_NAME_BYTES),
            Self::SignIn { acr_values, max_age } => {
                if acr_values.is_empty() && max_age.is_none() {
                    return Err("has to have `acr_values` or `max_age` in `sign_in`".to_owned());
                }
                *parts += acr_values.len();
                if *parts > MAX_PARTS {
                    return Err(format!("has to be at most {MAX_PARTS} parts"));
                }
                acr_values.iter().try_for_each(|class| check_name(class, MAX_NAME_BYTES))
            }
            Self::Authenticated
            | Self::Dpop
            | Self::Mtls
            | Self::Optional
            | Self::Public
            | Self::Unstated => Ok(()),
        }
    }
}

/// Checks the version of a service: a name that is safe wherever it is shown.
fn check_version(version: &str) -> Result<(), String> {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    if (1..=MAX_VERSION_BYTES).contains(&version.len()) && version.bytes().all(is_safe) {
        return Ok(());
    }
    Err(format!("has to be 1 to {MAX_VERSION_BYTES} letters, digits, `.`, `_`, `+` and `-`"))
}

fn check_name(text: &str, most: usize) -> Result<(), String> {
    let is_hidden = |symbol: char| symbol.is_control() || turns_text(symbol);
    if (1..=most).contains(&text.len()) && !text.chars().any(is_hidden) {
        return Ok(());
    }
    Err(format!("has to be 1 to {most} bytes long, without control characters"))
}

/// Marks that change the order in which the text around them is shown: whoever approves has to see what is there.
const fn turns_text(symbol: char) -> bool {
    matches!(symbol, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn fault(pointer: &str, message: impl Into<String>) -> RoutesFault {
    RoutesFault { pointer: pointer.to_owned(), message: message.into() }
}

impl fmt::Display for Need {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut join = |needs: &[Self], word| {
            needs.iter().enumerate().try_for_each(|(position, need)| {
                let word = if position == 0 { "" } else { word };
                match need {
                    Self::All(_) | Self::Any(_) => write!(out, "{word}({need})"),
                    leaf => write!(out, "{word}{leaf}"),
                }
            })
        };
        match self {
            Self::All(needs) => join(needs, " and "),
            Self::Any(needs) => join(needs, " or "),
            Self::Authenticated => out.write_str("authenticated"),
            Self::Details(kind) => write!(out, "details({kind})"),
            Self::Dpop => out.write_str("dpop"),
            Self::Issuer(issuer) => write!(out, "issuer({issuer})"),
            Self::Mtls => out.write_str("mtls"),
            Self::Optional => out.write_str("optional"),
            Self::Public => out.write_str("public"),
            Self::Rbac { object, action } => write!(out, "rbac({object}, {action})"),
            Self::Scope(scope) => write!(out, "scope({scope})"),
            Self::SignIn { acr_values, max_age } => {
                let classes = (!acr_values.is_empty()).then(|| acr_values.join(" or "));
                let age = max_age.map(|secs| format!("within {secs} s"));
                let parts: Vec<String> = classes.into_iter().chain(age).collect();
                write!(out, "sign-in({})", parts.join(", "))
            }
            Self::Unstated => out.write_str("unstated"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rbac(object: &str, action: &str) -> Need {
        Need::Rbac { action: action.to_owned(), object: object.to_owned() }
    }

    fn sign_in(classes: &[&str], max_age: Option<u64>) -> Need {
        Need::SignIn { acr_values: classes.iter().map(|class| (*class).to_owned()).collect(), max_age }
    }

    fn route(methods: &[&str], path: &str, requires: Need) -> Route {
        let methods = methods.iter().map(|method| (*method).to_owned()).collect();
        Route::new(methods, path, requires)
    }

    fn document(routes: Vec<Route>) -> RouteDocument {
        RouteDocument::new("https://orders.test", Some("1.2.3".to_owned()), routes)
    }

    #[test]
    fn the_same_routes_have_one_text_whatever_their_order() {
        let list = route(&["HEAD", "GET"], "/orders", rbac("orders", "read"));
        let create =
            route(&["POST"], "/orders", Need::All(vec![Need::Scope("o".into()), Need::Authenticated]));
        let health = route(&["GET", "*"], "/health", Need::Public);
        let one = document(vec![list.clone(), create.clone(), health.clone(), list.clone()]);
        assert_eq!(one, document(vec![health, create, list]));
        assert_eq!(one.check(), Ok(()));
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"api":"https://orders.test","routes":[{"methods":["*"],"path":"/health","requires":"public"},"#,
                r#"{"methods":["GET","HEAD"],"path":"/orders","requires":{"rbac":{"action":"read","object":"orders"}}},"#,
                r#"{"methods":["POST"],"path":"/orders","requires":{"all":[{"scope":"o"},"authenticated"]}}],"#,
                r#""version":"1.2.3"}"#
            )
        );
        assert_eq!(serde_json::from_str::<RouteDocument>(&text).unwrap(), one);
    }

    #[test]
    fn what_handlers_ask_is_written_once_and_only_where_they_do() {
        let asks = [
            Need::Any(vec![rbac("files/{name}", "read"), Need::Scope("files".into())]),
            rbac("files/*", "list"),
            rbac("files/{name}", "read"),
        ];
        let one = route(&["POST"], "/graphql", Need::Authenticated).asking(asks);
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"asks":[{"rbac":{"action":"list","object":"files/*"}},{"rbac":{"action":"read","object":"files/{name}"}}],"#,
                r#""methods":["POST"],"path":"/graphql","requires":"authenticated"}"#
            )
        );
        assert_eq!(serde_json::from_str::<Route>(&text).unwrap(), one);
        assert_eq!(document(vec![one.clone()]).check(), Ok(()));
        let asking = |asks: Vec<Need>| document(vec![Route { asks, ..one.clone() }]).check();
        for asks in [
            vec![Need::Public],
            vec![rbac("", "read")],
            vec![rbac("b", "read"), rbac("a", "read")],
            vec![rbac("a", "read"), rbac("a", "read")],
            (0..=MAX_PARTS).map(|number| rbac("a", &format!("{number:03}"))).collect(),
        ] {
            assert_eq!(asking(asks.clone()).unwrap_err().pointer, "/routes/0/asks", "{asks:?}");
        }
    }

    #[test]
    fn a_sign_in_is_written_with_what_it_asks_for() {
        for (need, text, words) in [
            (
                sign_in(&["phrh", "phr"], Some(300)),
                r#"{"sign_in":{"acr_values":["phrh","phr"],"max_age":300}}"#,
                "sign-in(phrh or phr, within 300 s)",
            ),
            (sign_in(&[], Some(0)), r#"{"sign_in":{"max_age":0}}"#, "sign-in(within 0 s)"),
            (sign_in(&["phr"], None), r#"{"sign_in":{"acr_values":["phr"]}}"#, "sign-in(phr)"),
        ] {
            assert_eq!(serde_json::to_string(&need).unwrap(), text);
            assert_eq!(serde_json::from_str::<Need>(text).unwrap(), need);
            assert_eq!(need.to_string(), words);
            assert_eq!(document(vec![route(&["GET"], "/a", need)]).check(), Ok(()));
        }
    }

    #[test]
    fn an_issuer_is_written_with_its_name() {
        let need = Need::Issuer("https://staff.test".to_owned());
        let text = r#"{"issuer":"https://staff.test"}"#;
        assert_eq!(serde_json::to_string(&need).unwrap(), text);
        assert_eq!(serde_json::from_str::<Need>(text).unwrap(), need);
        assert_eq!(need.to_string(), "issuer(https://staff.test)");
        assert_eq!(document(vec![route(&["GET"], "/a", need)]).check(), Ok(()));
    }

    #[test]
    fn details_are_written_with_their_type() {
        let need = Need::Details("payment".to_owned());
        let text = r#"{"details":"payment"}"#;
        assert_eq!(serde_json::to_string(&need).unwrap(), text);
        assert_eq!(serde_json::from_str::<Need>(text).unwrap(), need);
        assert_eq!(need.to_string(), "details(payment)");
        assert_eq!(document(vec![route(&["GET"], "/a", need)]).check(), Ok(()));
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_with_its_place() {
        let good = || route(&["GET"], "/a", Need::Public);
        let with = |change: fn(&mut Route)| {
            let mut changed = good();
            change(&mut changed);
            RouteDocument { routes: vec![changed], ..document(Vec::new()) }
        };
        let deep = |levels| (0..levels).fold(Need::Public, |need, _| Need::All(vec![need]));
        let table = [
            (RouteDocument { api: String::new(), ..document(vec![good()]) }, "/api"),
            (RouteDocument { version: Some("1 2".to_owned()), ..document(vec![good()]) }, "/version"),
            (RouteDocument { version: Some(String::new()), ..document(vec![good()]) }, "/version"),
            (RouteDocument { version: Some("1".repeat(65)), ..document(vec![good()]) }, "/version"),
            (RouteDocument { routes: vec![good(), good()], ..document(Vec::new()) }, "/routes"),
            (with(|it| it.path = "a".to_owned()), "/routes/0/path"),
            (with(|it| it.path = "/a\n".to_owned()), "/routes/0/path"),
            (with(|it| it.path = "/a\u{202e}b".to_owned()), "/routes/0/path"),
            (with(|it| it.path = format!("/{}", "a".repeat(MAX_PATH_BYTES))), "/routes/0/path"),
            (with(|it| it.methods = Vec::new()), "/routes/0/methods"),
            (with(|it| it.methods = vec!["get".to_owned()]), "/routes/0/methods"),
            (with(|it| it.methods = vec!["*".to_owned(), "GET".to_owned()]), "/routes/0/methods"),
            (with(|it| it.methods = vec!["PUT".to_owned(), "GET".to_owned()]), "/routes/0/methods"),
            (with(|it| it.requires = Need::Any(Vec::new())), "/routes/0/requires"),
            (with(|it| it.requires = Need::Scope(String::new())), "/routes/0/requires"),
            (with(|it| it.requires = Need::Issuer(String::new())), "/routes/0/requires"),
            (with(|it| it.requires = Need::Details(String::new())), "/routes/0/requires"),
            (with(|it| it.requires = Need::Any(vec![Need::Public; MAX_PARTS])), "/routes/0/requires"),
            (with(|it| it.requires = rbac("a\0", "b")), "/routes/0/requires"),
            (with(|it| it.requires = sign_in(&[], None)), "/routes/0/requires"),
            (with(|it| it.requires = sign_in(&[""], None)), "/routes/0/requires"),
            (with(|it| it.requires = sign_in(&["phr"; MAX_PARTS], None)), "/routes/0/requires"),
        ];
        for (document, pointer) in table {
            assert_eq!(document.check().unwrap_err().pointer, pointer, "{document:?}");
        }
        let nested = |levels| document(vec![route(&["GET"], "/a", deep(levels))]);
        assert_eq!(nested(MAX_DEPTH).check(), Ok(()));
        assert_eq!(nested(MAX_DEPTH + 1).check().unwrap_err().pointer, "/routes/0/requires");
        let many =
            |count| document((0..count).map(|at| route(&["GET"], &format!("/{at}"), Need::Public)).collect());
        assert_eq!(many(RouteDocument::MAX_ROUTES).check(), Ok(()));
        assert_eq!(many(RouteDocument::MAX_ROUTES + 1).check().unwrap_err().pointer, "/routes");
    }

    #[test]
    fn what_a_document_does_not_know_is_no_document() {
        for text in [
            r#"{"api":"a","routes":[],"more":1}"#,
            r#"{"api":"a","routes":[{"methods":["GET"],"path":"/","requires":"public","x":1}]}"#,
            r#"{"api":"a","routes":[{"methods":["GET"],"path":"/","requires":"open"}]}"#,
            r#"{"api":"a","routes":[{"methods":["GET"],"path":"/","requires":{"rbac":{"object":"x"}}}]}"#,
            r#"{"api":"a"}"#,
        ] {
            assert!(serde_json::from_str::<RouteDocument>(text).is_err(), "{text}");
        }
    }
}
