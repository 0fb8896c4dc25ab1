//! Bodies of several parts: what comes out of them for what goes in.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use http::{Request, header};
use proptest::prelude::*;

use super::*;
use crate::input::tests::streamed;
use crate::input::{Field, Html, InputPolicy, Media, Parameters};

fn policy() -> InputPolicy {
    InputPolicy::strict()
        .html("/note", Html::inline())
        .field("/title", Field::line().length(..=10).trimmed().rewrite())
        .field("/secret", Field::opaque().length(..=8))
        .field("/mode", Field::one_of(["a"]).report())
}

/// A part: its name and file name as they stand in the head, its type, its content.
fn part(disposition: &str, content_type: &str, content: impl AsRef<[u8]>) -> Vec<u8> {
    let typed =
        if content_type.is_empty() { String::new() } else { format!("Content-Type: {content_type}\r\n") };
    let head = format!("--xy\r\nContent-Disposition: form-data; {disposition}\r\n{typed}\r\n");
    [head.as_bytes(), content.as_ref(), b"\r\n"].concat()
}

fn whole(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat().as_slice(), b"--xy--\r\n"].concat()
}

async fn run(policy: &InputPolicy, request: Request<Body>) -> Result<Vec<u8>, Fault> {
    let rules = policy.build().unwrap().into_rules();
    let (mut parts, body) = request.into_parts();
    assert_eq!(rules.begin(&mut parts, &Parameters::default())?, Some(Media::Multipart));
    let checked = rules.apply(Media::Multipart, Request::from_parts(parts, body)).await?;
    let collected = checked.request.into_body().collect().await;
    match checked.watch.unwrap().fault() {
        Some(fault) => {
            assert!(collected.is_err(), "a handler that goes on has not seen all");
            Err(fault)
        }
        None => Ok(collected.unwrap().to_bytes().to_vec()),
    }
}

fn request(body: Body) -> Request<Body> {
    Request::builder().header(header::CONTENT_TYPE, "multipart/form-data; boundary=xy").body(body).unwrap()
}

/// The body after it was sent in chunks of a length.
async fn sent_in(policy: &InputPolicy, body: &[u8], length: usize) -> Result<Vec<u8>, Fault> {
    let chunks: Vec<_> = body.chunks(length.max(1)).map(Bytes::copy_from_slice).collect();
    let chunks = stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>));
    run(policy, request(streamed(chunks))).await
}

async fn sent(policy: &InputPolicy, parts: &[Vec<u8>]) -> Result<Vec<u8>, (String, Rule)> {
    let body = whole(parts);
    let at_once = sent_in(policy, &body, body.len()).await;
    for length in [1, 2, 7, 64] {
        assert_eq!(sent_in(policy, &body, length).await, at_once, "in chunks of {length}");
    }
    at_once.map_err(|fault| (fault.pointer, fault.rule))
}

