//! Issuers, and the keys that they sign with.

mod allowance;
mod discovery;
mod key;
mod metadata;
mod remote;
mod set;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
pub use key::{Algorithm, KeyFault};
pub(crate) use key::{Jwk, VerifyingKey};
pub use metadata::NotAnIssuer;
#[cfg(feature = "login")]
pub(crate) use metadata::SignInPlaces;
pub(crate) use metadata::{Metadata, MetadataFault, MetadataPlace};
use remote::{Ages, RemoteKeys};
pub use set::{JwkSet, JwksError, SharedKeys};

use crate::clock::Clock;
use crate::disk::Folder;
use crate::fetch::{FetchError, Fetcher};
use crate::schedule::Moment;
use crate::status::{KeysStatus, Provenance};
use crate::token_form::TokenForm;

/// How long keys that could not be confirmed since are used, unless told otherwise.
const DEFAULT_MAX_AGE: Duration = Duration::from_hours(1);

/// How long keys may rest before they are fetched again, unless told otherwise: for so long a withdrawn key is trusted.
const DEFAULT_REST: Duration = Duration::from_mins(1);

/// Who may issue tokens for this service, and where its keys come from.
#[derive(Debug)]
pub struct Issuer {
    name: String,
    source: Source,
    ages: Ages,
    form: TokenForm,
    plain_http: bool,
}

#[derive(Debug)]
enum Source {
    Fixed(Result<JwkSet, JwksError>),
    Remote,
    Shared(SharedKeys),
}

