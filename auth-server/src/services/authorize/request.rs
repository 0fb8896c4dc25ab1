//! Authorization requests: from raw parameters to a checked request, or to the reason why not.
//!
//! The order matters. As long as client and redirect URI are not known to be good, nothing may be sent to the redirect
//! URI ([RFC 6749 §4.1.2.1]); from then on everything is.
//!
//! [RFC 6749 §4.1.2.1]: https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::config::SignUp;
use crate::domain::claim::ClaimSet;
use crate::domain::claims::{OFFLINE_ACCESS, OPENID};
use crate::domain::client::{Client, GrantType};
use crate::domain::code::CodeBinding;
use crate::domain::confirmation::Thumbprint;
use crate::domain::ids::ClientId;
use crate::domain::parameters::Parameters;
use crate::domain::pkce::CodeChallenge;
use crate::domain::reach::Reach;
use crate::domain::scope::ScopeSet;
use crate::domain::session::Acr;
use crate::services::authorize::refusal::{PageError, RequestError};
use crate::services::authorize::response_mode::ResponseMode;
use crate::services::authorize::wishes::Wishes;
use crate::services::details;

/// The longest `state` or `nonce`: both come back in addresses and tokens.
const LONGEST_ECHO: usize = 4096;
/// The most resources of one request.
const MOST_RESOURCES: usize = 8;

/// Whether a request, good or not, wants nobody to be asked (`prompt=none`).
pub(super) fn is_silent(parameters: &Parameters) -> bool {
    parameters.get("prompt").is_ok_and(|prompt| prompt == Some("none"))
}

/// An authorization request that was found good. Interactions keep it as JSON.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct AuthorizeRequest {
    pub(crate) client: ClientId,
    pub(crate) address: ReturnAddress,
    pub(crate) scopes: ScopeSet,
    #[serde(flatten)]
    pub(crate) reach: Reach,
    #[serde(flatten)]
    pub(crate) binding: CodeBinding,
    pub(crate) nonce: Option<String>,
    pub(crate) prompt: BTreeSet<Prompt>,
    #[serde(flatten)]
    pub(crate) wishes: Wishes,
}

impl AuthorizeRequest {
    pub(crate) fn asks_for(&self, prompt: Prompt) -> bool {
        self.prompt.contains(&prompt)
    }

    /// Whether a proof of this strength is none of those that the client insists on. What it asks for about a token for an API it insists
    /// on, or else who is sent here by the API would be sent here for ever (RFC 9470 §5).
    pub(super) fn forbids(&self, acr: Acr) -> bool {
        self.wishes.forbid(acr, !self.reach.apis.is_empty())
    }

    /// Whether no proof would do.
    pub(super) fn asks_for_the_impossible(&self) -> bool {
        Acr::ALL.into_iter().all(|acr| self.forbids(acr))
    }

    /// Whether a new account is asked for, where people make accounts in this way.
    pub(super) fn creates(&self, sign_up: SignUp) -> bool {
        sign_up.is_open() && self.asks_for(Prompt::Create)
    }

    /// Refuses what does not work where people make accounts in this way (OpenID Connect Core §3.1.2.1, Initiating User Registration
    /// 1.0 §4).
    pub(super) fn fits(&self, sign_up: SignUp) -> Result<(), RequestError> {
        if self.asks_for(Prompt::Create) && !sign_up.is_open() { Err(RequestError::Create) } else { Ok(()) }
    }

    /// The claims that are asked for one by one, and that the scopes do not reveal.
    pub(crate) fn single_claims(&self) -> ClaimSet {
        self.wishes.claims.single.all().beyond(&self.scopes)
    }

    /// The same for a client that may ask for no more than these scopes.
    #[must_use]
    pub(super) fn within(mut self, scopes: &ScopeSet) -> Self {
        self.scopes = self.scopes.intersection(scopes);
        self.wishes.claims.single = self.wishes.claims.single.within(scopes);
        self
    }
}

/// Where the answer goes, and what goes with it unchanged.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct ReturnAddress {
    pub(crate) uri: String,
    /// Whether the request named the URI; then the token request has to repeat it (RFC 6749 §4.1.3).
    pub(crate) named: bool,
    pub(crate) state: Option<String>,
    #[serde(default)]
    pub(crate) mode: ResponseMode,
}

