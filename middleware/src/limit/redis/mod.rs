//! Limits that replicas share: each borrows a few tokens of a count at a time and spends them by itself.

mod lease;
mod lender;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use self::lease::{Held, Leases, Order, Reply};
use self::lender::Lender;
use super::local::{Left, Local, Scope, Settled, Short};
use super::quota::{Calendar, Period, Quota};
use super::{Limit, LimitError};
use crate::clock::Clock;

/// How long a request waits for tokens, unless told otherwise.
const PATIENCE: Duration = Duration::from_millis(5);

/// A replica never has more than this part of a count at hand, divided among the replicas.
const AT_HAND: u32 = 10;

/// The most that a replica borrows at once.
const MAX_BATCH: u32 = 1_000;

/// How many keys are asked for at the same time.
const QUEUES: usize = 64;

/// How long a count of the calendar is kept after its end: clocks differ.
const KEEP_SECS: u64 = 86_400;

/// Where limits are shared with other replicas: Redis (6 or later) or Valkey.
///
/// ```
/// use portcullis_guard::{Limits, Quota, RedisLimits};
///
/// # fn limits(secret: &[u8]) -> Limits {
/// Limits::new()
///     .by_address(Quota::per_minute(120))
///     .by_identity(Quota::per_second(10))
///     // The same at every replica: callers are known to Redis by a keyed hash alone.
///     .secret(secret)
///     .shared(RedisLimits::new("rediss://limits.internal:6379", 3))
/// # }
/// # let _ = limits(b"the same at every replica");
/// ```
///
/// # How exact it is
///
/// A replica borrows tokens of a count, at first one, then more while they are wanted, and spends them without asking. What it
/// has not spent after two seconds it gives back when it next asks for the count. So in any stretch of time all replicas
/// together let through the quota and at most what they had at hand before: a tenth of it in sum, or one request each
/// where that is more. Of a day or a month they let through the quota and nothing beyond.
///
/// # While it is away
///
/// A request waits for the tokens of a limit 5 ms at most ([`patience`](Self::patience)) and is never refused because there
/// was no answer: each replica then counts for itself, up to its share of the quota (`quota / replicas`, but at least one
/// request). Around such a time a caller may be let through up to twice: by what was counted together, and by the shares.
/// Whom a share refuses is answered 503 with the problem type `temporary-reduced-capacity`; who has used up the whole quota
/// at one replica alone is answered 429, as ever. That is what happens unless something else [is declared](WhileAway). The log is told at once, then ever more rarely, and when the server is back. A server
/// that answers after more than 200 ms, or that cannot write, counts as away.
///
/// # What is lost
///
/// What the server forgets, as by a restart without its data or for lack of memory, is counted anew. A replica that ends takes
/// along what it had at hand, which is about what its callers asked for in two seconds: of a day or a month, so much less
/// is let through.
///
/// # What is kept there
///
/// One number for each count, until it says nothing any more: a bucket until it is full, a day or a month until a day after
/// its end. Give the server a bound (`maxmemory`) and let it forget (`volatile-ttl`): one that is full and may not counts as away.
/// A server at `rediss://` has to have a certificate that this system trusts (or `SSL_CERT_FILE`, where that is set).
#[derive(Clone)]
pub struct RedisLimits {
    url: String,
    replicas: u32,
    prefix: String,
    patience: Duration,
    while_away: WhileAway,
}

/// What becomes of limits while the server that shares them cannot be reached, or does not answer in time: of all by
/// [`RedisLimits::while_away`], of one by [`Limit::while_away`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum WhileAway {
    /// Whoever has nothing at hand is answered 503, and while this is said of all limits the guard [is not
    /// ready](crate::Guard::is_ready).
    Closed,
    /// Everybody passes. What a replica has seen by itself is counted, and told to clients.
    Open,
    /// Each replica lets through its share of the quota.
    #[default]
    Share,
}

impl RedisLimits {
    /// Shares limits through the server at `url` (`redis://` or `rediss://`) among at most so many replicas of this service.
    pub fn new(url: impl Into<String>, replicas: u32) -> Self {
        let prefix = "portcullis:limits".to_owned();
        Self {
            url: url.into(),
            replicas: replicas.max(1),
            prefix,
            patience: PATIENCE,
            while_away: WhileAway::Share,
        }
    }

