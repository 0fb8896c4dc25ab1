//! The introspection endpoint ([RFC 7662 §2](https://www.rfc-editor.org/rfc/rfc7662#section-2)), which answers in JSON, or with a JWT
//! whoever asks for one ([RFC 9701 §4](https://www.rfc-editor.org/rfc/rfc9701#section-4)).

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};

use crate::http::oauth::client_request::ClientRequest;
use crate::http::oauth::error::OAuthError;
use crate::http::oauth::no_store::NoStore;
use crate::services::introspect::IntrospectionService;

/// The media type of an answer that is signed.
const SIGNED: &str = "application/token-introspection+jwt";

pub(super) async fn introspect(
    State(introspection): State<IntrospectionService>,
    headers: HeaderMap,
    request: Result<ClientRequest, OAuthError>,
) -> Result<Response, OAuthError> {
    let is_signed = wants_signed(&headers);
    let answer = answer(&introspection, request, is_signed).await;
    // Whoever asks for a signed answer and says nothing of itself is told 400 (RFC 9701 §5). Credentials in the header that are not
    // accepted are 401 in any case (RFC 6749 §5.2).
    answer.map_err(|error| {
        if is_signed && !headers.contains_key(AUTHORIZATION) { error.without_challenge() } else { error }
    })
}

async fn answer(
    introspection: &IntrospectionService,
    request: Result<ClientRequest, OAuthError>,
    is_signed: bool,
) -> Result<Response, OAuthError> {
    let request = request?;
    let (client, now) = (&request.caller.client, request.caller.now);
    let found = introspection.introspect(client, request.token()?, now).await?;
    if !is_signed {
        return Ok(NoStore(Json(found)).into_response());
    }
    let jwt = introspection.sign(client, &found, now)?;
    Ok(NoStore(([(CONTENT_TYPE, SIGNED)], jwt)).into_response())
}

/// Whether a signed answer is named, and liked no less than a plain one (RFC 9110 §12.5.1). Whoever takes anything gets the plain one.
fn wants_signed(headers: &HeaderMap) -> bool {
    let (mut signed, mut plain) = (None, Liking::default());
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for range in values.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let Some(weight) = weight(parts) else { continue };
        match kind.to_ascii_lowercase().as_str() {
            SIGNED => signed = Some(weight),
            "application/json" => plain.named = Some(weight),
            "application/*" => plain.of_kind = Some(weight),
            "*/*" => plain.any = Some(weight),
            _ => {}
        }
    }
    signed.is_some_and(|signed| signed > 0 && signed >= plain.weight())
}

/// How much plain JSON is liked: what names it most precisely counts.
#[derive(Default)]
struct Liking {
    named: Option<u16>,
    of_kind: Option<u16>,
    any: Option<u16>,
}

impl Liking {
    fn weight(&self) -> u16 {
        self.named.or(self.of_kind).or(self.any).unwrap_or_default()
    }
}

/// The weight among the parameters of a media range, in thousandths. One that cannot be read is none, and its range is not there.
fn weight<'a>(mut parameters: impl Iterator<Item = &'a str>) -> Option<u16> {
    let named = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.eq_ignore_ascii_case("q").then_some(value)
    });
    let Some(text) = named else { return Some(1000) };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok()?;
    match (whole, thousandths) {
        ("0", thousandths) => Some(thousandths),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn is_signed(values: &[&'static str]) -> bool {
        wants_signed(&values.iter().map(|value| (ACCEPT, HeaderValue::from_static(value))).collect())
    }

    #[test]
    fn who_names_a_signed_answer_and_likes_no_other_better_gets_one() {
        for values in [
            &["application/token-introspection+jwt"][..],
            &["Application/Token-Introspection+JWT"],
            &["application/token-introspection+jwt, application/json;q=0.9"],
            &["application/json, application/token-introspection+jwt"],
            &["application/json;q=0.9", "application/token-introspection+jwt"],
            &["application/json ; q=0.5 , application/token-introspection+jwt ; q=0.501"],
            &["application/token-introspection+jwt;q=0.001"],
            &["application/token-introspection+jwt;q=0.5, application/json;q=0.4, */*"],
            &["application/token-introspection+jwt;q=0.5, application/*;q=0.2, */*"],
            &["text/html, application/token-introspection+jwt;Q=1.000"],
        ] {
            assert!(is_signed(values), "{values:?}");
        }
    }

    #[test]
    fn all_others_get_a_plain_one() {
        for values in [
            &[][..],
            &[""],
            &["*/*"],
            &["application/*"],
            &["application/jwt"],
            &["application/json"],
            &["text/html"],
            &["application/token-introspection+jwt;q=0"],
            &["application/token-introspection+jwt;q=0.000, text/html"],
            &["application/token-introspection+jwt;q=0.9, application/json"],
            &["application/token-introspection+jwt;q=0.9, */*"],
            &["application/token-introspection+jwt;q=0.9, application/*;q=0.95, */*;q=0.1"],
            &["application/token-introspection+jwt;q=2"],
            &["application/token-introspection+jwt;q=1.001"],
            &["application/token-introspection+jwt;q=0.0001"],
            &["application/token-introspection+jwt;q=+0.5"],
            &["application/token-introspection+jwt;q=0.+5"],
            &["application/token-introspection+jwt;q="],
            &["application/token-introspection+jwtx"],
        ] {
            assert!(!is_signed(values), "{values:?}");
        }
    }
}
