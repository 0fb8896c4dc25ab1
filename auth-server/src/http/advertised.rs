//! The metadata as they are now: what the configuration fixes, and the types of details that administrators register.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use serde_json::{Value, json};

use crate::domain::details::kind::DetailsTypes;
use crate::http::metadata::Discovery;
use crate::http::published::Description;
use crate::services::details::DetailsCatalogue;

/// The member of the metadata (RFC 9396 §10).
const MEMBER: &str = "authorization_details_types_supported";

/// What the server says about itself.
#[derive(Clone)]
pub(crate) struct Advertised {
    fixed: Discovery,
    catalogue: DetailsCatalogue,
    latest: Arc<ArcSwapOption<Latest>>,
}

/// The document with the types for which it was written.
struct Latest {
    types: Arc<DetailsTypes>,
    description: Description,
}

impl Advertised {
    pub(crate) fn new(fixed: Discovery, catalogue: DetailsCatalogue) -> Self {
        Self { fixed, catalogue, latest: Arc::default() }
    }

    /// The document. It is written again only when the types were; while the database is away, it names those of before.
    pub(crate) async fn description(&self) -> Description {
        let latest = self.latest.load_full();
        let types = match (self.catalogue.types().await, &latest) {
            (Ok(types), _) => types,
            (Err(_), Some(latest)) => return latest.description.clone(),
            (Err(_), None) => return self.fixed.0.clone(),
        };
        if types.is_empty() {
            return self.fixed.0.clone();
        }
        if let Some(latest) = latest.filter(|latest| Arc::ptr_eq(&latest.types, &types)) {
            return latest.description.clone();
        }
        let description = self.with(&types);
        self.latest.store(Some(Arc::new(Latest { types, description: description.clone() })));
        description
    }

    fn with(&self, types: &DetailsTypes) -> Description {
        // It was written by this server.
        let mut document: Value = serde_json::from_slice(&self.fixed.0.body).unwrap_or_default();
        let names: Vec<&str> = types.iter().map(|kind| kind.name.as_str()).collect();
        if let Some(members) = document.as_object_mut() {
            members.insert(MEMBER.to_owned(), json!(names));
        }
        Description::of(&document)
    }
}
