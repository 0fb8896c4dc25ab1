//! What an admin says about how a client proves who it is.

use url::Url;

use crate::domain::ciba::CibaGrant;
use crate::domain::client::{Client, KeySource, Preset};
use crate::domain::client_authentication::{AuthMethod, CertificateName, ProofSettings};
use crate::domain::client_protocol::DeviceGrant;
use crate::domain::signing::SigningAlg;
use crate::keys::certificate::name::DistinguishedName;
use crate::keys::certificate::registered::registered;
use crate::services::clients::signatures::ASSERTION_ALG;
use crate::services::fields::FieldErrors;

/// Where a method is named.
pub(super) const METHOD: &str = "/options/authentication/token_endpoint_auth_method";

/// How a client proves who it is, as text from any edge.
#[derive(Clone, Debug, Default)]
pub struct AuthenticationForm {
    /// `client_secret_basic`, `client_secret_post`, `none`, `private_key_jwt`, `self_signed_tls_client_auth` or `tls_client_auth`.
    /// Without it: keys where there are some, otherwise what the preset gives.
    pub token_endpoint_auth_method: Option<String>,
    /// What its assertions are signed by. Without it: whatever its keys sign by.
    pub token_endpoint_auth_signing_alg: Option<String>,
    /// The subject that its certificate has to have, as RFC 4514 writes it.
    pub tls_client_auth_subject_dn: Option<String>,
    /// The host that its certificate has to have.
    pub tls_client_auth_san_dns: Option<String>,
    /// The URI that it has to have.
    pub tls_client_auth_san_uri: Option<String>,
    /// The address that it has to have.
    pub tls_client_auth_san_ip: Option<String>,
    /// The mailbox that it has to have.
    pub tls_client_auth_san_email: Option<String>,
}

/// What this server can find out about whoever connects to it, and which grants it gives at all.
#[derive(Clone, Copy, Debug)]
pub struct Abilities {
    /// Whether it sees certificates of clients.
    pub sees_certificates: bool,
    /// Whether it knows authorities that vouch for some.
    pub knows_authorities: bool,
    /// Whether devices may ask for sign-ins.
    pub device_grant: DeviceGrant,
    /// Whether sign-ins may be started from behind.
    pub ciba_grant: CibaGrant,
}

/// How the client will prove who it is.
#[derive(Clone, Debug)]
pub(super) struct Way {
    /// The method, if one is named.
    pub(super) named: Option<AuthMethod>,
    /// What else the proof has to be.
    pub(super) proof: ProofSettings,
}

impl AuthenticationForm {
    /// Checks it for a client of which others may say who it is.
    pub(super) fn parse(&self, errors: &mut FieldErrors, preset: Preset, vouched: bool) -> Option<Way> {
        let named = self.token_endpoint_auth_method.as_deref().map(str::parse::<AuthMethod>).transpose();
        let named = errors.take(METHOD, named)?;
        match named {
            Some(method) if preset.is_public() && method != AuthMethod::None => {
                let message = "a client on a person's device cannot keep anything that would prove who it is";
                errors.refuse(METHOD, "contradiction", message);
            }
            Some(AuthMethod::None) if !preset.is_public() && !vouched => {
                let message = "only the presets `device`, `spa` and `native`, and `m2m` with `assertion_issuers`, make clients that prove nothing";
                errors.refuse(METHOD, "contradiction", message);
            }
            Some(_) | None => {}
        }
        let alg = self.token_endpoint_auth_signing_alg.as_deref().map(str::parse::<SigningAlg>).transpose();
        let assertion_alg = errors.take(ASSERTION_ALG, alg);
        let certificate_name = self.certificate_name(errors, named).ok()?;
        Some(Way { named, proof: ProofSettings { certificate_name, assertion_alg: assertion_alg? } })
    }

    /// RFC 8705 §2.1.2: exactly one of them.
    fn certificate_name(
        &self,
        errors: &mut FieldErrors,
        named: Option<AuthMethod>,
    ) -> Result<Option<CertificateName>, ()> {
        let pointer = |name: &str| format!("/options/authentication/tls_client_auth_{name}");
        let choices = [
            ("subject_dn", &self.tls_client_auth_subject_dn),
            ("san_dns", &self.tls_client_auth_san_dns),
            ("san_uri", &self.tls_client_auth_san_uri),
            ("san_ip", &self.tls_client_auth_san_ip),
            ("san_email", &self.tls_client_auth_san_email),
        ];
        let mut given = choices.iter().filter_map(|(name, text)| text.as_deref().map(|text| (*name, text)));
        let Some((name, text)) = given.next() else { return Ok(None) };
        if let Some((other, _)) = given.next() {
            let message = "the certificate of a client is known by exactly one name: give one of them";
            errors.refuse(pointer(other), "contradiction", message);
            return Err(());
        }
        if named.is_some_and(|method| method != AuthMethod::TlsClientAuth) {
            let message = "only the method tls_client_auth knows a client by the name in its certificate";
            errors.refuse(pointer(name), "contradiction", message);
            return Err(());
        }
        errors.take(&pointer(name), certificate_name(name, text)).map(Some).ok_or(())
    }
}

fn certificate_name(name: &str, text: &str) -> Result<CertificateName, String> {
    let owned = text.to_owned();
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    match name {
        "subject_dn" => match DistinguishedName::parse(text) {
            Ok(_) => Ok(CertificateName::Subject(owned)),
            Err(error) => Err(error.to_string()),
        },
        "san_ip" => text.parse().map(CertificateName::Ip).map_err(|_| "is no IP address".to_owned()),
        "san_uri" if is_plain && Url::parse(text).is_ok() => Ok(CertificateName::Uri(owned)),
        "san_dns" if is_plain && !text.contains(['/', ':', '@']) => Ok(CertificateName::Dns(owned)),
        "san_email" if is_plain && text.contains('@') => Ok(CertificateName::Email(owned)),
        "san_uri" => Err("is no URI".to_owned()),
        "san_dns" => Err("is no host".to_owned()),
        _ => Err("is no mailbox".to_owned()),
    }
}

