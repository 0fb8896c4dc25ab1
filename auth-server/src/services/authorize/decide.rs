//! What has to happen before a code may be issued: rules only, no database.

use std::time::Duration;

use crate::domain::clock::Timestamp;
use crate::domain::interaction::Interaction;
use crate::domain::session::Session;
use crate::domain::user::Sub;
use crate::services::authorize::refusal::RequestError;
use crate::services::authorize::request::{AuthorizeRequest, Prompt};
use crate::services::visit::LiveSession;

/// Why somebody has to sign in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LoginReason {
    /// The application asked for a choice of accounts.
    ChooseAccount,
    /// The application asked for a new account.
    NewAccount,
    /// Nobody is signed in.
    NotSignedIn,
    /// The application asked for a new sign-in.
    Requested,
    /// The sign-in is older than the application accepts.
    TooOld,
    /// The proof was weaker than the application accepts.
    TooWeak,
    /// The application expects somebody else.
    WrongPerson,
}

/// What to do next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SignIn {
    /// Nothing: the session will do.
    Done,
    /// Ask the person to sign in.
    Needed(LoginReason),
    /// Tell the client that it cannot be done.
    Refused(RequestError),
}

/// When the session of the browser began, seen from the interaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SessionAge {
    /// It was there before.
    Older,
    /// The person signed in during the interaction.
    SignedInSince,
}

impl SessionAge {
    /// A sign-in makes a new session, or renews the one of the same person with a later proof. So a forced one counts as done when
    /// this is another session than the one that was there when the interaction began, or a later proof in it, and no older than the
    /// interaction. A clock is not asked alone: a page could be left open in one tab while the person signs in in another.
    pub(crate) fn of(interaction: &Interaction, session: &LiveSession) -> Self {
        let Session { id, auth_time, .. } = &session.session;
        let is_other = interaction.prior_session.as_ref() != Some(id);
        let is_renewed = interaction.prior_proof.is_some_and(|prior| *auth_time > prior);
        if (is_other || is_renewed) && *auth_time >= interaction.created_at {
            Self::SignedInSince
        } else {
            Self::Older
        }
    }
}

/// The session of the browser, as the client of the request sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'s> {
    pub(crate) live: &'s LiveSession,
    pub(crate) age: SessionAge,
    /// What this client calls whoever signed in.
    pub(crate) subject: &'s Sub,
}

/// Decides whether the session of the browser answers the request.
pub(crate) fn sign_in(request: &AuthorizeRequest, session: Option<Seen<'_>>, now: Timestamp) -> SignIn {
    let reason = match session {
        None => Some(LoginReason::NotSignedIn),
        Some(seen) => match seen.age {
            // OpenID Connect Core §3.1.2.1: somebody signed in, but not the one whom the client insists on.
            SessionAge::SignedInSince if request.wishes.exclude(seen.subject) => {
                return SignIn::Refused(RequestError::OtherUser);
            }
            // Core §5.5.1.1: the same for how it was proven.
            SessionAge::SignedInSince if request.forbids(seen.live.session.acr) => {
                return SignIn::Refused(RequestError::AcrUnmet);
            }
            SessionAge::SignedInSince => None,
            SessionAge::Older => reason_against(request, seen, now),
        },
    };
    match reason {
        None => SignIn::Done,
        Some(_) if request.asks_for(Prompt::None) => SignIn::Refused(RequestError::LoginNeeded),
        Some(reason) => SignIn::Needed(reason),
    }
}

fn reason_against(request: &AuthorizeRequest, seen: Seen<'_>, now: Timestamp) -> Option<LoginReason> {
    if request.asks_for(Prompt::Create) {
        Some(LoginReason::NewAccount)
    } else if request.asks_for(Prompt::Login) {
        Some(LoginReason::Requested)
    } else if request.asks_for(Prompt::SelectAccount) {
        Some(LoginReason::ChooseAccount)
    } else if is_too_old(request, seen.live, now) {
        Some(LoginReason::TooOld)
    } else if request.wishes.exclude(seen.subject) {
        Some(LoginReason::WrongPerson)
    } else if request.forbids(seen.live.session.acr) {
        Some(LoginReason::TooWeak)
    } else {
        None
    }
}

