//! A set of keys, and a place that several guards can read it from while it changes.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::key::{Jwk, KeyFault, VerifyingKey};
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
        read_json(json, BOUNDS, |_| Ok(())).map_err(|_| JwksError::Malformed)?;
        let Document { keys } = serde_json::from_slice(json).map_err(|_| JwksError::Malformed)?;
        if keys.len() > MAX_KEYS {
            return Err(JwksError::Malformed);
        }
        let mut usable: Vec<Arc<VerifyingKey>> = Vec::new();
        let mut first_fault = None;
        for key in keys {
            match parse_key(key) {
                // The first of two keys with one name and algorithm wins, as it always will.
                Ok(key) if usable.iter().any(|other| same_name(other, &key)) => {}
                Ok(key) => usable.push(Arc::new(key)),
                Err(fault) => {
                    tracing::warn!(key.fault = %fault, "a key of a key set is not used");
                    first_fault.get_or_insert(fault);
                }
            }
        }
        if usable.is_empty() {
            return Err(JwksError::NoUsableKey(first_fault));
        }
        Ok(Self { keys: usable.into(), source: json.into() })
    }

    /// How many keys of the set can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key can be used: never, since [`parse`](Self::parse) refuses that.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key of a name; without a name, the only key there is.
    pub(crate) fn find(&self, kid: Option<&str>) -> Option<&Arc<VerifyingKey>> {
        match (kid, &*self.keys) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(kid), keys) => keys.iter().find(|key| key.kid() == Some(kid)),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

fn parse_key(key: serde_json::Value) -> Result<VerifyingKey, KeyFault> {
    let jwk: Jwk = serde_json::from_value(key).map_err(|_| KeyFault::Invalid)?;
    VerifyingKey::parse(&jwk)
}

fn same_name(one: &VerifyingKey, other: &VerifyingKey) -> bool {
    one.kid() == other.kid()
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
