use portcullis_policy::{Fit, Need, PolicySource, Route};

use super::*;
use crate::domain::ids::ClientId;
use crate::services::caller::Authority;
use crate::services::clients::form::ClientForm;
use crate::services::policies::Activation;
use crate::services::policies::questions::{Edition, QuestionService, Seen};
use crate::services::trial::{START, Trial, delegate, operator};

const ORDERS: &str = "https://orders.example";

/// An API, the client that is its guard, and the service at a clock that tests turn.
struct Scene {
    trial: Trial,
    clock: Clock,
    api: Api,
    guard: Arc<Client>,
    inventories: InventoryService,
}

impl Scene {
    async fn begin() -> Self {
        let trial = Trial::begin().await;
        let api = trial.api(ORDERS).await;
        let guard = guard(&trial, Some(&api.id)).await;
        let clock = Clock::manual(START);
        let inventories = InventoryService::new(trial.store.clone(), &clock, &trial.entropy);
        Self { trial, clock, api, guard, inventories }
    }

    /// Announces, with enough time before it that the pace does not matter.
    async fn announce(&self, document: &RouteDocument) -> Result<Announced, AnnounceError> {
        self.clock.advance(PACE);
        self.announce_now(document).await
    }

    async fn announce_now(&self, document: &RouteDocument) -> Result<Announced, AnnounceError> {
        let arrival = Arrival { address: "192.0.2.1".parse().ok(), now: self.clock.now() };
        self.inventories.announce(&self.guard, &name(document), document, arrival).await
    }

    async fn states(&self) -> Vec<(Option<String>, &'static str)> {
        let found = self.inventories.list(&self.api.id).await.unwrap();
        found.into_iter().map(|it| (it.version, it.state.as_str())).collect()
    }

    async fn approve(&self, document: &RouteDocument) -> Result<Versioned<RouteInventory>, AdminError> {
        self.inventories.approve(&self.api.id, &name(document), &Precondition::Any, &delegate()).await
    }

    async fn activate(&self, rules: &str) {
        let (policies, api) = (self.trial.policies(), &self.api.id);
        let source = PolicySource::with_default_model(rules);
        policies.save_draft(api, source, &Precondition::Any, &operator()).await.unwrap();
        let activation = Activation { precondition: Precondition::Any, message: "Change".to_owned() };
        policies.activate(api, activation, &operator()).await.unwrap();
    }
}

async fn guard(trial: &Trial, serves: Option<&ApiId>) -> Arc<Client> {
    let preset = if serves.is_some() { "service" } else { "m2m" };
    let form = ClientForm {
        name: "Guard".to_owned(),
        preset: preset.to_owned(),
        serves: serves.map(ToString::to_string),
        ..ClientForm::default()
    };
    let id: ClientId = trial.clients.create(&form, &operator()).await.unwrap().client.value.id;
    trial.store.client(&id).await.unwrap().unwrap()
}

fn rbac(action: &str) -> Need {
    Need::Rbac { action: action.to_owned(), object: "orders".to_owned() }
}

fn document(version: &str, actions: &[&str]) -> RouteDocument {
    let routes = actions.iter().map(|action| Route::every_method(format!("/{action}"), rbac(action)));
    RouteDocument::new(ORDERS, Some(version.to_owned()), routes.collect())
}

fn name(document: &RouteDocument) -> Digest32 {
    Digest32::of(&serde_json::to_vec(document).unwrap())
}