/// Whether it registered a certificate of its own.
fn has_certificates(client: &Client) -> bool {
    matches!(client.keys(), Some(KeySource::Registered(jwks)) if !registered(jwks).is_empty())
}

/// What a client has to have, and this server to see, for its method to work.
pub(super) fn check(errors: &mut FieldErrors, client: &Client, abilities: Abilities) {
    let method = client.authentication.method;
    let has_name = client.settings.protocol.proof.certificate_name.is_some();
    let missing = match method {
        AuthMethod::PrivateKeyJwt if client.keys().is_none() => {
            Some(("/jwks", "a client that signs its assertions registers its public keys"))
        }
        AuthMethod::SelfSignedTlsClientAuth if !has_certificates(client) => Some((
            "/jwks",
            "the certificate is missing: give it as `x5c`, or its thumbprint as `x5t#S256`, in a key",
        )),
        AuthMethod::TlsClientAuth if !has_name => Some((
            METHOD,
            "the name in the certificate is missing: give one of tls_client_auth_subject_dn, \
                 tls_client_auth_san_dns, tls_client_auth_san_uri, tls_client_auth_san_ip, tls_client_auth_san_email",
        )),
        method if has_name && method != AuthMethod::TlsClientAuth => Some((
            METHOD,
            "only the method tls_client_auth knows a client by the name in its certificate: name it",
        )),
        _ => None,
    };
    if let Some((pointer, message)) = missing {
        errors.refuse(pointer, "required", message);
    }
    let unseen = "this server sees no certificates of clients: server.tls.client_certificates is not set";
    if method.needs_certificate() && !abilities.sees_certificates {
        errors.refuse(METHOD, "contradiction", unseen);
    } else if method == AuthMethod::TlsClientAuth && !abilities.knows_authorities {
        let message = "this server knows no authority of certificates: server.tls.client_ca is not set";
        errors.refuse(METHOD, "contradiction", message);
    }
    if client.settings.protocol.sender_constraint.tls_client_certificate_bound_access_tokens
        && !abilities.sees_certificates
    {
        let pointer = "/options/protocol/tls_client_certificate_bound_access_tokens";
        errors.refuse(pointer, "contradiction", unseen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(preset: Preset, form: &AuthenticationForm) -> Result<Way, Vec<String>> {
        let mut errors = FieldErrors::default();
        let way = form.parse(&mut errors, preset, false);
        let finished = errors.finish(way);
        finished.map_err(|errors| errors.iter().map(|error| error.pointer.clone()).collect())
    }

    fn method(name: &str) -> AuthenticationForm {
        AuthenticationForm {
            token_endpoint_auth_method: Some(name.to_owned()),
            ..AuthenticationForm::default()
        }
    }

    #[test]
    fn a_method_has_to_fit_the_preset() {
        for (preset, name, fits) in [
            (Preset::Web, "client_secret_basic", true),
            (Preset::M2m, "client_secret_post", true),
            (Preset::M2m, "tls_client_auth", true),
            (Preset::Native, "none", true),
            (Preset::Native, "private_key_jwt", false),
            (Preset::Spa, "client_secret_basic", false),
            (Preset::Web, "none", false),
            (Preset::Web, "client_secret_jwt", false),
            (Preset::Web, "magic", false),
        ] {
            let outcome = parsed(preset, &method(name)).map(|_| ()).map_err(|pointers| pointers.concat());
            let expected = if fits { Ok(()) } else { Err(METHOD.to_owned()) };
            assert_eq!(outcome, expected, "{preset:?} {name}");
        }
    }

    #[test]
    fn a_certificate_is_known_by_one_name_that_can_be_one() {
        let text = |text: &str| Some(text.to_owned());
        let tls = || method("tls_client_auth");
        let name = |form: &AuthenticationForm| parsed(Preset::M2m, form).unwrap().proof.certificate_name;
        let dns = AuthenticationForm { tls_client_auth_san_dns: text("a.example"), ..tls() };
        assert_eq!(name(&dns), Some(CertificateName::Dns("a.example".to_owned())));
        let ip = AuthenticationForm { tls_client_auth_san_ip: text("2001:db8::7"), ..tls() };
        assert_eq!(name(&ip), Some(CertificateName::Ip("2001:db8::7".parse().unwrap())));
        assert_eq!(name(&tls()), None);
        for odd in [
            AuthenticationForm { tls_client_auth_san_uri: text("https://a.example"), ..dns.clone() },
            AuthenticationForm { token_endpoint_auth_method: text("private_key_jwt"), ..dns.clone() },
            AuthenticationForm { tls_client_auth_subject_dn: text("orders"), ..tls() },
            AuthenticationForm { tls_client_auth_san_dns: text("https://a.example"), ..tls() },
            AuthenticationForm { tls_client_auth_san_dns: text(""), ..tls() },
            AuthenticationForm { tls_client_auth_san_uri: text("a.example"), ..tls() },
            AuthenticationForm { tls_client_auth_san_ip: text("a.example"), ..tls() },
            AuthenticationForm { tls_client_auth_san_email: text("a.example"), ..tls() },
        ] {
            let refused = parsed(Preset::M2m, &odd).unwrap_err();
            assert!(refused.len() == 1 && refused[0].contains("tls_client_auth_"), "{odd:?}: {refused:?}");
        }
    }
}