    /// What the names of all keys there start with: `portcullis:limits` unless set. Services that share a server and are to be
    /// counted apart have different ones.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a request waits for the tokens of one limit at most: 5 ms unless set.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// What becomes of limits that do not say otherwise while the server is away: each replica goes on with its share, unless set.
    #[must_use]
    pub const fn while_away(mut self, mode: WhileAway) -> Self {
        self.while_away = mode;
        self
    }

    pub(super) fn open(&self, clock: &Clock) -> Result<Sharing, LimitError> {
        let lender = Lender::new(&self.url, &self.prefix, (self.while_away, clock))?;
        let Self { replicas, patience, while_away, .. } = *self;
        Ok(Sharing { lender: Arc::new(lender), replicas, patience, while_away })
    }
}

/// The URL may hold a password.
impl fmt::Debug for RedisLimits {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RedisLimits").field("replicas", &self.replicas).finish_non_exhaustive()
    }
}

/// Where the counts of a guard are shared.
#[derive(Clone)]
pub(super) struct Sharing {
    lender: Arc<Lender>,
    replicas: u32,
    patience: Duration,
    while_away: WhileAway,
}

impl Sharing {
    pub(super) fn is_up(&self) -> bool {
        self.lender.link().is_up()
    }

    pub(super) async fn refresh(&self) {
        self.lender.link().connect().await;
    }

    pub(super) fn spawn_refresh(&self) {
        self.lender.link().spawn();
    }
}

/// That nobody can count, where nobody is served uncounted.
pub(super) struct Uncounted;

/// The count of a limit, shared.
pub(super) struct Shared {
    sharing: Sharing,
    name: &'static str,
    whole: Quota,
    leases: Leases,
    /// Whoever needs tokens of a key waits behind who asks for them already.
    queues: Box<[Mutex<()>]>,
    away: Away,
    clock: Clock,
}

/// What is counted while nothing can be shared.
struct Away {
    mode: WhileAway,
    /// The share of this replica.
    reduced: Quota,
    share: Local,
    /// Everything that was asked for here, served or not.
    asked: Local,
}

impl Shared {
    pub(super) fn new(limit: &Limit, scope: Scope<'_>, sharing: &Sharing) -> Option<Self> {
        let (quota, mode) = (limit.quota, limit.while_away.unwrap_or(sharing.while_away));
        let reduced = quota.share(sharing.replicas);
        let batch = (quota.capacity() / AT_HAND / sharing.replicas).clamp(1, MAX_BATCH);
        Some(Self {
            sharing: sharing.clone(),
            name: scope.name,
            whole: quota,
            leases: Leases::new(batch, scope),
            queues: (0..QUEUES).map(|_| Mutex::default()).collect(),
            away: Away {
                mode,
                reduced,
                share: Local::new(reduced, scope)?,
                asked: Local::new(quota, scope)?,
            },
            clock: scope.clock.clone(),
        })
    }

    /// Spends what is at hand. `None` if more has to be asked for first.
    pub(super) fn take(&self, key: u128, cost: NonZeroU32) -> Option<Result<Settled, Uncounted>> {
        match self.leases.take(key, cost.get(), self.moment()) {
            Held::Left(left) => Some(Ok(self.whole(Ok(left)))),
            Held::Short(short) => Some(Ok(self.whole(Err(short)))),
            Held::Nothing if self.sharing.is_up() => None,
            Held::Nothing => Some(self.alone(key, cost)),
        }
    }

    /// Whether it lets nothing through for now.
    pub(super) fn is_closed(&self) -> bool {
        self.away.mode == WhileAway::Closed && !self.sharing.is_up()
    }

    /// Asks for what is missing and spends it; does what is declared where that takes too long.
    pub(super) async fn borrow(self: &Arc<Self>, key: u128, cost: NonZeroU32) -> Result<Settled, Uncounted> {
        let asking = async {
            loop {
                if let Some(settled) = self.take(key, cost) {
                    return settled;
                }
                // It goes on when this request waits no longer: what was lent has to be kept.
                let this = Arc::clone(self);
                let fetched = tokio::spawn(async move { this.fetch(key, cost.get()).await }).await;
                if !fetched.unwrap_or(false) {
                    return self.alone(key, cost);
                }
            }
        };
        match tokio::time::timeout(self.sharing.patience, asking).await {
            Ok(settled) => settled,
            Err(_) => self.alone(key, cost),
        }
    }

