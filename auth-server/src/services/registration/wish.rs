//! What a client wants by its metadata, as far as it may have it.

use serde_json::Value;

use crate::domain::claims::{OPENID, PERSONAL};
use crate::domain::client::GrantType;
use crate::domain::client_authentication::AuthMethod;
use crate::domain::client_openid::ApplicationType;
use crate::domain::client_protocol::SenderConstraint;
use crate::domain::client_url::ClientUrl;
use crate::domain::redirect_uri::RedirectUri;
use crate::domain::registration::{About, Allowance, REGISTRABLE};
use crate::domain::scope::ScopeSet;
use crate::services::clients::authentication::AuthenticationForm;
use crate::services::clients::ciba::CibaForm;
use crate::services::clients::form::{Blueprint, ClientForm, ClientOptions};
use crate::services::clients::openid::OpenIdForm;
use crate::services::clients::protocol::{AnswersForm, ProtocolForm};
use crate::services::registration::about;
use crate::services::registration::metadata::{ClientMetadata, MetadataError};

/// What stands for the address of one's own machine while the rules for all clients are applied.
const LOOPBACK: &str = "http://127.0.0.1";
const LOCALHOST: &str = "http://localhost";
/// People are called by a name that no other client knows.
const PAIRWISE: &str = "pairwise";
/// The most redirect URIs of a client that comes by itself.
const MOST_REDIRECTS: usize = 20;

/// Where the metadata came from, and so how the client may prove who it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    /// A document that everybody can read: it holds no secret.
    Document,
    /// The client sent them.
    Sent,
}

/// What is known of a client already, and decides whether the rest of what it says means anything.
#[derive(Clone, Copy)]
struct Known {
    method: AuthMethod,
    origin: Origin,
    /// It acts for itself alone.
    machine: bool,
    /// It gets ID tokens.
    signs_in: bool,
}

impl Known {
    /// Whether a member is looked at that means something only where this is so. A document is for all servers, and its client does for some
    /// what it does not do here; whoever registers is told.
    fn means(self, is_so: bool) -> bool {
        is_so || self.origin == Origin::Sent
    }
}

/// What a client wants, as far as it may have it.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) form: ClientForm,
    pub(crate) about: About,
    pub(crate) redirects: Vec<RedirectUri>,
    /// What lists the redirect URIs of its sector: what it lists was not looked at yet.
    pub(super) sector: Option<ClientUrl>,
    grants: Vec<GrantType>,
}

impl Wish {
    /// What the form says less precisely.
    pub(super) fn refine(&self, blueprint: &mut Blueprint) {
        blueprint.redirects.clone_from(&self.redirects);
        blueprint.grants.retain(|grant| self.grants.contains(grant));
    }
}

impl ClientMetadata {
    /// What the client wants, checked against what it may have. The rest is checked with the form.
    pub(crate) fn wish(&self, allowance: &Allowance, origin: Origin) -> Result<Wish, MetadataError> {
        self.unmet.check()?;
        // Who may name people is for an administrator to say, and whoever registers is told so. A document is for all servers, and says to
        // some what means nothing to others.
        if let Some(member) = self.from_behind.asked().filter(|_| origin == Origin::Sent) {
            return Err(MetadataError::of(member, "is for an administrator to say"));
        }
        let method = self.method(origin)?;
        let grants = self.grants(allowance)?;
        self.check_types(&grants)?;
        let machine = grants == [GrantType::ClientCredentials];
        let redirects = self.redirects(allowance)?;
        self.check_departures(allowance)?;
        let is_public = method == AuthMethod::None;
        let preset = match (machine, is_public) {
            (true, _) => "m2m",
            (false, true) => "native",
            (false, false) => "web",
        };
        if machine && is_public {
            let message = "a client without people has to prove who it is";
            return Err(MetadataError::of("token_endpoint_auth_method", message));
        }
        let scopes = self.scopes(allowance, machine)?;
        let known =
            Known { method, origin, machine, signs_in: scopes.split(' ').any(|scope| scope == OPENID) };
        let form = ClientForm {
            name: self.client_name.clone().unwrap_or_else(|| unnamed(&redirects)),
            preset: preset.to_owned(),
            redirect_uris: self.redirect_texts(),
            post_logout_redirect_uris: self.post_logout_redirect_uris.clone().unwrap_or_default(),
            scopes: Some(scopes),
            apis: self.apis(allowance),
            // What cannot keep a secret signs nothing: its keys are left out.
            jwks: self.jwks.as_ref().filter(|_| !is_public).map(Value::to_string),
            options: self.options(known),
            ..ClientForm::default()
        };
        Ok(Wish { form, about: about::read(self)?, redirects, sector: self.sector()?, grants })
    }

