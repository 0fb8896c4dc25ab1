//! What surrounds a guard.

use super::{BuildError, GuardBuilder};
use crate::client_address::Proxies;
use crate::edge::{Caps, Cors, EdgeRules, RequestIds, RouteHeaders, SecurityHeaders};
use crate::entropy::Entropy;
use crate::refusal::Tally;

/// What surrounds the guard.
#[derive(Debug, Default)]
pub(super) struct Around {
    caps: Option<Caps>,
    cors: Option<Cors>,
    entropy: Entropy,
    headers: Option<SecurityHeaders>,
    names_requests: bool,
    pub(super) proxies: Proxies,
}

impl GuardBuilder {
    /// The proxies in front of this service.
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.around.proxies = proxies;
        self
    }

    /// Security headers for every answer and every refusal, on routes that have none [of their own](crate::GuardedRoute::headers).
    /// Unless set, only refusals have some: an application that has pages would not show them any more if the guard sent the
    /// headers of an API unasked.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), portcullis_guard::BuildError> {
    /// use portcullis_guard::{Guard, Issuer, SecurityHeaders};
    ///
    /// let guard = Guard::builder()
    ///     .issuer(Issuer::oidc("https://id.example.com"))
    ///     .audience("https://api.example.com")
    ///     .headers(SecurityHeaders::api())
    ///     .build()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn headers(mut self, headers: SecurityHeaders) -> Self {
        self.around.headers = Some(headers);
        self
    }

    /// Gives every request a name: see [`RequestId`](crate::RequestId).
    ///
    /// What [trusted proxies](Self::proxies) call it in `X-Request-Id` is taken over, if it is up to 128 letters, digits and
    /// `-_.:+/=@~`. From anybody else, the header is replaced: who may choose names could have the lines about their request taken
    /// for those about another.
    pub fn request_ids(mut self) -> Self {
        self.around.names_requests = true;
        self
    }

    /// Bounds on every request: see [`Caps`]. None, unless set.
    pub fn caps(mut self, caps: Caps) -> Self {
        self.around.caps = Some(caps);
        self
    }

    /// Lets scripts of other origins ask, in front of the guard: see [`Cors`]. Unless set, browsers let none.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), portcullis_guard::BuildError> {
    /// use portcullis_guard::{Cors, Guard, Issuer};
    ///
    /// let guard = Guard::builder()
    ///     .issuer(Issuer::oidc("https://id.example.com"))
    ///     .audience("https://api.example.com")
    ///     .cors(Cors::origins(["https://app.example.com"]))
    ///     .build()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn cors(mut self, cors: Cors) -> Self {
        self.around.cors = Some(cors);
        self
    }

    /// Where randomness comes from, for tests.
    pub fn entropy(mut self, entropy: Entropy) -> Self {
        self.around.entropy = entropy;
        self
    }
}

impl Around {
    pub(super) fn build(self, guard: u64) -> Result<EdgeRules, BuildError> {
        let headers = self.headers.map(|headers| headers.build()).transpose()?;
        Ok(EdgeRules {
            caps: self.caps.map(Caps::build).transpose()?,
            cors: self.cors.map(Cors::build).transpose()?,
            guard,
            entropy: self.entropy,
            headers: headers.map(RouteHeaders::into_rules),
            ids: self.names_requests.then(|| RequestIds::new(guard)),
            proxies: self.proxies,
            tally: Tally::default(),
        })
    }
}
