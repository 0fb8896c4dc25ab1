//! What the pages of a flow show.

use crate::domain::client::{Client, FirstParty};
use crate::domain::ids::InteractionId;
use crate::domain::session::Acr;
use crate::services::authorize::AuthorizeService;
use crate::services::authorize::decide::{LoginReason, SignIn};
use crate::services::authorize::flow::Flow;
use crate::services::authorize::interaction::{
    Asked, ConsentView, InteractionError, InteractionView, LoginView, Stranger,
};
use crate::services::authorize::parts::Parts;
use crate::services::visit::Visit;
use crate::storage::{StoreError, consents, logos, registrations};

impl Flow<'_> {
    /// What the page for signing in calls the client. Nobody answers there for the name of one that came by itself, so the page names
    /// what it could not choose.
    pub(super) fn login_name(&self, is_stranger: bool) -> String {
        match self.client.id.document() {
            Some(url) => url.host().to_owned(),
            None if is_stranger => {
                self.redirect().map(|redirect| redirect.host().to_owned()).unwrap_or_default()
            }
            None => self.client.name.clone(),
        }
    }
}

impl AuthorizeService {
    /// Says what the page of an interaction shows.
    pub(crate) async fn view(
        &self,
        id: &InteractionId,
        visit: &Visit,
    ) -> Result<InteractionView, InteractionError> {
        let flow = self.running(id, visit).await?;
        let Some(live) = visit.session.as_ref() else {
            return Ok(InteractionView::Login(self.login_view(&flow, LoginReason::NotSignedIn).await?));
        };
        if let SignIn::Needed(reason) = self.sign_in(&flow) {
            return Ok(InteractionView::Login(self.login_view(&flow, reason).await?));
        }
        let request = &flow.request;
        let parts = Parts::of(&self.store, request).await?;
        let mut tx = self.store.read().await?;
        let mut places = Vec::with_capacity(parts.all.len());
        for part in &parts.all {
            let api = part.api.as_ref().map(|api| &api.id);
            let held = consents::find(&mut tx, &live.user.id, &request.client, api).await?;
            places.push(part.view(&parts, held));
        }
        let redirect = flow.redirect().ok_or(InteractionError::Unknown)?;
        let registration = registrations::find(&mut tx, &request.client).await?;
        let is_stranger = registration.is_some() && flow.client.settings.first_party == FirstParty::No;
        let logo = match &registration {
            Some(_) => logos::name(&mut tx, &request.client).await?,
            None => None,
        };
        Ok(InteractionView::Consent(ConsentView {
            login_name: flow.login_name(is_stranger),
            client: flow.client.name.clone(),
            redirect_host: redirect.host().to_owned(),
            stranger: registration.map(|registration| Stranger::of(registration, redirect, logo)),
            user: live.user.clone(),
            asked: Asked { scopes: request.scopes.clone(), claims: request.single_claims() },
            places,
        }))
    }

    /// What the page for signing in shows.
    pub(super) async fn login_view(
        &self,
        flow: &Flow<'_>,
        reason: LoginReason,
    ) -> Result<LoginView, StoreError> {
        let is_stranger = flow.client.id.document().is_none() && self.is_stranger(&flow.client).await?;
        let login_hint = flow.request.wishes.login_hint.clone();
        let one_factor_will_do = !flow.request.forbids(Acr::OneFactor);
        Ok(LoginView { client: flow.login_name(is_stranger), login_hint, reason, one_factor_will_do })
    }

    /// Whether the client came by itself.
    pub(super) async fn is_stranger(&self, client: &Client) -> Result<bool, StoreError> {
        if client.settings.first_party == FirstParty::Yes {
            return Ok(false);
        }
        let mut tx = self.store.read().await?;
        Ok(registrations::find(&mut tx, &client.id).await?.is_some())
    }
}
