//! OAuth clients: the applications that ask for tokens.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::client_authentication::{AuthMethod, ClientAuthentication, ClientKeys};
use crate::domain::client_concessions::Concessions;
use crate::domain::client_protocol::ProtocolSettings;
use crate::domain::client_url::ClientUrl;
use crate::domain::clock::Timestamp;
use crate::domain::details::kind::DetailsTypeName;
use crate::domain::ids::{ApiId, ClientId, OrganisationId};
use crate::domain::redirect_uri::RedirectUri;
use crate::domain::scope::ScopeSet;
use crate::domain::security_profile::{Home, SecurityProfile};
use crate::domain::signing::SigningAlg;

/// A registered client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Client {
    /// Its `client_id`.
    pub id: ClientId,
    /// The name that people see.
    pub name: String,
    /// The organisation that owns it; `None` when it serves all of them.
    pub organisation: Option<OrganisationId>,
    /// How it proves who it is.
    pub authentication: ClientAuthentication,
    /// The grants it may use.
    pub grants: Vec<GrantType>,
    /// Where answers may be sent.
    pub redirects: Vec<RedirectUri>,
    /// Where people may be sent after signing out.
    pub post_logout_redirects: Vec<RedirectUri>,
    /// The scopes it may ask for.
    pub scopes: ScopeSet,
    /// The rest of what an administrator set.
    pub settings: ClientSettings,
    /// When it was switched off.
    pub disabled_at: Option<Timestamp>,
}

impl Client {
    /// Whether it may be used at all.
    pub const fn is_enabled(&self) -> bool {
        self.disabled_at.is_none()
    }

    /// What people are told that it is called: a name can be chosen, the host of a document cannot.
    pub fn title(&self) -> String {
        self.id.document().map_or_else(|| self.name.clone(), |url| url.host().to_owned())
    }

    /// Whether it may use `grant`.
    pub fn allows(&self, grant: GrantType) -> bool {
        self.grants.contains(&grant)
    }

    /// The registered redirect URI that accepts `presented`.
    pub fn redirect_for(&self, presented: &str) -> Option<&RedirectUri> {
        self.redirects.iter().find(|registered| registered.accepts(presented))
    }

    /// Where its public keys are, if it has some.
    pub fn keys(&self) -> Option<KeySource<'_>> {
        self.authentication.keys.as_ref().map(|keys| match keys {
            ClientKeys::At(url) => KeySource::At(url),
            ClientKeys::Registered(jwks) => KeySource::Registered(jwks.as_str()),
        })
    }

    /// Whether it proves who it is.
    pub const fn is_confidential(&self) -> bool {
        !matches!(self.authentication.method, AuthMethod::None)
    }

    /// What its assertions have to be signed by, if it said so.
    pub const fn assertion_alg(&self) -> Option<SigningAlg> {
        self.settings.protocol.proof.assertion_alg
    }

    /// How long ago somebody may have signed in, where a request does not say it.
    pub const fn default_max_age_secs(&self) -> Option<u32> {
        self.settings.protocol.openid.default_max_age_secs
    }

    /// Whether its authorization requests have to be pushed.
    pub const fn must_push(&self) -> bool {
        self.settings.profile.demands_pushed_requests()
            || self.settings.protocol.pushed_requests.are_required()
    }

    /// What its signed authorization responses are signed with, if it says nothing else: RS256 (JARM §3).
    pub fn response_alg(&self) -> SigningAlg {
        self.settings.protocol.answers.authorization_response_alg.unwrap_or(self.usual_alg())
    }

    /// What signed answers about tokens are signed with, if it says nothing else: RS256 (RFC 9701 §6).
    pub fn introspection_alg(&self) -> SigningAlg {
        self.settings.protocol.answers.introspection_response_alg.unwrap_or(self.usual_alg())
    }

    /// RS256, or what its ID tokens are signed with where its profile does not know RS256.
    const fn usual_alg(&self) -> SigningAlg {
        let usual = SigningAlg::Rs256;
        if self.settings.profile.permits_alg(usual) { usual } else { self.settings.id_token_alg }
    }

    /// Whether it may ask for details of this type, for an API of its own.
    pub fn may_detail(&self, name: &DetailsTypeName, api: &ApiId) -> bool {
        self.settings.details_types.contains(name) && self.settings.apis.contains(api)
    }

    /// Whether people may be sent to `presented` after signing out: byte for byte, the port of a loopback address included
    /// (RP-Initiated Logout §3).
    pub fn accepts_post_logout(&self, presented: &str) -> bool {
        self.post_logout_redirects.iter().any(|registered| registered.as_str() == presented)
    }
}