fn refused(name: &str, rule: Rule) -> Result<Vec<u8>, (String, Rule)> {
    Err((name.to_owned(), rule))
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\r\n--x\r\n--x\0\xff\xfe and so on";

#[tokio::test]
async fn what_is_right_comes_out_byte_for_byte() {
    let parts = [
        part("name=\"text\"", "", "AT&T I <3 you\r\n\ttab a<b && c>d"),
        part("name=\"note\"", "text/plain; charset=UTF-8", "plain"),
        part("name=\"title\"", "", "short"),
        part("name=\"secret\"", "", b"\0\xff\x01"),
        part("name=\"mode\"", "", "b"),
        part("name=\"picture\"; filename=\"o'brian (1).png\"", "image/png", PNG),
        part("name=\"picture\"; filename=\"2.bin\"", "application/octet-stream", [0xff; 10_000]),
        part("name=\"none\"; filename=\"\"", "application/octet-stream", ""),
        part("name=\"csv\"; filename=\"my filename.csv\"", "text/csv", "a,b"),
    ];
    let as_files =
        [part("name=\"secret\"; filename=a", "", "\0 and more"), part("name=\"mode\"; filename=a", "", "a")];
    assert_eq!(
        sent(&policy(), &as_files).await.unwrap(),
        whole(&as_files),
        "nobody looks in, or only reports"
    );
    assert_eq!(sent(&policy(), &parts).await.unwrap(), whole(&parts));
    assert_eq!(sent(&policy(), &[]).await.unwrap(), whole(&[]));
}

#[tokio::test]
async fn declared_fields_are_put_right_and_nothing_else() {
    let file = part("name=\"f\"; filename=\"a\"", "", "<b onclick=x>");
    let parts = [
        part("name=\"note\"", "", "<b onclick=x>hi"),
        part("name=\"title\"", "", " t "),
        part("name=\"other\"", "", " <b onclick=x> "),
        file.clone(),
    ];
    let right = [
        part("name=\"note\"", "", "<b>hi</b>"),
        part("name=\"title\"", "", "t"),
        part("name=\"other\"", "", " <b onclick=x> "),
        file,
    ];
    assert_eq!(sent(&policy(), &parts).await.unwrap(), whole(&right));
    assert_eq!(sent(&policy().signed_body(), &parts).await, refused("/note", Rule::SignedBody));
    assert_eq!(sent(&policy().signed_body(), &parts[2..]).await.unwrap(), whole(&parts[2..]));
}

#[tokio::test]
async fn a_field_that_is_wrong_is_refused_with_its_name() {
    for (parts, name, rule) in [
        (vec![part("name=\"a\"", "", "\u{1}")], "/a", Rule::Control),
        (vec![part("name=\"a\"", "", b"\xff")], "/a", Rule::Encoding),
        (vec![part("name=\"title\"", "", "a\nb")], "/title", Rule::LineBreak),
        (vec![part("name=\"secret\"", "", "123456789")], "/secret", Rule::TooLong),
        (vec![part("name=\"a\"", "", "1"), part("name=\"a\"", "", "2")], "/a", Rule::DuplicateField),
        (
            vec![part("name=\"a\"", "", "1"), part("name=\"a\"; filename=b", "", "")],
            "/a",
            Rule::DuplicateField,
        ),
        (vec![part("name=\"note\"; filename=a", "", "x")], "/note", Rule::Type),
        (vec![part("name=\"title\"; filename=\"\"", "", "")], "/title", Rule::Type),
        (vec![part("name=\"_charset_\"", "", "utf-16")], "/_charset_", Rule::Charset),
        (vec![part("name=\"a\"", "text/plain; charset=latin1", "x")], "", Rule::Charset),
        (vec![part("nom=\"a\"", "", "x")], "", Rule::PartHead),
        (vec![part("name=\"a\"", "", "x\n--xy y")], "/a", Rule::Syntax),
        // What the cleaner leaves would be a delimiter.
        (vec![part("name=\"note\"", "", "x\r\n--x<blink></blink>y--")], "/note", Rule::Syntax),
    ] {
        assert_eq!(sent(&policy(), &parts).await, refused(name, rule));
    }
    let twice = [part("name=\"a\"", "", "1"), part("name=\"a\"", "", "2")];
    let lists = policy().form_duplicates(Duplicates::Allow);
    assert_eq!(sent(&lists, &twice).await.unwrap(), whole(&twice));
    let fixed = part("name=\"title\"\r\nContent-Length: 3", "", " a ");
    assert_eq!(sent(&policy(), &[fixed]).await, refused("/title", Rule::PartLength));
}

#[tokio::test]
async fn files_are_held_to_their_names_types_lengths_and_number() {
    let file = |name: &str, content_type: &str, content: &[u8]| {
        part(&format!("name=\"f\"; filename=\"{name}\""), content_type, content)
    };
    let strict = policy();
    assert_eq!(sent(&strict, &[file("../a", "", b"")]).await, refused("/f", Rule::FileName));
    assert_eq!(sent(&strict, &[file("a.png", "image/png", b"<html>")]).await, refused("/f", Rule::FileType));
    assert_eq!(sent(&strict, &[file("a.png", "image/png", b"")]).await, refused("/f", Rule::FileType));
    assert_eq!(sent(&strict, &[file("a.txt", "text/plain", PNG)]).await, refused("/f", Rule::FileType));
    assert_eq!(sent(&strict, &[file("", "", b"content")]).await, refused("/f", Rule::FileName));
    let stripping = strict.uploads(Uploads::new().strip_names().max_files(2).max_file(100));
    let dirty = [file("..\\..\\a\u{202e}.png", "image/png", PNG), file("b", "", &[b'x'; 100])];
    let clean = [file("a.png", "image/png", PNG), file("b", "", &[b'x'; 100])];
    assert_eq!(sent(&stripping, &dirty).await.unwrap(), whole(&clean));
    assert_eq!(sent(&stripping.clone().signed_body(), &dirty).await, refused("/f", Rule::SignedBody));
    assert_eq!(sent(&stripping, &[file("a", "", &[b'x'; 101])]).await, refused("/f", Rule::FileSize));
    let three = ["a", "b", "c"].map(|name| file(name, "", b"x"));
    assert_eq!(sent(&stripping, &three).await, refused("/f", Rule::FileCount));
    let pictures = policy().uploads(Uploads::new().types(["image/png"]));
    let picture = [file("a", "image/png", PNG)];
    assert_eq!(sent(&pictures, &picture).await.unwrap(), whole(&picture));
    assert_eq!(sent(&pictures, &[file("a", "", PNG)]).await, refused("/f", Rule::FileType));
    assert_eq!(sent(&pictures, &[file("", "application/octet-stream", b"")]).await.err(), None);
}

// HT-11
#[tokio::test]
async fn a_long_file_passes_through_and_is_not_held() {
    const LENGTH: usize = 8_192;
    const CHUNKS: usize = 400;
    let mut head = part("name=\"f\"; filename=\"a\"", "", "");
    head.truncate(head.len() - 2);
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let middle = (0..CHUNKS).map(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Bytes::from_static(&[b'-'; LENGTH])
    });
    let chunks = std::iter::once(head.into()).chain(middle).chain([Bytes::from("\r\n--xy--")]);
    let body = streamed(stream::iter(chunks.map(Ok::<_, std::io::Error>)));
    let policy = policy().uploads(Uploads::new().max_body(4 << 20));
    let rules = policy.build().unwrap().into_rules();
    let mut body = rules.apply(Media::Multipart, request(body)).await.unwrap().request.into_body();
    let (mut received, mut ahead) = (0, 0);
    while let Some(frame) = body.frame().await {
        received += frame.unwrap().into_data().unwrap().len();
        ahead = ahead.max((sent.load(Ordering::Relaxed) * LENGTH).saturating_sub(received));
    }
    assert!(received > CHUNKS * LENGTH && ahead < 3 * LENGTH, "{received} {ahead}");
}

