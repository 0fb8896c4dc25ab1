//! A rule that finds nothing proves nothing: each of them is shown code that breaks it.

use rstest::rstest;

use crate::cycles::cycles;
use crate::packages::forbidden;
use crate::references::Crate;
use crate::rules::{Violation, escapes, file_names, foreign, layers, limits};
use crate::source::{SourceFile, without_tests};
use crate::surface::surface;

type Planted<'a> = &'a [(&'a str, &'a str)];

/// The modules every planted crate has, so that paths into them resolve.
const GROUND: Planted<'static> = &[
    ("auth-server/src/lib.rs", "mod domain; mod http; mod services; mod storage;"),
    ("auth-server/src/domain/mod.rs", "pub struct Scope;"),
    ("auth-server/src/services/mod.rs", "pub mod token;"),
    ("auth-server/src/services/token.rs", "pub struct Tokens;"),
    ("auth-server/src/storage/mod.rs", "pub mod users; pub struct Store;"),
    ("auth-server/src/storage/users.rs", "use sqlx::Row; pub fn find() {}"),
];

fn plant(planted: Planted<'_>) -> (Crate, Vec<SourceFile>) {
    let files: Vec<SourceFile> =
        GROUND.iter().chain(planted).map(|(name, text)| SourceFile::parse(name, text)).collect();
    (Crate::read("portcullis_server", &files), files)
}