/// Where the public keys of a client are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeySource<'c> {
    /// Published at this address.
    At(&'c ClientUrl),
    /// Registered: a JWK set in JSON.
    Registered(&'c str),
}

/// A grant that a client may use.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    /// RFC 6749 §4.1.
    AuthorizationCode,
    /// CIBA §10.1.
    #[serde(rename = "urn:openid:params:grant-type:ciba")]
    Ciba,
    /// RFC 6749 §4.4.
    ClientCredentials,
    /// RFC 8628 §3.4.
    #[serde(rename = "urn:ietf:params:oauth:grant-type:device_code")]
    DeviceCode,
    /// RFC 7523 §2.1.
    #[serde(rename = "urn:ietf:params:oauth:grant-type:jwt-bearer")]
    JwtBearer,
    /// RFC 6749 §6.
    RefreshToken,
    /// RFC 8693 §2.1.
    #[serde(rename = "urn:ietf:params:oauth:grant-type:token-exchange")]
    TokenExchange,
}

impl GrantType {
    /// Every grant there is.
    pub const ALL: [Self; 7] = [
        Self::AuthorizationCode,
        Self::Ciba,
        Self::ClientCredentials,
        Self::DeviceCode,
        Self::JwtBearer,
        Self::RefreshToken,
        Self::TokenExchange,
    ];

    /// The `grant_type` value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::Ciba => "urn:openid:params:grant-type:ciba",
            Self::ClientCredentials => "client_credentials",
            Self::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
            Self::JwtBearer => "urn:ietf:params:oauth:grant-type:jwt-bearer",
            Self::RefreshToken => "refresh_token",
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
        }
    }
}

/// The text names no grant or preset that this server knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected one of {0}")]
pub struct UnknownName(&'static str);

/// The grants by name.
const KNOWN_GRANTS: &str = "authorization_code, client_credentials, refresh_token, or the URN of CIBA, a device code, a JWT bearer or \
                            a token exchange";

impl FromStr for GrantType {
    type Err = UnknownName;

    fn from_str(raw: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|grant| grant.as_str() == raw).ok_or(UnknownName(KNOWN_GRANTS))
    }
}

/// What an administrator set for a client beyond the protocol's registration.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ClientSettings {
    /// Whether people are asked before it gets something.
    pub first_party: FirstParty,
    /// What its ID tokens are signed with.
    pub id_token_alg: SigningAlg,
    /// The APIs it may ask tokens for.
    pub apis: Vec<ApiId>,
    /// The types of details that it may ask for (RFC 9396 §10).
    #[serde(default)]
    pub details_types: Vec<DetailsTypeName>,
    /// The API whose guard this client is.
    pub serves: Option<ApiId>,
    /// The template it was made from.
    pub preset: Preset,
    /// What it is held to as a whole.
    #[serde(default)]
    pub profile: SecurityProfile,
    /// What it is held to beyond what every client is.
    #[serde(default)]
    pub protocol: ProtocolSettings,
    /// What it is spared that every other client is held to.
    #[serde(default)]
    pub concessions: Concessions,
}

/// Whether a client belongs to the operator of this server.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstParty {
    /// Somebody else's: people are asked for consent.
    No,
    /// Our own: signing in is enough.
    Yes,
}

/// A template that sets sound defaults for a client.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// A device without a browser: a television, a printer, a terminal.
    Device,
    /// A machine that acts for itself.
    M2m,
    /// An application on a phone or desktop.
    Native,
    /// A guarded service: it fetches the policy of the API it serves.
    Service,
    /// An application that runs in the browser.
    Spa,
    /// An application with a server side.
    Web,
}

