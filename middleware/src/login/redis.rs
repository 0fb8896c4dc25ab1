//! Sessions that replicas share, in Redis.

use std::fmt;
use std::sync::Arc;

use redis::{Cmd, FromRedisValue};

use super::store::{
    SessionStore, StoreFault, StoreFuture, StoreKey, StoredSession, StoredSignIn, Term, share,
};
use crate::clock::Clock;
use crate::link::{Link, Purpose};
use crate::status::StoreState;

/// What all keys there start with. Between braces, so that a cluster keeps them together, as the scripts need it.
const PREFIX: &str = "{portcullis:sessions}";

/// How many sign-ins may be begun and not finished, unless told otherwise.
const MOST_SIGN_INS: usize = 50_000;

/// Keeps a sign-in that was begun, unless there are too many: `KEYS[1]`; then a list of all of them, and of those of its network, if
/// that is known. Sealed, until, time left, now; then how many each list may have. It writes that first which a server that is full does
/// not take.
const BEGIN: &str = "
for list = 2, #KEYS do
  if redis.call('ZCOUNT', KEYS[list], '(' .. ARGV[4], '+inf') >= tonumber(ARGV[list + 3]) then return 0 end
end
redis.call('HSET', KEYS[1], 's', ARGV[1], 'n', KEYS[3] or '')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
for list = 2, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[list], '-inf', ARGV[4])
  redis.call('ZADD', KEYS[list], ARGV[2], KEYS[1])
  redis.call('PEXPIRE', KEYS[list], ARGV[3])
end
return 1";

/// Takes a sign-in once: `KEYS[1]`; then the list of all of them.
const TAKE: &str = "
local begun = redis.call('HMGET', KEYS[1], 's', 'n')
if not begun[1] then return false end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], KEYS[1])
if begun[2] ~= '' then redis.call('ZREM', begun[2], KEYS[1]) end
return begun[1]";

/// Puts a session under a key until an end, and has its names live as long: `KEYS[1]`; version, sealed, until, time left, names.
/// Without names, those of the session that it replaces, whose version has to be one lower. Each name has its sessions in the order in
/// which they were opened, and a hundred at most, so that nobody fills the server alone: then the oldest ends.
const PUT: &str = "
local names = ARGV[5]
if names == '' then
  local before = redis.call('HMGET', KEYS[1], 'v', 'n')
  if tonumber(before[1]) ~= tonumber(ARGV[1]) - 1 then return 0 end
  names = before[2]
end
redis.call('HSET', KEYS[1], 'v', ARGV[1], 's', ARGV[2], 'u', ARGV[3], 'n', names)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
for name in string.gmatch(names, '%S+') do
  local last = redis.call('ZREVRANGE', name, 0, 0, 'WITHSCORES')
  redis.call('ZADD', name, 'NX', (tonumber(last[2]) or 0) + 1, KEYS[1])
  if redis.call('PTTL', name) < tonumber(ARGV[4]) then redis.call('PEXPIRE', name, ARGV[4]) end
  if redis.call('ZCARD', name) > 100 then
    for _, key in ipairs(redis.call('ZRANGE', name, 0, -1)) do
      if redis.call('EXISTS', key) == 0 then redis.call('ZREM', name, key) end
    end
  end
  while redis.call('ZCARD', name) > 100 do
    local oldest = redis.call('ZRANGE', name, 0, 0)[1]
    local others = redis.call('HGET', oldest, 'n')
    for other in string.gmatch(others or name, '%S+') do redis.call('ZREM', other, oldest) end
    redis.call('DEL', oldest)
  end
end
return 1";

