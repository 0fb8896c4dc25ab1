//! Somebody and something to work with in the place of a real program, made before it starts.

use portcullis_server::config::SecretText;
use portcullis_server::services::caller::Caller;
use portcullis_server::services::clients::form::{ClientForm, ClientOptions};
use portcullis_server::services::users::form::UserForm;
use portcullis_server::{App, Clock, Config, Entropy};

use crate::authorize::AuthorizeRequest;
use crate::process::{Place, ServerProcess};
use crate::registered::Registered;
use crate::visitor::{Person, Visitor};

/// A person and a web application of ours, which asks for no consent.
pub struct Provisioned {
    /// The person.
    pub person: Person,
    /// The application.
    pub client: Registered,
}

impl Provisioned {
    /// Makes both in the database of a place, with the very code that the program runs.
    ///
    /// # Panics
    ///
    /// When the database cannot be opened, or has them already.
    pub async fn in_place(place: &Place) -> Self {
        let issuer = place.issuer.clone().unwrap_or_else(|| place.address());
        let mut config = Config::for_tests(&place.data_dir, &issuer);
        config.database.url = place.database_url.clone().map(SecretText::new);
        let app = App::open(config, Clock::system(), Entropy::os()).await.expect("the place can be opened");
        let provisioned = Box::pin(Self::in_app(&app)).await;
        app.store().close().await;
        provisioned
    }

    /// Makes both in a server that is open.
    ///
    /// # Panics
    ///
    /// When it has them already.
    pub async fn in_app(app: &App) -> Self {
        let caller = Caller::operator(Clock::system().now());
        let (username, password) = ("ada".to_owned(), "correct horse ada battery".to_owned());
        let form =
            UserForm { username: username.clone(), password: Some(password.clone()), ..UserForm::default() };
        let user = Box::pin(app.users().create(form, &caller)).await.expect("the person is new").value;
        let redirect_uris = vec!["https://rp.test/cb".to_owned()];
        let form = ClientForm {
            name: "Test shop".to_owned(),
            preset: "web".to_owned(),
            redirect_uris: redirect_uris.clone(),
            options: ClientOptions { first_party: true, ..ClientOptions::default() },
            ..ClientForm::default()
        };
        let made = Box::pin(app.clients().create(&form, &caller)).await.expect("the application is new");
        let secret = made.secret.map(|secret| secret.expose().to_owned());
        Self {
            person: Person { id: user.id.to_string(), sub: user.sub.to_string(), username, password },
            client: Registered { id: made.client.value.id.to_string(), secret, redirect_uris },
        }
    }

    /// Signs the person in at the application and returns the refresh token it gets.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub async fn refresh_token(&self, server: &ServerProcess) -> String {
        let request = AuthorizeRequest::of(&self.client).with("scope", "openid offline_access");
        let callback = Visitor::new(&server.address).authorize(&request, &self.person).await;
        let tokens = server.machine.redeem(&self.client, &request, &callback).await;
        assert_eq!(tokens.status, 200, "{}", tokens.text());
        let token = tokens.member("refresh_token");
        assert!(!token.is_empty(), "offline_access brings a refresh token");
        token
    }
}