    fn options(&self, known: Known) -> ClientOptions {
        let Known { method, machine, signs_in, .. } = known;
        // The default of OpenID Connect Registration §2, of which libraries say something for clients without ID tokens as well.
        let alg = self.id_token_signed_response_alg.as_deref().unwrap_or("RS256");
        ClientOptions {
            id_token_alg: signs_in.then(|| alg.to_owned()),
            jwks_uri: self.jwks_uri.clone().filter(|_| method != AuthMethod::None),
            authentication: AuthenticationForm {
                token_endpoint_auth_method: Some(method.as_str().to_owned()),
                token_endpoint_auth_signing_alg: self
                    .token_endpoint_auth_signing_alg
                    .clone()
                    .filter(|_| known.means(method == AuthMethod::PrivateKeyJwt)),
                tls_client_auth_subject_dn: self.tls_client_auth_subject_dn.clone(),
                tls_client_auth_san_dns: self.tls_client_auth_san_dns.clone(),
                tls_client_auth_san_uri: self.tls_client_auth_san_uri.clone(),
                tls_client_auth_san_ip: self.tls_client_auth_san_ip.clone(),
                tls_client_auth_san_email: self.tls_client_auth_san_email.clone(),
            },
            protocol: ProtocolForm {
                require_pushed_requests: self.require_pushed_authorization_requests == Some(true),
                require_signed_request_object: self.require_signed_request_object == Some(true)
                    && known.means(!machine),
                answers: AnswersForm {
                    authorization_signed_response_alg: self
                        .authorization_signed_response_alg
                        .clone()
                        .filter(|_| known.means(!machine)),
                    // What does not prove who it is is told nothing about tokens.
                    introspection_signed_response_alg: self
                        .introspection_signed_response_alg
                        .clone()
                        .filter(|_| method != AuthMethod::None),
                },
                backchannel_logout_uri: self.backchannel_logout_uri.clone(),
                backchannel_logout_session_required: self.backchannel_logout_session_required == Some(true),
                sender_constraint: SenderConstraint {
                    dpop_bound_access_tokens: self.dpop_bound_access_tokens == Some(true),
                    tls_client_certificate_bound_access_tokens: self
                        .tls_client_certificate_bound_access_tokens
                        == Some(true),
                },
                openid: self.openid(known),
                ..ProtocolForm::default()
            },
            ..ClientOptions::default()
        }
    }

    fn openid(&self, known: Known) -> OpenIdForm {
        OpenIdForm {
            subject_type: self.subject_type.clone(),
            sector_identifier: None,
            userinfo_signed_response_alg: self
                .userinfo_signed_response_alg
                .clone()
                .filter(|_| known.means(known.signs_in)),
            initiate_login_uri: self.initiate_login_uri.clone(),
            default_max_age: self.default_max_age,
            request_object_signing_alg: self
                .request_object_signing_alg
                .clone()
                .filter(|_| known.means(known.method != AuthMethod::None && self.has_keys())),
            application_type: self.application_type(known.origin),
            // Who may name people is for an administrator to say.
            ciba: CibaForm::default(),
        }
    }

    /// A document may name a kind that means something to another server.
    fn application_type(&self, origin: Origin) -> Option<String> {
        let is_known = |kind: &String| kind.parse::<ApplicationType>().is_ok();
        self.application_type.clone().filter(|kind| origin == Origin::Sent || is_known(kind))
    }

    const fn has_keys(&self) -> bool {
        self.jwks.is_some() || self.jwks_uri.is_some()
    }

    /// How the client will prove who it is. Whether this server can see that proof is checked with the form.
    fn method(&self, origin: Origin) -> Result<AuthMethod, MetadataError> {
        const MEMBER: &str = "token_endpoint_auth_method";
        let named = self.token_endpoint_auth_method.as_deref().map(str::parse::<AuthMethod>).transpose();
        let named = named.map_err(|error| MetadataError::of(MEMBER, error))?;
        match (origin, named.unwrap_or(origin.usual_method())) {
            (Origin::Document, method) if method.needs_secret() => {
                Err(MetadataError::of(MEMBER, "what everybody can read holds no secret"))
            }
            (_, AuthMethod::PrivateKeyJwt) if !self.has_keys() => {
                Err(MetadataError::of("jwks", "private_key_jwt needs the public keys: give jwks or jwks_uri"))
            }
            (_, method) => Ok(method),
        }
    }

