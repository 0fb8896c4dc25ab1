//! Sectors that are named by a list of redirect URIs
//! ([OpenID Connect Registration §5](https://openid.net/specs/openid-connect-registration-1_0.html#SectorIdentifierValidation)).

use crate::outbound::{Document, JSON, Outbound, OutboundError};
use crate::services::registration::metadata::MetadataError;
use crate::services::registration::wish::Wish;

/// The longest list that is read.
const MAX_BYTES: usize = 32 * 1024;
const MEMBER: &str = "sector_identifier_uri";

/// Why a client is not of the sector that it names.
#[derive(Debug, thiserror::Error)]
pub(super) enum SectorError {
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error("sector_identifier_uri: cannot be fetched{}", .0.told())]
    Outbound(OutboundError),
}

/// Looks at the list that a client names, if it names one. Whoever is not on it would learn what the clients of that sector call people.
pub(super) async fn settle(wish: &mut Wish, outbound: &Outbound) -> Result<(), SectorError> {
    let Some(url) = &wish.sector else { return Ok(()) };
    let refused = |what| SectorError::Metadata(MetadataError::of(MEMBER, what));
    let Some(host) = url.url().domain() else { return Err(refused("has to be at a host with a name")) };
    let list = outbound.fetch(url, MAX_BYTES, JSON).await.map_err(SectorError::Outbound)?;
    let listed = listed(&list).ok_or_else(|| refused("leads to no JSON list of redirect URIs"))?;
    if !wish.redirects.iter().all(|redirect| listed.iter().any(|uri| uri == redirect.as_str())) {
        return Err(refused("leads to a list without all of the redirect URIs"));
    }
    let openid = &mut wish.form.options.protocol.openid;
    if openid.subject_type.as_deref() == Some("pairwise") {
        openid.sector_identifier = Some(host.to_owned());
    }
    Ok(())
}

fn listed(document: &Document) -> Option<Vec<String>> {
    document.is_json().then(|| serde_json::from_slice(&document.body).ok()).flatten()
}