    /// Takes what is there, `most` at most: what is at hand at once, the rest behind the answer.
    pub(super) fn drain(self: &Arc<Self>, key: u128, most: u32) -> Option<Left> {
        if !self.sharing.is_up() {
            self.away.asked.drain(key, most);
            return self.away.share.drain(key, most);
        }
        let moment = self.moment();
        let (taken, left) = self.leases.drain(key, most, moment);
        if let Some(rest) = most.checked_sub(taken).filter(|rest| *rest > 0) {
            let this = Arc::clone(self);
            let order = Order { need: 0, want: rest, back: 0, batch: 0, window: moment.window };
            // Nobody waits for it, and what is lent is not kept.
            tokio::spawn(async move { this.ask(key, order).await });
        }
        left
    }

    fn whole(&self, outcome: Result<Left, Short>) -> Settled {
        Settled { outcome, quota: self.whole }
    }

    /// What this replica says by itself.
    fn alone(&self, key: u128, cost: NonZeroU32) -> Result<Settled, Uncounted> {
        match self.away.mode {
            WhileAway::Closed => Err(Uncounted),
            WhileAway::Open => {
                let spent = self.away.asked.spend(key, cost);
                Ok(self.whole(Ok(spent.unwrap_or_else(|Short(reset)| Left { remaining: 0, reset }))))
            }
            WhileAway::Share => Ok(self.by_share(key, cost)),
        }
    }

    /// Whom the share refuses has not exceeded the quota, as far as is known, unless this replica alone was asked for more.
    fn by_share(&self, key: u128, cost: NonZeroU32) -> Settled {
        let Away { reduced, share, asked, mode: _ } = &self.away;
        match (share.spend(key, reduced.affordable(cost)), asked.spend(key, cost)) {
            (Err(Short(share)), Err(Short(whole))) => self.whole(Err(Short(share.max(whole)))),
            (outcome, _) => Settled { outcome, quota: *reduced },
        }
    }

    /// Asks for tokens of a key, unless somebody else did meanwhile. False if there was no answer.
    async fn fetch(&self, key: u128, cost: u32) -> bool {
        let queue = usize::try_from(key % QUEUES as u128).ok().and_then(|index| self.queues.get(index));
        let _turn = match queue {
            // Who waited for the turn for so long has nobody left to ask for.
            Some(queue) => match tokio::time::timeout(self.sharing.patience, queue.lock()).await {
                Ok(turn) => Some(turn),
                Err(_) => return false,
            },
            None => None,
        };
        let Some(order) = self.leases.order(key, cost, self.moment()) else { return true };
        let Some(reply) = self.ask(key, order).await else { return false };
        self.leases.keep(key, order, reply, self.moment());
        true
    }

    async fn ask(&self, key: u128, order: Order) -> Option<Reply> {
        let (name, moment) = (self.name, self.moment());
        match self.whole.period() {
            Period::Calendar(_) => {
                let keep = moment.window_ends.as_secs() + KEEP_SECS;
                let key = format!("{name}:{key:032x}:{}", order.window);
                let terms = ["window".to_owned(), self.whole.amount().to_string(), keep.to_string()];
                let reply = self.sharing.lender.borrow(&key, &terms, order).await?;
                Some(Reply { wait: moment.window_ends, ..reply })
            }
            Period::Rolling(_) => {
                let interval = self.whole.interval().unwrap_or_default().as_secs_f64() * 1e6;
                let terms = ["bucket".to_owned(), interval.to_string(), self.whole.capacity().to_string()];
                self.sharing.lender.borrow(&format!("{name}:{key:032x}"), &terms, order).await
            }
        }
    }

    fn moment(&self) -> lease::Moment {
        let now = self.clock.steady();
        let unix_secs = self.clock.unix_secs();
        let window = self.whole.calendar().map(|calendar: Calendar| calendar.window(unix_secs));
        let ends = window.map_or(0, |window| window.ends.saturating_sub(unix_secs));
        lease::Moment {
            now,
            window: window.map_or(0, |window| window.number),
            window_ends: Duration::from_secs(ends),
        }
    }
}
