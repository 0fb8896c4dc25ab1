//! A person's browser without a screen: it keeps cookies, fills in forms and follows redirects within the server.

use std::collections::BTreeMap;

use reqwest::{Client, Method, RequestBuilder};
use url::Url;

use crate::agent::{Answer, agent};
use crate::authorize::{AuthorizeRequest, Callback};
use crate::markup::{Form, forms, link_of};

/// What a person knows.
#[derive(Clone, Debug)]
pub struct Person {
    /// The id of the account.
    pub id: String,
    /// The subject that tokens name.
    pub sub: String,
    /// What the person types to sign in.
    pub username: String,
    /// The password.
    pub password: String,
}

/// A browser without a screen.
#[derive(Clone, Debug)]
pub struct Visitor {
    client: Client,
    /// Where requests go.
    address: Url,
    /// What the server calls itself.
    issuer: Url,
    cookies: BTreeMap<String, String>,
}

/// Redirects that are followed before a test gives up.
const MOST_HOPS: usize = 12;

impl Visitor {
    /// A browser that was never here.
    ///
    /// # Panics
    ///
    /// When the issuer is not a URL.
    pub fn new(issuer: &str) -> Self {
        Self::through(issuer, issuer)
    }

    /// A browser that was never here, whose requests a load balancer brings to one replica.
    ///
    /// # Panics
    ///
    /// When one of them is not a URL.
    pub fn through(address: &str, issuer: &str) -> Self {
        let parse = |text: &str| Url::parse(text).expect("an address is a URL");
        Self { client: agent(), address: parse(address), issuer: parse(issuer), cookies: BTreeMap::new() }
    }

    /// The same browser, whose requests now come to another replica.
    #[must_use]
    pub fn moved_to(&self, address: &str) -> Self {
        Self { cookies: self.cookies.clone(), ..Self::through(address, self.issuer.as_str()) }
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    /// Every cookie: its name and its value.
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        self.cookies.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Puts a cookie into the jar, as malware or a shared computer would.
    pub fn plant_cookie(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    /// The cookie that holds the session, if somebody is signed in.
    pub fn session(&self) -> Option<&str> {
        self.cookie(SESSION)
    }

    /// Opens a page of the server. A redirect is not followed.
    pub async fn get(&mut self, path: &str) -> Answer {
        let request = self.request(Method::GET, path).header("sec-fetch-site", "none");
        self.send(request).await
    }

    /// Opens a page and whatever it leads to within the server.
    pub async fn open(&mut self, path: &str) -> Answer {
        let answer = self.get(path).await;
        self.follow(answer).await
    }

    /// Sends a form as the page that shows it would. A redirect is not followed.
    ///
    /// Our pages send no referrer, and browsers then send `Origin: null` with a form.
    pub async fn submit(&mut self, form: &Form) -> Answer {
        self.submit_from(form, &[("sec-fetch-site", "same-origin"), ("origin", "null")]).await
    }

    /// Sends a form with the given headers about where it came from.
    pub async fn submit_from(&mut self, form: &Form, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.request(Method::POST, &form.action).form(&form.fields);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request).await
    }

    /// A request with this browser's cookies.
    ///
    /// # Panics
    ///
    /// When `path` cannot follow the address of the server.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = self.address.join(path).expect("a path within the server");
        let jar: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.client.request(method, url);
        if jar.is_empty() { request } else { request.header("cookie", jar.join("; ")) }
    }

    /// Sends a request and keeps the cookies of the answer.
    pub async fn send(&mut self, request: RequestBuilder) -> Answer {
        let answer = Answer::to(request).await;
        for line in answer.cookies() {
            self.keep(&line);
        }
        answer
    }