#[tokio::test]
async fn what_is_announced_again_changes_nothing_and_costs_no_pace() {
    let scene = Scene::begin().await;
    let routes = document("1", &["read"]);
    assert_eq!(scene.inventories.state(&scene.guard, &name(&routes)).await.unwrap(), None);
    let first = scene.announce(&routes).await.unwrap();
    assert_eq!(first, Announced { state: InventoryState::Pending, is_new: true });
    for _ in 0..10 {
        assert!(!scene.announce_now(&routes).await.unwrap().is_new);
    }
    let replica = InventoryService::new(scene.trial.store.clone(), &scene.clock, &scene.trial.entropy);
    let arrival = Arrival { address: None, now: START };
    let elsewhere = replica.announce(&scene.guard, &name(&routes), &routes, arrival).await.unwrap();
    assert!(!elsewhere.is_new, "what one replica was told the others know");
    assert_eq!(scene.trial.trail().await.iter().filter(|action| **action == "routes.announced").count(), 1);
    let kept = scene.inventories.show(&scene.api.id, &name(&routes)).await.unwrap().value;
    assert_eq!(kept.document, serde_json::to_string(&routes).unwrap());
    assert_eq!((kept.routes, kept.announced.0.as_str()), (1, scene.guard.id.as_str()));
    scene.approve(&routes).await.unwrap();
    let again = scene.announce_now(&routes).await.unwrap();
    assert_eq!(again, Announced { state: InventoryState::Approved, is_new: false });
    let state = scene.inventories.state(&scene.guard, &name(&routes)).await.unwrap();
    assert_eq!(state, Some(InventoryState::Approved));
}

#[tokio::test]
async fn a_service_cannot_flood_the_server() {
    let scene = Scene::begin().await;
    for version in 1..=6 {
        scene.announce(&document(&version.to_string(), &["read"])).await.unwrap();
    }
    let kept: Vec<_> = scene.states().await.into_iter().filter_map(|(version, _)| version).collect();
    assert_eq!(kept, ["6", "5", "4", "3"], "the newest take the places of the oldest");
    let mut versions = 7..;
    let mut announce = async || {
        let version = versions.next().unwrap().to_string();
        scene.announce_now(&document(&version, &["read"])).await
    };
    let refused = loop {
        if let Err(refused) = announce().await {
            break refused;
        }
    };
    assert!(matches!(refused, AnnounceError::Throttled { retry_after } if retry_after <= PACE), "{refused}");
    assert!(scene.states().await.len() <= 4);
    scene.clock.advance(PACE);
    announce().await.unwrap();
}

#[tokio::test]
async fn a_document_that_is_not_what_it_has_to_be_is_refused() {
    let scene = Scene::begin().await;
    let good = document("1", &["read"]);
    let arrival = Arrival { address: None, now: START };
    let announce = async |digest: Digest32, document: RouteDocument| match scene
        .inventories
        .announce(&scene.guard, &digest, &document, arrival)
        .await
    {
        Err(AnnounceError::Invalid(errors)) => errors.iter().next().map(|error| error.pointer.clone()),
        other => panic!("{other:?}"),
    };
    let other_name = announce(Digest32::of(b""), good.clone()).await;
    assert_eq!(other_name.as_deref(), Some(""));
    for (changed, pointer) in [
        (RouteDocument { api: "https://bills.example".to_owned(), ..good.clone() }, "/api"),
        (RouteDocument { version: Some(" ".to_owned()), ..good.clone() }, "/version"),
        (RouteDocument { routes: [&good.routes[..], &good.routes].concat(), ..good.clone() }, "/routes"),
        (
            RouteDocument { routes: vec![Route::every_method("x", rbac("read"))], ..good.clone() },
            "/routes/0/path",
        ),
    ] {
        assert_eq!(announce(name(&changed), changed).await.as_deref(), Some(pointer));
    }
    let long = |at: usize| Route::every_method(format!("/{at}/{}", "x".repeat(900)), rbac("read"));
    let huge = RouteDocument::new(ORDERS, None, (0..300).map(long).collect());
    assert!(matches!(scene.announce(&huge).await, Err(AnnounceError::TooLong)));
    assert!(scene.states().await.is_empty());
}

