//! What a route has, once its guard is known.

use std::sync::Arc;

use crate::authorize::Requirement;
use crate::edge::HeaderRules;
use crate::input::InputRules;
use crate::limit::Passage;

/// What a route asks of a request, and gives its answers.
#[derive(Clone)]
pub(crate) struct Terms {
    /// The template of its path, if that is known.
    pub(crate) route: Option<Arc<str>>,
    pub(crate) requirement: Requirement,
    pub(crate) input: Arc<InputRules>,
    pub(crate) passage: Passage,
    /// Headers, where they are not those of the guard.
    pub(crate) headers: Option<Arc<HeaderRules>>,
    /// Whether answers are open as long as somebody listens.
    pub(crate) streams: bool,
    /// Whether cookies count for nothing here.
    pub(crate) without_cookies: bool,
}
