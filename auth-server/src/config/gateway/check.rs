//! What no key of a gateway can check alone.

use crate::config::GatewayConfig;
use crate::config::check::{Finding, fill, finding, log_filter};
use crate::config::gateway::Route;
use crate::config::known::Key;

/// Reads the secret that lies in a file, and returns everything that does not go together.
pub(super) fn complete(config: &mut GatewayConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    let policy = &mut config.policy;
    let file = policy.client_secret_file.as_deref();
    fill(&mut policy.client_secret, file, ("policy", "client_secret"), &mut findings);
    findings.extend(contradictions(config));
    let routes = config.route.iter().zip(1_usize..);
    findings.extend(routes.flat_map(|(route, number)| {
        let lacks = lacks(config, route).into_iter();
        lacks.map(move |message| (Key::new("route", number.to_string()), message.to_owned()))
    }));
    findings
}

fn contradictions(config: &GatewayConfig) -> impl Iterator<Item = Finding> {
    let (gateway, policy) = (&config.gateway, &config.policy);
    let client = policy.client_id.is_some() || policy.client_secret_file.is_some();
    [
        (gateway.issuer.is_none())
            .then(|| must_be_set("issuer", "the address of the server whose tokens are taken")),
        (gateway.audience.as_deref().unwrap_or_default().is_empty())
            .then(|| must_be_set("audience", "the audience of the API that the tokens are for")),
        gateway.trusted_proxies.is_empty().then(|| {
            finding("gateway", "trusted_proxies", "names nobody, so everything would be refused".to_owned())
        }),
        (policy.client_id.is_some() && policy.client_secret_file.is_none())
            .then(|| finding("policy", "client_id", "is set without `policy.client_secret_file`".to_owned())),
        (policy.client_id.is_none() && policy.client_secret_file.is_some())
            .then(|| finding("policy", "client_secret_file", "is set without `policy.client_id`".to_owned())),
        (policy.folder.is_some() && client).then(|| {
            finding(
                "policy",
                "folder",
                "is set beside a client that fetches a policy: give one of the two".to_owned(),
            )
        }),
        log_filter(&config.log),
        config
            .route
            .is_empty()
            .then(|| finding("route", "", "there is none, so everything would be refused".to_owned())),
    ]
    .into_iter()
    .flatten()
}

fn must_be_set(name: &str, what: &str) -> Finding {
    finding("gateway", name, format!("must be set: {what}"))
}

/// What nobody who asks for this route could ever have.
fn lacks(config: &GatewayConfig, route: &Route) -> Vec<&'static str> {
    let (requirement, policy) = (route.require.requirement(), &config.policy);
    let has_policy = policy.folder.is_some() || policy.client_id.is_some();
    let lacks = [
        (requirement.asks_policy() && !has_policy).then_some("asks a policy, and [policy] names none"),
        (requirement.asks_dpop() && config.dpop.origins.is_empty())
            .then_some("requires bound tokens, and dpop.origins names nothing that they could be for"),
        requirement.asks_mtls().then_some("requires a certificate, which a gateway does not see"),
        route
            .methods
            .as_ref()
            .is_some_and(Vec::is_empty)
            .then_some("is there for no method: leave `methods` out for all of them"),
    ];
    lacks.into_iter().flatten().collect()
}