#[tokio::test]
async fn only_the_guard_of_an_api_announces_and_only_for_that_api() {
    let scene = Scene::begin().await;
    let stranger = guard(&scene.trial, None).await;
    let routes = document("1", &["read"]);
    let arrival = Arrival { address: None, now: START };
    let refused = scene.inventories.announce(&stranger, &name(&routes), &routes, arrival).await;
    assert!(matches!(refused, Err(AnnounceError::ServesNothing)));
    assert!(matches!(
        scene.inventories.state(&stranger, &name(&routes)).await,
        Err(AnnounceError::ServesNothing)
    ));
    let bills = scene.trial.api("https://bills.example").await;
    let other = guard(&scene.trial, Some(&bills.id)).await;
    scene.announce(&routes).await.unwrap();
    assert_eq!(scene.inventories.state(&other, &name(&routes)).await.unwrap(), None, "of its own API alone");
}

#[tokio::test]
async fn an_approval_takes_the_place_of_the_one_before_for_the_same_version() {
    let scene = Scene::begin().await;
    let (old, new, next) =
        (document("1", &["read"]), document("1", &["read", "create"]), document("2", &["read"]));
    for routes in [&old, &new, &next] {
        scene.announce(routes).await.unwrap();
    }
    for routes in [&old, &next, &new] {
        scene.approve(routes).await.unwrap();
    }
    let approved: Vec<_> =
        scene.states().await.into_iter().map(|(version, state)| (version.unwrap(), state)).collect();
    assert_eq!(approved, [("2".to_owned(), "approved"), ("1".to_owned(), "approved")]);
    assert!(matches!(scene.approve(&old).await, Err(AdminError::NotFound(Thing::Inventory))));
    assert!(matches!(scene.approve(&new).await, Err(AdminError::Conflict(_))));
    assert_eq!(scene.trial.trail().await.iter().filter(|action| **action == "routes.approved").count(), 3);
}

#[tokio::test]
async fn what_is_rejected_stays_known_and_what_is_deleted_does_not() {
    let scene = Scene::begin().await;
    let (api, caller) = (&scene.api.id, delegate());
    let routes = document("1", &["read"]);
    scene.announce(&routes).await.unwrap();
    let digest = name(&routes);
    let rejected = scene.inventories.reject(api, &digest, &Precondition::Any, &caller).await.unwrap();
    assert_eq!(rejected.value.state, InventoryState::Rejected);
    assert!(!scene.announce(&routes).await.unwrap().is_new);
    let again = scene.inventories.reject(api, &digest, &Precondition::Any, &caller).await;
    assert!(matches!(again, Err(AdminError::Conflict(_))));
    scene.approve(&routes).await.unwrap();
    scene.inventories.delete(api, &digest, &Precondition::Any, &caller).await.unwrap();
    let gone = scene.inventories.delete(api, &digest, &Precondition::Any, &caller).await;
    assert!(matches!(gone, Err(AdminError::NotFound(Thing::Inventory))));
    assert!(scene.announce(&routes).await.unwrap().is_new);
    let trail = scene.trial.trail().await;
    assert_eq!(trail[..4], ["routes.announced", "routes.deleted", "routes.approved", "routes.rejected"]);
}

#[tokio::test]
async fn few_rejected_ones_are_remembered_and_few_versions_approved() {
    let scene = Scene::begin().await;
    for version in 0..12 {
        let routes = document(&version.to_string(), &["read"]);
        scene.announce(&routes).await.unwrap();
        scene
            .inventories
            .reject(&scene.api.id, &name(&routes), &Precondition::Any, &delegate())
            .await
            .unwrap();
    }
    assert_eq!(scene.states().await.len(), MAX_REJECTED as usize);
    for version in 100..100 + MAX_APPROVED {
        let routes = document(&version.to_string(), &["read"]);
        scene.announce(&routes).await.unwrap();
        scene.approve(&routes).await.unwrap();
    }
    let more = document("more", &["read"]);
    scene.announce(&more).await.unwrap();
    assert!(matches!(scene.approve(&more).await, Err(AdminError::Conflict(_))));
}

