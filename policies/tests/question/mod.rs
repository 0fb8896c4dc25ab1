//! A request that owns its parts, for tests that make many.

use portcullis_policy::{Request, Roles};

#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) subject: &'static str,
    pub(crate) roles: Vec<&'static str>,
    pub(crate) domain: &'static str,
    pub(crate) object: &'static str,
    pub(crate) action: &'static str,
}

impl Asked {
    pub(crate) fn request(&self) -> Request<'_> {
        let Self { subject, domain, object, action, .. } = *self;
        Request { subject, roles: Roles::from(self.roles.as_slice()), domain, object, action }
    }
}
