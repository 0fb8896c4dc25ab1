//! How a client that is created proves who it is, and what it is held to.

use std::path::PathBuf;

use clap::Args;

use crate::cli::exit::Failure;
use crate::services::clients::authentication::AuthenticationForm;
use crate::services::clients::concessions::ConcessionsForm;

/// How a client proves who it is, and what it is held to.
#[derive(Args, Debug)]
pub(crate) struct ProofFlags {
    /// What it is held to as a whole: `fapi2` (FAPI 2.0 Security Profile), `oauth21` (OAuth 2.1) or `none`.
    #[arg(long, value_name = "PROFILE")]
    pub(super) profile: Option<String>,
    /// How it proves who it is: `client_secret_basic`, `client_secret_post`, `private_key_jwt`, `tls_client_auth` or
    /// `self_signed_tls_client_auth`. Without it: by keys, if there are some, or else as the preset says.
    #[arg(long, value_name = "METHOD")]
    auth_method: Option<String>,
    /// File with its public keys, as a JSON Web Key Set.
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// What it signs by.
    #[command(flatten)]
    pub(super) signing: SigningFlags,
    /// What its certificate has to say.
    #[command(flatten)]
    certificate: CertificateFlags,
    /// Gives it only access tokens that are bound to a key that it proves (`DPoP`, RFC 9449).
    #[arg(long)]
    pub(super) dpop_bound: bool,
    /// Gives it only access tokens that are bound to the certificate that it shows (RFC 8705).
    #[arg(long)]
    pub(super) certificate_bound: bool,
    /// What it is spared.
    #[command(flatten)]
    concessions: ConcessionFlags,
}

/// What a client signs by: whatever its keys sign by, unless it is said.
#[derive(Args, Debug)]
pub(super) struct SigningFlags {
    /// What its assertions are signed by, for `private_key_jwt`: `ES256`, `EdDSA`, `PS256` or `RS256`. Others are refused.
    #[arg(long, value_name = "ALG")]
    auth_signing_alg: Option<String>,
    /// What its request objects are signed by: one of the same. Others are refused.
    #[arg(long, value_name = "ALG")]
    pub(super) request_object_signing_alg: Option<String>,
}

/// What a client is spared that every other is held to.
#[derive(Args, Debug)]
struct ConcessionFlags {
    /// Takes its sign-ins without PKCE as well: for a client that proves who it is, and checks its nonce (RFC 9700 §2.1.1).
    #[arg(long)]
    pkce_optional: bool,
    /// Whom its assertions may be for: `issuer` (the default), or `endpoint`: the token endpoint and the one that is called as well.
    #[arg(long, value_name = "AUDIENCE")]
    assertion_audience: Option<String>,
}

/// What the certificate of a client has to say, for `tls_client_auth`: one of these.
#[derive(Args, Debug)]
#[expect(clippy::struct_field_names, reason = "they are named as the options")]
struct CertificateFlags {
    /// The subject that its certificate has to have, for `tls_client_auth`.
    #[arg(long, value_name = "NAME")]
    tls_subject_dn: Option<String>,
    /// The host that its certificate has to have.
    #[arg(long, value_name = "HOST")]
    tls_san_dns: Option<String>,
    /// The URI that its certificate has to have.
    #[arg(long, value_name = "URI")]
    tls_san_uri: Option<String>,
    /// The address that its certificate has to have.
    #[arg(long, value_name = "ADDRESS")]
    tls_san_ip: Option<String>,
    /// The mailbox that its certificate has to have.
    #[arg(long, value_name = "MAILBOX")]
    tls_san_email: Option<String>,
}

impl ProofFlags {
    pub(super) fn authentication(&self) -> AuthenticationForm {
        let name = &self.certificate;
        AuthenticationForm {
            token_endpoint_auth_method: self.auth_method.clone(),
            token_endpoint_auth_signing_alg: self.signing.auth_signing_alg.clone(),
            tls_client_auth_subject_dn: name.tls_subject_dn.clone(),
            tls_client_auth_san_dns: name.tls_san_dns.clone(),
            tls_client_auth_san_uri: name.tls_san_uri.clone(),
            tls_client_auth_san_ip: name.tls_san_ip.clone(),
            tls_client_auth_san_email: name.tls_san_email.clone(),
        }
    }

    pub(super) fn concessions(&self) -> ConcessionsForm {
        let ConcessionFlags { pkce_optional, assertion_audience } = &self.concessions;
        ConcessionsForm { require_pkce: Some(!pkce_optional), assertion_audience: assertion_audience.clone() }
    }

    pub(super) fn jwks(&self) -> Result<Option<String>, Failure> {
        let Some(file) = &self.jwks else { return Ok(None) };
        let text = std::fs::read_to_string(file);
        text.map(Some)
            .map_err(|error| Failure::usage(format!("--jwks: {} cannot be read: {error}", file.display())))
    }
}