/// What a client asks about the person (OpenID Connect Core §3.1.2.1; `create`: Initiating User Registration 1.0 §4).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Prompt {
    Consent,
    Create,
    Login,
    None,
    SelectAccount,
}

impl Prompt {
    const ALL: [Self; 5] = [Self::Consent, Self::Create, Self::Login, Self::None, Self::SelectAccount];

    /// Those that work where people make accounts in this way.
    pub(crate) fn supported(sign_up: SignUp) -> Vec<&'static str> {
        let works = |prompt: &Self| *prompt != Self::Create || sign_up.is_open();
        Self::ALL.into_iter().filter(works).map(Self::as_str).collect()
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Consent => "consent",
            Self::Create => "create",
            Self::Login => "login",
            Self::None => "none",
            Self::SelectAccount => "select_account",
        }
    }
}

/// Reads who sends the request.
pub(crate) fn client_id(parameters: &Parameters) -> Result<ClientId, PageError> {
    let raw = parameters.get("client_id").map_err(|_| PageError::ClientRepeated)?;
    ClientId::parse(raw.ok_or(PageError::ClientMissing)?).map_err(|_| PageError::ClientUnknown)
}

/// Finds out where the answer may be sent.
pub(crate) fn return_address(parameters: &Parameters, client: &Client) -> Result<ReturnAddress, PageError> {
    let named = parameters.get("redirect_uri").map_err(|_| PageError::RedirectRepeated)?;
    let uri = match named {
        Some(uri) if client.redirect_for(uri).is_some() => uri,
        Some(_) => return Err(PageError::RedirectNotRegistered),
        None => only_redirect(parameters, client)?,
    };
    // A state that was repeated or is too long is an error of its own, told without a state.
    let state = parameters.get("state").ok().flatten().filter(|state| state.len() <= LONGEST_ECHO);
    // So is a mode that does not exist, told in the query.
    let mode = parameters.get("response_mode").ok().and_then(ResponseMode::parse).unwrap_or_default();
    Ok(ReturnAddress { uri: uri.to_owned(), named: named.is_some(), state: state.map(str::to_owned), mode })
}

/// RFC 6749 §3.1.2.3: the URI may be left out when exactly one is registered. OpenID Connect requires it always (Core §3.1.2.1), and so
/// may a profile.
fn only_redirect<'a>(parameters: &Parameters, client: &'a Client) -> Result<&'a str, PageError> {
    let asks_for_id_token = parameters.all("scope").any(|scope| scope.split(' ').any(|word| word == OPENID));
    match client.redirects.as_slice() {
        [only] if !asks_for_id_token && !client.settings.profile.demands_named_redirect() => {
            Ok(only.as_str())
        }
        _ => Err(PageError::RedirectMissing),
    }
}

/// A request of which all is checked that needs neither the database nor a key.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) request: AuthorizeRequest,
    pub(crate) resources: Vec<&'a str>,
    pub(crate) id_token_hint: Option<&'a str>,
}

/// Reads what is left of a request once its answer has an address.
pub(crate) fn read<'a>(
    parameters: &'a Parameters,
    client: &Client,
    address: &ReturnAddress,
) -> Result<Draft<'a>, RequestError> {
    refuse_what_is_not_built(parameters)?;
    if parameters.has_repeats("resource") {
        return Err(RequestError::Repeated);
    }
    response_type(parameters, client)?;
    if !client.allows(GrantType::AuthorizationCode) {
        return Err(RequestError::Unauthorized);
    }
    if parameters.all("state").chain(parameters.all("nonce")).any(|value| value.len() > LONGEST_ECHO) {
        return Err(RequestError::TooLong);
    }
    let scopes = scopes_beside_a_place(parameters, client)?;
    let wishes = Wishes::read(parameters, &scopes, client)?;
    let request = AuthorizeRequest {
        client: client.id.clone(),
        address: address.clone(),
        scopes,
        reach: Reach::default(),
        binding: CodeBinding { challenge: challenge(parameters, client)?, jkt: key(parameters)? },
        nonce: parameters.get("nonce")?.map(str::to_owned),
        prompt: prompts(parameters.get("prompt")?)?,
        wishes,
    };
    let resources = resources(parameters)?;
    Ok(Draft { request, resources, id_token_hint: parameters.get("id_token_hint")? })
}

