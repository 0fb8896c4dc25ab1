//! `If-Match` ([RFC 9110 §13.1.1](https://www.rfc-editor.org/rfc/rfc9110#section-13.1.1)), which every update has to bring.

use axum::extract::FromRequestParts;
use http::header::IF_MATCH;
use http::request::Parts;

use crate::http::admin::problem::{Problem, ProblemKind};
use crate::services::version::{Precondition, Version};

/// The versions of the thing that the caller is willing to change.
pub(crate) struct IfMatch(pub(crate) Precondition);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(IF_MATCH).iter().peekable();
        if values.peek().is_none() {
            return Err(Problem::new(ProblemKind::PreconditionRequired).with_detail(
                "Read it first and send its ETag as If-Match, so that you overwrite nobody's change.",
            ));
        }
        let mut versions = Vec::new();
        for value in values {
            let value = value.to_str().map_err(|_| unreadable())?;
            if value.trim() == "*" {
                return Ok(Self(Precondition::Any));
            }
            for tag in value.split(',') {
                versions.extend(strong(tag.trim())?);
            }
        }
        Ok(Self(Precondition::Matches(versions)))
    }
}

/// The version behind an entity tag. A weak one matches nothing: `If-Match` compares strongly.
#[expect(clippy::result_large_err, reason = "a problem is made once for a request that is refused")]
fn strong(tag: &str) -> Result<Option<Version>, Problem> {
    let (weak, quoted) = tag.strip_prefix("W/").map_or((false, tag), |quoted| (true, quoted));
    let name = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or_else(unreadable)?;
    if name.contains('"') {
        return Err(unreadable());
    }
    Ok((!weak).then(|| Version::named(name)))
}

fn unreadable() -> Problem {
    Problem::new(ProblemKind::Malformed).with_detail("If-Match has to be * or a list of quoted entity tags.")
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    async fn read(values: &[&str]) -> Result<Precondition, u16> {
        let request =
            values.iter().fold(Request::get("/"), |request, value| request.header(IF_MATCH, *value));
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let read = IfMatch::from_request_parts(&mut parts, &()).await;
        read.map(|IfMatch(precondition)| precondition).map_err(|problem| {
            u16::try_from(serde_json::to_value(problem).unwrap()["status"].as_u64().unwrap()).unwrap()
        })
    }

    #[tokio::test]
    async fn a_missing_precondition_is_asked_for() {
        assert_eq!(read(&[]).await, Err(428));
    }

    #[tokio::test]
    async fn tags_of_one_or_several_lines_are_alternatives() {
        let expected =
            Precondition::Matches(vec![Version::named("a"), Version::named("b"), Version::named("c")]);
        assert_eq!(read(&[r#""a", "b""#, r#""c""#]).await, Ok(expected));
        assert_eq!(read(&["*"]).await, Ok(Precondition::Any));
    }

    #[tokio::test]
    async fn a_weak_tag_matches_nothing_and_a_bare_one_is_refused() {
        assert_eq!(read(&[r#"W/"a""#]).await, Ok(Precondition::Matches(Vec::new())));
        assert_eq!(read(&["a"]).await, Err(400));
        assert_eq!(read(&[r#""a"b""#]).await, Err(400));
    }
}
