//! Access that is taken away, and how long the last of three services goes on serving it.

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, join, join_all};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::admin::{Admin, RegisteredApi};
use crate::agent::Answer;
use crate::authorize::AuthorizeRequest;
use crate::database::Database;
use crate::process::{Place, ServerProcess, two_places};
use crate::registered::Registered;
use crate::service::GuardedService;
use crate::visitor::{Person, Visitor, the_form};

const ORDERS: &str = "https://orders.test";

/// How long a service may go on on a loaded machine before it is taken to go on for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// How access is taken away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cut {
    /// An administrator takes the role away from the user.
    RoleRemoval,
    /// The user signs out.
    SignOut,
    /// An administrator disables the user.
    UserDisable,
}

impl Cut {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::SignOut, Self::RoleRemoval, Self::UserDisable];
}

/// Servers on one database, one on SQLite and two on PostgreSQL, and three services that listen to them.
pub struct Scene {
    first: ServerProcess,
    second: Option<ServerProcess>,
    admin: Admin,
    api: RegisteredApi,
    shop: Registered,
    services: Vec<GuardedService>,
    _folder: TempDir,
}

/// Somebody whom all services serve.
struct Served {
    user: Person,
    assignment: String,
    browser: Visitor,
    token: String,
}

impl Scene {
    /// Starts everything, the servers as `change` wants them.
    ///
    /// # Panics
    ///
    /// When something of it does not start.
    pub async fn set(database: Database, change: impl Fn(Place) -> Place) -> Self {
        let (folder, first, second) = match database {
            Database::Postgres | Database::Replicas => {
                let (folder, first, second) = two_places().await;
                (folder, change(first), Some(change(second)))
            }
            Database::Sqlite => {
                let folder = tempdir().expect("a folder can be made");
                let place = change(Place::new(folder.path()));
                (folder, place, None)
            }
        };
        let admin = Admin::in_place(&first);
        let first = ServerProcess::start_unlimited(&first).await;
        let second = match &second {
            Some(place) => Some(ServerProcess::start_unlimited(place).await),
            None => None,
        };
        let api = admin.api(ORDERS).await;
        let shop = admin.web_client(&[&api]).await;
        let guard = admin.guard_client(&api).await;
        let mut scene = Self { first, second, admin, api, shop, services: Vec::new(), _folder: folder };
        for number in 0..3 {
            let (issuer, replica) = (&scene.first.address, &scene.server(number).address);
            let service = GuardedService::listening(issuer, replica, ORDERS, &guard).await;
            scene.services.push(service);
        }
        scene
    }

    /// One of the servers: they take turns.
    fn server(&self, number: usize) -> &ServerProcess {
        self.second.as_ref().filter(|_| !number.is_multiple_of(2)).unwrap_or(&self.first)
    }

    /// Lets somebody new in, takes the access away at one of the servers, and gives the time from then until no service
    /// serves the token any more. `number` makes the name, and picks the server.
    ///
    /// # Panics
    ///
    /// When a service does not serve the token before, or never refuses it afterwards.
    pub async fn trial(&self, cut: Cut, number: usize) -> Duration {
        let server = self.server(number);
        let somebody = self.let_in(server, &format!("{cut:?}-{number}").to_lowercase()).await;
        let token = somebody.token.clone();
        for service in &self.services {
            let answer = service.get("/orders", Some(&token)).await;
            assert_eq!(answer.status, 200, "{cut:?} {number}: {}", answer.text());
        }
        let request = self.request_of(cut, server, somebody).await;
        let since = Instant::now();
        let refusals = join_all(self.services.iter().map(|service| until_refused(service, &token, since)));
        let (answer, refusals) = join(request, refusals).await;
        assert!(answer.status.is_success() || answer.status.is_redirection(), "{cut:?}: {}", answer.text());
        refusals.into_iter().max().unwrap_or_default()
    }

    async fn let_in(&self, server: &ServerProcess, name: &str) -> Served {
        let admin = self.admin.at(&server.address);
        let user = admin.user(name).await;
        let assignment = admin.assign(&self.api, "viewer", &user.id).await;
        let request = AuthorizeRequest::of(&self.shop).with("resource", ORDERS);
        let mut browser = Visitor::through(&server.address, &self.first.address);
        let callback = browser.authorize(&request, &user).await;
        let token = server.machine.redeem(&self.shop, &request, &callback).await.member("access_token");
        Served { user, assignment, browser, token }
    }

    /// Everything up to the one request that takes the access away.
    async fn request_of(
        &self,
        cut: Cut,
        server: &ServerProcess,
        somebody: Served,
    ) -> LocalBoxFuture<'_, Answer> {
        let Served { user, assignment, mut browser, .. } = somebody;
        let admin = self.admin.at(&server.address);
        let ask = |request: RequestBuilder| Answer::to(request).boxed_local();
        match cut {
            Cut::RoleRemoval => {
                let path = format!("/apis/{}/assignments/{assignment}", self.api.id);
                ask(admin.request(Method::DELETE, &path).await.json(&Value::Null))
            }
            Cut::SignOut => {
                let form = the_form(&browser.get("/account").await, "sign-out-form");
                async move { browser.submit(&form).await }.boxed_local()
            }
            Cut::UserDisable => {
                let path = format!("/users/{}/disable", user.id);
                ask(admin.request(Method::POST, &path).await.json(&json!({})))
            }
        }
    }
}

async fn until_refused(service: &GuardedService, token: &str, since: Instant) -> Duration {
    loop {
        let status = service.get("/orders", Some(token)).await.status;
        let took = since.elapsed();
        if status != 200 {
            assert_eq!(status, 401, "a token that is revoked is no token");
            return took;
        }
        assert!(took < PATIENCE, "a service goes on serving a token after {took:?}");
        // Other programs tell it: there is no event to wait for.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
