//! Questions that are open: one for each token, and only so many.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::memory::Digest;
use super::verdict::Verdict;

/// What a question waits for: nothing until it is answered.
pub(crate) type Awaited = watch::Receiver<Option<Verdict>>;

type Open = HashMap<Digest, Awaited, RandomState>;

/// Questions on their way.
pub(super) struct Flights {
    open: Arc<Mutex<Open>>,
    places: Arc<Semaphore>,
}

/// A question that somebody has to carry out.
pub(super) struct Flight {
    answered: watch::Sender<Option<Verdict>>,
    landing: Landing,
    _place: OwnedSemaphorePermit,
}

/// Takes a question off the list, however it ends.
struct Landing {
    digest: Digest,
    open: Arc<Mutex<Open>>,
}

/// What comes of wanting to ask.
pub(super) enum Boarding {
    /// No more questions may be open.
    Full,
    /// Somebody asks already, or nobody has to any more.
    Joined(Awaited),
    /// This question is the first one.
    New(Flight, Awaited),
}

/// What has come of a question by now.
pub(super) enum Outcome {
    Answered(Verdict),
    /// It ended, and nobody will answer it.
    Lost,
    Open,
}

impl Outcome {
    pub(super) fn of(awaited: &Awaited) -> Self {
        // Whether more may come is looked at first: an answer that comes between the two is seen then.
        let is_open = awaited.has_changed().is_ok();
        match &*awaited.borrow() {
            Some(verdict) => Self::Answered(verdict.clone()),
            None if is_open => Self::Open,
            None => Self::Lost,
        }
    }
}

impl Flights {
    pub(super) fn new(most: usize) -> Self {
        let places = Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS)));
        Self { open: Arc::default(), places }
    }

    /// Joins the question about a token, or opens one: at a place that was got elsewhere, or at one of those here.
    pub(super) fn board(&self, digest: Digest, place: Option<OwnedSemaphorePermit>) -> Boarding {
        let mut open = lock(&self.open);
        if let Some(awaited) = open.get(&digest) {
            return Boarding::Joined(awaited.clone());
        }
        let place = place.or_else(|| Arc::clone(&self.places).try_acquire_owned().ok());
        let Some(place) = place else { return Boarding::Full };
        let (answered, awaited) = watch::channel(None);
        open.insert(digest, awaited.clone());
        let landing = Landing { digest, open: Arc::clone(&self.open) };
        Boarding::New(Flight { answered, landing, _place: place }, awaited)
    }
}

impl Flight {
    /// Whether somebody waits for it still. The list has a receiver of its own.
    pub(super) fn is_awaited(&self) -> bool {
        self.answered.receiver_count() > 1
    }

    /// Gives everybody the answer.
    pub(super) fn land(self, verdict: Verdict) {
        // First off the list, then tell: whoever comes in between finds what is remembered, or asks anew.
        drop(self.landing);
        let _ = self.answered.send(Some(verdict));
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        lock(&self.open).remove(&self.digest);
    }
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::TokenFault;

    fn digest(of: &str) -> Digest {
        Digest::of(of)
    }

    #[tokio::test]
    async fn questions_about_one_token_are_one_and_there_are_only_so_many() {
        let flights = Flights::new(1);
        let Boarding::New(flight, mut first) = flights.board(digest("a"), None) else { panic!() };
        let Boarding::Joined(mut second) = flights.board(digest("a"), None) else { panic!() };
        assert!(matches!(flights.board(digest("b"), None), Boarding::Full));
        let lane = Arc::new(Semaphore::new(1)).try_acquire_owned().ok();
        assert!(
            matches!(flights.board(digest("c"), lane), Boarding::New(..)),
            "whoever brings a place needs none"
        );
        flight.land(Verdict::Refused(TokenFault::Inactive));
        for awaited in [&mut first, &mut second] {
            let answer = awaited.wait_for(Option::is_some).await.unwrap().clone();
            assert!(matches!(answer, Some(Verdict::Refused(TokenFault::Inactive))));
        }
        assert!(matches!(flights.board(digest("b"), None), Boarding::New(..)), "there is room again");
    }

    #[tokio::test]
    async fn a_question_that_is_dropped_holds_nobody_up() {
        let flights = Flights::new(1);
        let Boarding::New(flight, mut awaited) = flights.board(digest("a"), None) else { panic!() };
        assert!(matches!(Outcome::of(&awaited), Outcome::Open));
        drop(flight);
        assert!(awaited.wait_for(Option::is_some).await.is_err());
        assert!(matches!(Outcome::of(&awaited), Outcome::Lost));
        assert!(matches!(flights.board(digest("a"), None), Boarding::New(..)));
    }

    #[test]
    fn an_answer_that_comes_while_somebody_looks_is_not_missed() {
        let (sender, flights) = std::sync::mpsc::channel::<Flight>();
        let lands = std::thread::spawn(move || {
            for flight in flights {
                flight.land(Verdict::Refused(TokenFault::Inactive));
            }
        });
        for number in 0..5_000 {
            let Boarding::New(flight, awaited) = Flights::new(1).board(digest("a"), None) else { panic!() };
            sender.send(flight).unwrap();
            let outcome = loop {
                match Outcome::of(&awaited) {
                    Outcome::Open => std::hint::spin_loop(),
                    over => break over,
                }
            };
            assert!(matches!(outcome, Outcome::Answered(_)), "{number}");
        }
        drop(sender);
        lands.join().unwrap();
    }
}