#[tokio::test]
async fn bodies_are_bounded_as_a_whole_and_in_what_is_held() {
    let endless = || {
        let head = Ok::<_, std::io::Error>(Bytes::from(part("name=\"a\"", "", "")));
        let rest = stream::repeat_with(|| Ok(Bytes::from_static(&[b' '; 8_192])));
        streamed(stream::iter([head]).chain(rest))
    };
    assert_eq!(run(&policy(), request(endless())).await.unwrap_err().rule, Rule::Size);
    let large = policy().max_body(10_000).uploads(Uploads::new().max_body(1 << 30));
    let long = [part("name=\"a\"", "", [b'x'; 6_000]), part("name=\"b\"", "", [b'x'; 6_000])];
    assert_eq!(sent(&large, &long).await, refused("/b", Rule::Size));
    let many: Vec<_> = (0..=1_000).map(|number| part(&format!("name=\"{number}\""), "", "")).collect();
    assert_eq!(sent(&policy(), &many).await, refused("/1000", Rule::Members));
    let again = vec![part("name=\"a\"", "", ""); 1_001];
    let lists = policy().form_duplicates(Duplicates::Allow);
    assert_eq!(sent(&lists, &again).await, refused("/a", Rule::Members));
    assert_eq!(sent(&lists, &again[1..]).await.err(), None);
    let cut = Body::from("--xy\r\nContent-Disposition: form-data; name=a\r\n\r\nx");
    assert_eq!(run(&policy(), request(cut)).await.unwrap_err().rule, Rule::Interrupted);
}

#[tokio::test]
async fn html_is_bounded_over_all_parts() {
    let policy = policy().html("/list", Html::inline()).form_duplicates(Duplicates::Allow);
    let five = vec![part("name=\"list\"", "", format!("<{}", "x".repeat(16 * 1024 - 1))); 5];
    assert_eq!(sent(&policy, &five[1..]).await.err(), None);
    assert_eq!(sent(&policy, &five).await, refused("/list", Rule::HtmlLength));
}

#[tokio::test]
async fn what_follows_the_body_is_handed_on() {
    let body = http_body_util::Full::new(Bytes::from(whole(&[part("name=\"a\"", "", "x")])));
    let trailers = HeaderMap::from_iter([(header::ETAG, http::HeaderValue::from_static("x"))]);
    let body = body.with_trailers(async { Some(Ok(trailers)) });
    let rules = policy().build().unwrap().into_rules();
    let checked = rules.apply(Media::Multipart, request(Body::new(body))).await.unwrap();
    let collected = checked.request.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()[header::ETAG], "x");
}

#[tokio::test]
async fn the_length_is_told_only_where_it_is_known() {
    let body = whole(&[part("name=\"a\"", "", "x")]);
    for (policy, told) in [(InputPolicy::strict(), true), (policy(), false), (policy().signed_body(), true)] {
        let mut request = request(Body::from(body.clone()));
        request.headers_mut().insert(header::CONTENT_LENGTH, body.len().into());
        let rules = policy.build().unwrap().into_rules();
        let checked = rules.apply(Media::Multipart, request).await.unwrap();
        assert_eq!(checked.request.headers().contains_key(header::CONTENT_LENGTH), told);
    }
    let mut request = request(Body::from(body));
    request.headers_mut().insert(header::CONTENT_TYPE, "multipart/form-data".parse().unwrap());
    assert_eq!(run(&policy(), request).await.unwrap_err().rule, Rule::ContentType);
}

proptest! {
    #[test]
    fn what_is_not_changed_comes_out_as_it_went_in(
        contents in prop::collection::vec("(--xy|--x|\r\n|\n|[a-z<>&é]){0,8}", 0..4),
        length in 1..20_usize,
    ) {
        let parts: Vec<_> =
            contents.iter().enumerate().map(|(n, text)| part(&format!("name=\"{n}\""), "", text)).collect();
        let body = whole(&parts);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        if let Ok(out) = runtime.block_on(sent_in(&policy(), &body, length)) {
            prop_assert_eq!(out, body);
        }
    }
}