fn text(broken: &[Violation]) -> String {
    broken.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_ground_breaks_no_rule() {
    let (this, files) = plant(&[]);
    assert_eq!(text(&layers(&this, &files)), "");
    assert_eq!(text(&foreign(&this, &files)), "");
    assert_eq!(text(&escapes(&this, &files)), "");
    assert_eq!(text(&file_names(&files)), "");
    assert_eq!(text(&limits(&files).0), "");
    assert!(cycles(&this, &files).is_empty());
}

#[rstest]
#[case::plain_use("domain/user.rs", "use crate::storage::Store;")]
#[case::group("http/login.rs", "use crate::{domain::Scope, storage::{users, Store}};")]
#[case::path_in_a_body("http/login.rs", "fn show() { let _ = crate::storage::users::find(); }")]
#[case::path_in_a_type("domain/user.rs", "struct User { at: Vec<crate::services::token::Tokens> }")]
#[case::path_in_a_macro("http/login.rs", "fn show() { println!(\"{}\", crate::storage::users::find()); }")]
#[case::path_in_an_attribute("http/login.rs", "#[derive(crate::storage::Row)] struct A;")]
#[case::renamed("http/login.rs", "use crate::storage as harmless; fn show() { harmless::users::find(); }")]
#[case::relative("domain.rs", "use super::storage::Store;")]
#[case::inline_module("http/login.rs", "mod inner { use crate::storage::Store; }")]
#[case::through_the_package_name("main.rs", "use portcullis_server::storage::Store;")]
#[case::module_off_the_map("helpdesk/mod.rs", "fn help() {}")]
fn an_edge_that_the_map_forbids_is_found(#[case] file: &str, #[case] code: &str) {
    let (this, files) = plant(&[(&format!("auth-server/src/{file}"), code)]);
    assert_eq!(layers(&this, &files).len().min(1), 1, "{code}");
}

#[test]
fn an_edge_through_a_reexport_is_found() {
    let services = ("auth-server/src/services/mod.rs", "pub mod token; pub use crate::storage::Store;");
    let http = ("auth-server/src/http/login.rs", "use crate::services::Store;");
    let (this, files) = plant(&[services, http]);
    assert!(text(&layers(&this, &files)).contains("`http` may not name `storage`"));
}

#[test]
fn an_edge_of_a_unit_test_is_free() {
    let code = "#[cfg(test)] mod tests { use crate::storage::Store; #[test] fn works() {} }";
    let (this, files) = plant(&[("auth-server/src/domain/user.rs", code)]);
    assert_eq!(text(&layers(&this, &files)), "");
}

#[rstest]
#[case::used("services/login.rs", "use sqlx::Row;")]
#[case::used_whole("services/login.rs", "use sqlx;")]
#[case::renamed("services/login.rs", "use sqlx as db; fn run() { db::query(\"\"); }")]
#[case::in_a_path("services/login.rs", "fn run() { sqlx::query(\"SELECT 1\"); }")]
#[case::from_the_root("services/login.rs", "fn run() { ::sqlx::query(\"SELECT 1\"); }")]
#[case::in_a_macro("services/login.rs", "fn run() { assert!(sqlx::query(\"SELECT 1\")); }")]
#[case::web_framework_in_a_service("services/login.rs", "use axum::Json;")]
#[case::wire_types_in_a_service("services/login.rs", "use http::StatusCode;")]
#[case::runtime_in_a_rule("domain/user.rs", "use tokio::sync::Mutex;")]
fn a_foreign_crate_outside_its_module_is_found(#[case] file: &str, #[case] code: &str) {
    let (this, files) = plant(&[(&format!("auth-server/src/{file}"), code)]);
    assert_ne!(text(&foreign(&this, &files)), "", "{code}");
}

#[test]
fn the_module_http_is_not_mistaken_for_the_crate_http() {
    let http = ("auth-server/src/http/mod.rs", "pub fn router() {}");
    let app = ("auth-server/src/cli/serve.rs", "use crate::http; fn serve() { http::router(); }");
    let (this, files) = plant(&[http, app]);
    assert_eq!(text(&foreign(&this, &files)), "");
    assert!(text(&layers(&this, &files)).contains("`cli` may not name `http`"));
}

#[rstest]
#[case::two_levels_up("fn a() { super::super::storage::users::find(); }")]
#[case::two_levels_up_in_use("use super::super::storage;")]
#[case::two_levels_up_in_a_test("#[cfg(test)] mod tests { use super::super::storage::Store; }")]
#[case::glob("use crate::domain::*;")]
#[case::renamed_root("use crate as other;")]
#[case::moved_file("#[path = \"../elsewhere.rs\"] mod elsewhere;")]
#[case::own_macro("macro_rules! shorthand { () => {} }")]
#[case::pasted_code("include!(\"../elsewhere.rs\");")]
#[case::nameless_module("mod helpers {}")]
fn an_escape_is_found(#[case] code: &str) {
    let (this, files) = plant(&[("auth-server/src/services/deep/login.rs", code)]);
    assert_ne!(text(&escapes(&this, &files)), "", "{code}");
}

#[test]
fn a_file_named_after_no_concept_is_found() {
    let (_, files) = plant(&[("auth-server/src/services/utils.rs", "")]);
    assert_ne!(text(&file_names(&files)), "");
}

#[test]
fn a_cycle_between_siblings_is_found_even_through_a_reexport() {
    let user = ("auth-server/src/domain/user.rs", "use crate::domain::Session;");
    let session = ("auth-server/src/domain/session.rs", "use super::user::User;");
    let domain = ("auth-server/src/domain/mod.rs", "mod session; mod user; pub use session::Session;");
    let (this, files) = plant(&[domain, user, session]);
    let places = "(auth-server/src/domain/session.rs:1, auth-server/src/domain/user.rs:1)";
    let cycle = format!("domain::session -> domain::user -> domain::session {places}");
    assert_eq!(cycles(&this, &files), [cycle]);
}

#[test]
fn a_parent_and_its_child_are_no_cycle() {
    let parent =
        ("auth-server/src/services/token/mod.rs", "mod refresh; use refresh::run; pub struct Request;");
    let child = ("auth-server/src/services/token/refresh.rs", "use super::Request; pub fn run() {}");
    let (this, files) = plant(&[parent, child]);
    assert!(cycles(&this, &files).is_empty());
}

#[test]
fn the_map_itself_has_no_cycle() {
    let uses = |from: &crate::map::Layer| {
        from.may_name.iter().map(|to| format!("use crate::{to}::X;")).collect::<Vec<_>>().join(" ")
    };
    let texts: Vec<(String, String)> = crate::map::LAYERS
        .iter()
        .map(|layer| (format!("auth-server/src/{}.rs", layer.module), uses(layer)))
        .collect();
    let files: Vec<SourceFile> = texts.iter().map(|(name, text)| SourceFile::parse(name, text)).collect();
    assert!(cycles(&Crate::read("portcullis_server", &files), &files).is_empty());
}

#[rstest]
#[case::long_file(&"// one more line\n".repeat(401))]
#[case::long_function(&format!("fn long() {{{}}}", "\n".repeat(60)))]
#[case::long_method(&format!("struct A; impl A {{ fn long() {{{}}} }}", "\n".repeat(60)))]
#[case::many_parameters("fn many(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) {}")]
#[case::wide_struct(
    "struct Wide { a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8, j: u8, k: u8 }"
)]
#[case::wide_variant(
    "enum E { W { a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8, j: u8, k: u8 } }"
)]
fn a_size_over_its_limit_is_found(#[case] code: &str) {
    let (_, files) = plant(&[("auth-server/src/services/login.rs", code)]);
    assert_eq!(limits(&files).0.len(), 1, "{code}");
}