/// `max_age=0` means the same as `prompt=login` (OpenID Connect Core §3.1.2.1).
fn is_too_old(request: &AuthorizeRequest, live: &LiveSession, now: Timestamp) -> bool {
    request.wishes.max_age_secs.is_some_and(|secs| {
        secs == 0 || now.since(live.session.auth_time) > Duration::from_secs(u64::from(secs))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::code::CodeBinding;
    use crate::domain::ids::{ApiId, ClientId, InteractionId, OrganisationId, SessionId, UserId};
    use crate::domain::pkce::{CodeChallenge, CodeVerifier};
    use crate::domain::profile::Profile;
    use crate::domain::reach::Reach;
    use crate::domain::scope::ScopeSet;
    use crate::domain::secret::{Digest32, Entropy};
    use crate::domain::session::{Acr, AuthMethod, SessionOrigin};
    use crate::domain::user::{User, Username};
    use crate::services::authorize::request::ReturnAddress;
    use crate::services::authorize::response_mode::ResponseMode;
    use crate::services::authorize::wishes::Wishes;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn request(prompt: &[Prompt], max_age_secs: Option<u32>) -> AuthorizeRequest {
        let entropy = Entropy::seeded(1);
        AuthorizeRequest {
            client: ClientId::generate(NOW, &entropy),
            address: ReturnAddress {
                uri: "https://rp.test/cb".to_owned(),
                named: true,
                state: None,
                mode: ResponseMode::Query,
            },
            scopes: ScopeSet::parse("openid").unwrap(),
            reach: Reach::default(),
            binding: CodeBinding {
                challenge: Some(CodeChallenge::of(&CodeVerifier::parse(&"v".repeat(43)).unwrap())),
                jkt: None,
            },
            nonce: None,
            prompt: prompt.iter().copied().collect::<BTreeSet<_>>(),
            wishes: Wishes { max_age_secs, ..Wishes::default() },
        }
    }

    fn live(seed: u64, auth_time: Timestamp) -> LiveSession {
        let entropy = Entropy::seeded(seed);
        let user = User {
            id: UserId::generate(NOW, &entropy),
            sub: Sub::generate(&entropy),
            organisation: OrganisationId::first(),
            username: Username::parse("ada").unwrap(),
            name: "Ada".to_owned(),
            email: None,
            email_verified_at: None,
            created_at: NOW,
            disabled_at: None,
            profile: Profile::default(),
        };
        let session = Session {
            id: SessionId::generate(NOW, &entropy),
            user: user.id.clone(),
            auth_time,
            created_at: auth_time,
            last_seen_at: auth_time,
            expires_at: NOW.plus(Duration::from_hours(1)),
            ended_at: None,
            methods: vec![AuthMethod::Password],
            acr: Acr::OneFactor,
            origin: SessionOrigin::new(None, ""),
        };
        LiveSession { session, user, remembered: None, waiting: None }
    }

    fn seen(live: &LiveSession, age: SessionAge) -> Seen<'_> {
        Seen { live, age, subject: &live.user.sub }
    }

    fn older(request: &AuthorizeRequest, age_secs: u64) -> SignIn {
        let live = live(1, NOW.minus(Duration::from_secs(age_secs)));
        sign_in(request, Some(seen(&live, SessionAge::Older)), NOW)
    }

    #[test]
    fn nobody_signed_in_has_to_sign_in_and_is_refused_silently() {
        assert_eq!(sign_in(&request(&[], None), None, NOW), SignIn::Needed(LoginReason::NotSignedIn));
        let silent = request(&[Prompt::None], None);
        assert_eq!(sign_in(&silent, None, NOW), SignIn::Refused(RequestError::LoginNeeded));
    }

    #[test]
    fn a_session_is_enough_unless_the_request_wants_more() {
        assert_eq!(older(&request(&[], None), 600), SignIn::Done);
        assert_eq!(older(&request(&[Prompt::None], None), 600), SignIn::Done);
        assert_eq!(older(&request(&[Prompt::Consent], None), 600), SignIn::Done);
        assert_eq!(older(&request(&[Prompt::Login], None), 0), SignIn::Needed(LoginReason::Requested));
        let choose = request(&[Prompt::SelectAccount], None);
        assert_eq!(older(&choose, 0), SignIn::Needed(LoginReason::ChooseAccount));
        assert_eq!(older(&request(&[Prompt::Create], None), 0), SignIn::Needed(LoginReason::NewAccount));
    }

    #[test]
    fn a_session_older_than_max_age_is_not_enough() {
        assert_eq!(older(&request(&[], Some(60)), 60), SignIn::Done);
        assert_eq!(older(&request(&[], Some(60)), 61), SignIn::Needed(LoginReason::TooOld));
        assert_eq!(older(&request(&[], Some(0)), 0), SignIn::Needed(LoginReason::TooOld));
        let silent = request(&[Prompt::None], Some(60));
        assert_eq!(older(&silent, 61), SignIn::Refused(RequestError::LoginNeeded));
    }

    #[test]
    fn a_new_sign_in_answers_every_wish_for_one() {
        let live = live(1, NOW);
        for request in [
            request(&[Prompt::Login], None),
            request(&[], Some(0)),
            request(&[Prompt::SelectAccount], None),
            request(&[Prompt::Create], None),
        ] {
            assert_eq!(sign_in(&request, Some(seen(&live, SessionAge::SignedInSince)), NOW), SignIn::Done);
        }
    }

    #[test]
    fn somebody_else_than_expected_signs_in_once_and_is_then_refused() {
        let (ada, bob) = (live(1, NOW), live(2, NOW));
        let mut request = request(&[], None);
        let by_hint = Wishes { expected: Some(ada.user.sub.clone()), ..Wishes::default() };
        let mut by_claim = Wishes::default();
        by_claim.claims.subjects = Some([ada.user.sub.to_string()].into());
        for wishes in [by_hint, by_claim] {
            request.wishes = wishes;
            assert_eq!(sign_in(&request, Some(seen(&ada, SessionAge::Older)), NOW), SignIn::Done);
            let before = sign_in(&request, Some(seen(&bob, SessionAge::Older)), NOW);
            assert_eq!(before, SignIn::Needed(LoginReason::WrongPerson));
            let after = sign_in(&request, Some(seen(&bob, SessionAge::SignedInSince)), NOW);
            assert_eq!(after, SignIn::Refused(RequestError::OtherUser));
        }
    }

    #[test]
    fn a_proof_that_is_too_weak_is_asked_for_once_more_and_is_then_refused() {
        let live = live(1, NOW);
        let mut by_claim = request(&[], None);
        by_claim.wishes.claims.acr = Some([Acr::TwoFactors].into());
        let mut for_an_api = request(&[], None);
        for_an_api.wishes.acr_values = Some([Acr::TwoFactors].into());
        for_an_api.reach = Reach::from(Some(ApiId::generate(NOW, &Entropy::seeded(5))));
        for mut request in [by_claim, for_an_api] {
            let before = sign_in(&request, Some(seen(&live, SessionAge::Older)), NOW);
            assert_eq!(before, SignIn::Needed(LoginReason::TooWeak));
            let after = sign_in(&request, Some(seen(&live, SessionAge::SignedInSince)), NOW);
            assert_eq!(after, SignIn::Refused(RequestError::AcrUnmet));
            request.prompt = [Prompt::None].into();
            let silent = sign_in(&request, Some(seen(&live, SessionAge::Older)), NOW);
            assert_eq!(silent, SignIn::Refused(RequestError::LoginNeeded));
        }
    }

    #[test]
    fn a_proof_that_will_do_is_not_asked_for_and_one_that_nobody_can_give_is_known_at_once() {
        let live = live(1, NOW);
        let mut request = request(&[], None);
        request.wishes.acr_values = Some([Acr::TwoFactors].into());
        let wish = sign_in(&request, Some(seen(&live, SessionAge::Older)), NOW);
        assert_eq!(wish, SignIn::Done, "about an ID token it is a wish");
        request.reach = Reach::from(Some(ApiId::generate(NOW, &Entropy::seeded(5))));
        request.wishes.acr_values = Some(Acr::ALL.into());
        assert_eq!(sign_in(&request, Some(seen(&live, SessionAge::Older)), NOW), SignIn::Done);
        assert!(!request.asks_for_the_impossible());
        request.wishes.claims.acr = Some([Acr::OneFactor].into());
        request.wishes.acr_values = Some([Acr::TwoFactors].into());
        assert!(request.asks_for_the_impossible());
        request.wishes.claims.acr = None;
        assert!(!request.asks_for_the_impossible());
        request.wishes.acr_values = Some(BTreeSet::new());
        assert!(request.asks_for_the_impossible());
    }

    #[test]
    fn only_another_session_or_a_later_proof_counts_as_a_new_sign_in() {
        let (before, after) = (live(1, NOW), live(2, NOW));
        let stale = live(3, NOW.minus(Duration::from_secs(1)));
        let interaction = Interaction {
            id: InteractionId::generate(NOW, &Entropy::seeded(9)),
            client: ClientId::generate(NOW, &Entropy::seeded(9)),
            browser: Digest32::of(b"browser"),
            request: String::new(),
            prior_session: Some(before.session.id.clone()),
            prior_proof: Some(before.session.auth_time),
            session: None,
            created_at: NOW,
            expires_at: NOW.plus(Duration::from_mins(1)),
            finished_at: None,
        };
        assert_eq!(SessionAge::of(&interaction, &before), SessionAge::Older);
        assert_eq!(SessionAge::of(&interaction, &after), SessionAge::SignedInSince);
        assert_eq!(SessionAge::of(&interaction, &stale), SessionAge::Older);
        let mut renewed = before;
        renewed.session.auth_time = NOW.plus(Duration::from_micros(1));
        assert_eq!(SessionAge::of(&interaction, &renewed), SessionAge::SignedInSince);
        let late = Interaction { created_at: NOW.plus(Duration::from_secs(1)), ..interaction.clone() };
        assert_eq!(SessionAge::of(&late, &renewed), SessionAge::Older, "renewed before it was asked for");
        // Kept by a replica that does not renew sessions yet.
        let old = Interaction { prior_proof: None, ..interaction };
        assert_eq!(SessionAge::of(&old, &renewed), SessionAge::Older);
    }
}
