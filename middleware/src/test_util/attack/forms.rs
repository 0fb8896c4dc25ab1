//! Forms with more than one reading, or none.

use http::{HeaderValue, header};

use super::target::{Attempt, Payload, Target};

pub(super) fn attacks(target: &Target) -> Vec<(String, Attempt)> {
    let Some(Payload::Form(form)) = &target.body else { return Vec::new() };
    let name = form.split(['=', '&']).next().unwrap_or("a");
    let many = (0..5_000).map(|number| format!("&x{number}=")).collect::<Vec<_>>().concat();
    let bodies: [(&str, Vec<u8>); 10] = [
        ("a field twice", format!("{form}&{name}=other").into()),
        ("a field twice, once encoded", format!("{form}&{}=other", encoded(name)).into()),
        ("NUL in a field", format!("{form}&x=a%00b").into()),
        ("NUL in a name", format!("{form}&x%00=a").into()),
        ("a control character", format!("{form}&x=a%1bb").into()),
        ("half an encoding", format!("{form}&x=%f").into()),
        ("an encoding that is none", format!("{form}&x=%zz").into()),
        ("bytes that are not UTF-8", [form.as_bytes(), b"&x=\xff"].concat()),
        ("bytes that are not UTF-8, encoded", format!("{form}&x=%c3%28").into()),
        ("too many fields", format!("{form}{many}").into()),
    ];
    let mut all: Vec<_> = bodies
        .into_iter()
        .map(|(what, body)| (format!("a form with {what}"), Attempt { body, ..target.good() }))
        .collect();
    for media in
        ["application/x-www-form-urlencoded; charset=utf-16", "application/x-www-form-urlencoded, text/plain"]
    {
        let mut attempt = target.good();
        attempt.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        all.push((format!("Content-Type: {media}"), attempt));
    }
    all
}

/// A name with its first letter encoded.
fn encoded(name: &str) -> String {
    let first = name.bytes().next().unwrap_or(b'a');
    format!("%{first:02X}{}", name.get(1..).unwrap_or_default())
}
