//! Somebody at the pages of the server.

use portcullis_tests::agent::Answer;
use portcullis_tests::markup::{Form, forms};
use portcullis_tests::visitor::{Person, Visitor, login_form};
use url::Url;

/// Forms that are sent before somebody gives up.
const MOST_FORMS: usize = 6;

/// Where a walk through the pages ends.
#[derive(Debug)]
pub(crate) enum End {
    /// An address that is none of the server's.
    Elsewhere(Url),
    /// A form that leads to such an address.
    Form(Form),
    /// A page that asks nothing.
    Page(Answer),
}

/// Goes to an address of the server: signs in where that is asked, allows what is asked, and says yes to signing out.
///
/// # Panics
///
/// When it never ends.
pub(crate) async fn go(visitor: &mut Visitor, person: &Person, target: &Url) -> End {
    let path =
        target.query().map_or_else(|| target.path().to_owned(), |query| format!("{}?{query}", target.path()));
    let mut page = visitor.open(&path).await;
    for _ in 0..MOST_FORMS {
        if let Some(target) = page.location() {
            return End::Elsewhere(target);
        }
        let form = match asked(&page, person) {
            None => return End::Page(page),
            Some(form) if form.id == "form-post" => return End::Form(form),
            Some(form) => form,
        };
        let sent = visitor.submit(&form).await;
        page = visitor.follow(sent).await;
    }
    panic!("the pages never end: {}", page.url)
}

/// The form of a page that asks something, filled in.
fn asked(page: &Answer, person: &Person) -> Option<Form> {
    let form = forms(&page.text()).into_iter().find(|form| {
        ["consent", "device", "device-confirm", "form-post", "login", "logout"].contains(&form.id.as_str())
    })?;
    Some(match form.id.as_str() {
        "login" => login_form(page, &person.username, &person.password),
        "consent" | "device-confirm" => form.with("decision", "allow"),
        _ => form,
    })
}
