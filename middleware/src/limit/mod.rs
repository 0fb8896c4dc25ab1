//! Rate limits: by the address of the client, by the identity of the caller, by route, and by what is made of these.

mod fault;
mod fields;
mod key;
mod limiter;
mod local;
mod passage;
mod quota;
#[cfg(feature = "redis")]
mod redis;
mod store;
#[cfg(not(feature = "redis"))]
mod unshared;

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::hmac;

use crate::clock::Clock;
use crate::entropy::Entropy;
pub use fault::LimitError;
pub(crate) use fields::{Exceeded, Standing};
pub use key::Key;
use key::Numbering;
pub(crate) use key::Stage;
use limiter::{Ground, Limiter};
pub(crate) use limiter::{Halt, Loan};
pub(crate) use passage::{Fine, Passage};
pub use quota::Quota;
#[cfg(feature = "redis")]
pub use redis::{RedisLimits, WhileAway};
#[cfg(feature = "redis")]
use redis::{Shared, Sharing, Uncounted};
#[cfg(not(feature = "redis"))]
use unshared::{Shared, Sharing, Uncounted};

/// How many keys each limit remembers, unless told otherwise.
const DEFAULT_MAX_KEYS: usize = 65_536;

/// How much more an IPv6 network of /48 has than one of the /64 in it, unless told otherwise.
const NETWORK_FACTOR: u32 = 16;

/// What a guess at a token costs, unless told otherwise.
const DEFAULT_GUESS_COST: u32 = 5;

/// The least that a secret has to have, in bytes.
const SECRET_BYTES: usize = 32;

/// A limit with a name: by what it counts, and up to how many.
///
/// ```
/// use portcullis_guard::{Key, Limit, Quota, rbac};
///
/// // One of the whole guard goes into its `Limits`; one of a route goes to its requirement.
/// let exports = Limit::new("exports", Key::organisation(), Quota::per_hour(5));
/// let requirement = rbac("orders", "export").limit(exports);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limit {
    name: &'static str,
    key: Key,
    quota: Quota,
    /// What becomes of it while it cannot be shared, if that is not what the guard says.
    #[cfg(feature = "redis")]
    while_away: Option<WhileAway>,
}

impl Limit {
    /// A limit of `quota` for each of what `key` counts by. Clients see the name: letters, digits, `-`, `_` and `.`, at most 64.
    pub const fn new(name: &'static str, key: Key, quota: Quota) -> Self {
        Self {
            name,
            key,
            quota,
            #[cfg(feature = "redis")]
            while_away: None,
        }
    }

    /// What becomes of this limit while it cannot be shared, in place of what [`RedisLimits::while_away`] says for all.
    ///
    /// ```
    /// use portcullis_guard::{Key, Limit, Quota, WhileAway, authenticated};
    ///
    /// // Guesses at codes are not multiplied by the replicas, even if nobody gets in meanwhile.
    /// let codes = Limit::new("codes", Key::subject(), Quota::per_hour(5)).while_away(WhileAway::Closed);
    /// let requirement = authenticated().limit(codes);
    /// ```
    #[cfg(feature = "redis")]
    #[must_use]
    pub const fn while_away(self, mode: WhileAway) -> Self {
        Self { while_away: Some(mode), ..self }
    }

    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    const fn quota(&self) -> Quota {
        self.quota
    }

    fn has_good_name(&self) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (1..=64).contains(&self.name.len()) && self.name.bytes().all(is_plain)
    }
}

/// The limits of a guard: none, unless set.
///
/// ```
/// use portcullis_guard::{Key, Limit, Limits, Quota};
///
/// let limits = Limits::new()
///     .by_address(Quota::per_minute(120).burst(40))
///     .by_identity(Quota::per_second(10))
///     .limit(Limit::new("day", Key::subject(), Quota::per_day(10_000)))
///     .limit(Limit::new("plan", Key::organisation(), Quota::per_month(1_000_000)));
/// ```
///
/// A request passes them in a fixed order: those by address first, before anything is spent on its token, then the others;
/// among these, the ones that come back soonest first, and last the ones that all callers share, so that whoever is over a limit of
/// their own takes nothing from the others. The first that is spent refuses it with 429, `Retry-After` and the
/// fields `RateLimit` and `RateLimit-Policy` of the IETF draft; what the request spent before stays spent.
///
/// # Memory
///
/// Each limit remembers [`max_keys`](Self::max_keys) callers and forgets, once there are more, those who asked least
/// recently. Nobody is refused for lack of memory, and who keeps calling is not forgotten for others to come in. But a caller
/// who comes seldom may then be counted anew within its day or its month: that is said to the log as a warning, once an hour.
#[derive(Clone, Debug)]
pub struct Limits {
    by_address: Option<Quota>,
    by_network: Option<Quota>,
    others: Vec<Limit>,
    max_keys: usize,
    guess_cost: u32,
    shows_partitions: bool,
    secret: Option<Secret>,
    #[cfg(feature = "redis")]
    redis: Option<Box<RedisLimits>>,
}

