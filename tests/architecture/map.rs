//! The map of `auth-server/ARCHITECTURE.md` as data.

/// A module of the server and the modules it may name.
pub(crate) struct Layer {
    pub(crate) module: &'static str,
    pub(crate) may_name: &'static [&'static str],
}

/// Top to bottom. A module may always name itself.
///
/// `http` is not given `storage`: a handler never sees a transaction. It is given `keys` because the published
/// key set is served as it is.
pub(crate) const LAYERS: &[Layer] = &[
    Layer { module: "main", may_name: &["cli"] },
    Layer {
        module: "cli",
        may_name: &[
            "app",
            "services",
            "keys",
            "mail",
            "outbound",
            "storage",
            "telemetry",
            "config",
            "domain",
        ],
    },
    Layer {
        module: "app",
        may_name: &[
            "http",
            "jobs",
            "services",
            "keys",
            "mail",
            "outbound",
            "storage",
            "telemetry",
            "config",
            "domain",
        ],
    },
    Layer { module: "http", may_name: &["services", "keys", "telemetry", "config", "domain"] },
    Layer {
        module: "jobs",
        may_name: &["services", "keys", "mail", "storage", "telemetry", "config", "domain"],
    },
    Layer {
        module: "services",
        may_name: &["keys", "mail", "outbound", "storage", "telemetry", "config", "domain"],
    },
    Layer { module: "outbound", may_name: &["telemetry", "config", "domain"] },
    Layer { module: "mail", may_name: &["storage", "telemetry", "config", "domain"] },
    Layer { module: "keys", may_name: &["storage", "telemetry", "config", "domain"] },
    Layer { module: "storage", may_name: &["telemetry", "config", "domain"] },
    Layer { module: "telemetry", may_name: &["config", "domain"] },
    Layer { module: "config", may_name: &["domain"] },
    Layer { module: "domain", may_name: &[] },
];

/// A crate of somebody else and the only modules of the server that may name it.
pub(crate) struct Foreign {
    pub(crate) names: &'static [&'static str],
    pub(crate) only_in: &'static [&'static str],
}

pub(crate) const FOREIGN: &[Foreign] = &[
    Foreign { names: &["rusqlite", "sqlx"], only_in: &["storage"] },
    Foreign {
        names: &["axum", "hyper", "hyper_util", "http_body", "http_body_util", "tower", "tower_http"],
        only_in: &["app", "http"],
    },
    Foreign { names: &["cookie", "utoipa", "utoipa_axum"], only_in: &["http"] },
    // Pages and letters.
    Foreign { names: &["minijinja"], only_in: &["http", "mail"] },
    Foreign { names: &["lettre"], only_in: &["mail"] },
    // `domain` may name a wire vocabulary type such as `http::StatusCode`.
    Foreign { names: &["http"], only_in: &["app", "domain", "http"] },
    // Whatever the server asks of others goes through the module that bounds it.
    Foreign { names: &["reqwest"], only_in: &["outbound"] },
    Foreign { names: &["clap"], only_in: &["cli", "main"] },
    Foreign {
        names: &["tokio"],
        only_in: &[
            "app",
            "cli",
            "http",
            "jobs",
            "keys",
            "mail",
            "main",
            "outbound",
            "services",
            "storage",
            "telemetry",
        ],
    },
];

/// Module names that name no concept.
pub(crate) const NAMELESS: &[&str] = &["common", "helper", "helpers", "misc", "types", "util", "utils"];

/// Limits of `ARCHITECTURE.md` and of the style the project keeps.
pub(crate) const MAX_FILE_LINES: usize = 400;
pub(crate) const MAX_FUNCTION_LINES: usize = 60;
pub(crate) const MAX_PARAMETERS: usize = 5;
pub(crate) const MAX_FIELDS: usize = 10;

/// Structs that may be wider, each because a specification fixes its fields: the claims of an access token (RFC 9068
/// §2.2) and of an ID token (OpenID Connect Core §2), the members of a JSON Web Key (RFC 7517 §4, RFC 7518 §6), what a
/// server says about itself (RFC 8414 §2), and what a client registers (RFC 7591 §2, OpenID Connect Registration §2).
pub(crate) const WIDE_STRUCTS: &[(&str, &str)] = &[
    ("auth-server/src/domain/claims.rs", "AccessTokenClaims"),
    ("auth-server/src/domain/claims.rs", "IdTokenClaims"),
    ("auth-server/src/http/admin/client_protocol.rs", "ProtocolDocument"),
    ("auth-server/src/http/metadata.rs", "Metadata"),
    ("auth-server/src/http/registration/answer.rs", "Information"),
    ("auth-server/src/keys/jwk.rs", "RawJwk"),
    ("auth-server/src/services/registration/metadata.rs", "ClientMetadata"),
    ("middleware/src/jwks/key.rs", "Jwk"),
    ("middleware/src/token/claims.rs", "ClaimSet"),
];

/// A package and the packages of this workspace that it may depend on.
pub(crate) const PACKAGES: &[(&str, &[&str])] = &[
    ("auth-server", &["portcullis-guard", "portcullis-policy"]),
    ("middleware", &["portcullis-guard-derive", "portcullis-policy"]),
    ("middleware/derive", &[]),
    ("policies", &[]),
    ("tests", &["portcullis-guard", "portcullis-policy", "portcullis-server"]),
];

/// The foreign crates that the guard names in what is public, so that those who use it are tied to their versions: the field's own
/// vocabulary, and what belongs to a feature of the same name, in its files. An empty list of files means all of them.
pub(crate) const SHOWN: &[(&str, &[&str])] = &[
    (
        "axum",
        &[
            "middleware/src/body/on_axum.rs",
            "middleware/src/extract.rs",
            "middleware/src/on_axum.rs",
            "middleware/src/router.rs",
        ],
    ),
    ("bytes", &[]),
    ("http", &[]),
    ("http_body", &[]),
    ("portcullis_guard_derive", &[]),
    ("portcullis_policy", &[]),
    ("serde", &[]),
    // Claims of tokens that tests mint.
    ("serde_json", &["middleware/src/test_util/keys.rs", "middleware/src/test_util/mint.rs"]),
    ("std", &[]),
    ("tower", &[]),
];