/// Why an issuer cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerError {
    /// The HTTP client could not be set up.
    #[error(transparent)]
    Http(#[from] FetchError),
    /// The keys that were given cannot be used.
    #[error("the keys of {issuer}: {cause}")]
    Keys {
        /// Whose keys.
        issuer: String,
        /// What is wrong with them.
        cause: JwksError,
    },
    /// The issuer is not a URL that can be discovered.
    #[error(transparent)]
    NotAnIssuer(#[from] NotAnIssuer),
    /// A form of tokens cannot name this as a claim: it is none, says another thing in every token, or is there twice.
    #[error("`{0}` is no claim that a form of tokens can name there, or is named twice")]
    TokenClaim(String),
    /// No access token has this type: it is that of other tokens, or none.
    #[error("`{0}` is not a type of access tokens")]
    TokenType(String),
    /// Two issuers have one name: whose keys count would depend on their order.
    #[error("the issuer {0} is configured twice")]
    Twice(String),
}

impl Issuer {
    /// An issuer whose keys are found by its URL, kept in memory and refreshed in the background.
    ///
    /// Its metadata is looked for where OpenID Connect Discovery has it, below the URL
    /// (`/.well-known/openid-configuration`), and if the answer to that is 404 or 410, where RFC 8414 has it
    /// (`/.well-known/oauth-authorization-server` before the path of the URL): an authorization server that knows nothing of OpenID
    /// is found as well. No other answer leads to the second place. Wherever it is, the metadata has to name this very issuer.
    pub fn oidc(url: impl Into<String>) -> Self {
        Self::new(url.into(), Source::Remote)
    }

    /// An issuer with keys that never change: the text of a JSON Web Key Set.
    pub fn static_jwks(issuer: impl Into<String>, jwks: impl AsRef<[u8]>) -> Self {
        Self::new(issuer.into(), Source::Fixed(JwkSet::parse(jwks)))
    }

    /// An issuer in the same process, which changes its keys itself.
    pub fn shared(issuer: impl Into<String>, keys: SharedKeys) -> Self {
        Self::new(issuer.into(), Source::Shared(keys))
    }

    /// How old fetched keys may become while the issuer does not confirm them: an hour, unless set. After that,
    /// tokens are answered 503, except where a route [serves stale](crate::Requirement::serve_stale). A key that
    /// was withdrawn while nobody could ask is trusted for so long.
    #[must_use]
    pub const fn keys_max_age(mut self, age: Duration) -> Self {
        self.ages.limit = age;
        self
    }

    /// Fetches keys as seldom as the issuer allows by `Cache-Control: max-age` (less the `Age` that a cache on the way tells), and
    /// after `at_most` anyway. Unless set, they are fetched every minute, whatever the issuer says.
    ///
    /// A key that was withdrawn is trusted until keys are fetched again: with this, for up to `at_most`, where it was a minute. That is
    /// the price; fewer requests are what it buys, where many guards ask one issuer. A guard whose policy comes from the server that
    /// issues the tokens hears of changed keys at once, with or without this.
    ///
    /// An issuer that says `no-store`, `no-cache` or nothing is asked every minute, and none is asked less often than once an hour or
    /// twice in [`keys_max_age`](Self::keys_max_age). A key that is new is found by the first request that needs it, as ever.
    #[must_use]
    pub const fn keys_cached_for(mut self, at_most: Duration) -> Self {
        self.ages.rest = at_most;
        self
    }

    /// How it writes its access tokens: as RFC 9068 has them unless set.
    #[must_use]
    pub fn token_form(mut self, form: TokenForm) -> Self {
        self.form = form;
        self
    }

    /// Fetches keys over plain `http` from a host that is not this machine. Whoever sits between can then
    /// sign tokens: only for networks that nobody else is on.
    #[must_use]
    pub const fn danger_allow_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    const fn new(name: String, source: Source) -> Self {
        let ages = Ages { limit: DEFAULT_MAX_AGE, rest: DEFAULT_REST };
        Self { name, source, ages, form: TokenForm::rfc9068(), plain_http: false }
    }

    fn trust(
        self,
        fetcher: &mut LazyFetcher,
        clock: &Clock,
        folder: Option<&Folder>,
    ) -> Result<Trust, IssuerError> {
        let Self { name, source, ages, form, plain_http } = self;
        if let Some(typ) = form.unfit() {
            return Err(IssuerError::TokenType(typ.to_owned()));
        }
        if let Some(claim) = form.misplaced() {
            return Err(IssuerError::TokenClaim(claim.to_owned()));
        }
        let keys = match source {
            Source::Fixed(Ok(set)) => Keys::Local(SharedKeys::new(set)),
            Source::Fixed(Err(cause)) => return Err(IssuerError::Keys { issuer: name, cause }),
            Source::Remote => {
                let discovery = discovery::Discovery::new(&name, plain_http)?;
                let keys = RemoteKeys::new(discovery, fetcher.get()?, clock.clone(), ages);
                Keys::Remote(Arc::new(keys.kept_in(folder, &name)))
            }
            Source::Shared(keys) => Keys::Local(keys),
        };
        Ok(Trust { name, keys, form })
    }
}

/// Builds the HTTP client when the first thing needs it: a guard without remote sources needs none.
#[derive(Default)]
pub(crate) struct LazyFetcher(Option<Fetcher>);

impl LazyFetcher {
    pub(crate) fn get(&mut self) -> Result<Fetcher, FetchError> {
        if let Some(fetcher) = &self.0 {
            return Ok(fetcher.clone());
        }
        Ok(self.0.insert(Fetcher::new()?).clone())
    }
}

/// The issuers that a guard trusts.
pub(crate) struct Trusts(Vec<Arc<Trust>>);

impl Trusts {
    pub(crate) fn build(
        issuers: Vec<Issuer>,
        fetcher: &mut LazyFetcher,
        clock: &Clock,
        folder: Option<&Folder>,
    ) -> Result<Self, IssuerError> {
        let mut trusts = Self(Vec::new());
        for issuer in issuers {
            if trusts.of(&issuer.name).is_some() {
                return Err(IssuerError::Twice(issuer.name));
            }
            trusts.0.push(Arc::new(issuer.trust(fetcher, clock, folder)?));
        }
        Ok(trusts)
    }

    /// The issuer of a name, compared byte for byte (RFC 9068 §4).
    pub(crate) fn of(&self, issuer: &str) -> Option<(usize, &Arc<Trust>)> {
        self.0.iter().enumerate().find(|(_, trust)| trust.name == issuer)
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Trust> {
        self.0.get(index).map(AsRef::as_ref)
    }

    /// What they are called.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().map(|trust| trust.name.clone()).collect()
    }

    pub(crate) fn spawn_refresh(&self) {
        self.remotes().for_each(RemoteKeys::spawn_refresh);
    }

    /// Fetches the keys of every remote issuer, once; one that hangs holds no other up.
    pub(crate) async fn refresh(&self) {
        join_all(self.remotes().map(|remote| remote.refresh())).await;
    }

    /// The same for one of them, or for all where it is not known which one is meant.
    pub(crate) async fn refresh_of(&self, index: Option<usize>) {
        match index.and_then(|index| self.get(index)).map(|trust| &trust.keys) {
            Some(Keys::Remote(remote)) => remote.refresh().await,
            Some(Keys::Local(_)) => {}
            None => self.refresh().await,
        }
    }

    /// Takes over what the disk holds.
    pub(crate) async fn recall(&self) {
        join_all(self.remotes().map(|remote| remote.recall())).await;
    }

    /// Waits until the disk holds what was fetched.
    pub(crate) async fn settle(&self) {
        join_all(self.remotes().map(|remote| remote.settle())).await;
    }

    pub(crate) fn statuses(&self, now: Duration) -> Vec<KeysStatus> {
        self.0.iter().map(|trust| trust.status(now)).collect()
    }

    /// Whether there are keys of an issuer: whose are missing has its tokens answered 503, and nobody else's.
    pub(crate) fn are_ready(&self, moment: Moment) -> bool {
        self.0.is_empty() || self.0.iter().any(|trust| trust.generation(moment).is_some())
    }

    fn remotes(&self) -> impl Iterator<Item = &Arc<RemoteKeys>> {
        self.0.iter().filter_map(|trust| match &trust.keys {
            Keys::Local(_) => None,
            Keys::Remote(remote) => Some(remote),
        })
    }
}

/// An issuer and its keys.
#[derive(Debug)]
pub(crate) struct Trust {
    name: String,
    keys: Keys,
    form: TokenForm,
}

#[derive(Debug)]
enum Keys {
    Local(SharedKeys),
    Remote(Arc<RemoteKeys>),
}

/// The key that a token says it was signed with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyName<'t> {
    pub(crate) kid: Option<&'t str>,
    pub(crate) algorithm: Algorithm,
}