/// Keeps a session until another end: `KEYS[1]`; until, time left.
const PROLONG: &str = "
local names = redis.call('HGET', KEYS[1], 'n')
if not names then return 0 end
redis.call('HSET', KEYS[1], 'u', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
for name in string.gmatch(names, '%S+') do
  if redis.call('PTTL', name) < tonumber(ARGV[2]) then redis.call('PEXPIRE', name, ARGV[2]) end
end
return 1";

/// Ends a session.
const END: &str = "
local names = redis.call('HGET', KEYS[1], 'n')
for name in string.gmatch(names or '', '%S+') do redis.call('ZREM', name, KEYS[1]) end
return redis.call('DEL', KEYS[1])";

/// Ends every session of a name.
const END_NAMED: &str = "
local ended = 0
for _, key in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local names = redis.call('HGET', key, 'n')
  for name in string.gmatch(names or '', '%S+') do redis.call('ZREM', name, key) end
  ended = ended + redis.call('DEL', key)
end
redis.call('DEL', KEYS[1])
return ended";

/// Sessions that replicas share through Redis (6 or later) or Valkey.
///
/// ```
/// use portcullis_guard::{Login, NotARedisUrl, RedisSessions};
///
/// # fn login() -> Result<Login, NotARedisUrl> {
/// let login = Login::new("https://id.example.com", "shop", "https://shop.example.com");
/// Ok(login.store(RedisSessions::new("rediss://sessions.internal:6379")?))
/// # }
/// # let _ = login().unwrap();
/// ```
///
/// Whatever is stored is sealed by a key that browsers alone have: a copy of the server signs nobody in and holds no token that
/// could be read. A request with a session costs one round trip, and a second one each minute.
///
/// The addresses that sign-ins were begun from are there as digests under the [secret](crate::Login::secret) of the client, for as long
/// as a sign-in may take. Where there is no secret, as for a public client, whoever reads the server can find these addresses by trying
/// them all.
///
/// A person has 100 sessions at most; then the oldest of theirs ends. Of sign-ins that were begun and not finished, all replicas
/// together keep 50,000, and a tenth of that from one address (one /48 network of IPv6); whoever begins beyond that is answered 503.
///
/// While the server is away, or takes more than 200 ms, requests with a session are answered 503; nobody is signed out. Whoever it
/// forgets, as by a restart without its data, has to sign in again, so let it forget nothing by itself (`maxmemory-policy
/// noeviction`). A server at `rediss://` has to have a certificate that this system trusts.
pub struct RedisSessions {
    link: Arc<Link>,
    prefix: String,
    most_sign_ins: usize,
}

/// A text that is not the URL of a Redis.
#[derive(Debug, thiserror::Error)]
#[error("not the URL of a Redis: {0}")]
pub struct NotARedisUrl(String);

impl RedisSessions {
    /// Keeps sessions at the server at `url` (`redis://` or `rediss://`).
    pub fn new(url: impl AsRef<str>) -> Result<Self, NotARedisUrl> {
        let mut probe = redis::cmd("SET");
        probe.arg(format!("{PREFIX}:probe")).arg(1).arg("PX").arg(1_000);
        let purpose = Purpose {
            probe,
            away: "where sessions are kept cannot be reached: requests with a session are answered 503",
            back: "where sessions are kept is reached again",
        };
        // The error names what is wrong with the URL and not the URL, which may hold a password.
        let link = Link::new(url.as_ref(), purpose, &Clock::system());
        let link = link.map_err(|error| NotARedisUrl(error.to_string()))?;
        Ok(Self { link: Arc::new(link), prefix: PREFIX.to_owned(), most_sign_ins: MOST_SIGN_INS })
    }

    /// What the names of all keys there start with: `{portcullis:sessions}` unless set. Services that share a server but no
    /// sessions need different ones; braces around a part keep it working on a cluster. White space in it is left out.
    #[must_use]
    pub fn prefix(self, prefix: impl Into<String>) -> Self {
        // Names are kept in lists with blanks between them.
        Self { prefix: prefix.into().split_whitespace().collect(), ..self }
    }

    /// How many sign-ins may be begun and not finished, at all replicas together: 50,000 unless set, at some 1,000 bytes each. A tenth
    /// of them may come from one address, or one /48 network of IPv6.
    #[must_use]
    pub fn most_sign_ins(self, sign_ins: usize) -> Self {
        Self { most_sign_ins: sign_ins, ..self }
    }

    /// The list of the sign-ins that were begun.
    fn begun(&self) -> String {
        format!("{}:begun", self.prefix)
    }

    fn named(&self, kind: char, key: StoreKey) -> String {
        let digits = key.as_bytes().iter().fold(String::with_capacity(64), |mut digits, byte| {
            digits
                .extend([byte >> 4, byte & 15].map(|half| char::from_digit(half.into(), 16).unwrap_or('0')));
            digits
        });
        format!("{}:{kind}:{digits}", self.prefix)
    }

    fn script(&self, script: &str, (kind, key): (char, StoreKey)) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(script).arg(1).arg(self.named(kind, key));
        command
    }

    fn ask<T>(&self, command: Cmd) -> StoreFuture<'_, T>
    where
        T: FromRedisValue + Send + 'static,
    {
        Box::pin(async move { self.link.ask(&command).await.ok_or(StoreFault::Away) })
    }

    /// The command that puts a session, with its names or with those of the one before.
    fn put(&self, key: StoreKey, session: &StoredSession, now_secs: u64, names: &str) -> Cmd {
        let term = Term { now_secs, until_secs: session.until_secs };
        let mut command = self.script(PUT, ('s', key));
        command
            .arg(session.version)
            .arg(&session.sealed)
            .arg(session.until_secs)
            .arg(millis(term))
            .arg(names);
        command
    }
}

