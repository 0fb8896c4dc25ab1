//! A server that signs people in by mail, and what its letters say.

use std::time::Duration;

use portcullis_server::Config;

use crate::agent::Answer;
use crate::authenticator::Authenticator;
use crate::database::Database;
use crate::markup::Form;
use crate::post_office::{PostOffice, Received};
use crate::server::TestServer;
use crate::visitor::{Person, Visitor, the_form};

/// The subject of a letter with a code.
pub const SUBJECT: &str = "Your code to sign in";

/// A server and the mail that it sends.
pub struct ByMail {
    /// Where its letters go.
    pub office: PostOffice,
    /// The server.
    pub server: TestServer,
}

impl ByMail {
    /// A server that signs people in by mail.
    pub async fn start(database: Database) -> Self {
        Self::start_with(database, |_| ()).await
    }

    /// The same with whatever else is set.
    pub async fn start_with(database: Database, change: impl FnOnce(&mut Config)) -> Self {
        let office = PostOffice::start().await;
        let server = TestServer::start_with(database, |config| {
            office.serve(config);
            config.reach.accounts.sign_in_by_mail = true;
            change(config);
        })
        .await;
        Self { office, server }
    }

    /// Somebody who confirmed the address of the account.
    pub async fn person(&self, username: &str) -> Person {
        let person = self.server.admin.user(username).await;
        self.confirm(&person).await;
        person
    }

    /// Somebody who confirmed the address of the account, and wants it deleted.
    ///
    /// # Panics
    ///
    /// When it is refused.
    pub async fn leaver(&self, username: &str) -> Person {
        let person = self.person(username).await;
        self.leave(&person).await;
        person
    }

    /// Has somebody ask for the deletion of the account.
    ///
    /// # Panics
    ///
    /// When it is refused.
    pub async fn leave(&self, person: &Person) {
        let mut visitor = self.server.visitor();
        visitor.sign_in(person).await;
        let page = visitor.open("/account/data/deletion").await;
        let form = the_form(&page, "deletion-form").with("confirmation", &person.username);
        let asked = visitor.submit(&form).await;
        assert_eq!(asked.status, 200, "{}", asked.text());
    }

    /// Has somebody confirm the address of the account.
    ///
    /// # Panics
    ///
    /// When no letter comes, or it confirms nothing.
    pub async fn confirm(&self, person: &Person) {
        let mut visitor = self.server.visitor();
        visitor.sign_in(person).await;
        let page = visitor.open("/account/profile").await;
        visitor.submit(&the_form(&page, "send-again-form")).await;
        let letter = self.letters("Confirm your e-mail address").await.pop().expect("a letter came");
        let page = visitor.open("/verify").await;
        let form = the_form(&page, "code-form").with("code", &letter.code().expect("it has a code"));
        let done = visitor.submit(&form.with("confirm", "yes")).await;
        assert_eq!(done.header("location"), "/verify/done", "{}", done.text());
    }

    /// Adds a second step to the account of somebody, in a browser of theirs, and waits until its next code counts.
    pub async fn app_of(&self, person: &Person) -> Authenticator {
        let mut own = self.server.visitor();
        own.sign_in(person).await;
        let app = Authenticator::add(&mut own, &self.server).await;
        self.server.wait(Duration::from_secs(30));
        app
    }

    /// Sends what is due, and gives the letters with this subject, oldest first.
    ///
    /// # Panics
    ///
    /// When the letters cannot be looked at.
    pub async fn letters(&self, subject: &str) -> Vec<Received> {
        self.server.app().send_letters().await.expect("letters are sent");
        let is_meant = |letter: &Received| letter.header("Subject").as_deref() == Some(subject);
        self.office.received().into_iter().filter(is_meant).collect()
    }

    /// The code of the newest letter.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub async fn code(&self) -> String {
        self.letters(SUBJECT).await.pop().and_then(|letter| letter.code()).expect("a letter has a code")
    }

    /// Asks for a code in a browser, and gives the page that takes it, with the code of the letter.
    pub async fn code_for(&self, visitor: &mut Visitor, who: &str) -> (Answer, String) {
        let page = visitor.ask_by_mail("/login/letter", who).await;
        (page, self.code().await)
    }

    /// Signs in by mail, as far as that goes.
    pub async fn sign_in(&self, visitor: &mut Visitor, who: &str) -> Answer {
        let (page, code) = self.code_for(visitor, who).await;
        let sent = visitor.submit(&letter_form(&page, &code)).await;
        visitor.follow(sent).await
    }
}

impl Visitor {
    /// Asks for a code on this page, and gives the page behind it.
    ///
    /// # Panics
    ///
    /// When nobody can ask there.
    pub async fn ask_by_mail(&mut self, path: &str, who: &str) -> Answer {
        let page = self.open(path).await;
        let sent = self.submit(&the_form(&page, "letter").with("username", who)).await;
        assert_eq!(sent.status, 303, "{}", sent.text());
        self.follow(sent).await
    }
}

/// The form of a page that takes a code, filled in.
pub fn letter_form(page: &Answer, code: &str) -> Form {
    the_form(page, "letter-code").with("code", code)
}

/// A code that is another one.
pub fn other_than(code: &str) -> String {
    let turned = |c: char| if c == '0' { '1' } else { '0' };
    let (first, rest) = code.split_at(1);
    first.chars().map(turned).chain(rest.chars()).collect()
}