    /// What lists the redirect URIs of its sector (OpenID Connect Registration §5).
    fn sector(&self) -> Result<Option<ClientUrl>, MetadataError> {
        const MEMBER: &str = "sector_identifier_uri";
        let Some(raw) = &self.sector_identifier_uri else { return Ok(None) };
        let url = ClientUrl::parse(raw).map_err(|error| MetadataError::of(MEMBER, error))?;
        if url.url().scheme() != "https" {
            return Err(MetadataError::of(MEMBER, "has to use https"));
        }
        Ok(Some(url))
    }

    /// A client that calls people by names of its own gets no tokens that say how others call them.
    fn apis(&self, allowance: &Allowance) -> Vec<String> {
        let is_pairwise = self.subject_type.as_deref() == Some(PAIRWISE);
        allowance.apis.iter().filter(|_| !is_pairwise).map(ToString::to_string).collect()
    }

    fn grants(&self, allowance: &Allowance) -> Result<Vec<GrantType>, MetadataError> {
        const MEMBER: &str = "grant_types";
        let Some(named) = &self.grant_types else { return Ok(vec![GrantType::AuthorizationCode]) };
        let mut grants = Vec::new();
        for name in named {
            let grant = name.parse::<GrantType>().ok().filter(|grant| REGISTRABLE.contains(grant));
            let grant = grant.filter(|grant| allowance.grants.contains(grant));
            let grant = grant.ok_or_else(|| MetadataError::of(MEMBER, "holds one that is not permitted"))?;
            if !grants.contains(&grant) {
                grants.push(grant);
            }
        }
        let has = |grant| grants.contains(&grant);
        if grants.is_empty() {
            return Err(MetadataError::of(MEMBER, "is empty"));
        }
        if has(GrantType::ClientCredentials) && grants.len() > 1 {
            let message = "client_credentials stands alone: register a client of its own for it";
            return Err(MetadataError::of(MEMBER, message));
        }
        if has(GrantType::RefreshToken) && !has(GrantType::AuthorizationCode) {
            return Err(MetadataError::of(MEMBER, "refresh_token needs authorization_code beside it"));
        }
        Ok(grants)
    }

    /// RFC 7591 §2.1: response types follow from the grants.
    fn check_types(&self, grants: &[GrantType]) -> Result<(), MetadataError> {
        let redirects = grants.contains(&GrantType::AuthorizationCode);
        match &self.response_types {
            Some(types) if redirects && *types != ["code"] => {
                Err(MetadataError::of("response_types", "has to be code alone"))
            }
            Some(types) if !redirects && !types.is_empty() => {
                Err(MetadataError::of("response_types", "no grant of the client has any"))
            }
            _ => Ok(()),
        }
    }

    /// As they are compared later: with the name `localhost`, where a client has it.
    fn redirects(&self, allowance: &Allowance) -> Result<Vec<RedirectUri>, MetadataError> {
        let texts = self.redirect_uris.as_deref().unwrap_or_default();
        if texts.len() > MOST_REDIRECTS {
            let message = format!("must not have more than {MOST_REDIRECTS} entries");
            return Err(MetadataError::of("redirect_uris", message));
        }
        let mut redirects = Vec::with_capacity(texts.len());
        for (position, text) in texts.iter().enumerate() {
            let at =
                |what: &dyn std::fmt::Display| MetadataError::of(&format!("redirect_uris/{position}"), what);
            let uri = RedirectUri::parse_of_device(text).map_err(|error| at(&error))?;
            if !allowance.permits_host(uri.host()) {
                return Err(at(&"its host is not permitted"));
            }
            redirects.push(uri);
        }
        Ok(redirects)
    }

    /// Where people go after they signed out is bounded as where answers go is. The rest is checked with the form.
    fn check_departures(&self, allowance: &Allowance) -> Result<(), MetadataError> {
        for (position, text) in self.post_logout_redirect_uris.iter().flatten().enumerate() {
            let is_elsewhere = |uri: RedirectUri| !allowance.permits_host(uri.host());
            if RedirectUri::parse_of_device(text).is_ok_and(is_elsewhere) {
                let member = format!("post_logout_redirect_uris/{position}");
                return Err(MetadataError::of(&member, "its host is not permitted"));
            }
        }
        Ok(())
    }

