//! Puts together what lets clients come by themselves.

use std::sync::Arc;

use crate::app::administration::Administration;
use crate::app::ground::Ground;
use crate::http::state::Newcomers;
use crate::services::network_limits::NetworkLimits;
use crate::services::registration::RegistrationService;
use crate::services::registration::documents::{DocumentService, Reach};
use crate::services::registration::logo::LogoService;
use crate::services::registration::permission::Permissions;

/// Clients that come by themselves.
#[derive(Clone)]
pub(super) struct Arrivals {
    pub(super) documents: DocumentService,
    pub(super) logos: LogoService,
    pub(super) registrations: RegistrationService,
}

impl Arrivals {
    /// What handlers get of it.
    pub(super) fn newcomers(&self) -> Newcomers {
        Newcomers { registrations: self.registrations.clone(), logos: self.logos.clone() }
    }
}

/// Cells of the tables that count networks, as a power of two: half a megabyte each.
const BITS: u32 = 15;

/// Builds the services from what the server stands on.
pub(super) fn build(ground: &Ground, administration: &Administration) -> Arrivals {
    let Ground { config, clock, entropy, outbound, store, .. } = ground;
    let settings = Arc::new(config.reach.registration.clone());
    let limits = || NetworkLimits::new(settings.per_address_per_minute, BITS, clock, entropy);
    let logos = LogoService::new(store.clone(), outbound.clone());
    let reach = Reach { outbound: outbound.clone(), limits: limits(), logos: logos.clone() };
    let permissions = Permissions::new(store.clone(), Arc::clone(&settings));
    let clients = &administration.programs.clients;
    Arrivals {
        documents: DocumentService::new(store.clone(), clients.clone(), permissions.clone(), reach),
        registrations: RegistrationService::new(
            store.clone(),
            clients.clone(),
            permissions,
            (limits(), logos.clone()),
            entropy.clone(),
        ),
        logos,
    }
}
