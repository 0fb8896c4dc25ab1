//! The gateway: a guard of its own and what answers proxies by it. No database, no keys, no server.

use std::sync::Arc;

use http::Method;
use portcullis_guard::{
    BuildError, CacheDirError, Dpop, Guard, GuardBuilder, Limits, Policy, PolicyEndpoint, Quota, RedisProofs,
    RouteFault, RouteTable,
};
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::sync::Semaphore;

use crate::config::{BoundTokens, GatewayConfig, IssuerName, Route};
use crate::http::extract::address::trusted;
use crate::http::gateway::Front;
use crate::http::listen;

/// Connections that proxies may hold open at one time.
const MAX_CONNECTIONS: usize = 8192;

/// A gateway, ready to answer.
pub(crate) struct Gateway {
    guard: Guard,
    front: Front,
}

/// Why a gateway does not start: something in its configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatewayError {
    #[error("gateway.cache_dir: {0}")]
    CacheDir(CacheDirError),
    #[error("the guard cannot be built: {0}")]
    Guard(BuildError),
    #[error(transparent)]
    Route(#[from] RouteFault),
}

impl From<BuildError> for GatewayError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::CacheDir(error) => Self::CacheDir(error),
            other => Self::Guard(other),
        }
    }
}

impl Gateway {
    /// Builds the guard, which fetches keys and policy. A server that is away is no error: the gateway answers 503 until it is back.
    pub(crate) async fn open(config: &GatewayConfig) -> Result<Self, GatewayError> {
        Self::of(builder(config).build().await?, config)
    }

    /// What a start would find wrong, without the network and without leaving a trace.
    pub(crate) fn look(config: &GatewayConfig) -> Result<(), GatewayError> {
        Self::of(builder(config).build_untouched()?, config).map(drop)
    }

    fn of(guard: Guard, config: &GatewayConfig) -> Result<Self, GatewayError> {
        let front = Front::new(&guard, table(&config.route), trusted(&config.gateway.trusted_proxies))?;
        Ok(Self { guard, front })
    }

    /// Answers until `stop` ends; each `reload` has keys and policy fetched, and policy files read again.
    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        mut reload: Signal,
        stop: impl Future<Output = ()>,
    ) {
        let Self { guard, front } = self;
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let again = async {
            while reload.recv().await.is_some() {
                guard.refresh().await;
                tracing::info!(policy.revision = guard.policy_revision(), "read again");
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = listen::serve(listener, None, Arc::new(front), slots, stop) => {}
            () = again => {}
        }
        guard.flush().await;
    }
}

fn builder(config: &GatewayConfig) -> GuardBuilder {
    let GatewayConfig { gateway, issuer: options, policy, dpop, limits, .. } = config;
    let mut quotas = Limits::new();
    if let Some(amount) = limits.per_address_per_minute {
        quotas = quotas.by_address(Quota::per_minute(amount));
    }
    if let Some(amount) = limits.per_caller_per_minute {
        quotas = quotas.by_identity(Quota::per_minute(amount));
    }
    let issuer = gateway.issuer.as_ref().map(IssuerName::as_str).unwrap_or_default();
    let mut guard = Guard::builder()
        .issuer(options.of(issuer))
        .audience(gateway.audience.clone().unwrap_or_default())
        .proxies(trusted(&gateway.trusted_proxies))
        .limits(quotas);
    if let Some(folder) = &policy.folder {
        guard = guard.policy(Policy::files(folder));
    }
    if let (Some(id), Some(secret)) = (&policy.client_id, &policy.client_secret) {
        let endpoint = PolicyEndpoint::new(format!("{issuer}/policies/snapshot"), id, secret.expose());
        guard = guard.policy(Policy::remote(endpoint));
    }
    if let Some(folder) = &gateway.cache_dir {
        guard = guard.cache_dir(folder);
    }
    if !dpop.origins.is_empty() {
        guard = guard.dpop(bound(dpop));
    }
    guard
}

/// How tokens that are bound to a key are taken.
fn bound(settings: &BoundTokens) -> Dpop {
    let dpop = settings.origins.iter().fold(Dpop::new(), Dpop::origin);
    let (Some(url), Some(secret)) = (&settings.redis_url, &settings.redis_secret) else { return dpop };
    let proofs = RedisProofs::with_text(url.expose(), secret.expose());
    dpop.shared(if settings.alone_while_away { proofs.alone_while_away() } else { proofs })
}

fn table(routes: &[Route]) -> RouteTable {
    routes.iter().fold(RouteTable::new(), |table, route| {
        let requirement = route.require.requirement().clone();
        match methods(route, routes) {
            None => table.route(&route.path, requirement),
            Some(methods) => table.methods(methods, &route.path, requirement),
        }
    })
}