    /// The same for the rules that all clients are held to, which know no `localhost`.
    fn redirect_texts(&self) -> Vec<String> {
        let texts = self.redirect_uris.iter().flatten();
        texts
            .map(|text| match text.strip_prefix(LOCALHOST) {
                Some(rest) if rest.is_empty() || rest.starts_with([':', '/', '?']) => {
                    format!("{LOOPBACK}{rest}")
                }
                _ => text.clone(),
            })
            .collect()
    }

    /// Of what it asks for, what it may have; all of that when it asks for nothing (RFC 7591 §2).
    fn scopes(&self, allowance: &Allowance, machine: bool) -> Result<String, MetadataError> {
        let permitted = allowance.scopes();
        let asked = match &self.scope {
            Some(text) => ScopeSet::parse(text).map_err(|error| MetadataError::of("scope", error))?,
            None => permitted.clone(),
        };
        let given = asked.intersection(&permitted);
        if given.is_empty() && !asked.is_empty() {
            return Err(MetadataError::of("scope", "holds nothing that is permitted"));
        }
        if !machine {
            return Ok(given.to_string());
        }
        let kept: Vec<&str> = given.iter().filter(|scope| !PERSONAL.contains(scope)).collect();
        Ok(kept.join(" "))
    }
}

/// What a client is called that says no name: the host that gets its answers.
fn unnamed(redirects: &[RedirectUri]) -> String {
    redirects.first().map_or("Client", RedirectUri::host).chars().take(100).collect()
}

