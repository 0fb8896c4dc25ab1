//! Who may do something, what somebody may do, and with what. A name is found exactly if a decision about it allows.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_policy::Vocabulary;

use crate::domain::client::Client;
use crate::domain::ids::ClientId;
use crate::domain::rbac::Api;
use crate::domain::user::Sub;
use crate::services::policies::candidate::apart;
use crate::services::policies::decide::{Asked, Compiled, DecideError, DecisionService, Standing};
use crate::storage::assignments::{HeldRole, clients_with_roles, users_with_roles};

/// How many names one search looks at. It ends there, whatever it found, and says where to go on.
const MAX_LOOKS: usize = 2_000;

/// How many users or clients that only rules name are looked up for one search.
const MAX_LOOK_UPS: usize = 100;

/// What is looked for.
#[derive(Clone, Debug)]
pub(crate) enum Search {
    /// What somebody may do with an object.
    Actions { subject: Asked, object: String },
    /// Who may do something with an object.
    Holders { kind: Holders, object: String, action: String },
    /// With what somebody may do something.
    Objects { subject: Asked, action: String },
    /// Which roles alone are enough to do something with an object.
    Roles { object: String, action: String },
}

/// Who holds roles.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Holders {
    Clients,
    Users,
}

impl Holders {
    /// The question about one of them; `None` for a name that none has.
    fn asked(self, name: &str) -> Option<Asked> {
        match self {
            Self::Clients => ClientId::parse(name).is_ok().then(|| Asked::Client(name.to_owned())),
            Self::Users => Sub::parse(name).is_ok().then(|| Asked::User(name.to_owned())),
        }
    }
}

/// Which part of the answer is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// The name behind which to begin.
    pub(crate) after: Option<String>,
    /// The most names.
    pub(crate) limit: usize,
}

/// What was found.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Found {
    /// In the order of their bytes.
    pub(crate) names: Vec<String>,
    /// The name behind which there may be more. There may be when nothing was found so far.
    pub(crate) next: Option<String>,
    /// The revision that decided; `None` when none is in force.
    pub(crate) revision: Option<u64>,
}

/// Names to look at, in the order of their bytes.
struct Candidates<T> {
    items: Vec<T>,
    /// The last name that is covered, if there are more behind it.
    horizon: Option<String>,
}

impl DecisionService {
    /// Searches the policy in force of the API that `client` serves, and the roles that are held in it.
    pub(crate) async fn search(
        &self,
        client: &Client,
        search: Search,
        window: Window,
    ) -> Result<Found, DecideError> {
        let Some((api, policy)) = self.in_force(client).await? else { return Ok(Found::default()) };
        let vocabulary = policy.vocabulary.as_ref().ok_or(DecideError::Model)?;
        // It is never closed.
        let _place = self.searches.acquire().await;
        let after = window.after.as_deref().unwrap_or_default();
        match search {
            Search::Actions { subject, object } => {
                let Some(standing) = self.standing(&subject, &api).await? else {
                    return Ok(nothing(&policy));
                };
                let names = behind(&vocabulary.actions, after);
                let allows = move |policy: &Compiled, action: &String| {
                    standing.judged(&policy.snapshot, &object, action).allowed
                };
                sift(policy, names, window.limit, allows, String::as_str).await
            }
            Search::Objects { subject, action } => {
                let Some(standing) = self.standing(&subject, &api).await? else {
                    return Ok(nothing(&policy));
                };
                let names = behind(&vocabulary.objects, after);
                let allows = move |policy: &Compiled, object: &String| {
                    standing.judged(&policy.snapshot, object, &action).allowed
                };
                sift(policy, names, window.limit, allows, String::as_str).await
            }
            Search::Roles { object, action } => {
                let names = behind(&vocabulary.roles, after);
                let allows = move |policy: &Compiled, role: &String| {
                    Standing::of_role(role).judged(&policy.snapshot, &object, &action).allowed
                };
                sift(policy, names, window.limit, allows, String::as_str).await
            }
            Search::Holders { kind, object, action } => {
                let holders = self.holders(kind, &api, vocabulary, after).await?;
                let allows = move |policy: &Compiled, standing: &Standing| {
                    standing.judged(&policy.snapshot, &object, &action).allowed
                };
                sift(policy, holders, window.limit, allows, |standing| standing.subject.as_str()).await
            }
        }
    }