/// The server takes no time of nothing, and none beyond what its clock can show.
fn millis(term: Term) -> u64 {
    u64::try_from(term.length().as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 50)
}

/// A session in the order of `HMGET`: version, sealed, until.
type Row = (Option<u64>, Option<Vec<u8>>, Option<u64>);

impl SessionStore for RedisSessions {
    fn begin(&self, key: StoreKey, sign_in: StoredSignIn, term: Term) -> StoreFuture<'_, ()> {
        let StoredSignIn { sealed, network } = sign_in;
        let network = network.map(|network| self.named('w', network));
        let mut command = redis::cmd("EVAL");
        command.arg(BEGIN).arg(2 + usize::from(network.is_some()));
        command.arg(self.named('b', key)).arg(self.begun()).arg(&network);
        command.arg(sealed).arg(term.until_secs).arg(millis(term)).arg(term.now_secs);
        command.arg(self.most_sign_ins).arg(share(self.most_sign_ins));
        Box::pin(async move {
            let is_kept: bool = self.ask(command).await?;
            if is_kept { Ok(()) } else { Err(StoreFault::Full) }
        })
    }

    fn take(&self, key: StoreKey, _: u64) -> StoreFuture<'_, Option<Vec<u8>>> {
        let mut command = redis::cmd("EVAL");
        command.arg(TAKE).arg(2).arg(self.named('b', key)).arg(self.begun());
        self.ask(command)
    }

    fn open(&self, key: StoreKey, session: StoredSession, now_secs: u64) -> StoreFuture<'_, ()> {
        let names: Vec<String> = session.names.iter().map(|name| self.named('n', *name)).collect();
        let command = self.put(key, &session, now_secs, &names.join(" "));
        Box::pin(async move { self.ask::<bool>(command).await.map(drop) })
    }

    fn find(&self, key: StoreKey, now_secs: u64) -> StoreFuture<'_, Option<StoredSession>> {
        let mut command = redis::cmd("HMGET");
        command.arg(self.named('s', key)).arg(&["v", "s", "u"]);
        Box::pin(async move {
            let (Some(version), Some(sealed), Some(until_secs)) = self.ask::<Row>(command).await? else {
                return Ok(None);
            };
            let session = StoredSession { sealed, version, names: Vec::new(), until_secs };
            Ok((until_secs > now_secs).then_some(session))
        })
    }

    fn replace(&self, key: StoreKey, session: StoredSession, now_secs: u64) -> StoreFuture<'_, bool> {
        self.ask(self.put(key, &session, now_secs, ""))
    }

    fn prolong(&self, key: StoreKey, term: Term) -> StoreFuture<'_, ()> {
        let mut command = self.script(PROLONG, ('s', key));
        command.arg(term.until_secs).arg(millis(term));
        Box::pin(async move { self.ask::<bool>(command).await.map(drop) })
    }

    fn end(&self, key: StoreKey) -> StoreFuture<'_, ()> {
        let command = self.script(END, ('s', key));
        Box::pin(async move { self.ask::<bool>(command).await.map(drop) })
    }

    fn end_named(&self, name: StoreKey, _: u64) -> StoreFuture<'_, u64> {
        self.ask(self.script(END_NAMED, ('n', name)))
    }

    fn claim(&self, name: StoreKey, term: Term) -> StoreFuture<'_, bool> {
        let mut command = redis::cmd("SET");
        command.arg(self.named('c', name)).arg(1).arg("NX").arg("PX").arg(millis(term));
        self.ask(command)
    }

    fn is_claimed(&self, name: StoreKey, _: u64) -> StoreFuture<'_, bool> {
        let mut command = redis::cmd("EXISTS");
        command.arg(self.named('c', name));
        self.ask(command)
    }

    fn release(&self, name: StoreKey) -> StoreFuture<'_, ()> {
        let mut command = redis::cmd("DEL");
        command.arg(self.named('c', name));
        Box::pin(async move { self.ask::<bool>(command).await.map(drop) })
    }

    fn refresh(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.link.connect().await;
            if self.link.is_up() { Ok(()) } else { Err(StoreFault::Away) }
        })
    }

    fn state(&self) -> StoreState {
        self.link.state()
    }

    fn watch(&self) {
        self.link.spawn();
    }
}

/// The URL may hold a password.
impl fmt::Debug for RedisSessions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RedisSessions").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