    fn keep(&mut self, line: &str) {
        let mut parts = line.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let ends = parts.any(|attribute| attribute.eq_ignore_ascii_case("max-age=0"));
        if ends || value.is_empty() {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }

    /// Follows redirects as long as they stay within the server.
    ///
    /// # Panics
    ///
    /// When they never end.
    pub async fn follow(&mut self, mut answer: Answer) -> Answer {
        for _ in 0..MOST_HOPS {
            match answer.location() {
                Some(target) if self.is_within(&target) => {
                    let path = target.query().map_or_else(
                        || target.path().to_owned(),
                        |query| format!("{}?{query}", target.path()),
                    );
                    answer = self.get(&path).await;
                }
                _ => return answer,
            }
        }
        panic!("redirects that never end, the last one from {}", answer.url)
    }

    fn is_within(&self, target: &Url) -> bool {
        target.origin() == self.address.origin() || target.origin() == self.issuer.origin()
    }

    /// Opens the sign-in page and signs in.
    ///
    /// # Panics
    ///
    /// When the page has no sign-in form.
    pub async fn sign_in(&mut self, person: &Person) -> Answer {
        let page = self.open("/login").await;
        let sent = self.submit(&login_form(&page, &person.username, &person.password)).await;
        self.follow(sent).await
    }

    /// Walks an authorization request to its end.
    ///
    /// # Panics
    ///
    /// When it ends on a page.
    pub async fn authorize(&mut self, request: &AuthorizeRequest, person: &Person) -> Callback {
        self.walk(&request.path(), person).await
    }

    /// Allows what an application asks for on this page, and gives what it gets.
    ///
    /// # Panics
    ///
    /// When the page asks for nothing, or the answer leads nowhere.
    pub async fn allow(&mut self, page: &Answer) -> Callback {
        let sent = self.submit(&the_form(page, "consent").with("decision", "allow")).await;
        let answer = self.follow(sent).await;
        Callback::of(&answer.location().unwrap_or_else(|| panic!("it leads nowhere: {}", answer.text())))
    }

    /// Follows an address of the server to the application: signs in where a sign-in form appears, allows where
    /// consent is asked, goes on where a page says that an error leads to a stranger, and returns what the application gets.
    ///
    /// # Panics
    ///
    /// When the walk ends on a page instead: the panic says on which.
    pub async fn walk(&mut self, path: &str, person: &Person) -> Callback {
        let mut answer = self.open(path).await;
        for _ in 0..MOST_HOPS {
            if let Some(target) = answer.location() {
                return Callback::of(&target);
            }
            let page = answer.text();
            if let Some(link) = link_of(&page, "told-go") {
                return Callback::of(&link.parse().expect("a link leads somewhere"));
            }
            let form = if page.contains("id=\"login\"") {
                login_form(&answer, &person.username, &person.password)
            } else if page.contains("id=\"consent\"") {
                the_form(&answer, "consent").with("decision", "allow")
            } else if page.contains("id=\"form-post\"") {
                return Callback::of_form(&the_form(&answer, "form-post"));
            } else {
                panic!(
                    "{} at {} shows neither a sign-in nor a consent form:\n{page}",
                    answer.status, answer.url
                )
            };
            let sent = self.submit(&form).await;
            answer = self.follow(sent).await;
        }
        panic!("the request never ends: {}", answer.url)
    }
}

/// The cookie that holds a session.
pub const SESSION: &str = "__Host-portcullis-session";
/// The cookie that binds interactions and form tokens to a browser.
pub const BROWSER: &str = "__Host-portcullis-browser";

/// The form of a page with this `id`.
///
/// # Panics
///
/// When the page has none.
pub fn the_form(page: &Answer, id: &str) -> Form {
    let found = forms(&page.text()).into_iter().find(|form| form.id == id);
    found.unwrap_or_else(|| panic!("{} at {} has no form `{id}`:\n{}", page.status, page.url, page.text()))
}

/// The sign-in form of a page, filled in.
pub fn login_form(page: &Answer, username: &str, password: &str) -> Form {
    the_form(page, "login").with("username", username).with("password", password)
}