    /// The users or clients behind `after` of whom anything could be allowed: whoever holds a role, and whom a rule names.
    async fn holders(
        &self,
        kind: Holders,
        api: &Api,
        vocabulary: &Vocabulary,
        after: &str,
    ) -> Result<Candidates<Standing>, DecideError> {
        let limit = u32::try_from(MAX_LOOKS).unwrap_or(u32::MAX);
        let mut tx = self.store.read().await?;
        let held = match kind {
            Holders::Clients => clients_with_roles(&mut tx, &api.id, after, limit).await?,
            Holders::Users => users_with_roles(&mut tx, &api.id, after, limit).await?,
        };
        drop(tx);
        let mut standings = by_subject(held);
        let is_full = standings.len() >= MAX_LOOKS;
        let mut horizon = standings.keys().next_back().filter(|_| is_full).cloned();
        let within = |name: &&String| horizon.as_ref().is_none_or(|last| *name <= last);
        let start = vocabulary.users.partition_point(|name| name.as_str() <= after);
        let named = vocabulary.users.iter().skip(start).take_while(within);
        let named = named.filter(|name| !standings.contains_key(*name)).filter_map(|name| kind.asked(name));
        let mut named: Vec<Asked> = named.take(MAX_LOOK_UPS + 1).collect();
        if named.len() > MAX_LOOK_UPS {
            named.truncate(MAX_LOOK_UPS);
            horizon = named.last().map(|asked| asked.name().to_owned());
        }
        for asked in named {
            if let Some(standing) = self.standing(&asked, api).await? {
                standings.insert(standing.subject.clone(), standing);
            }
        }
        let covered = standings.into_values();
        let covered = covered.filter(|one| horizon.as_ref().is_none_or(|last| one.subject <= *last));
        Ok(Candidates { items: covered.collect(), horizon })
    }
}

fn by_subject(held: Vec<HeldRole>) -> BTreeMap<String, Standing> {
    let mut standings: BTreeMap<String, Standing> = BTreeMap::new();
    for HeldRole { subject, organisation, role } in held {
        let standing = standings.entry(subject.clone()).or_insert_with(|| Standing {
            subject,
            roles: Vec::new(),
            domain: organisation.unwrap_or_default(),
        });
        standing.roles.push(role.to_string());
    }
    standings
}

/// The next names behind `after`.
fn behind(names: &[String], after: &str) -> Candidates<String> {
    let start = names.partition_point(|name| name.as_str() <= after);
    let rest = names.get(start..).unwrap_or_default();
    let items: Vec<_> = rest.iter().take(MAX_LOOKS).cloned().collect();
    let horizon = items.last().filter(|_| rest.len() > items.len()).cloned();
    Candidates { items, horizon }
}

fn nothing(policy: &Compiled) -> Found {
    Found { revision: Some(policy.snapshot.revision()), ..Found::default() }
}

/// Keeps what is allowed: off the threads that serve requests, because looking at thousands of names takes milliseconds.
async fn sift<T: Send + 'static>(
    policy: Arc<Compiled>,
    candidates: Candidates<T>,
    limit: usize,
    allows: impl Fn(&Compiled, &T) -> bool + Send + 'static,
    name: fn(&T) -> &str,
) -> Result<Found, DecideError> {
    let found = apart(move || {
        let mut found = nothing(&policy);
        for item in candidates.items.iter().filter(|item| allows(&policy, item)) {
            if found.names.len() >= limit {
                found.next = found.names.last().cloned();
                return found;
            }
            found.names.push(name(item).to_owned());
        }
        found.next = candidates.horizon;
        found
    });
    Ok(found.await?)
}

#[cfg(test)]
mod tests {
    use portcullis_policy::PolicySource;

    use super::*;
    use crate::domain::ids::{ApiId, AssignmentId, OrganisationId, RoleId, UserId};
    use crate::domain::profile::Profile;
    use crate::domain::rbac::{Assignment, AssignmentSubject, OrganisationScope};
    use crate::domain::secret::Entropy;
    use crate::domain::user::{User, Username};
    use crate::services::clients::form::ClientForm;
    use crate::services::policies::Activation;
    use crate::services::policies::decide::{Evaluation, Until};
    use crate::services::trial::{START, Trial, operator};
    use crate::services::version::Precondition;
    use crate::storage::{StoreError, assignments, users};

    struct Scene {
        trial: Trial,
        api: ApiId,
        service: Client,
        decisions: DecisionService,
    }

    impl Scene {
        async fn under(source: PolicySource) -> Self {
            let trial = Trial::begin().await;
            let api = trial.api("https://orders.example").await.id;
            let form = ClientForm {
                name: "Orders".to_owned(),
                preset: "service".to_owned(),
                serves: Some(api.to_string()),
                ..ClientForm::default()
            };
            let service = trial.clients.create(&form, &operator()).await.unwrap().client.value;
            let policies = trial.policies();
            policies.save_draft(&api, source, &Precondition::Any, &operator()).await.unwrap();
            let activation = Activation { precondition: Precondition::Any, message: "Rules".to_owned() };
            policies.activate(&api, activation, &operator()).await.unwrap();
            let decisions = DecisionService::new(trial.store.clone(), trial.notes(None));
            Self { trial, api, service, decisions }
        }