impl Origin {
    /// What holds where nothing is said: RFC 7591 §2, and for a document the only one that asks for nothing else.
    const fn usual_method(self) -> AuthMethod {
        match self {
            Self::Document => AuthMethod::None,
            Self::Sent => AuthMethod::ClientSecretBasic,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn allowance() -> Allowance {
        Allowance {
            grants: vec![GrantType::AuthorizationCode, GrantType::ClientCredentials, GrantType::RefreshToken],
            scopes: "openid email offline_access orders".to_owned(),
            redirect_hosts: Vec::new(),
            apis: Vec::new(),
        }
    }

    fn outcome(document: &Value, origin: Origin) -> Result<Wish, MetadataError> {
        ClientMetadata::parse(document.to_string().as_bytes())?.wish(&allowance(), origin)
    }

    fn good() -> Value {
        json!({ "redirect_uris": ["https://app.example/cb"], "client_name": "App" })
    }

    fn with(member: &str, value: Value) -> Result<Wish, MetadataError> {
        let mut document = good();
        document[member] = value;
        outcome(&document, Origin::Sent)
    }

    #[test]
    fn what_is_not_said_is_what_the_specifications_say() {
        let wish = outcome(&good(), Origin::Sent).unwrap();
        assert_eq!(wish.grants, [GrantType::AuthorizationCode]);
        assert_eq!(wish.form.options.id_token_alg.as_deref(), Some("RS256"));
        assert_eq!(wish.form.scopes.as_deref(), Some("email offline_access openid orders"));
        let blueprint = wish.form.parse().unwrap();
        assert_eq!(blueprint.method, Some(AuthMethod::ClientSecretBasic));
        assert_eq!(blueprint.settings.first_party, crate::domain::client::FirstParty::No);
        assert_eq!(with("client_name", Value::Null).unwrap().form.name, "app.example");
    }

    #[test]
    fn what_means_nothing_here_is_ignored() {
        for (member, value) in [
            ("first_party", json!(true)),
            ("skip_consent", json!(true)),
            ("software_statement", json!("x.y.z")),
            ("logo_uri", json!("https://app.example/logo.png")),
            ("client_name#de", json!("Anwendung")),
            ("id_token_encrypted_response_enc", json!("A256GCM")),
            ("organisation", json!("org_00000000000070008000000000000000")),
        ] {
            let wish = with(member, value).unwrap();
            assert!(!wish.form.options.first_party && wish.form.organisation.is_none(), "{member}");
            assert_eq!(wish.form.parse().unwrap().method, Some(AuthMethod::ClientSecretBasic), "{member}");
        }
    }

    #[test]
    fn what_cannot_be_had_is_refused_by_its_member() {
        for (member, value) in [
            ("token_endpoint_auth_method", json!("client_secret_jwt")),
            ("token_endpoint_auth_method", json!("client_secret")),
            ("id_token_encrypted_response_alg", json!("RSA-OAEP")),
            ("introspection_encrypted_response_alg", json!("RSA-OAEP")),
            ("userinfo_encrypted_response_alg", json!("ECDH-ES")),
            ("authorization_encrypted_response_alg", json!("ECDH-ES")),
            ("request_object_signing_alg", json!(["ES256"])),
            ("token_endpoint_auth_signing_alg", json!(7)),
            ("default_max_age", json!("60")),
            ("default_max_age", json!(-1)),
            ("default_max_age", json!(1.5)),
            ("sector_identifier_uri", json!("http://127.0.0.1/sector.json")),
            ("sector_identifier_uri", json!("sector.json")),
            ("grant_types", json!([])),
            ("grant_types", json!(["password"])),
            ("grant_types", json!(["implicit"])),
            ("grant_types", json!(["refresh_token"])),
            ("grant_types", json!(["authorization_code", "client_credentials"])),
            ("response_types", json!(["token"])),
            ("response_types", json!(["code", "code id_token"])),
            ("response_types", json!([])),
            ("scope", json!("admin")),
            ("scope", json!("a\"b")),
            ("scope", json!(["openid"])),
            ("client_name", json!(7)),
            ("contacts", json!("me")),
        ] {
            assert!(
                matches!(with(member, value.clone()), Err(MetadataError::Metadata(_))),
                "{member} {value}"
            );
        }
        let no_keys = with("token_endpoint_auth_method", json!("private_key_jwt"));
        assert_eq!(
            no_keys.unwrap_err().to_string(),
            "jwks: private_key_jwt needs the public keys: give jwks or jwks_uri"
        );
    }

    #[test]
    fn a_redirect_uri_that_could_lead_elsewhere_has_a_code_of_its_own() {
        for bad in [
            "http://app.example/cb",
            "https://*.app.example/cb",
            "https://me@app.example/cb",
            "https://app.example/cb#x",
            "javascript:alert(1)",
            "/cb",
        ] {
            let refused = with("redirect_uris", json!(["https://app.example/cb", bad]));
            assert!(
                matches!(&refused, Err(MetadataError::RedirectUri(said)) if said.starts_with("redirect_uris/1: ")),
                "{bad}: {refused:?}"
            );
        }
        let many = vec!["https://app.example/cb"; MOST_REDIRECTS + 1];
        assert!(matches!(with("redirect_uris", json!(many)), Err(MetadataError::RedirectUri(_))));
        let none = with("redirect_uris", json!([])).unwrap().form.parse().unwrap_err();
        assert!(matches!(MetadataError::from(none), MetadataError::RedirectUri(_)));
    }

    #[test]
    fn only_permitted_hosts_get_answers() {
        let allowance = Allowance { redirect_hosts: vec!["app.example".to_owned()], ..allowance() };
        let wish = |uri: &str| {
            let document = json!({ "redirect_uris": [uri], "client_name": "App" });
            ClientMetadata::parse(document.to_string().as_bytes()).unwrap().wish(&allowance, Origin::Sent)
        };
        assert!(wish("https://app.example/cb").is_ok());
        assert!(matches!(wish("https://other.example/cb"), Err(MetadataError::RedirectUri(_))));
        assert!(matches!(wish("http://127.0.0.1/cb"), Err(MetadataError::RedirectUri(_))));
        let document = json!({ "redirect_uris": ["https://app.example/cb"], "client_name": "App",
            "post_logout_redirect_uris": ["https://app.example/bye", "https://other.example/bye"] });
        let read = ClientMetadata::parse(document.to_string().as_bytes()).unwrap();
        let refused = read.wish(&allowance, Origin::Sent).unwrap_err();
        assert_eq!(refused.to_string(), "post_logout_redirect_uris/1: its host is not permitted");
    }

    #[test]
    fn a_document_holds_no_secret() {
        for method in ["client_secret_basic", "client_secret_post", "client_secret_jwt"] {
            let mut document = good();
            document["token_endpoint_auth_method"] = json!(method);
            assert!(
                matches!(outcome(&document, Origin::Document), Err(MetadataError::Metadata(_))),
                "{method}"
            );
        }
        let blueprint = outcome(&good(), Origin::Document).unwrap().form.parse().unwrap();
        assert_eq!(blueprint.method, Some(AuthMethod::None));
    }

    #[test]
    fn localhost_is_kept_as_it_is_said_and_held_to_the_rules_of_loopback_addresses() {
        let document = json!({ "redirect_uris": ["http://localhost:7/cb"], "client_name": "App" });
        let wish = outcome(&document, Origin::Document).unwrap();
        let mut blueprint = wish.form.parse().unwrap();
        wish.refine(&mut blueprint);
        assert!(blueprint.redirects[0].accepts("http://localhost:9/cb"));
        assert!(!blueprint.redirects[0].accepts("http://127.0.0.1:9/cb"));
        let other = json!({ "redirect_uris": ["http://localhost.evil.example/"], "client_name": "App" });
        assert!(matches!(outcome(&other, Origin::Document), Err(MetadataError::RedirectUri(_))));
    }

    #[test]
    fn a_machine_gets_no_scope_of_people() {
        let machine = json!({ "grant_types": ["client_credentials"], "client_name": "Robot" });
        let wish = outcome(&machine, Origin::Sent).unwrap();
        assert_eq!(wish.form.scopes.as_deref(), Some("orders"));
        assert_eq!(wish.form.parse().unwrap().grants, [GrantType::ClientCredentials]);
        let public = json!({ "grant_types": ["client_credentials"], "token_endpoint_auth_method": "none",
            "client_name": "Robot" });
        assert!(matches!(outcome(&public, Origin::Sent), Err(MetadataError::Metadata(_))));
    }

    /// Libraries say what ID tokens are signed with wherever they register.
    #[test]
    fn what_id_tokens_are_signed_with_is_kept_for_those_who_get_some() {
        let alg = |document: &Value| {
            let blueprint = outcome(document, Origin::Sent).unwrap().form.parse().unwrap();
            blueprint.settings.id_token_alg.as_str()
        };
        let mut machine = json!({ "grant_types": ["client_credentials"], "client_name": "Robot",
            "id_token_signed_response_alg": "PS256" });
        assert_eq!(alg(&machine), "ES256");
        machine["grant_types"] = json!(["authorization_code"]);
        machine["redirect_uris"] = json!(["https://app.example/cb"]);
        assert_eq!(alg(&machine), "PS256");
        machine["scope"] = json!("orders");
        assert_eq!(alg(&machine), "ES256");
    }

    #[test]
    fn what_needs_an_id_token_is_left_out_of_documents_without_one() {
        let mut document = good();
        document["scope"] = json!("orders");
        // Access tokens say who signed in, too.
        document["subject_type"] = json!("pairwise");
        document["userinfo_signed_response_alg"] = json!("ES256");
        let openid = |document: &Value, origin| {
            let protocol = outcome(document, origin).unwrap().form.options.protocol;
            (protocol.openid.subject_type, protocol.openid.userinfo_signed_response_alg)
        };
        let both = || (Some("pairwise".to_owned()), Some("ES256".to_owned()));
        assert_eq!(openid(&document, Origin::Document), (Some("pairwise".to_owned()), None));
        assert_eq!(openid(&document, Origin::Sent), both(), "whoever registers is told by the checks of all");
        document["scope"] = json!("openid orders");
        assert_eq!(openid(&document, Origin::Document), both());
    }

    #[test]
    fn what_is_about_authorization_requests_is_left_out_of_documents_of_machines() {
        let machine = json!({ "grant_types": ["client_credentials"], "client_name": "Robot",
            "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://app.example/keys",
            "require_signed_request_object": true, "authorization_signed_response_alg": "ES256" });
        let said = |origin| {
            let protocol = outcome(&machine, origin).unwrap().form.options.protocol;
            let alg = protocol.answers.authorization_signed_response_alg;
            (protocol.require_signed_request_object, alg.is_some())
        };
        assert_eq!(said(Origin::Document), (false, false));
        assert_eq!(said(Origin::Sent), (true, true));
    }

    #[test]
    fn keys_are_for_those_who_keep_a_secret() {
        let keys = |method: &str| {
            let mut document = good();
            document["token_endpoint_auth_method"] = json!(method);
            document["jwks_uri"] = json!("https://app.example/jwks");
            outcome(&document, Origin::Sent).unwrap().form.parse().unwrap().keys.is_some()
        };
        assert!(keys("client_secret_post") && keys("private_key_jwt"));
        assert!(!keys("none"));
    }

    #[test]
    fn a_client_with_names_of_its_own_for_people_gets_no_api() {
        let api = crate::domain::ids::ApiId::parse("api_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c").unwrap();
        let allowance = Allowance { apis: vec![api], ..allowance() };
        let apis = |subject_type: &str| {
            let mut document = good();
            document["subject_type"] = json!(subject_type);
            let metadata = ClientMetadata::parse(document.to_string().as_bytes()).unwrap();
            metadata.wish(&allowance, Origin::Sent).unwrap().form.parse().unwrap().settings.apis.len()
        };
        assert_eq!((apis("public"), apis("pairwise")), (1, 0));
    }

    #[test]
    fn what_is_signed_by_no_algorithm_that_there_is_is_refused() {
        for (member, alg) in [
            ("request_object_signing_alg", "none"),
            ("request_object_signing_alg", "HS256"),
            ("token_endpoint_auth_signing_alg", "none"),
            ("token_endpoint_auth_signing_alg", "HS256"),
        ] {
            let refused = with(member, json!(alg)).unwrap().form.parse().unwrap_err();
            let told = MetadataError::from(refused).to_string();
            assert!(told.starts_with(&format!("{member}: expected one of")), "{told}");
        }
    }

    #[test]
    fn a_document_says_what_its_client_signs_by_where_it_signs() {
        let mut document = good();
        document["request_object_signing_alg"] = json!("ES384");
        document["token_endpoint_auth_signing_alg"] = json!("ES384");
        document["default_max_age"] = json!(60);
        let settings = outcome(&document, Origin::Document).unwrap().form.parse().unwrap().settings.protocol;
        assert_eq!((settings.proof.assertion_alg, settings.openid.request_object_alg), (None, None));
        assert_eq!(settings.openid.default_max_age_secs, Some(60));
        document["token_endpoint_auth_method"] = json!("private_key_jwt");
        document["jwks_uri"] = json!("https://app.example/keys");
        let refused = outcome(&document, Origin::Document).unwrap().form.parse().unwrap_err();
        assert!(MetadataError::from(refused).to_string().contains("_signing_alg: expected one of"));
    }

    #[test]
    fn a_kind_of_application_is_one_that_there_is_and_gets_its_answers_where_it_may() {
        let with_kind = |origin, kind: &str, uri: &str| {
            let mut document = good();
            document["application_type"] = json!(kind);
            document["redirect_uris"] = json!([uri]);
            document["token_endpoint_auth_method"] = json!("none");
            let blueprint = outcome(&document, origin).unwrap().form.parse().map_err(MetadataError::from);
            blueprint.map(|blueprint| blueprint.settings.protocol.openid.application_type)
        };
        let (web, device) = ("https://app.example/cb", "http://localhost/cb");
        for origin in [Origin::Document, Origin::Sent] {
            assert_eq!(with_kind(origin, "web", web), Ok(Some(ApplicationType::Web)));
            assert_eq!(with_kind(origin, "native", device), Ok(Some(ApplicationType::Native)));
            let refused = with_kind(origin, "web", device);
            assert!(matches!(&refused, Err(MetadataError::RedirectUri(_))), "{refused:?}");
        }
        let unknown = with_kind(Origin::Sent, "service", web).unwrap_err();
        assert!(unknown.to_string().starts_with("application_type: "), "{unknown}");
        assert_eq!(with_kind(Origin::Document, "service", web), Ok(None));
    }

    #[test]
    fn a_certificate_is_named_by_the_members_of_rfc_8705() {
        let mut document = good();
        document["token_endpoint_auth_method"] = json!("tls_client_auth");
        document["tls_client_auth_san_dns"] = json!("app.example");
        document["tls_client_certificate_bound_access_tokens"] = json!(true);
        let blueprint = outcome(&document, Origin::Document).unwrap().form.parse().unwrap();
        assert_eq!(blueprint.method, Some(AuthMethod::TlsClientAuth));
        assert!(blueprint.settings.protocol.proof.certificate_name.is_some());
        let constraint = blueprint.settings.protocol.sender_constraint;
        assert!(
            constraint.tls_client_certificate_bound_access_tokens && !constraint.dpop_bound_access_tokens
        );
        document["tls_client_auth_san_uri"] = json!("https://app.example");
        let two = outcome(&document, Origin::Document).unwrap().form.parse().unwrap_err();
        assert!(MetadataError::from(two).to_string().starts_with("tls_client_auth_san_"));
    }
}
