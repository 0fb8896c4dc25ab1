//! Authentication requests: from raw parameters to a checked request, or to the reason why not ([CIBA §7.1]).
//!
//! [CIBA §7.1]: https://openid.net/specs/openid-client-initiated-backchannel-authentication-core-1_0.html#auth_request

use std::time::Duration;

use crate::domain::ciba::{BindingMessage, CibaSettings, CibaWishes, Delivery, NotificationToken};
use crate::domain::claims::OPENID;
use crate::domain::client::Client;
use crate::domain::details::fault::DetailsFault;
use crate::domain::parameters::Parameters;
use crate::domain::scope::ScopeSet;
use crate::services::authorize::request::{scopes, single_resource};
use crate::services::authorize::wishes::max_age;
use crate::services::ciba::error::CibaError;
use crate::services::details;

/// What a request may say, but who sends it. In a signed request all of it stands in the object (§7.1.1).
pub(super) const PARAMETERS: [&str; 13] = [
    "acr_values",
    details::PARAMETER,
    "binding_message",
    "client_notification_token",
    "id_token_hint",
    "login_hint",
    "login_hint_token",
    "max_age",
    "request_uri",
    "requested_expiry",
    "resource",
    "scope",
    "user_code",
];
/// The shortest life that a client may ask for: somebody has to read.
const SHORTEST_LIFE: Duration = Duration::from_secs(30);
/// How many values of `acr` are looked at.
const MAX_ACR_VALUES: usize = 10;

/// A request of which all is checked that needs neither the database nor a key.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) scopes: ScopeSet,
    pub(super) resource: Option<&'a str>,
    pub(super) hint: Hint<'a>,
    pub(super) binding_message: Option<BindingMessage>,
    pub(super) wishes: CibaWishes,
    pub(super) life: Duration,
    /// `None` if the client only asks.
    pub(super) notification_token: Option<NotificationToken>,
}

/// Whom the client means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Hint<'a> {
    /// An ID token that it got.
    IdToken(&'a str),
    /// What the person types to sign in.
    Login(&'a str),
}

/// Reads a request. Without a wish of the client it lives for `life`, which is also the longest.
pub(super) fn read<'a>(
    parameters: &'a Parameters,
    client: &Client,
    settings: &CibaSettings,
    life: Duration,
) -> Result<Draft<'a>, CibaError> {
    if parameters.get("request_uri")?.is_some() {
        return Err(CibaError::RequestUri);
    }
    // A request that asks for more than it would get is refused, and not answered with less.
    if parameters.get(details::PARAMETER)?.is_some() {
        return Err(DetailsFault::NotHere.into());
    }
    // Whoever sends one believes that it is checked.
    if parameters.get("user_code")?.is_some() {
        return Err(CibaError::UserCode);
    }
    let message = parameters.get("binding_message")?.map(BindingMessage::parse).transpose();
    Ok(Draft {
        scopes: openid_scopes(parameters, client)?,
        resource: single_resource(parameters).map_err(|_| CibaError::Resource)?,
        hint: hint(parameters)?,
        binding_message: message.map_err(|_| CibaError::BindingMessage)?,
        wishes: CibaWishes {
            acr_values: acr_values(parameters)?,
            max_age_secs: max_age(parameters.get("max_age")?)
                .map_err(|_| CibaError::MaxAge)?
                .or(client.default_max_age_secs()),
        },
        life: requested_life(parameters)?.map_or(life, |wish| wish.max(SHORTEST_LIFE).min(life)),
        notification_token: notification_token(parameters, settings)?,
    })
}

fn openid_scopes(parameters: &Parameters, client: &Client) -> Result<ScopeSet, CibaError> {
    let raw = parameters.get("scope")?.ok_or(CibaError::ScopeMissing)?;
    let scopes = scopes(Some(raw), client).map_err(|_| CibaError::Scope)?;
    if scopes.contains(OPENID) { Ok(scopes) } else { Err(CibaError::Scope) }
}

fn hint(parameters: &Parameters) -> Result<Hint<'_>, CibaError> {
    let login = parameters.get("login_hint")?;
    let id_token = parameters.get("id_token_hint")?;
    match (login, id_token, parameters.get("login_hint_token")?) {
        (Some(login), None, None) => Ok(Hint::Login(login)),
        (None, Some(token), None) => Ok(Hint::IdToken(token)),
        (None, None, Some(_)) => Err(CibaError::HintToken),
        _ => Err(CibaError::Hint),
    }
}

fn acr_values(parameters: &Parameters) -> Result<Vec<String>, CibaError> {
    let raw = parameters.get("acr_values")?.unwrap_or_default();
    let values = raw.split(' ').filter(|value| !value.is_empty());
    Ok(values.take(MAX_ACR_VALUES).map(str::to_owned).collect())
}

fn requested_life(parameters: &Parameters) -> Result<Option<Duration>, CibaError> {
    let Some(raw) = parameters.get("requested_expiry")? else { return Ok(None) };
    let is_number = raw.bytes().all(|byte| byte.is_ascii_digit());
    let secs = is_number.then(|| raw.parse().unwrap_or(u32::MAX)).filter(|secs| *secs > 0);
    secs.map(|secs| Some(Duration::from_secs(u64::from(secs)))).ok_or(CibaError::Expiry)
}

/// §7.1: a client that is told of decisions sends what it knows the server by then. Of any other it means nothing.
fn notification_token(
    parameters: &Parameters,
    settings: &CibaSettings,
) -> Result<Option<NotificationToken>, CibaError> {
    match settings.delivery {
        Delivery::Poll => Ok(None),
        Delivery::Ping { .. } => {
            let raw = parameters.get("client_notification_token")?.ok_or(CibaError::NotificationToken)?;
            NotificationToken::parse(raw).map(Some).map_err(|_| CibaError::NotificationToken)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_mins(5);

    fn draft_of(form: &str) -> Result<(Duration, CibaWishes), CibaError> {
        let client = Client { scopes: ScopeSet::parse("openid email").unwrap(), ..Client::sample() };
        let parameters = Parameters::parse(form.as_bytes()).unwrap();
        let settings = CibaSettings { delivery: Delivery::Poll, request_alg: None };
        read(&parameters, &client, &settings, LIFE).map(|draft| (draft.life, draft.wishes))
    }

    #[test]
    fn a_wish_for_a_life_is_bounded_on_both_sides() {
        for (asked, secs) in
            [("", 300), ("1", 30), ("30", 30), ("120", 120), ("301", 300), ("99999999999999", 300)]
        {
            let (life, _) =
                draft_of(&format!("scope=openid&login_hint=ada&requested_expiry={asked}")).unwrap();
            assert_eq!(life, Duration::from_secs(secs), "{asked}");
        }
    }

    #[test]
    fn wishes_about_the_sign_in_are_kept() {
        let many = vec!["a"; 30].join("+");
        let (_, wishes) =
            draft_of(&format!("scope=openid&login_hint=ada&max_age=7&acr_values=+{many}")).unwrap();
        assert_eq!((wishes.max_age_secs, wishes.acr_values.len()), (Some(7), MAX_ACR_VALUES));
    }
}
