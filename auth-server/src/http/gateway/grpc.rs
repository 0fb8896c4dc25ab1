//! Answers Envoy's `ext_authz` over gRPC: what is judged is the same request as over HTTP, and the answer is a message.
//!
//! A refusal is an answer like any other and no failed call: what Envoy makes of those its configuration could turn into a pass.

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue as Pair, HeaderValueOption};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{
    CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::rpc::Status as Outcome;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Bytes};
use tonic::server::Grpc;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::http::bounds::{Cut, bounded};
use crate::http::gateway::entry::{Told, Unclear, target};
use crate::http::gateway::question::log;
use crate::http::gateway::{Front, identity, unstored};

/// Where Envoy asks: the method of its service.
pub(super) const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
/// All headers that Envoy takes of a client (60 KiB), twice: some are in the message more than once.
const MAX_MESSAGE_BYTES: usize = 128 * 1024;
/// A message of no bytes, as it is sent. What has no message that can be read is answered as if it had this one.
const NO_MESSAGE: [u8; 5] = [0; 5];
/// How long a message may take to arrive and be answered.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);
/// A refusal says little.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;

impl Front {
    /// Answers one call.
    pub(super) async fn called<B>(&self, peer: SocketAddr, request: Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>> + Send,
    {
        if !self.answers(peer) {
            return Status::permission_denied("it is no proxy of gateway.trusted_proxies").into_http();
        }
        let started = Instant::now();
        let outcome = bounded(ANSWERED_WITHIN, async { Ok(self.answered(peer, request).await) }).await;
        let refusal = match outcome {
            Ok(Ok(answer)) => return answer,
            Ok(Err(unclear)) => unclear.into_response(),
            Err(Cut::Panic) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            Err(Cut::TooSlow) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        };
        log("envoy-grpc", &refusal, started.elapsed());
        denied(refusal).await
    }

    /// The answer to a message that can be read. The client has a say in what is in one.
    async fn answered<B>(&self, peer: SocketAddr, request: Request<B>) -> Result<Response, Unclear>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>> + Send,
    {
        let check = service_fn(async |call: tonic::Request<CheckRequest>| {
            Ok::<_, Status>(tonic::Response::new(self.checked(peer, call.get_ref()).await))
        });
        let answer = server().unary(check, request).await;
        // What is judged always gets an answer: only a message that could not be read makes the call fail.
        match Status::from_header_map(answer.headers()).map(|failed| failed.code()) {
            None => Ok(answer.map(Body::new)),
            Some(Code::OutOfRange) => Err(Unclear::Long),
            Some(_) => Err(Unclear::Unreadable),
        }
    }

    async fn checked(&self, peer: SocketAddr, asked: &CheckRequest) -> CheckResponse {
        let started = Instant::now();
        let response = match original(asked) {
            Ok(original) => self.judged(peer, original).await,
            Err(unclear) => unclear.into_response(),
        };
        log("envoy-grpc", &response, started.elapsed());
        spoken(unstored(response)).await
    }
}

fn server() -> Grpc<ProstCodec<CheckResponse, CheckRequest>> {
    Grpc::new(ProstCodec::default()).max_decoding_message_size(MAX_MESSAGE_BYTES)
}

/// A refusal in answer to a call that was not read to its end.
async fn denied(refusal: Response) -> Response {
    let said = spoken(unstored(refusal)).await;
    let deny = service_fn(async |_: tonic::Request<CheckRequest>| {
        Ok::<_, Status>(tonic::Response::new(said.clone()))
    });
    let nothing = Request::new(Full::new(Bytes::from_static(&NO_MESSAGE)));
    server().unary(deny, nothing).await.map(Body::new)
}

/// The request that Envoy has at hand. Source and destination are those of a connection: the client is the one of the headers.
fn original(asked: &CheckRequest) -> Result<Request<Body>, Unclear> {
    let attributes = asked.attributes.as_ref().and_then(|attributes| attributes.request.as_ref());
    let http = attributes.and_then(|request| request.http.as_ref()).ok_or(Unclear::Nothing)?;
    let headers = headers(http)?;
    let method = http.method.parse().map_err(|_| Unclear::Method)?;
    Told { method, target: target(&http.path)?, host: &http.host, headers: &headers }.original()
}

/// The headers that are read. Envoy tells all of them as text, or as bytes and each by itself (`encode_raw_headers`).
fn headers(http: &HttpRequest) -> Result<HeaderMap, Unclear> {
    let mut headers = HeaderMap::new();
    let mut put = |name: &str, value: &[u8]| {
        // Method, path and host are there once more, under names that begin with a colon.
        let Ok(name) = name.parse::<HeaderName>() else { return Ok(()) };
        if Told::reads(&name) {
            headers.append(name, HeaderValue::from_bytes(value).map_err(|_| Unclear::Header)?);
        }
        Ok(())
    };
    for (name, value) in &http.headers {
        put(name, value.as_bytes())?;
    }
    for Pair { key, value, raw_value } in http.header_map.iter().flat_map(|map| &map.headers) {
        put(key, if raw_value.is_empty() { value.as_bytes() } else { raw_value })?;
    }
    Ok(headers)
}

/// The answer of the guard as Envoy understands it.
async fn spoken(response: Response) -> CheckResponse {
    let code = code(response.status());
    let answer = if response.status().is_success() {
        HttpResponse::OkResponse(passed(response.headers()))
    } else {
        HttpResponse::DeniedResponse(refused(response).await)
    };
    CheckResponse {
        status: Some(Outcome { code: code.into(), ..Outcome::default() }),
        http_response: Some(answer),
        ..CheckResponse::default()
    }
}

/// Who is calling, and nothing of what the client says about that.
fn passed(headers: &HeaderMap) -> OkHttpResponse {
    let mut answer = OkHttpResponse::default();
    for name in identity::NAMES {
        match headers.get(&name) {
            Some(value) => answer.headers.extend(overwritten(&name, value.to_str().ok())),
            None => answer.headers_to_remove.push(name.to_string()),
        }
    }
    answer
}

async fn refused(response: Response) -> DeniedHttpResponse {
    let (parts, body) = response.into_parts();
    let status = HttpStatus { code: i32::from(parts.status.as_u16()) };
    let headers = parts.headers.keys().filter_map(|name| {
        // One line for each name: Envoy would keep the last of several.
        let values = parts.headers.get_all(name).iter().map(HeaderValue::to_str);
        overwritten(name, values.collect::<Result<Vec<_>, _>>().ok().map(|values| values.join(", ")))
    });
    let headers = headers.collect();
    // Without its words a refusal is still one.
    let body = axum::body::to_bytes(body, MAX_REFUSAL_BYTES).await.unwrap_or_default();
    DeniedHttpResponse { status: Some(status), headers, body: String::from_utf8_lossy(&body).into_owned() }
}

fn overwritten(name: &HeaderName, value: Option<impl Into<String>>) -> Option<HeaderValueOption> {
    let header = Pair { key: name.to_string(), value: value?.into(), ..Pair::default() };
    let append_action = HeaderAppendAction::OverwriteIfExistsOrAdd.into();
    Some(HeaderValueOption { header: Some(header), append_action, ..HeaderValueOption::default() })
}

/// What the outcome is in gRPC. Envoy looks only at whether it is `OK`.
fn code(status: StatusCode) -> Code {
    match status.as_u16() {
        200..300 => Code::Ok,
        400 | 413 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        429 => Code::ResourceExhausted,
        503 => Code::Unavailable,
        _ => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::convert::Infallible;

    use envoy_types::pb::envoy::config::core::v3::HeaderMap as Pairs;
    use envoy_types::pb::envoy::service::auth::v3::AttributeContext;
    use envoy_types::pb::envoy::service::auth::v3::attribute_context::Request as Attributes;
    use futures_util::stream;
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use tonic::Streaming;
    use tonic::codec::Codec as _;

    use super::*;
    use crate::http::gateway::tests::front;

    const PEER: ([u8; 4], u16) = ([127, 0, 0, 1], 40_000);
    const TOKEN: &str = "Bearer eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6ImEifQ.e30.AAAA";

    /// What Envoy says about a `GET`.
    fn get(path: &str) -> HttpRequest {
        let pairs = [
            (":authority", "api.example"),
            (":method", "GET"),
            (":path", path),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "https"),
            ("x-auth-roles", "owner"),
        ];
        HttpRequest {
            method: "GET".to_owned(),
            path: path.to_owned(),
            host: "api.example".to_owned(),
            headers: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..HttpRequest::default()
        }
    }

    fn with(mut http: HttpRequest, name: &str, value: &str) -> HttpRequest {
        http.headers.insert(name.to_owned(), value.to_owned());
        http
    }

    /// The same, with each header by itself.
    fn raw(http: HttpRequest, more: &[(&str, &[u8])]) -> HttpRequest {
        let pair = |key: &str, value: &[u8]| Pair {
            key: key.to_owned(),
            raw_value: value.to_vec(),
            ..Pair::default()
        };
        let own = http.headers.iter().map(|(name, value)| pair(name, value.as_bytes()));
        let headers = own.chain(more.iter().map(|(name, value)| pair(name, value))).collect();
        HttpRequest { headers: HashMap::new(), header_map: Some(Pairs { headers }), ..http }
    }

    fn about(http: Option<HttpRequest>) -> CheckRequest {
        let request = Some(Attributes { http, ..Attributes::default() });
        CheckRequest { attributes: Some(AttributeContext { request, ..AttributeContext::default() }) }
    }

    fn why(http: HttpRequest) -> Option<Unclear> {
        original(&about(Some(http))).err()
    }

    async fn answer(asked: CheckRequest) -> CheckResponse {
        front().await.checked(SocketAddr::from(PEER), &asked).await
    }

    fn refusal(answer: CheckResponse) -> (i32, i32, DeniedHttpResponse) {
        match answer.http_response {
            Some(HttpResponse::DeniedResponse(denied)) => {
                (answer.status.unwrap().code, denied.status.unwrap().code, denied)
            }
            other => panic!("{other:?}"),
        }
    }

    fn lines(headers: &[HeaderValueOption]) -> Vec<(&str, &str)> {
        let line = |line: &HeaderValueOption| line.append_action == 2 && !line.keep_empty_value;
        assert!(headers.iter().all(line), "{headers:?}");
        let pairs = headers.iter().filter_map(|line| line.header.as_ref());
        pairs.map(|pair| (pair.key.as_str(), pair.value.as_str())).collect()
    }

    #[test]
    fn the_original_request_is_the_one_of_the_attributes() {
        let asked = with(with(get("/open?x=1"), "authorization", "Bearer a"), "cookie", "a=b");
        for http in [asked.clone(), raw(asked, &[])] {
            let request = original(&about(Some(http))).unwrap();
            assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("GET", "/open?x=1"));
            let mut names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, ["authorization", "host", "x-forwarded-for"]);
            assert_eq!(request.headers()["host"], "api.example");
            let origin = request.extensions().get::<portcullis_guard::ClientOrigin>().unwrap();
            assert_eq!(origin.as_str(), "https://api.example");
        }
    }

    #[test]
    fn what_is_missing_there_twice_or_ambiguous_is_refused() {
        for (http, reason) in [
            (HttpRequest { method: String::new(), ..get("/open") }, Unclear::Method),
            (HttpRequest { method: "GET POST".to_owned(), ..get("/open") }, Unclear::Method),
            (HttpRequest { host: String::new(), ..get("/open") }, Unclear::Host),
            (HttpRequest { host: "api.example/x".to_owned(), ..get("/open") }, Unclear::Host),
            (get(""), Unclear::Target),
            (get("open"), Unclear::Target),
            (get("/open#x"), Unclear::Target),
            (get("/open x"), Unclear::Target),
            (get("https://evil.example/open"), Unclear::Target),
            (with(get("/open"), "x-forwarded-for", "unknown"), Unclear::Address),
            (with(get("/open"), "x-forwarded-proto", "https,http"), Unclear::Scheme),
            (with(get("/open"), "X-Forwarded-Proto", "https"), Unclear::Scheme),
            (with(get("/open"), "authorization", "Bearer a\r\nx: y"), Unclear::Header),
            (raw(get("/open"), &[("authorization", b"Bearer \0")]), Unclear::Header),
            (raw(get("/open"), &[("authorization", b"a" as &[u8]); 2]), Unclear::Twice),
            (raw(get("/open"), &[("dpop", b"a"), ("DPoP", b"b")]), Unclear::Twice),
            (raw(get("/open"), &[("x-forwarded-for", b"192.0.2.2")]), Unclear::Address),
            (HttpRequest { headers: HashMap::new(), ..get("/open") }, Unclear::Scheme),
        ] {
            assert_eq!(why(http.clone()), Some(reason), "{http:?}");
        }
        let mut without = get("/open");
        without.headers.remove("x-forwarded-for");
        assert_eq!(why(without), Some(Unclear::Address));
    }

    #[tokio::test]
    async fn who_passes_has_no_identity_but_that_of_the_gateway() {
        let answer = answer(about(Some(get("/open?x=1")))).await;
        assert_eq!(answer.status.unwrap().code, 0);
        let Some(HttpResponse::OkResponse(ok)) = answer.http_response else { panic!("it is public") };
        let lines = lines(&ok.headers);
        assert!(lines.len() == 1 && lines[0].0 == "x-auth-decision" && lines[0].1.starts_with("dec_"));
        let removed =
            ["x-auth-client", "x-auth-organisation", "x-auth-roles", "x-auth-scopes", "x-auth-subject"];
        assert_eq!(ok.headers_to_remove, removed);
    }

    #[tokio::test]
    async fn a_refusal_is_the_one_of_http() {
        for (http, (grpc, status), asks) in [
            (get("/me"), (16, 401), true),
            (with(get("/me"), "authorization", TOKEN), (16, 401), true),
            (with(get("/me"), "authorization", "Bearer a,Bearer b"), (3, 400), true),
            (get("//open"), (3, 400), false),
            (get("/open%2fx"), (3, 400), false),
            (get("open"), (3, 400), false),
        ] {
            let (told, code, denied) = refusal(answer(about(Some(http.clone()))).await);
            assert_eq!((told, code), (grpc, status), "{http:?}");
            let lines = lines(&denied.headers);
            let has = |name: &str| lines.iter().any(|(own, value)| *own == name && !value.is_empty());
            assert_eq!(has("www-authenticate"), asks, "{lines:?}");
            assert!(has("cache-control"), "{lines:?}");
            assert_eq!(denied.body.starts_with('{'), has("content-type"), "{}", denied.body);
        }
    }

    #[tokio::test]
    async fn a_question_about_nothing_is_denied() {
        let nothing = AttributeContext::default();
        for asked in [
            CheckRequest::default(),
            CheckRequest { attributes: Some(nothing) },
            about(None),
            about(Some(HttpRequest::default())),
        ] {
            let (told, code, _) = refusal(answer(asked.clone()).await);
            assert_eq!((told, code), (3, 400), "{asked:?}");
        }
    }

    #[tokio::test]
    async fn what_the_gateway_cannot_decide_is_a_refusal_and_no_failed_call() {
        for (status, grpc) in [(403, 7), (429, 8), (500, 13), (503, 14)] {
            let mut response = StatusCode::from_u16(status).unwrap().into_response();
            for challenge in ["Bearer", "DPoP algs=\"ES256\""] {
                response.headers_mut().append("www-authenticate", HeaderValue::from_static(challenge));
            }
            let (told, code, denied) = refusal(spoken(response).await);
            assert_eq!((told, code), (grpc, i32::from(status)));
            assert_eq!(lines(&denied.headers), [("www-authenticate", "Bearer, DPoP algs=\"ES256\"")]);
        }
    }

    #[tokio::test]
    async fn a_call_of_somebody_else_fails() {
        let empty = Request::new(Full::new(Bytes::from_static(&NO_MESSAGE)));
        let answer = front().await.called("192.0.2.7:1".parse().unwrap(), empty).await;
        assert_eq!(answer.headers()["grpc-status"], "7");
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
    }

    /// What a path of these bytes looks like on the wire: they need not be text.
    fn about_path(path: &[u8]) -> Vec<u8> {
        let field = |number: u8, content: Vec<u8>| {
            [vec![number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
        };
        let pieces = [(2, &b"GET"[..]), (4, path), (5, b"api.example")];
        let http = pieces.map(|(number, content)| field(number, content.to_vec())).concat();
        field(1, field(4, field(2, http)))
    }

    /// What a call that did not fail was answered.
    async fn read(answer: Response) -> CheckResponse {
        assert_eq!(answer.headers().get("grpc-status"), None, "the call failed");
        let decoder = ProstCodec::<CheckRequest, CheckResponse>::default().decoder();
        let mut said = Streaming::new_response(decoder, answer.into_body(), StatusCode::OK, None, None);
        let answer = said.message().await.unwrap().unwrap();
        assert!(said.message().await.unwrap().is_none());
        answer
    }

    /// `failure_mode_allow` makes a pass of a call that fails, and no client may make one fail.
    #[tokio::test]
    async fn what_cannot_be_read_is_denied_and_no_failed_call() {
        let front = front().await;
        let long = vec![0; MAX_MESSAGE_BYTES + 1];
        for (body, expected) in [
            (framed(&[]), 400),
            (framed(&about_path(b"/\xff")), 400),
            (framed(&[0xff; 3]), 400),
            (framed(&long), 413),
            (framed(&long)[..9].to_vec(), 413),
            (Vec::new(), 400),
            (framed(&[0; 7])[..9].to_vec(), 400),
            ([&[1], &framed(&[])[1..]].concat(), 400),
        ] {
            let request = Request::new(Full::new(Bytes::from(body.clone())));
            let answer = front.called(SocketAddr::from(PEER), request).await;
            let begun = &body[..body.len().min(40)];
            let (told, code, _) = refusal(read(answer).await);
            assert_eq!((told, code), (3, expected), "{begun:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_does_not_arrive_is_not_waited_for() {
        let stalled = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
        let answer = front().await.called(SocketAddr::from(PEER), Request::new(stalled)).await;
        let (told, code, _) = refusal(read(answer).await);
        assert_eq!((told, code), (14, 503));
    }
}
