//! A set of keys, and a place that several guards can read it from while it changes.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::key::{Algorithm, Jwk, KeyFault, VerifyingKey};
use crate::input::{Bounds, read_json};

/// The most keys of a set that are looked at.
const MAX_KEYS: usize = 64;

const BOUNDS: Bounds = Bounds { depth: 16, members: 4_096 };

/// The public keys of an issuer.
#[derive(Clone)]
pub struct JwkSet {
    keys: Arc<[Arc<VerifyingKey>]>,
    source: Arc<[u8]>,
}

/// Why a key set cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwksError {
    /// Not the JSON of RFC 7517 §5, or more keys than are looked at.
    #[error("it is not a JSON Web Key Set")]
    Malformed,
    /// No key of the set can be used; this is what is wrong with the first.
    #[error("it holds no key that can be used: {}", .0.map_or("it is empty".to_owned(), |fault| fault.to_string()))]
    NoUsableKey(Option<KeyFault>),
}

#[derive(serde::Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

impl JwkSet {
    /// Reads a key set. Keys that cannot be used are left out; at least one has to remain.
    ///
    /// ```
    /// use portcullis_guard::JwkSet;
    ///
    /// let set = JwkSet::parse(r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a",
    ///     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#)?;
    /// assert_eq!(set.len(), 1);
    /// # Ok::<(), portcullis_guard::JwksError>(())
    /// ```
    pub fn parse(json: impl AsRef<[u8]>) -> Result<Self, JwksError> {
        let json = json.as_ref();
        if json.trim_ascii_start().first() != Some(&b'{') {
            return Err(JwksError::Malformed);
        }
        read_json(json, BOUNDS, |_, _| ()).map_err(|_| JwksError::Malformed)?;
        let Document { keys } = serde_json::from_slice(json).map_err(|_| JwksError::Malformed)?;
        if keys.len() > MAX_KEYS {
            return Err(JwksError::Malformed);
        }
        let (mut usable, mut faults) = (Vec::new(), Vec::new());
        for key in keys {
            let kid = key.get("kid").and_then(serde_json::Value::as_str).map(shown);
            match parse_key(key) {
                Ok(key) => usable.push(key),
                Err(fault) => faults.push((kid, fault)),
            }
        }
        let keys: Arc<[Arc<VerifyingKey>]> = distinct(usable).map(Arc::new).collect();
        if keys.is_empty() {
            return Err(JwksError::NoUsableKey(faults.first().map(|(_, fault)| *fault)));
        }
        // Keys for encryption stand in many a set.
        faults.retain(|(_, fault)| *fault != KeyFault::Use);
        if !faults.is_empty() {
            let unused =
                faults.iter().map(|(kid, fault)| format!("{} ({fault})", kid.as_deref().unwrap_or(NAMELESS)));
            let unused = unused.collect::<Vec<_>>().join(", ");
            tracing::warn!(unused, "some keys of a key set are not used");
        }
        Ok(Self { keys, source: json.into() })
    }

    /// How many keys of the set can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key can be used: never of a set that was read, since [`parse`](Self::parse) refuses that.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What the keys are called, for the log.
    pub(crate) fn kids(&self) -> String {
        let kids = self.keys.iter().map(|key| key.kid().map_or_else(|| NAMELESS.to_owned(), shown));
        kids.collect::<Vec<_>>().join(", ")
    }

    /// The key of a name; without a name, the only key there is.
    ///
    /// Some issuers publish one name for several algorithms; then it is the key that is bound to `algorithm`.
    pub(crate) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&Arc<VerifyingKey>> {
        let Some(kid) = kid else {
            return if let [only] = &*self.keys { Some(only) } else { None };
        };
        let mut named = self.keys.iter().filter(|key| key.kid() == Some(kid)).peekable();
        let first = named.peek().copied();
        named.find(|key| key.algorithm() == algorithm).or(first)
    }

    /// The set as it was received.
    pub(crate) const fn source(&self) -> &Arc<[u8]> {
        &self.source
    }

    fn is_same(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

/// A key that has no name, in the log.
const NAMELESS: &str = "(without kid)";

/// How much of a name the log holds: an issuer may choose any. Control characters are refused with the document.
const MAX_SHOWN: usize = 64;

fn shown(kid: &str) -> String {
    kid.chars().take(MAX_SHOWN).collect()
}

fn parse_key(key: serde_json::Value) -> Result<VerifyingKey, KeyFault> {
    let jwk: Jwk = serde_json::from_value(key).map_err(|_| KeyFault::Invalid)?;
    VerifyingKey::parse(&jwk)
}

/// The keys that no other has the name and algorithm of. Of two, either could be meant, so neither is used.
fn distinct(keys: Vec<VerifyingKey>) -> impl Iterator<Item = VerifyingKey> {
    let name = |key: &VerifyingKey| (key.kid().map(str::to_owned), key.algorithm());
    let names: Vec<_> = keys.iter().map(name).collect();
    keys.into_iter().filter(move |key| {
        let own = name(key);
        own.0.is_none() || names.iter().filter(|other| **other == own).count() == 1
    })
}

impl fmt::Debug for JwkSet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.keys.iter().map(|key| (key.kid(), key.algorithm()))).finish()
    }
}

/// Keys that change while guards read them: for an issuer in the same process.
#[derive(Clone, Debug)]
pub struct SharedKeys(Arc<ArcSwap<Published>>);

/// A key set and how many there were before it.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) set: JwkSet,
    pub(crate) generation: u64,
}

impl SharedKeys {
    /// Shares a key set.
    pub fn new(set: JwkSet) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(Published { set, generation: 1 })))
    }

    /// No keys yet: every token is refused until there are some.
    pub fn none() -> Self {
        Self::new(JwkSet { keys: Arc::from([]), source: br#"{"keys":[]}"#.as_slice().into() })
    }

    /// Replaces it. Tokens of keys that are gone are refused from now on.
    pub fn store(&self, set: JwkSet) {
        self.0.rcu(move |current| next(Some(current), set.clone()));
    }

    pub(crate) fn load(&self) -> arc_swap::Guard<Arc<Published>> {
        self.0.load()
    }
}

/// What follows on `current`: the same, if the keys are the same.
pub(crate) fn next(current: Option<&Arc<Published>>, set: JwkSet) -> Arc<Published> {
    match current {
        Some(current) if current.set.is_same(&set) => Arc::clone(current),
        _ => Arc::new(Published { set, generation: current.map_or(1, |current| current.generation + 1) }),
    }
}
