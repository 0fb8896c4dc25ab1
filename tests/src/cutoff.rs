//! Access that is taken away, and how long the last of three services goes on serving it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, join, join_all};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tokio::sync::Notify;

use crate::admin::{Admin, RegisteredApi};
use crate::agent::Answer;
use crate::authorize::AuthorizeRequest;
use crate::database::Database;
use crate::process::{Place, ServerProcess, two_places};
use crate::registered::Registered;
use crate::service::GuardedService;
use crate::visitor::{Person, Visitor, the_form};

const ORDERS: &str = "https://orders.test";

/// Within what time of the request that takes access away the last service refuses it: what the design promises.
pub const PROMISED: Duration = Duration::from_secs(2);

/// What is added to that where a debug build shares two processors with the other tests. The bench, which has the machine to itself,
/// adds nothing.
pub const ALLOWANCE: Duration = Duration::from_secs(3);

/// After so long a crowd is taken to be served for ever.
const GIVEN_UP: Duration = Duration::from_mins(1);

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

    /// The same while so many callers ask all services as fast as they can: the time until the last of them was refused.
    ///
    /// # Panics
    ///
    /// When a caller is not served before, or goes on being served.
    pub async fn trial_in_a_crowd(&self, cut: Cut, callers: usize) -> Duration {
        let server = self.server(0);
        let somebody = self.let_in(server, &format!("crowd-{cut:?}").to_lowercase()).await;
        let token = somebody.token.clone();
        let request = self.request_of(cut, server, somebody).await;
        let begun = AtomicUsize::new(0);
        let all_are_served = Notify::new();
        let caller = async |service: &GuardedService| {
            assert_eq!(service.get("/orders", Some(&token)).await.status, 200);
            if begun.fetch_add(1, Ordering::Relaxed) + 1 == callers {
                all_are_served.notify_one();
            }
            while is_served(service, &token).await {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Instant::now()
        };
        let crowd = join_all(self.services.iter().cycle().take(callers).map(caller));
        let taken_away = async {
            all_are_served.notified().await;
            let since = Instant::now();
            (since, request.await)
        };
        let both = tokio::time::timeout(GIVEN_UP, join(taken_away, crowd)).await;
        let ((since, answer), refused) = both.expect("every caller is refused in the end");
        assert!(answer.status.is_success() || answer.status.is_redirection(), "{cut:?}: {}", answer.text());
        let last = refused.into_iter().max().map_or(Duration::ZERO, |last| last.duration_since(since));
        assert!(last < PROMISED + ALLOWANCE, "{cut:?} in a crowd: {last:?}");
        last
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

/// Asks until a service refuses, and gives how long that is since a moment.
///
/// # Panics
///
/// When it goes on for longer than was promised and allowed for, or refuses the caller rather than the token.
pub async fn until_refused(service: &GuardedService, token: &str, since: Instant) -> Duration {
    loop {
        let is_served = is_served(service, token).await;
        let took = since.elapsed();
        if !is_served {
            return took;
        }
        assert!(took < PROMISED + ALLOWANCE, "a service goes on serving a token after {took:?}");
        // Other programs tell it: there is no event to wait for.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// # Panics
///
/// When the service answers otherwise than by serving or refusing the token.
async fn is_served(service: &GuardedService, token: &str) -> bool {
    let status = service.get("/orders", Some(token)).await.status;
    assert!(status == 200 || status == 401, "a token that is revoked is no token: {status}");
    status == 200
}
