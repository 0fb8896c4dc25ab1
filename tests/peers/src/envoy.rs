//! Envoy with the same work: a direct response, and the filters in front of it.

use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};

use crate::roles::{AUDIENCE, ISSUER};

/// The path of the program.
pub(crate) const PROGRAM: &str = "PORTCULLIS_PEERS_ENVOY";

/// What stands in front of the response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Filters {
    None,
    /// A token, verified each time.
    Jwt,
    /// A token, from the cache of those that were good.
    JwtCache,
    /// The same, a role, and a limit.
    All,
}

/// The configuration, and the port that it names.
pub(crate) fn configuration(jwks: &str, filters: Filters) -> (String, u16) {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.expect("a free port").port();
    let typed = |name: &str, config: Value, kind: &str| {
        let mut config = config;
        config["@type"] = json!(format!("type.googleapis.com/envoy.extensions.filters.{kind}"));
        json!({ "name": name, "typed_config": config })
    };
    let jwt = |cached| {
        typed("envoy.filters.http.jwt_authn", jwt(jwks, cached), "http.jwt_authn.v3.JwtAuthentication")
    };
    let limit =
        || typed("envoy.filters.http.local_ratelimit", limit(), "http.local_ratelimit.v3.LocalRateLimit");
    let roles = || typed("envoy.filters.http.rbac", roles(), "http.rbac.v3.RBAC");
    let mut http = match filters {
        Filters::None => vec![],
        Filters::Jwt => vec![jwt(false)],
        Filters::JwtCache => vec![jwt(true)],
        Filters::All => vec![limit(), jwt(true), roles()],
    };
    http.push(typed("envoy.filters.http.router", json!({}), "http.router.v3.Router"));
    let manager = json!({
        "stat_prefix": "peers", "http_filters": http,
        "route_config": { "virtual_hosts": [{
            "name": "all", "domains": ["*"],
            "routes": [{ "match": { "prefix": "/" }, "direct_response": { "status": 200, "body": { "inline_string": "hello" } } }],
        }] },
    });
    let manager = typed(
        "envoy.filters.network.http_connection_manager",
        manager,
        "network.http_connection_manager.v3.HttpConnectionManager",
    );
    let listener = json!({
        "name": "peers",
        "address": { "socket_address": { "address": "127.0.0.1", "port_value": port } },
        "filter_chains": [{ "filters": [manager] }],
    });
    (json!({ "static_resources": { "listeners": [listener] } }).to_string(), port)
}

fn jwt(jwks: &str, cached: bool) -> Value {
    let mut provider = json!({
        "issuer": ISSUER, "audiences": [AUDIENCE], "local_jwks": { "inline_string": jwks },
        "payload_in_metadata": "claims",
    });
    if cached {
        provider["jwt_cache_config"] = json!({ "jwt_cache_size": 1_000 });
    }
    json!({
        "providers": { "bench": provider },
        "rules": [{ "match": { "prefix": "/" }, "requires": { "provider_name": "bench" } }],
    })
}

/// Callers with a role may read.
fn roles() -> Value {
    let role = json!({ "metadata": {
        "filter": "envoy.filters.http.jwt_authn", "path": [{ "key": "claims" }, { "key": "roles" }],
        "value": { "list_match": { "one_of": { "string_match": { "exact": "viewer" } } } },
    } });
    let reading = json!({ "header": { "name": ":method", "string_match": { "exact": "GET" } } });
    json!({ "rules": { "action": "ALLOW", "policies": { "read": { "permissions": [reading], "principals": [role] } } } })
}

/// More than anybody asks here.
fn limit() -> Value {
    let always = json!({ "default_value": { "numerator": 100, "denominator": "HUNDRED" } });
    json!({
        "stat_prefix": "limit", "filter_enabled": always, "filter_enforced": always,
        "token_bucket": { "max_tokens": 1_000_000_000, "tokens_per_fill": 1_000_000_000, "fill_interval": "1s" },
    })
}

/// The arguments of the program: one thread, and no more output than it takes to say what is wrong.
pub(crate) fn arguments(configuration: &Path, number: u16) -> Vec<String> {
    let path = configuration.to_str().expect("a path of text").to_owned();
    let base = number.to_string();
    [
        "--config-path",
        &path,
        "--concurrency",
        "1",
        "--log-level",
        "error",
        "--base-id",
        &base,
        "--disable-hot-restart",
    ]
    .map(str::to_owned)
    .to_vec()
}