/// A secret, which is never shown.
#[derive(Clone)]
struct Secret(Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secret(..)")
    }
}

impl Limits {
    /// No limits.
    pub const fn new() -> Self {
        Self {
            by_address: None,
            by_network: None,
            others: Vec::new(),
            max_keys: DEFAULT_MAX_KEYS,
            guess_cost: DEFAULT_GUESS_COST,
            shows_partitions: false,
            secret: None,
            #[cfg(feature = "redis")]
            redis: None,
        }
    }

    /// Limits each client address (each /64 network of IPv6), before anything is spent on its token.
    ///
    /// An IPv6 network of /48, which one customer often has whole, is limited beside to 16 times as much: see
    /// [`by_network`](Self::by_network).
    ///
    /// The guard needs to know the address: serve the router with
    /// `into_make_service_with_connect_info::<SocketAddr>()`. Requests without one are answered 503.
    #[must_use]
    pub const fn by_address(mut self, quota: Quota) -> Self {
        self.by_address = Some(quota);
        self
    }

    /// Limits each /48 network of IPv6, before anything is spent on a token: 16 times the quota of an address, unless set. What is
    /// left of it would say what others in the network do, so clients hear of it only when it is spent.
    #[must_use]
    pub const fn by_network(mut self, quota: Quota) -> Self {
        self.by_network = Some(quota);
        self
    }

    /// Limits each caller: a subject at a client, as a verified token names them.
    #[must_use]
    pub fn by_identity(self, quota: Quota) -> Self {
        self.limit(Limit::new("identity", Key::subject().and(Key::client()), quota))
    }

    /// Adds a limit.
    #[must_use]
    pub fn limit(mut self, limit: Limit) -> Self {
        self.others.push(limit);
        self
    }

    /// How many keys each limit remembers: 65,536 unless set, at up to 150 bytes each. Where limits are shared, up to 520, and
    /// 300 more once they could not be.
    #[must_use]
    pub const fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// What a guess at a token costs of the limits by address: 5 unless set, where other requests cost 1. A guess is a token
    /// that the issuer did not sign, as far as can be told; one that has expired, or that is meant for another service, is none,
    /// and neither is a request without a token. An opaque token that the issuer calls inactive may have been either, and counts as
    /// a guess.
    ///
    /// A guess takes what is there and owes nothing beyond that. So whoever shares an address with somebody who guesses, as
    /// behind a NAT, may ask again as soon as one request has come back: `period / amount` after the last guess. While the
    /// guessing goes on, it takes from the others what as many as 5 times the requests would.
    #[must_use]
    pub const fn guess_cost(mut self, cost: u32) -> Self {
        self.guess_cost = cost;
        self
    }

    /// Tells clients with each limit which count of it they are in (`pk` of the draft): a keyed hash of who they are, by the
    /// [`secret`](Self::secret), or by one that is drawn when the guard is built.
    #[must_use]
    pub const fn partition_keys(mut self) -> Self {
        self.shows_partitions = true;
        self
    }