impl Preset {
    /// Every preset there is.
    pub const ALL: [Self; 6] = [Self::Device, Self::M2m, Self::Native, Self::Service, Self::Spa, Self::Web];

    /// Whether people sign in to such a client.
    pub const fn signs_people_in(self) -> bool {
        match self {
            Self::Device | Self::Native | Self::Spa | Self::Web => true,
            Self::M2m | Self::Service => false,
        }
    }

    /// Whether such a client sends browsers here, and gets them back.
    pub const fn sends_browsers(self) -> bool {
        match self {
            Self::Native | Self::Spa | Self::Web => true,
            Self::Device | Self::M2m | Self::Service => false,
        }
    }

    /// Whether such a client cannot keep a secret: it is on a person's device (RFC 6749 §2.1).
    pub const fn is_public(self) -> bool {
        match self {
            Self::Device | Self::Native | Self::Spa => true,
            Self::M2m | Self::Service | Self::Web => false,
        }
    }

    /// Where such a client is.
    pub const fn home(self) -> Home {
        match self {
            Self::Native => Home::Device,
            Self::Device | Self::M2m | Self::Service | Self::Spa | Self::Web => Home::Web,
        }
    }

    /// The name of the preset.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::M2m => "m2m",
            Self::Native => "native",
            Self::Service => "service",
            Self::Spa => "spa",
            Self::Web => "web",
        }
    }
}

impl FromStr for Preset {
    type Err = UnknownName;

    fn from_str(raw: &str) -> Result<Self, UnknownName> {
        let known = "device, m2m, native, service, spa, web";
        Self::ALL.into_iter().find(|preset| preset.as_str() == raw).ok_or(UnknownName(known))
    }
}

#[cfg(test)]
impl Client {
    /// A client that may do nothing yet: a test gives it what it is about.
    pub(crate) fn sample() -> Self {
        Self {
            id: ClientId::generate(Timestamp::from_secs(1), &crate::domain::secret::Entropy::seeded(1)),
            name: "Orders".to_owned(),
            organisation: None,
            authentication: ClientAuthentication::none(),
            grants: Vec::new(),
            redirects: Vec::new(),
            post_logout_redirects: Vec::new(),
            scopes: ScopeSet::default(),
            settings: ClientSettings {
                first_party: FirstParty::No,
                id_token_alg: SigningAlg::Es256,
                apis: Vec::new(),
                details_types: Vec::new(),
                serves: None,
                preset: Preset::Web,
                profile: SecurityProfile::None,
                protocol: ProtocolSettings::default(),
                concessions: Concessions::default(),
            },
            disabled_at: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_about_tokens_are_signed_by_rs256_unless_that_is_forbidden_or_another_is_named() {
        let alg = |profile, id_token_alg, named| {
            let mut client = Client::sample();
            (client.settings.profile, client.settings.id_token_alg) = (profile, id_token_alg);
            client.settings.protocol.answers.introspection_response_alg = named;
            client.introspection_alg()
        };
        let (eddsa, ps256) = (SigningAlg::EdDsa, SigningAlg::Ps256);
        assert_eq!(alg(SecurityProfile::None, eddsa, None), SigningAlg::Rs256);
        assert_eq!(alg(SecurityProfile::Oauth21, eddsa, None), SigningAlg::Rs256);
        assert_eq!(alg(SecurityProfile::Fapi2, eddsa, None), eddsa);
        for profile in SecurityProfile::ALL {
            assert_eq!(alg(profile, eddsa, Some(ps256)), ps256);
        }
    }

    #[test]
    fn names_survive_the_way_to_text_and_back() {
        for grant in GrantType::ALL {
            assert_eq!(grant.as_str().parse(), Ok(grant));
            assert_eq!(serde_json::to_string(&grant).unwrap(), format!("\"{}\"", grant.as_str()));
        }
        for preset in Preset::ALL {
            assert_eq!(preset.as_str().parse(), Ok(preset));
            assert_eq!(serde_json::to_string(&preset).unwrap(), format!("\"{}\"", preset.as_str()));
        }
        assert_eq!("password".parse::<GrantType>(), Err(UnknownName(KNOWN_GRANTS)));
    }
}