/// OpenID Connect Core §6.1, §6.2 and §7.2.1: what is not supported is refused by its own name.
fn refuse_what_is_not_built(parameters: &Parameters) -> Result<(), RequestError> {
    [("request_uri", RequestError::RequestUri), ("registration", RequestError::Registration)]
        .into_iter()
        .find(|(name, _)| parameters.has_any(&[name]))
        .map_or(Ok(()), |(_, error)| Err(error))
}

fn response_type(parameters: &Parameters, client: &Client) -> Result<(), RequestError> {
    match parameters.get("response_type")? {
        Some("code") => {}
        Some(_) => return Err(RequestError::ResponseTypeUnsupported),
        None => return Err(RequestError::ResponseTypeMissing),
    }
    let mode = ResponseMode::parse(parameters.get("response_mode")?).ok_or(RequestError::ResponseMode)?;
    let settings = &client.settings;
    let alg = settings.protocol.answers.authorization_response_alg;
    let is_to_be_signed = settings.profile.demands_signed_answers() && alg.is_some();
    if is_to_be_signed && !mode.is_signed() { Err(RequestError::ResponseModeUnsigned) } else { Ok(()) }
}

/// RFC 9700 §2.1.1: a challenge is required of every client that an administrator does not spare it, and only as S256. A method without
/// a challenge is what is left when somebody takes the challenge away.
fn challenge(parameters: &Parameters, client: &Client) -> Result<Option<CodeChallenge>, RequestError> {
    let method = parameters.get("code_challenge_method")?;
    match parameters.get("code_challenge")? {
        Some(value) => Ok(Some(CodeChallenge::parse(method, value)?)),
        None if method.is_some() || client.must_use_pkce() => Err(RequestError::PkceMissing),
        None => Ok(None),
    }
}

/// RFC 9449 §10: the key that the client will have to prove when it redeems the code.
fn key(parameters: &Parameters) -> Result<Option<Thumbprint>, RequestError> {
    parameters.get("dpop_jkt")?.map(Thumbprint::parse).transpose().map_err(|_| RequestError::KeyUnreadable)
}

/// What is asked for in detail needs no scope beside it (RFC 9396 §3.1), nor does an API that is named: what the person may do there, roles
/// say. A scope that is there has to be good.
fn scopes_beside_a_place(parameters: &Parameters, client: &Client) -> Result<ScopeSet, RequestError> {
    match parameters.get("scope")? {
        None if parameters.has_any(&["resource", details::PARAMETER]) => Ok(ScopeSet::default()),
        raw => scopes(raw, client),
    }
}

/// Keeps the scopes that the client may ask for.
///
/// What is not known is left out (OpenID Connect Core §3.1.2.1), and the token response says what was granted (RFC 6749
/// §3.3). A request of which nothing remains is refused, as is one without scopes: there is no default that could surprise.
pub(crate) fn scopes(raw: Option<&str>, client: &Client) -> Result<ScopeSet, RequestError> {
    let asked = ScopeSet::parse(raw.unwrap_or_default()).map_err(|_| RequestError::Scope)?;
    let granted = asked.intersection(&client.scopes);
    let granted = if client.allows(GrantType::RefreshToken) { granted } else { without_offline(&granted) };
    if granted.is_empty() { Err(RequestError::Scope) } else { Ok(granted) }
}

fn without_offline(scopes: &ScopeSet) -> ScopeSet {
    let kept: Vec<&str> = scopes.iter().filter(|scope| *scope != OFFLINE_ACCESS).collect();
    ScopeSet::parse(&kept.join(" ")).unwrap_or_default()
}

fn prompts(raw: Option<&str>) -> Result<BTreeSet<Prompt>, RequestError> {
    let known = |word: &str| Prompt::ALL.into_iter().find(|prompt| prompt.as_str() == word);
    let prompts = raw
        .into_iter()
        .flat_map(|raw| raw.split(' '))
        .map(|word| known(word).ok_or(RequestError::Prompt))
        .collect::<Result<BTreeSet<_>, _>>()?;
    // OpenID Connect Core §3.1.2.1: none stands alone.
    if prompts.contains(&Prompt::None) && prompts.len() > 1 { Err(RequestError::Prompt) } else { Ok(prompts) }
}

/// RFC 8707 §2: what tokens are to be for, each named once.
fn resources(parameters: &Parameters) -> Result<Vec<&str>, RequestError> {
    let mut named: Vec<&str> = Vec::new();
    for resource in parameters.all("resource").filter(|resource| !resource.is_empty()) {
        if !named.contains(&resource) {
            named.push(resource);
        }
    }
    if named.len() > MOST_RESOURCES { Err(RequestError::Resource) } else { Ok(named) }
}

