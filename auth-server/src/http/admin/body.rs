//! Reading what a request brings: a JSON body and query parameters, each refused with the place of the mistake.

use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use crate::http::admin::problem::{MALFORMED, Problem, ProblemKind};
use crate::services::fields::FieldErrors;

/// The largest body of the admin API: a policy of some twenty thousand rules. The server as a whole may take in less.
pub(crate) const MAX_BODY_BYTES: usize = 1024 * 1024;

/// A JSON body of the declared shape: no unknown field, no repeated field, nothing behind it.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(ProblemKind::UnsupportedMediaType));
        }
        parse(&bytes(request).await?).map(Self)
    }
}

/// No body, or `null`, or a JSON object without a member: what was said in one would be passed over in silence.
pub(crate) struct NoBody;

/// An object without a member.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object without members")]
struct Nothing {}

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let bytes = bytes(request).await?;
        if bytes.is_empty() {
            return Ok(Self);
        }
        parse::<Option<Nothing>>(&bytes).map(|_| Self)
    }
}

async fn bytes(request: Request) -> Result<axum::body::Bytes, Problem> {
    let bytes = axum::body::to_bytes(request.into_body(), MAX_BODY_BYTES).await;
    bytes.map_err(|_| Problem::new(ProblemKind::TooLarge))
}

/// Query parameters of the declared shape: no unknown parameter, no repeated parameter.
pub(crate) struct Parameters<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        if holds_control(parts.uri.query().unwrap_or_default()) {
            let detail = "The query cannot be read: it holds a control character.";
            return Err(Problem::new(ProblemKind::Malformed).with_detail(detail));
        }
        Query::try_from_uri(&parts.uri).map(|Query(parameters)| Self(parameters)).map_err(|refusal| {
            let detail = without_value(
                &std::error::Error::source(&refusal).map_or_else(String::new, ToString::to_string),
            );
            Problem::new(ProblemKind::Malformed).with_detail(format!("The query cannot be read: {detail}."))
        })
    }
}

/// Whether anything in a query is or stands for a control character: no parameter has any, and not every database takes them.
fn holds_control(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes())
        .any(|(name, value)| name.contains(char::is_control) || value.contains(char::is_control))
}

/// Whether the body says that it is JSON. A parameter such as `charset` changes nothing (RFC 8259 §11 defines none).
fn is_json(headers: &http::HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

#[expect(clippy::result_large_err, reason = "a problem is made once for a request that is refused")]
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    read(bytes).map_err(|errors| Problem::new(ProblemKind::Malformed).with_errors(&errors))
}

/// Reads JSON of the declared shape, wherever it comes from.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FieldErrors> {
    let malformed = |pointer: String, said: String| FieldErrors::of(pointer, MALFORMED, said);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| malformed(pointer(error.path()), complaint(error.inner())))?;
    reader.end().map_err(|error| malformed(String::new(), complaint(&error)))?;
    Ok(value)
}

/// The path to the mistake as a JSON pointer (RFC 6901 §3: `~` and `/` are escaped).
fn pointer(path: &Path) -> String {
    use std::fmt::Write as _;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => {
                let _ = write!(pointer, "/{index}");
            }
            Segment::Map { key } => {
                let _ = write!(pointer, "/{}", key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

fn complaint(error: &serde_json::Error) -> String {
    if error.is_data() {
        without_value(&error.to_string())
    } else {
        format!("is not valid JSON at line {} column {}", error.line(), error.column())
    }
}

/// What serde says about a value, less the value: it may be a secret.
fn without_value(said: &str) -> String {
    let said = said.split(" at line ").next().unwrap_or_default();
    match said.split_once(", expected ") {
        Some((found, expected)) if found.starts_with("invalid ") => format!("has to be {expected}"),
        _ if said.starts_with("invalid ") => "cannot be read".to_owned(),
        _ => said.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Sample {
        name: String,
        uris: Vec<String>,
    }

    #[test]
    fn a_control_character_in_a_query_is_found_however_it_is_written() {
        for query in ["after=%00", "after=a%0Ab", "%7f=1", "a=1&after=%C2%85"] {
            assert!(holds_control(query), "{query}");
        }
        for query in ["", "after=sch_z&limit=5", "query=%C3%A4+b", "after=%2500"] {
            assert!(!holds_control(query), "{query}");
        }
    }

    fn refusal(body: &str) -> String {
        let problem = parse::<Sample>(body.as_bytes()).unwrap_err();
        let shown = serde_json::to_value(problem).unwrap();
        assert_eq!(shown["status"], 400);
        format!(
            "{} {}",
            shown["errors"][0]["pointer"].as_str().unwrap(),
            shown["errors"][0]["detail"].as_str().unwrap()
        )
    }

    #[test]
    fn a_wrong_type_is_reported_with_its_pointer_and_without_its_value() {
        assert_eq!(refusal(r#"{"name": "n", "uris": ["a", 4711]}"#), "/uris/1 has to be a string");
        assert_eq!(refusal(r#"{"name": 4711, "uris": []}"#), "/name has to be a string");
    }

    #[test]
    fn an_unknown_repeated_or_missing_field_is_refused() {
        assert!(
            refusal(r#"{"name": "n", "uris": [], "first_party": true}"#)
                .contains("unknown field `first_party`")
        );
        assert!(refusal(r#"{"name": "n", "name": "m", "uris": []}"#).contains("duplicate field `name`"));
        assert!(refusal(r#"{"name": "n"}"#).contains("missing field `uris`"));
    }

    #[test]
    fn broken_json_and_bytes_behind_it_are_refused() {
        assert_eq!(refusal("{"), " is not valid JSON at line 1 column 1");
        assert!(refusal(r#"{"name": "n", "uris": []} {}"#).contains("is not valid JSON"));
    }

    #[test]
    fn only_application_json_is_json() {
        let says =
            |value: &'static str| is_json(&[(CONTENT_TYPE, value.parse().unwrap())].into_iter().collect());
        assert!(says("application/json"));
        assert!(says("Application/JSON; charset=utf-8"));
        assert!(!says("application/json-seq"));
        assert!(!says("text/plain"));
        assert!(!is_json(&http::HeaderMap::new()));
    }
}
