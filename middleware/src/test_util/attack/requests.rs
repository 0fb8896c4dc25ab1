//! Credentials in wrong places, headers that pretend, and paths that can be read in two ways.

use super::target::{Attempt, Target};

pub(super) fn attacks(target: &Target) -> Vec<(String, Attempt)> {
    let mut all = credentials(target);
    all.extend(pretences(target));
    all.extend(paths(target));
    all.extend(queries(target));
    all.extend(hosts(target));
    all
}

fn credentials(target: &Target) -> Vec<(String, Attempt)> {
    let token = &target.token;
    let mut all = vec![
        ("no credentials".to_owned(), target.with(None)),
        (
            "the token in the query".to_owned(),
            Attempt { path: format!("{}?access_token={token}", target.path), ..target.with(None) },
        ),
        (
            "the token in a cookie".to_owned(),
            target.with(None).header("cookie", format!("access_token={token}")),
        ),
        (
            "the token in cookies of other names".to_owned(),
            target
                .with(None)
                .header("cookie", format!("__Host-access_token={token}; __Secure-token={token}")),
        ),
        (
            "the token in a cookie, from a page of another site".to_owned(),
            target
                .with(None)
                .header("cookie", format!("session={token}"))
                .header("origin", "https://evil.example")
                .header("sec-fetch-site", "cross-site"),
        ),
        ("the token in another header".to_owned(), target.with(None).header("x-access-token", token)),
        (
            "the token in Proxy-Authorization".to_owned(),
            target.with(None).header("proxy-authorization", format!("Bearer {token}")),
        ),
        (
            "the token as a password".to_owned(),
            target.with(None).header("authorization", format!("Basic {token}")),
        ),
        (
            "the token twice".to_owned(),
            target.with(Some(token)).header("authorization", format!("Bearer {token}")),
        ),
        ("a second token".to_owned(), target.with(Some(token)).header("authorization", "Bearer a.b.c")),
        (
            "another scheme beside it".to_owned(),
            target.with(Some(token)).header("authorization", "Basic YTpi"),
        ),
    ];
    let call = target.with(None).header("content-type", "application/grpc");
    all.push(("no credentials, as gRPC".to_owned(), call));
    all.extend(spellings(target));
    all
}

/// The header with something else in it than one token.
fn spellings(target: &Target) -> Vec<(String, Attempt)> {
    let (token, mut all) = (&target.token, Vec::new());
    let values: [&[u8]; 12] = [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer  \t",
        b"Bearer null",
        b"Bearer undefined",
        b"Bearer .",
        b"Bearer ..",
        b"Bearer \xff\xfe",
        b"Bearer a.b.c, Bearer d.e.f",
        b"Digest username=\"admin\"",
        b"Negotiate YII=",
    ];
    for value in values {
        let name = format!("Authorization: {}", value.escape_ascii());
        all.push((name, target.with(None).header("authorization", value)));
    }
    for (what, value) in [
        ("a space inside", token.replacen('.', ". ", 1)),
        ("a comma behind", format!("{token},")),
        ("quotes around it", format!("\"{token}\"")),
        ("a scheme twice", format!("Bearer {token}")),
        ("a megabyte", "a".repeat(1 << 20)),
    ] {
        all.push((format!("a token with {what}"), target.with(Some(&value))));
    }
    all
}

/// What a proxy could say, said by a client.
fn pretences(target: &Target) -> Vec<(String, Attempt)> {
    let headers = [
        ("x-forwarded-user", "admin"),
        ("x-forwarded-email", "admin@example.com"),
        ("x-forwarded-preferred-username", "admin"),
        ("x-forwarded-access-token", "a.b.c"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "localhost"),
        ("x-real-ip", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1;by=127.0.0.1;host=localhost"),
        ("x-auth-request-user", "admin"),
        ("x-remote-user", "admin"),
        ("remote-user", "admin"),
        ("x-user-id", "1"),
        ("x-roles", "admin"),
        ("x-original-url", "/health"),
        ("x-rewrite-url", "/health"),
        ("x-http-method-override", "OPTIONS"),
        ("x-original-method", "OPTIONS"),
        ("x-forwarded-client-cert", "Subject=\"CN=admin\""),
        ("client-cert", ":AAAA:"),
        ("x-ssl-client-verify", "SUCCESS"),
        ("origin", "https://localhost"),
        ("x-api-key", "admin"),
    ];
    let pretence = |(name, value)| (format!("{name}: {value}"), target.with(None).header(name, value));
    headers.into_iter().map(pretence).collect()
}

/// With the good token: who may see one thing asks for it by a name that another reader takes for something else.
fn paths(target: &Target) -> Vec<(String, Attempt)> {
    let path = &target.path;
    let (parent, last) = path.rsplit_once('/').unwrap_or(("", path));
    let encoded = last
        .bytes()
        .next()
        .map_or_else(String::new, |byte| format!("%{byte:02x}{}", last.get(1..).unwrap_or_default()));
    let paths = [
        format!("/{path}"),
        format!("/.{path}"),
        format!("/x/..{path}"),
        format!("{parent}//{last}"),
        format!("{parent}/./{last}"),
        format!("{parent}/x/../{last}"),
        format!("{parent}/%2e/{last}"),
        format!("{parent}/x/%2e%2e/{last}"),
        format!("{parent}/x/.%2e/{last}"),
        format!("{parent}%2f{last}"),
        format!("{parent}%2F{last}"),
        format!("{parent}%5c{last}"),
        format!("{parent}/x%5c..%5c{last}"),
        format!("{parent}\\{last}"),
        format!("{path}%00"),
        format!("{path}%00.css"),
        format!("{path}%0d%0aSet-Cookie:a"),
        format!("{path};a=b"),
        format!("{parent};a=b/{last}"),
        format!("{path}%3b"),
        format!("{path}%"),
        format!("{path}%2"),
        format!("{path}%zz"),
        format!("{path}%252f"),
        format!("{path}%ff"),
        format!("{path}%c0%ae"),
        format!("{path}%c2%85"),
        format!("{path}\u{e9}"),
        format!("{path}%7f"),
        format!("{path}%2fx"),
        format!("{path}%5cx"),
        format!("{path}/%2e"),
        format!("{path}/x//y"),
        format!("{path}%e2%80%ae%"),
        format!("{path}/%2e%2e"),
        format!("{path}/.."),
        format!("{parent}/{encoded}"),
    ];
    let attempt = |path: String| {
        let name = format!("the path {path}");
        (name, Attempt { path, ..target.good() })
    };
    paths.into_iter().map(attempt).collect()
}

/// With the good token: parameters with no reading.
fn queries(target: &Target) -> Vec<(String, Attempt)> {
    let joint = if target.path.contains('?') { '&' } else { '?' };
    ["x=%00", "x=a%1bb", "%00=x", "x=%ff", "x=%c3%28", "x=%", "x=%f", "x=%zz"]
        .map(|query| {
            let path = format!("{}{joint}{query}", target.path);
            (format!("the query {query}"), Attempt { path, ..target.good() })
        })
        .into()
}

/// With the good token, to two services at once.
fn hosts(target: &Target) -> Vec<(String, Attempt)> {
    let two = target.good().header("host", "service.test").header("host", "admin.test");
    let path = format!("http://admin.test{}", target.path);
    let other = Attempt { path, ..target.good().header("host", "service.test") };
    vec![("two hosts".to_owned(), two), ("one host in the target and another beside it".to_owned(), other)]
}