/// What may be read may be asked for without its body, unless another line says what that needs.
fn methods(route: &Route, routes: &[Route]) -> Option<Vec<Method>> {
    let named =
        |route: &Route, name: &str| route.methods.iter().flatten().any(|method| method.as_str() == name);
    // Their names were checked when they were read.
    let own = route.methods.as_ref()?.iter().filter_map(|name| name.as_str().parse().ok());
    let mut methods: Vec<Method> = own.collect();
    let has_head = routes.iter().any(|other| other.path == route.path && named(other, "HEAD"));
    if named(route, "GET") && !has_head {
        methods.push(Method::HEAD);
    }
    Some(methods)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::tempdir;

    use super::*;

    const START: &str = "[gateway]\nissuer = \"https://id.example\"\naudience = \"https://orders.example\"\n";

    fn config(rest: &str) -> GatewayConfig {
        let folder = tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, format!("{START}{rest}")).unwrap();
        GatewayConfig::read(&file).unwrap()
    }

    fn route(path: &str, methods: &str) -> String {
        format!("[[route]]\npath = \"{path}\"\n{methods}\nrequire = \"public\"\n")
    }

    fn fault(rest: &str) -> String {
        Gateway::look(&config(rest)).unwrap_err().to_string()
    }

    #[test]
    fn a_table_that_could_be_read_in_two_ways_is_found_without_a_start() {
        let get = "methods = [\"GET\"]";
        Gateway::look(&config(&[route("/a", get), route("/a", "")].concat())).unwrap();
        let twice = fault(&[route("/a", get), route("/a", get)].concat());
        assert!(twice.contains("the route `/a` is there twice for GET"), "{twice}");
        let overlap = fault(&[route("/{a}", ""), route("/{b}", "")].concat());
        assert!(overlap.contains("the route `/{b}`"), "{overlap}");
        let origin = fault(&format!("[dpop]\norigins = [\"orders\"]\n{}", route("/a", "")));
        assert!(origin.contains("`orders` is not the origin of a service"), "{origin}");
        let folder = tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "s".repeat(32)).unwrap();
        let shared = |url: &str| {
            let dpop = "[dpop]\norigins = [\"https://orders.example\"]\n";
            let rest =
                format!("redis_url = \"{url}\"\nredis_secret_file = {:?}\n", secret.display().to_string());
            format!("{dpop}{rest}{}", route("/a", ""))
        };
        Gateway::look(&config(&shared("rediss://proofs.example:6379"))).unwrap();
        let wrong = fault(&shared("http://user:hush@proofs.example"));
        assert!(
            wrong.contains("the address of the shared proofs cannot be used") && !wrong.contains("hush"),
            "{wrong}"
        );
    }

    #[test]
    fn a_type_that_no_access_token_has_is_found_without_a_start() {
        let with = |typ: &str| format!("[issuer]\ndanger_token_types = [\"{typ}\"]\n{}", route("/a", ""));
        Gateway::look(&config(&with("JWT"))).unwrap();
        for typ in ["logout+jwt", "a b"] {
            let wrong = fault(&with(typ));
            assert!(wrong.contains(&format!("`{typ}`")), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_claim_is_found_without_a_start() {
        let with = |line: &str| format!("[issuer]\n{line}\n{}", route("/a", ""));
        Gateway::look(&config(&with("client_claim = \"cid\"\nroles_claim = \"/permissions\""))).unwrap();
        for (line, named) in [
            ("client_claim = \"sub\"", "`sub`"),
            ("scope_claim = \" scp\"", "` scp`"),
            ("roles_claim = \"permissions\"", "`permissions`"),
            ("must_have = [\"tid=a\", \"tid=b\"]", "`tid`"),
        ] {
            let wrong = fault(&with(line));
            assert!(wrong.contains(named), "{line}: {wrong}");
        }
    }

    #[test]
    fn policy_files_that_cannot_be_used_are_found_without_a_start() {
        let missing = fault(&format!("[policy]\nfolder = \"/nowhere/at/all\"\n{}", route("/a", "")));
        assert!(missing.contains("/nowhere/at/all"), "{missing}");
        assert!(!Path::new("/nowhere").exists());
    }

    #[test]
    fn a_folder_that_keys_cannot_be_kept_in_is_found_without_a_start_and_none_is_made() {
        let outer = tempdir().unwrap();
        let with = |name: &str| {
            let folder = outer.path().join(name).display().to_string();
            config(&format!("cache_dir = {folder:?}\n{}", route("/a", "")))
        };
        Gateway::look(&with("new")).unwrap();
        assert!(!outer.path().join("new").exists());
        std::fs::write(outer.path().join("file"), "theirs").unwrap();
        for (name, why) in [("file", "is no folder"), ("file/below", "not a directory")] {
            let fault = Gateway::look(&with(name)).unwrap_err().to_string();
            assert!(fault.starts_with("gateway.cache_dir: ") && fault.ends_with(why), "{fault}");
        }
    }

    #[test]
    fn head_goes_where_get_goes_unless_it_is_named() {
        let with = |name: &str| format!("methods = [\"{name}\"]");
        let alone = config(&route("/a", &with("GET")));
        assert_eq!(methods(&alone.route[0], &alone.route), Some(vec![Method::GET, Method::HEAD]));
        let both = config(&[route("/a", &with("GET")), route("/a", &with("HEAD"))].concat());
        assert_eq!(methods(&both.route[0], &both.route), Some(vec![Method::GET]));
        let other = config(&[route("/a", &with("POST")), route("/b", "")].concat());
        assert_eq!(methods(&other.route[0], &other.route), Some(vec![Method::POST]));
        assert_eq!(methods(&other.route[1], &other.route), None);
    }
}