    /// The secret by which names of callers are hashed before they are shown to clients or kept elsewhere: at least 32 random
    /// bytes, the same at every replica.
    #[must_use]
    pub fn secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.secret = Some(Secret(secret.as_ref().to_vec()));
        self
    }

    /// Shares every limit with the other replicas. A [`secret`](Self::secret) is needed beside.
    #[cfg(feature = "redis")]
    #[must_use]
    pub fn shared(mut self, through: RedisLimits) -> Self {
        self.redis = Some(Box::new(through));
        self
    }

    pub(crate) fn build(self, clock: &Clock, entropy: &Entropy) -> Result<Limiters, LimitError> {
        let ground = Arc::new(Ground {
            numbering: self.numbering(entropy)?,
            shows_partitions: self.shows_partitions,
            max_keys: self.max_keys,
            clock: clock.clone(),
            sharing: self.sharing(clock)?,
        });
        let network = self.by_network.or(self.by_address.map(|quota| quota.times(NETWORK_FACTOR)));
        let address = self.by_address.map(|quota| Limit::new("address", Key::address(), quota));
        let network = network.map(|quota| Limit::new("network", Key::network(), quota));
        let mut everywhere: Vec<Arc<Limiter>> = Vec::new();
        for limit in address.into_iter().chain(network).chain(self.others) {
            check(&limit, &everywhere)?;
            everywhere.push(Arc::new(Limiter::new(limit, &ground)?));
        }
        let surcharge = self.guess_cost.saturating_sub(1);
        Ok(Limiters { everywhere, own: Mutex::default(), surcharge, ground })
    }

    fn numbering(&self, entropy: &Entropy) -> Result<Numbering, LimitError> {
        if let Some(Secret(secret)) = &self.secret {
            if secret.len() < SECRET_BYTES {
                return Err(LimitError::ShortSecret);
            }
            return Ok(Numbering::keyed(hmac::Key::new(hmac::HMAC_SHA256, secret)));
        }
        if self.shows_partitions {
            let drawn = entropy.bytes::<SECRET_BYTES>();
            return Ok(Numbering::keyed(hmac::Key::new(hmac::HMAC_SHA256, &drawn)));
        }
        Ok(Numbering::fast())
    }

    #[cfg(feature = "redis")]
    fn sharing(&self, clock: &Clock) -> Result<Option<Sharing>, LimitError> {
        let Some(redis) = &self.redis else { return Ok(None) };
        if self.secret.is_none() {
            return Err(LimitError::NoSecret);
        }
        redis.open(clock).map(Some)
    }

    #[cfg(not(feature = "redis"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the signature is that of the feature")]
    fn sharing(&self, _: &Clock) -> Result<Option<Sharing>, LimitError> {
        Ok(None)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

fn check(limit: &Limit, others: &[Arc<Limiter>]) -> Result<(), LimitError> {
    if !limit.has_good_name() {
        return Err(LimitError::Name(limit.name));
    }
    let is_taken = others.iter().any(|other| other.limit().name == limit.name);
    if is_taken { Err(LimitError::Repeated(limit.name)) } else { Ok(()) }
}

/// The limits at work.
pub(crate) struct Limiters {
    everywhere: Vec<Arc<Limiter>>,
    /// Those of single routes, which share one that they have in common.
    own: Mutex<Vec<Arc<Limiter>>>,
    surcharge: u32,
    ground: Arc<Ground>,
}

impl Limiters {
    /// The way to a route that has limits of its own beside those that hold everywhere.
    pub(crate) fn passage(&self, route: &str, cost: NonZeroU32, own: &[Limit]) -> Passage {
        let everywhere = self.everywhere.iter().map(Arc::clone);
        let own = own.iter().map(|limit| self.own(*limit, route));
        Passage::new(everywhere.chain(own), route, cost, self.surcharge)
    }

    /// A limit that cannot be kept closes its routes: there is nobody to give an error to here.
    fn own(&self, limit: Limit, route: &str) -> Arc<Limiter> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = own.iter().find(|known| *known.limit() == limit) {
            return Arc::clone(known);
        }
        let checked = check(&limit, &self.everywhere).and_then(|()| check(&limit, &own));
        let limiter = checked.and_then(|()| Limiter::new(limit, &self.ground)).unwrap_or_else(|error| {
            tracing::error!(cause = %error, route, "a limit of a route cannot be kept: the route is closed");
            Limiter::closed(limit, &self.ground)
        });
        let limiter = Arc::new(limiter);
        own.push(Arc::clone(&limiter));
        limiter
    }

    /// The names of the limits that hold everywhere.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.everywhere.iter().map(|limiter| limiter.limit().name)
    }

    /// Whether no limit that holds everywhere refuses all requests for now.
    pub(crate) fn are_ready(&self) -> bool {
        self.everywhere.iter().all(|limiter| limiter.is_ready())
    }

    /// Whether counts are shared at the moment; `None` if they are not to be.
    pub(crate) fn are_shared(&self) -> Option<bool> {
        self.ground.sharing.as_ref().map(Sharing::is_up)
    }

    /// Looks for where counts are shared, if that is away.
    pub(crate) async fn refresh(&self) {
        if let Some(sharing) = &self.ground.sharing {
            sharing.refresh().await;
        }
    }

    pub(crate) fn spawn_refresh(&self) {
        if let Some(sharing) = &self.ground.sharing {
            sharing.spawn_refresh();
        }
    }
}

#[cfg(test)]
mod tests;
