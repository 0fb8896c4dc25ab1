//! Bodies with more than one reading, or none.

use http::{HeaderValue, header};

use super::target::{Attempt, Payload, Target};

pub(super) fn attacks(target: &Target) -> Vec<(String, Attempt)> {
    let Some(Payload::Json(json)) = &target.body else { return Vec::new() };
    let good = || target.good();
    let rest = json.trim_start().strip_prefix('{').unwrap_or(json);
    let member = rest.split(':').next().unwrap_or("\"a\"");
    let deep = format!("{{\"x\":{}1{},{rest}", "[".repeat(10_000), "]".repeat(10_000));
    let shallower = format!("{{\"x\":{}1{},{rest}", "[".repeat(120), "]".repeat(120));
    let members = (0..50_000).map(|number| format!("\"{number}\":0,")).collect::<Vec<_>>().concat();
    let bodies: [(&str, Vec<u8>); 19] = [
        ("half of it", json.as_bytes().get(..json.len() / 2).unwrap_or_default().to_vec()),
        ("something behind it", format!("{json}{json}").into()),
        ("a member twice", format!("{{{member}:null,{rest}").into()),
        ("a member twice, once escaped", format!("{{{}:null,{rest}", escaped(member)).into()),
        ("depth", deep.into()),
        ("some depth", shallower.into()),
        ("very many members", format!("{{{members}{rest}").into()),
        ("sixteen megabytes", format!("{{\"x\":\"{}\",{rest}", "a".repeat(16 << 20)).into()),
        ("sixteen megabytes of blanks", format!("{{{}{rest}", " ".repeat(16 << 20)).into()),
        ("NUL in a string", format!("{{\"x\":\"a\\u0000b\",{rest}").into()),
        ("a raw control character", format!("{{\"x\":\"a\u{1}b\",{rest}").into()),
        ("half a surrogate pair", format!("{{\"x\":\"\\ud800\",{rest}").into()),
        ("bytes that are not UTF-8", [b"{\"x\":\"\xff\",", rest.as_bytes()].concat()),
        ("a byte order mark", format!("\u{feff}{json}").into()),
        ("UTF-16", json.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("a comment", format!("/* */{json}").into()),
        ("a comma too many", format!("{{{},}}", rest.trim_end().trim_end_matches('}')).into()),
        ("a number that is none", format!("{{\"x\":NaN,{rest}").into()),
        ("single quotes", json.replace('"', "'").into()),
    ];
    let mut all: Vec<_> = bodies
        .into_iter()
        .map(|(what, body)| (format!("a body with {what}"), Attempt { body, ..good() }))
        .collect();
    for media in [
        "application/json; charset=utf-16",
        "application/json; charset=utf-7",
        "application/json, text/plain",
    ] {
        let mut attempt = good();
        attempt.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        all.push((format!("Content-Type: {media}"), attempt));
    }
    // Readers that end a subtype at its last `+` take it for JSON.
    let mut other_name = Attempt { body: format!("{{{member}:null,{rest}").into(), ..good() };
    other_name.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json+x"));
    all.push(("a body with a member twice, as application/json+x".to_owned(), other_name));
    // Servers differ in what they make of it; a guard that believes the length looks at nothing.
    let unsaid = Attempt { body: format!("{{{member}:null,{rest}").into(), ..good() };
    let unsaid = unsaid.header("content-length", "0").header("transfer-encoding", "chunked");
    all.push(("a body with a member twice, in chunks and of no length".to_owned(), unsaid));
    for coding in ["gzip", "br", "identity, zstd"] {
        all.push((format!("Content-Encoding: {coding}"), good().header("content-encoding", coding)));
    }
    all.push(("two content types".to_owned(), good().header("content-type", "text/plain")));
    all
}

/// The name of a member with its first letter written as an escape.
fn escaped(name: &str) -> String {
    let inner = name.trim().trim_matches('"');
    let first = inner.chars().next().map_or(0x61, u32::from);
    format!("\"\\u{first:04x}{}\"", inner.chars().skip(1).collect::<String>())
}