#[test]
fn unit_tests_do_not_count_as_lines_of_the_file() {
    let code = format!("fn a() {{}}\n#[cfg(test)]\nmod tests {{\n{}}}\n", "// a line\n".repeat(500));
    let (_, files) = plant(&[("auth-server/src/services/login.rs", &code)]);
    assert_eq!(text(&limits(&files).0), "");
}

#[test]
fn a_file_of_unit_tests_is_known_by_its_declaration() {
    let parent = ("auth-server/src/services/token.rs", "#[cfg(test)] mod tests; mod other;");
    let tests = ("auth-server/src/services/token/tests.rs", "use crate::http::everything::*;");
    let other = ("auth-server/src/services/token/other.rs", "pub struct Other;");
    let (_, files) = plant(&[parent, tests, other]);
    let kept = without_tests(files);
    let is_kept = |name: &str| kept.iter().any(|file| file.name.ends_with(name));
    assert!(is_kept("token/other.rs") && !is_kept("token/tests.rs"));
}

#[rstest]
#[case::plain("[dependencies]\nportcullis-server.workspace = true\n")]
#[case::for_tests("[dev-dependencies]\nportcullis-server = { path = \"../auth-server\" }\n")]
#[case::for_one_target("[target.'cfg(unix)'.dependencies]\nportcullis-server.workspace = true\n")]
#[case::renamed("[dependencies]\nshared = { path = \"../auth-server\", package = \"portcullis-server\" }\n")]
fn a_package_that_points_up_is_found(#[case] manifest: &str) {
    let manifest = manifest.parse().unwrap();
    assert_eq!(forbidden("middleware", &manifest), ["portcullis-server"]);
    assert!(forbidden("tests", &manifest).is_empty());
}

#[rstest]
#[case::parameter("pub fn send(client: reqwest::Client) {}")]
#[case::imported("use reqwest::Client; pub struct A { pub client: Option<Client> }")]
#[case::method("pub struct A; impl A { pub fn of(governor: &governor::Quota) {} }")]
#[case::variant("pub enum A { Failed(reqwest::Error) }")]
#[case::bound("pub fn all<T: tokio::io::AsyncRead>(_: T) {}")]
#[case::exported("pub use reqwest::Client;")]
#[case::in_a_trait("pub trait A { fn client(&self) -> reqwest::Client; }")]
#[case::alias("pub type A = reqwest::Client;")]
fn a_foreign_name_in_public_is_found(#[case] code: &str) {
    let (this, files) = plant(&[("auth-server/src/http/login.rs", code)]);
    assert_eq!(surface(&this, &files).len(), 1, "{code}");
}

#[test]
fn what_is_nobody_elses_may_be_named() {
    let code = "use reqwest::Client; pub struct A { client: Client } impl A { fn of(client: Client) -> Self { Self { client } } \
                pub fn url(&self) -> http::Uri { reqwest::get() } } pub(crate) fn b(_: Client) {} pub fn c<T: Clone>(_: T, d: u8) {}";
    let (this, files) = plant(&[("auth-server/src/http/login.rs", code)]);
    assert_eq!(text(&surface(&this, &files)), "");
}