/// The same for a request for one token, which has one audience.
pub(crate) fn single_resource(parameters: &Parameters) -> Result<Option<&str>, RequestError> {
    let mut resources = parameters.all("resource");
    let first = resources.next();
    if resources.next().is_some() {
        return Err(RequestError::Resource);
    }
    Ok(first.filter(|resource| !resource.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::domain::client_authentication::AuthMethod;
    use crate::domain::client_concessions::Pkce;
    use crate::domain::oauth_error::OAuthErrorCode;
    use crate::domain::redirect_uri::RedirectUri;

    const CLIENT: &str = "cli_00000000000070008000000000000001";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn client(redirects: &[&str]) -> Client {
        Client {
            id: ClientId::parse(CLIENT).unwrap(),
            grants: vec![GrantType::AuthorizationCode],
            redirects: redirects.iter().map(|uri| RedirectUri::parse(uri).unwrap()).collect(),
            scopes: ScopeSet::parse("openid profile email offline_access").unwrap(),
            ..Client::sample()
        }
    }

    fn good() -> String {
        format!(
            "response_type=code&client_id={CLIENT}&redirect_uri=https://rp.test/cb&scope=openid&state=s\
             &code_challenge={CHALLENGE}&code_challenge_method=S256"
        )
    }

    fn parse(query: &str) -> Parameters {
        Parameters::parse(query.as_bytes()).unwrap()
    }

    fn outcome(query: &str) -> Result<AuthorizeRequest, RequestError> {
        let client = client(&["https://rp.test/cb"]);
        let parameters = parse(query);
        let address = return_address(&parameters, &client).unwrap();
        read(&parameters, &client, &address).map(|draft| draft.request)
    }

    fn with(more: &str) -> Result<AuthorizeRequest, RequestError> {
        outcome(&format!("{}&{more}", good()))
    }

    fn changed(from: &str, to: &str) -> Result<AuthorizeRequest, RequestError> {
        let query = good();
        assert!(query.contains(from), "{from}");
        outcome(&query.replace(from, to))
    }

    #[test]
    fn a_good_request_is_read() {
        let request = with("nonce=n&prompt=login+consent&max_age=60&login_hint=ada&ui_locales=de").unwrap();
        assert_eq!(request.scopes.to_string(), "openid");
        assert_eq!(request.nonce.as_deref(), Some("n"));
        assert!(request.asks_for(Prompt::Login) && request.asks_for(Prompt::Consent));
        assert_eq!(request.wishes.max_age_secs, Some(60));
        assert_eq!(request.wishes.login_hint.as_deref(), Some("ada"));
        assert_eq!(request.address.state.as_deref(), Some("s"));
    }

    #[test]
    fn a_request_survives_being_kept_as_json() {
        let claims = "%7B%22userinfo%22:%7B%22email%22:null,%22sub%22:%7B%22value%22:%22x%22%7D%7D%7D";
        let request = with(&format!("prompt=select_account&nonce=n&max_age=7&claims={claims}")).unwrap();
        assert_eq!(request.single_claims().to_string(), "email");
        let kept = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<AuthorizeRequest>(&kept).unwrap(), request);
        // One that was kept before there were claims.
        let mut older: serde_json::Value = serde_json::from_str(&kept).unwrap();
        older.as_object_mut().unwrap().remove("claims").unwrap();
        assert_eq!(serde_json::from_value::<AuthorizeRequest>(older).unwrap().wishes.max_age_secs, Some(7));
    }

    #[test]
    fn a_client_that_cannot_be_named_gets_a_page() {
        assert_eq!(client_id(&parse("")), Err(PageError::ClientMissing));
        assert_eq!(client_id(&parse("client_id=")), Err(PageError::ClientMissing));
        assert_eq!(client_id(&parse("client_id=nope")), Err(PageError::ClientUnknown));
        let twice = format!("client_id={CLIENT}&client_id={CLIENT}");
        assert_eq!(client_id(&parse(&twice)), Err(PageError::ClientRepeated));
    }

    #[test]
    fn an_address_that_is_not_registered_gets_a_page() {
        let client = client(&["https://rp.test/cb", "https://rp.test/other"]);
        for uri in ["https://rp.test/cb/", "https://RP.test/cb", "https://rp.test/cb?x", "https://evil.test/"]
        {
            let refused = return_address(&parse(&format!("redirect_uri={uri}")), &client);
            assert_eq!(refused, Err(PageError::RedirectNotRegistered), "{uri}");
        }
        let twice = parse("redirect_uri=https://rp.test/cb&redirect_uri=https://rp.test/cb");
        assert_eq!(return_address(&twice, &client), Err(PageError::RedirectRepeated));
        assert_eq!(return_address(&parse("scope=x"), &client), Err(PageError::RedirectMissing));
    }

    #[test]
    fn an_omitted_address_is_the_only_registered_one_unless_an_id_token_is_asked_for() {
        let client = client(&["https://rp.test/cb"]);
        let address = return_address(&parse("scope=email"), &client).unwrap();
        assert_eq!((address.uri.as_str(), address.named), ("https://rp.test/cb", false));
        assert_eq!(return_address(&parse("scope=email+openid"), &client), Err(PageError::RedirectMissing));
    }

    #[test]
    fn only_the_code_flow_exists_and_never_in_the_fragment() {
        for other in ["token", "id_token", "code+token", "id_token+token", "none", "CODE"] {
            let refused = changed("response_type=code", &format!("response_type={other}"));
            assert_eq!(refused.unwrap_err().code(), OAuthErrorCode::UnsupportedResponseType, "{other}");
        }
        assert_eq!(changed("response_type=code", "response_type="), Err(RequestError::ResponseTypeMissing));
        assert_eq!(with("response_mode=query"), outcome(&good()));
        for mode in ["fragment", "fragment.jwt", "web_message", "Query"] {
            assert_eq!(with(&format!("response_mode={mode}")), Err(RequestError::ResponseMode), "{mode}");
        }
    }

    #[test]
    fn pkce_is_required_and_only_as_s256() {
        let challenge = format!("&code_challenge={CHALLENGE}");
        assert_eq!(changed(&challenge, ""), Err(RequestError::PkceMissing));
        assert_eq!(changed("=S256", "=plain"), Err(RequestError::PkceNotAcceptable));
        assert_eq!(changed("&code_challenge_method=S256", ""), Err(RequestError::PkceNotAcceptable));
        assert_eq!(changed(CHALLENGE, "short"), Err(RequestError::PkceNotAcceptable));
    }

    #[test]
    fn a_client_that_is_spared_pkce_is_held_to_what_it_sends() {
        let mut client = client(&["https://rp.test/cb"]);
        client.authentication.method = AuthMethod::ClientSecret;
        client.settings.concessions.pkce = Pkce::Optional;
        let read_by = |client: &Client, query: &str| {
            let parameters = parse(query);
            let address = return_address(&parameters, client).unwrap();
            read(&parameters, client, &address).map(|draft| draft.request.binding.challenge)
        };
        let (whole, challenge) = (good(), format!("&code_challenge={CHALLENGE}"));
        let neither = whole.replace(&challenge, "").replace("&code_challenge_method=S256", "");
        assert_eq!(read_by(&client, &neither), Ok(None));
        assert!(read_by(&client, &whole).unwrap().is_some());
        assert_eq!(read_by(&client, &whole.replace(&challenge, "")), Err(RequestError::PkceMissing));
        for bad in [whole.replace("=S256", "=plain"), whole.replace(CHALLENGE, "short")] {
            assert_eq!(read_by(&client, &bad), Err(RequestError::PkceNotAcceptable), "{bad}");
        }
        // What it is counts as well as what was said of it.
        client.authentication.method = AuthMethod::None;
        assert_eq!(read_by(&client, &neither), Err(RequestError::PkceMissing));
    }

    #[test]
    fn a_request_without_a_challenge_is_kept_so_that_only_who_knows_of_it_reads_it() {
        let mut request = with("nonce=n").unwrap();
        request.binding.challenge = None;
        let kept = serde_json::to_value(&request).unwrap();
        assert_eq!(kept.get("code_challenge"), None);
        assert_eq!(kept.get("challenge"), None, "a replica that wants one finds none");
        assert_eq!(serde_json::from_value::<AuthorizeRequest>(kept.clone()).unwrap(), request);
        // What is there and no challenge is not taken for none.
        let mut odd = kept;
        odd["challenge"] = "short".into();
        assert!(serde_json::from_value::<AuthorizeRequest>(odd).is_err());
    }

    #[test]
    fn a_repeated_parameter_is_refused_and_so_are_more_resources_than_may_be() {
        for repeated in
            ["scope=email", "nonce=a&nonce=b", "state=t", "prompt=login&prompt=login", "foo=1&foo=2"]
        {
            assert_eq!(with(repeated), Err(RequestError::Repeated), "{repeated}");
        }
        let resources =
            |count: usize| (0..count).map(|n| format!("resource=https://{n}.test")).collect::<Vec<_>>();
        assert!(with(&resources(MOST_RESOURCES).join("&")).is_ok(), "RFC 8707 has several");
        assert_eq!(with(&resources(MOST_RESOURCES + 1).join("&")), Err(RequestError::Resource));
    }

    #[test]
    fn prompt_none_stands_alone_and_unknown_prompts_are_refused() {
        assert!(with("prompt=none").unwrap().asks_for(Prompt::None));
        for prompt in ["none+login", "none+create", "login++consent", "LOGIN"] {
            assert_eq!(with(&format!("prompt={prompt}")), Err(RequestError::Prompt), "{prompt}");
        }
    }

    #[test]
    fn an_account_is_asked_for_only_where_everybody_makes_one() {
        for (sign_up, works) in [(SignUp::Closed, false), (SignUp::Invitation, false), (SignUp::Open, true)] {
            assert_eq!(Prompt::supported(sign_up).contains(&"create"), works, "{sign_up:?}");
            for prompt in ["create", "login+create"] {
                let request = with(&format!("prompt={prompt}")).unwrap();
                assert_eq!(request.fits(sign_up), if works { Ok(()) } else { Err(RequestError::Create) });
            }
            assert_eq!(with("prompt=login").unwrap().fits(sign_up), Ok(()));
        }
    }

    #[test]
    fn what_is_not_built_is_refused_by_its_own_name() {
        for (asked, error, code) in [
            ("request_uri=https://rp.test/r", RequestError::RequestUri, "request_uri_not_supported"),
            ("registration=%7B%7D", RequestError::Registration, "registration_not_supported"),
        ] {
            assert_eq!(with(asked), Err(error), "{asked}");
            assert_eq!(error.code().as_str(), code);
        }
    }

    #[test]
    fn scopes_that_the_client_may_not_ask_for_are_left_out() {
        let request = changed("scope=openid", "scope=openid+admin+email").unwrap();
        assert_eq!(request.scopes.to_string(), "email openid");
        for nothing in ["scope=", "scope=admin", "scope=openid++email", "scope=a%22b"] {
            assert_eq!(changed("scope=openid", nothing), Err(RequestError::Scope), "{nothing}");
        }
    }

    #[test]
    fn offline_access_needs_a_client_that_may_refresh() {
        let request = changed("scope=openid", "scope=openid+offline_access").unwrap();
        assert!(!request.scopes.contains(OFFLINE_ACCESS));
    }

    #[test]
    fn what_is_not_supported_is_refused_by_its_own_name() {
        for (sent, code) in [
            ("request_uri=https://evil.test/r", OAuthErrorCode::RequestUriNotSupported),
            ("registration=%7B%7D", OAuthErrorCode::RegistrationNotSupported),
        ] {
            assert_eq!(with(sent).unwrap_err().code(), code, "{sent}");
        }
    }

    #[test]
    fn a_client_without_the_grant_is_refused() {
        let mut machine = client(&["https://rp.test/cb"]);
        machine.grants = vec![GrantType::ClientCredentials];
        let (parameters, query) = (parse(&good()), good());
        let address = return_address(&parameters, &machine).unwrap();
        let refused = read(&parameters, &machine, &address).map(|_| query);
        assert_eq!(refused, Err(RequestError::Unauthorized));
    }

    #[test]
    fn what_comes_back_has_a_limit() {
        let long = "x".repeat(LONGEST_ECHO + 1);
        assert_eq!(with(&format!("nonce={long}")), Err(RequestError::TooLong));
        assert_eq!(changed("state=s", &format!("state={long}")), Err(RequestError::TooLong));
    }

    #[test]
    fn descriptions_hold_only_characters_that_an_error_may_carry() {
        for error in RequestError::ALL {
            let text = error.to_string();
            // RFC 6749 §4.1.2.1: %x20-21 / %x23-5B / %x5D-7E.
            assert!(text.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)), "{text}");
        }
    }
}