        async fn with(rules: &str) -> Self {
            Self::under(PolicySource::with_default_model(rules)).await
        }

        /// Everything, page by page, and how many pages it took.
        async fn walk(&self, search: &Search, limit: usize) -> (Vec<String>, usize) {
            let (mut names, mut pages, mut after) = (Vec::new(), 0, None);
            loop {
                let window = Window { after, limit };
                let found = self.decisions.search(&self.service, search.clone(), window).await.unwrap();
                assert!(found.names.len() <= limit);
                names.extend(found.names);
                pages += 1;
                after = found.next;
                if after.is_none() {
                    return (names, pages);
                }
            }
        }

        async fn allows(&self, subject: Asked, object: &str, action: &str) -> bool {
            let evaluation = Evaluation { subject, object: object.to_owned(), action: action.to_owned() };
            self.decisions.decide(&self.service, &[evaluation], Until::All).await.unwrap()[0].allowed
        }
    }

    fn readers(kind: Holders) -> Search {
        Search::Holders { kind, object: "orders".to_owned(), action: "read".to_owned() }
    }

    fn role(name: &str) -> Asked {
        Asked::Role(name.to_owned())
    }

    #[tokio::test]
    async fn every_name_that_is_found_would_be_allowed_and_no_other() {
        let scene = Scene::with(
            "p, viewer, *, orders, read\np, viewer, *, /docs/*, read\np, viewer, *, /docs/secret, read, deny\n\
             p, viewer, *, stock, *\np, editor, *, orders, write\ng, editor, viewer, *\np, owner, *, *, *\n\
             p, local, acme, orders, read\np, owner, *, stock, burn, deny",
        )
        .await;
        let objects = |who: &str| Search::Objects { subject: role(who), action: "read".to_owned() };
        for limit in [1, 2, 100] {
            assert_eq!(scene.walk(&objects("viewer"), limit).await.0, ["/docs/*", "orders", "stock"]);
            assert_eq!(
                scene.walk(&objects("owner"), limit).await.0,
                ["/docs/*", "/docs/secret", "orders", "stock"]
            );
            assert_eq!(scene.walk(&objects("nobody"), limit).await.0, [""; 0]);
            let actions =
                |who: &str, object: &str| Search::Actions { subject: role(who), object: object.to_owned() };
            assert_eq!(scene.walk(&actions("viewer", "stock"), limit).await.0, ["burn", "read", "write"]);
            assert_eq!(scene.walk(&actions("owner", "stock"), limit).await.0, ["read", "write"]);
            assert_eq!(scene.walk(&actions("editor", "orders"), limit).await.0, ["read", "write"]);
            let roles = Search::Roles { object: "orders".to_owned(), action: "read".to_owned() };
            assert_eq!(scene.walk(&roles, limit).await.0, ["editor", "owner", "viewer"]);
        }
        for action in ["burn", "read", "write"] {
            let search = Search::Roles { object: "stock".to_owned(), action: action.to_owned() };
            let found = scene.walk(&search, 100).await.0;
            for name in ["editor", "local", "owner", "viewer"] {
                let allowed = scene.allows(role(name), "stock", action).await;
                assert_eq!(found.contains(&name.to_owned()), allowed, "{name} {action}");
            }
        }
    }

    #[tokio::test]
    async fn whom_only_a_rule_names_is_found_among_those_with_roles() {
        let scene = Scene::with("").await;
        let (ada, bob) = (scene.trial.user("ada").await, scene.trial.user("bob").await);
        let sub = async |id: &UserId| scene.trial.users.show(id).await.unwrap().value.sub.as_str().to_owned();
        let (ada_sub, bob_sub) = (sub(&ada).await, sub(&bob).await);
        // None of these exists: they take more looks than one search has.
        let stranger = |number| Sub::generate(&Entropy::seeded(number)).as_str().to_owned();
        let strangers: Vec<_> = (0..3 * MAX_LOOK_UPS as u64)
            .map(|number| format!("p, user:{}, *, orders, read", stranger(number)))
            .collect();
        let strangers = strangers.join("\n");
        let rules = format!(
            "p, viewer, *, orders, read\np, user:{ada_sub}, *, orders, read\np, user:{}, *, orders, read\n{strangers}",
            scene.service.id
        );
        let policies = scene.trial.policies();
        let source = PolicySource::with_default_model(rules);
        policies.save_draft(&scene.api, source, &Precondition::Any, &operator()).await.unwrap();
        let activation = Activation { precondition: Precondition::Any, message: "Names".to_owned() };
        policies.activate(&scene.api, activation, &operator()).await.unwrap();
        scene.trial.grant(&scene.api, "viewer", bob.as_str()).await;
        let mut both = vec![ada_sub, bob_sub.clone()];
        both.sort_unstable();
        for limit in [1, 1_000] {
            let (found, pages) = scene.walk(&readers(Holders::Users), limit).await;
            assert_eq!(found, both);
            assert!(pages >= 3, "no search looks up more than {MAX_LOOK_UPS}: {pages}");
        }
        let (clients, _) = scene.walk(&readers(Holders::Clients), 10).await;
        assert_eq!(clients, [scene.service.id.to_string()]);
        scene.trial.users.disable(&ada, &operator()).await.unwrap();
        assert_eq!(scene.walk(&readers(Holders::Users), 10).await.0, [bob_sub]);
    }

