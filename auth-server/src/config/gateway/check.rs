//! What no key of a gateway can check alone.

use crate::config::check::{Finding, fill, finding, log_filter};
use crate::config::gateway::{BoundTokens, Route};
use crate::config::known::Key;
use crate::config::{GatewayConfig, SecretText};

/// The least that a secret has to have.
const SECRET_BYTES: usize = 32;

/// Reads the secret that lies in a file, and returns everything that does not go together.
pub(super) fn complete(config: &mut GatewayConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    let policy = &mut config.policy;
    let file = policy.client_secret_file.as_deref();
    fill(&mut policy.client_secret, file, ("policy", "client_secret"), &mut findings);
    let dpop = &mut config.dpop;
    fill(&mut dpop.redis_url, dpop.redis_url_file.as_deref(), ("dpop", "redis_url"), &mut findings);
    fill(&mut dpop.redis_secret, dpop.redis_secret_file.as_deref(), ("dpop", "redis_secret"), &mut findings);
    findings.extend(contradictions(config));
    findings.extend(unshared(&config.dpop));
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
        config.issuer.unsaid().map(|asked| {
            let message =
                format!("`{asked}` does not say what the claim has to be, as in `token_use=access`");
            finding("issuer", "must_have", message)
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

/// What is missing where proofs are to be shared.
fn unshared(dpop: &BoundTokens) -> impl Iterator<Item = Finding> {
    let shares = dpop.redis_url.is_some() || dpop.redis_url_file.is_some();
    let name = if dpop.redis_url_file.is_some() { "redis_url_file" } else { "redis_url" };
    let found = |name, message: &str| finding("dpop", name, message.to_owned());
    let secret = dpop.redis_secret.as_ref().map(SecretText::expose);
    [
        (shares && dpop.redis_secret_file.is_none())
            .then(|| found(name, "is set without `dpop.redis_secret_file`")),
        (shares && dpop.origins.is_empty())
            .then(|| found(name, "is set without `dpop.origins`, so no proof is ever taken")),
        (!shares && dpop.redis_secret_file.is_some())
            .then(|| found("redis_secret_file", "is set without `dpop.redis_url`")),
        (!shares && dpop.alone_while_away)
            .then(|| found("alone_while_away", "is set without `dpop.redis_url`")),
        secret
            .is_some_and(|secret| secret.len() < SECRET_BYTES)
            .then(|| found("redis_secret_file", "holds less than 32 characters")),
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