#[tokio::test]
async fn of_two_who_decide_at_once_one_is_told_and_nothing_of_the_admin_api_is_for_a_delegate() {
    let scene = Scene::begin().await;
    let routes = document("1", &["read"]);
    scene.announce(&routes).await.unwrap();
    let seen = scene.inventories.show(&scene.api.id, &name(&routes)).await.unwrap().version;
    let seen = Precondition::Matches(vec![seen]);
    scene.inventories.reject(&scene.api.id, &name(&routes), &seen, &delegate()).await.unwrap();
    let late = scene.inventories.approve(&scene.api.id, &name(&routes), &seen, &delegate()).await;
    assert!(matches!(late, Err(AdminError::Stale)));
    let late = scene.inventories.delete(&scene.api.id, &name(&routes), &seen, &delegate()).await;
    assert!(matches!(late, Err(AdminError::Stale)));

    let admin = scene.trial.admin_api().await;
    assert_eq!(delegate().authority, Authority::Delegate);
    let refused = scene.inventories.approve(&admin.id, &name(&routes), &Precondition::Any, &delegate()).await;
    assert!(matches!(refused, Err(AdminError::OwnersOnly)));
}

#[tokio::test]
async fn a_report_tells_what_does_not_fit() {
    let scene = Scene::begin().await;
    let questions = QuestionService::new(scene.trial.store.clone());
    let ask = async |edition, digest: Option<&RouteDocument>| {
        questions.route_report(&scene.api.id, edition, digest.map(name).as_ref()).await
    };
    assert!(matches!(ask(Edition::Active, None).await, Err(AdminError::NotFound(Thing::Inventory))));
    scene.activate("p, viewer, *, orders, read\np, clerk, *, stock, read").await;
    let (old, new) = (document("1", &["read", "create"]), document("2", &["read", "cancel"]));
    for routes in [&old, &new] {
        scene.announce(routes).await.unwrap();
    }
    scene.approve(&old).await.unwrap();
    let found = ask(Edition::Active, None).await.unwrap();
    let unruled = |fit: &Fit| fit.unruled.iter().map(|need| need.action.clone()).collect::<Vec<_>>();
    let unrouted = |fit: &Fit| fit.unrouted.iter().map(|rule| rule.line).collect::<Vec<_>>();
    assert_eq!((found.seen, found.answer.routes), (Seen::Revision(2), 2));
    assert_eq!(
        (unruled(&found.answer.fit), unrouted(&found.answer.fit)),
        (vec!["create".to_owned()], vec![2])
    );
    let pending = ask(Edition::Active, Some(&new)).await.unwrap().answer;
    assert_eq!((unruled(&pending.fit), pending.inventories.len()), (vec!["cancel".to_owned()], 1));
    scene.approve(&new).await.unwrap();
    let both = ask(Edition::Active, None).await.unwrap().answer;
    assert_eq!((both.routes, unruled(&both.fit)), (3, vec!["cancel".to_owned(), "create".to_owned()]));

    let better = PolicySource::with_default_model("p, clerk, *, orders, *");
    scene.trial.policies().save_draft(&scene.api.id, better, &Precondition::Any, &operator()).await.unwrap();
    let draft = ask(Edition::Draft, None).await.unwrap().answer;
    assert!(draft.fit.unruled.is_empty() && draft.fit.unrouted.is_empty());
    let unknown = document("9", &["read"]);
    assert!(matches!(
        ask(Edition::Active, Some(&unknown)).await,
        Err(AdminError::NotFound(Thing::Inventory))
    ));
    let broken = PolicySource::with_default_model("p, clerk");
    scene.trial.policies().save_draft(&scene.api.id, broken, &Precondition::Any, &operator()).await.unwrap();
    assert!(matches!(ask(Edition::Draft, None).await, Err(AdminError::Policy(_))));
}
