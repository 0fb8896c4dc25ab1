//! An authenticator app: what makes codes of a secret and the time (RFC 6238), written apart from the server's own.

use aws_lc_rs::hmac;
use portcullis_server::domain::clock::Timestamp;

use crate::agent::Answer;
use crate::markup::{Form, tags, text_of};
use crate::server::BareServer;
use crate::visitor::{Person, Visitor, login_form, the_form};

/// Where a second step is added.
pub const ADD: &str = "/account/security/second-step";

/// An app that was given a secret, and what lies in the drawer for the day when it is lost.
#[derive(Clone, Debug)]
pub struct Authenticator {
    secret: Vec<u8>,
    /// The recovery codes.
    pub recovery: Vec<String>,
}

impl Authenticator {
    /// Reads the secret that a page shows.
    ///
    /// # Panics
    ///
    /// When it shows none.
    pub fn of(page: &Answer) -> Self {
        Self::shown(&text_of(&page.text(), "secret").expect("the page shows a secret"))
    }

    /// Takes the secret as people type it.
    pub fn shown(secret: &str) -> Self {
        Self { secret: decoded(secret), recovery: Vec::new() }
    }

    /// Adds a second step to the account that signed in to this browser just now.
    ///
    /// # Panics
    ///
    /// When it cannot be added.
    pub async fn add(visitor: &mut Visitor, server: &BareServer) -> Self {
        let page = visitor.open(ADD).await;
        let mut app = Self::of(&page);
        let code = app.code(server.clock.now());
        let done = visitor.submit(&the_form(&page, "second-step").with("totp", &code)).await;
        assert_eq!(done.status, 200, "{}", done.text());
        app.recovery = recovery_codes(&done);
        app
    }

    /// The key that it was given.
    pub fn key(&self) -> &[u8] {
        &self.secret
    }

    /// What it shows at this moment (RFC 4226 §5.3).
    ///
    /// # Panics
    ///
    /// Never: a tag of SHA-1 is long enough.
    pub fn code(&self, now: Timestamp) -> String {
        let counter = u64::try_from(now.as_secs()).unwrap_or_default() / 30;
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.secret);
        let tag = hmac::sign(&key, &counter.to_be_bytes());
        let at = usize::from(tag.as_ref().last().expect("a tag has bytes") & 15);
        let word = tag.as_ref().get(at..).and_then(<[u8]>::first_chunk).expect("a tag has twenty bytes");
        format!("{:06}", (u32::from_be_bytes(*word) & 0x7fff_ffff) % 1_000_000)
    }

    /// A code that it shows neither now nor shortly before or after.
    ///
    /// # Panics
    ///
    /// Never: of ten codes five are others.
    pub fn wrong_code(&self, now: Timestamp) -> String {
        let near: Vec<String> =
            (-2..=2).map(|step| self.code(Timestamp::from_secs(now.as_secs() + 30 * step))).collect();
        let mut all = (0..10).map(|number| format!("{number:06}"));
        all.find(|code| !near.contains(code)).expect("five codes are not ten")
    }
}

/// The recovery codes that a page shows.
///
/// # Panics
///
/// When it shows none.
pub fn recovery_codes(page: &Answer) -> Vec<String> {
    let text = page.text();
    let (_, list) = text.split_once("id=\"codes\"").expect("the page shows recovery codes");
    let list = list.split("</ul>").next().unwrap_or_default();
    let codes = list.split("<code>").skip(1).filter_map(|rest| rest.split("</code>").next());
    codes.map(str::to_owned).collect()
}

impl Visitor {
    /// Gives the password, and stops at the page that asks for a code.
    ///
    /// # Panics
    ///
    /// When no code is asked for.
    pub async fn begin(&mut self, person: &Person) -> Answer {
        let page = self.open("/login").await;
        self.begin_at(&page, person).await
    }

    /// The same on a page that has the sign-in form.
    ///
    /// # Panics
    ///
    /// When no code is asked for.
    pub async fn begin_at(&mut self, page: &Answer, person: &Person) -> Answer {
        let sent = self.submit(&login_form(page, &person.username, &person.password)).await;
        let page = self.follow(sent).await;
        assert_eq!(page.url.path(), "/login/code", "{}", page.text());
        page
    }

    /// Gives a code on the page that asks for it.
    pub async fn give(&mut self, page: &Answer, code: &str) -> Answer {
        let form = code_form(page, code);
        self.submit(&form).await
    }
}

/// The form of a page that asks for a code, filled in.
pub fn code_form(page: &Answer, code: &str) -> Form {
    let asks_for_recovery =
        tags(&page.text(), "<input").iter().any(|tag| tag.contains("id=\"recovery-code\""));
    let field = if asks_for_recovery { "recovery-code" } else { "totp" };
    the_form(page, "second-step").with(field, code)
}

/// RFC 4648 §6.
fn decoded(text: &str) -> Vec<u8> {
    let digits = text.bytes().filter(|byte| *byte != b' ').map(|byte| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'2'..=b'7' => byte - b'2' + 26,
        other => panic!("{other} is no base32"),
    });
    let bits: Vec<bool> = digits.flat_map(|digit| (0..5).rev().map(move |at| digit >> at & 1 == 1)).collect();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | u8::from(*bit))).collect()
}