/// What came of looking for a key.
pub(crate) enum Lookup {
    Found {
        key: Arc<VerifyingKey>,
        generation: u64,
    },
    /// No key set has been fetched, or none that is young enough.
    NoKeys,
    NoSuchKey,
}

impl Trust {
    /// How it writes its access tokens.
    pub(crate) const fn token_form(&self) -> &TokenForm {
        &self.form
    }

    /// The generation of the keys that may be used now.
    pub(crate) fn generation(&self, moment: Moment) -> Option<u64> {
        match &self.keys {
            Keys::Local(keys) => Some(keys.load().generation),
            Keys::Remote(remote) => remote.current(moment).as_ref().map(|keys| keys.generation),
        }
    }

    fn status(&self, now: Duration) -> KeysStatus {
        let (keys, known) = match &self.keys {
            Keys::Local(keys) => (keys.load().set.len(), Provenance::LOCAL),
            Keys::Remote(remote) => (remote.count(), remote.known(now)),
        };
        let Provenance { source, age, usable } = known;
        KeysStatus { issuer: self.name.clone(), keys, source, age, usable }
    }

    pub(crate) fn lookup(&self, name: KeyName<'_>, moment: Moment) -> Lookup {
        let find = |published: &set::Published| match published.set.find(name.kid, name.algorithm) {
            Some(key) => Lookup::Found { key: Arc::clone(key), generation: published.generation },
            None => Lookup::NoSuchKey,
        };
        match &self.keys {
            Keys::Local(keys) => find(&keys.load()),
            Keys::Remote(remote) => remote.current(moment).as_ref().map_or(Lookup::NoKeys, |keys| find(keys)),
        }
    }

    /// Whether a request may wait for the keys to be fetched again.
    pub(crate) fn may_refresh(&self) -> bool {
        matches!(&self.keys, Keys::Remote(remote) if remote.is_due_for_request())
    }

    pub(crate) fn is_unsettled(&self) -> bool {
        matches!(&self.keys, Keys::Remote(remote) if remote.is_unsettled())
    }

    /// Has the keys fetched once, together with every other request that waits, or gives up.
    pub(crate) async fn refresh_for_request(&self) {
        if let Keys::Remote(remote) = &self.keys {
            remote.refresh_for_request().await;
        }
    }
}

#[cfg(test)]
mod tests;