    #[tokio::test]
    async fn more_people_than_one_search_looks_at_are_all_found_in_order() {
        let scene = Scene::with("p, viewer, *, orders, read\np, banned, *, orders, read, deny").await;
        let viewer = scene.trial.role(&scene.api, "viewer").await;
        let entropy = scene.trial.entropy.clone();
        let mut subs: Vec<String> = Vec::new();
        let mut crowd: Vec<(User, Assignment)> = Vec::new();
        for number in 0..MAX_LOOKS + 50 {
            let user = User {
                id: UserId::generate(START, &entropy),
                sub: Sub::generate(&entropy),
                organisation: OrganisationId::first(),
                username: Username::parse(&format!("user{number}")).unwrap(),
                name: String::new(),
                email: None,
                email_verified_at: None,
                created_at: START,
                disabled_at: None,
                profile: Profile::default(),
            };
            subs.push(user.sub.as_str().to_owned());
            let given = held(&entropy, &viewer, &user.id);
            crowd.push((user, given));
        }
        scene
            .trial
            .store
            .write::<_, StoreError, _>(move |tx| {
                Box::pin(async move {
                    for (user, given) in &crowd {
                        users::insert(tx, user).await?;
                        assignments::insert(tx, given).await?;
                    }
                    tx.invalidate();
                    Ok(())
                })
            })
            .await
            .unwrap();
        subs.sort_unstable();
        let (found, pages) = scene.walk(&readers(Holders::Users), 1_000).await;
        assert!(found == subs, "{} of {}", found.len(), subs.len());
        assert!(pages > 2, "{pages}");
    }

    fn held(entropy: &Entropy, role: &RoleId, user: &UserId) -> Assignment {
        Assignment {
            id: AssignmentId::generate(START, entropy),
            role: role.clone(),
            subject: AssignmentSubject::User(user.clone()),
            organisation: OrganisationScope::Every,
        }
    }

    #[tokio::test]
    async fn a_search_ends_after_so_many_looks_and_goes_on_where_it_ended() {
        let many: Vec<_> =
            (0..MAX_LOOKS * 2).map(|number| format!("p, other, *, object{number:05}, read")).collect();
        let many = many.join("\n");
        let scene = Scene::with(&format!("{many}\np, viewer, *, zebra, read")).await;
        let search = Search::Objects { subject: role("viewer"), action: "read".to_owned() };
        let window = Window { after: None, limit: 10 };
        let first = scene.decisions.search(&scene.service, search.clone(), window).await.unwrap();
        assert_eq!((first.names.len(), first.next.as_deref()), (0, Some("object01999")));
        assert_eq!(scene.walk(&search, 10).await, (vec!["zebra".to_owned()], 3));
    }

    #[tokio::test]
    async fn without_a_policy_there_is_nothing_and_another_model_is_not_searched() {
        let model = "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n\
                     [policy_effect]\ne = some(where (p.eft == allow))\n\
                     [matchers]\nm = r.sub == p.sub && keyMatch(r.obj, p.obj) && r.act == p.act";
        let source = PolicySource { model: model.to_owned(), rules: "p, viewer, orders, read".to_owned() };
        let scene = Scene::under(source).await;
        let search = Search::Roles { object: "orders".to_owned(), action: "read".to_owned() };
        let window = || Window { after: None, limit: 10 };
        let refused = scene.decisions.search(&scene.service, search.clone(), window()).await;
        assert!(matches!(refused, Err(DecideError::Model)), "{refused:?}");
        let mut astray = scene.service.clone();
        astray.settings.serves = Some(ApiId::generate(START, &scene.trial.entropy));
        let gone = scene.decisions.search(&astray, search.clone(), window()).await.unwrap();
        assert_eq!(gone, Found::default(), "its API is gone");
        let mut other = scene.service.clone();
        other.settings.serves = None;
        let refused = scene.decisions.search(&other, search, window()).await;
        assert!(matches!(refused, Err(DecideError::ServesNothing)));
    }
}
