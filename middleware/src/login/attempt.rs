//! A sign-in between the way to the issuer and the way back.

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use url::Url;

use super::Sessions;
use super::ask::Ask;
use super::cookies::{Begun, SLOTS};
use super::return_path::ReturnPath;
use super::seal::Handle;
use super::store::{StoreFault, StoreKey, StoredSignIn, Term};

/// What is known of a sign-in that was begun.
#[derive(Deserialize, Serialize)]
pub(super) struct Attempt {
    pub(super) nonce: String,
    pub(super) verifier: String,
    pub(super) return_to: ReturnPath,
    pub(super) ask: Ask,
}

/// What goes to the issuer, and what stays with the browser.
pub(super) struct Departure {
    pub(super) state: String,
    pub(super) nonce: String,
    pub(super) challenge: String,
    pub(super) cookie: HeaderValue,
}

impl Sessions {
    /// Begins a sign-in for the browser at an address, if that is known, that sent these headers.
    pub(super) async fn begin(
        &self,
        (headers, address): (&HeaderMap, Option<IpAddr>),
        return_to: ReturnPath,
        ask: Ask,
    ) -> Result<Departure, StoreFault> {
        let rules = self.rules();
        let now = rules.clock.unix_secs();
        let [state, secret, nonce, verifier] = std::array::from_fn(|_| Handle::draw(&rules.entropy));
        let (nonce, verifier) = (nonce.text(), verifier.text());
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let slot = rules.cookies.next_slot(headers);
        let attempt = Attempt { nonce: nonce.clone(), verifier, return_to, ask };
        // Who knows one half alone finds nothing, and uses nothing up.
        let both = state.and(&secret);
        let sealed = both.seal(&attempt, &rules.entropy).ok_or(StoreFault::Away)?;
        let term = Term::of(now, rules.lifetimes.attempt);
        let network = address.map(|address| network(address, rules.provider.client.secret()));
        rules.store.begin(both.key(), StoredSignIn { sealed, network }, term).await?;
        let begun = Begun { at_secs: now, handle: secret };
        let cookie = rules.cookies.set_begun(slot, &begun, term.length().as_secs());
        Ok(Departure { state: format!("{slot}.{}", state.text()), nonce, challenge, cookie })
    }

    /// Takes out the sign-in that an answer of the issuer belongs to, if this browser began it, and its slot.
    pub(super) async fn resume(
        &self,
        headers: &HeaderMap,
        state: &str,
    ) -> Result<Option<(Attempt, u8)>, StoreFault> {
        let rules = self.rules();
        let Some((slot, state)) = read_state(state) else { return Ok(None) };
        let Some(begun) = rules.cookies.begun(headers, slot) else { return Ok(None) };
        let both = state.and(&begun.handle);
        let sealed = rules.store.take(both.key(), rules.clock.unix_secs()).await?;
        Ok(sealed.and_then(|sealed| both.open(sealed)).map(|attempt| (attempt, slot)))
    }

    /// Where a browser is sent to sign in.
    pub(super) fn authorization(&self, endpoint: &Url, departure: &Departure, ask: &Ask) -> Url {
        let rules = self.rules();
        let mut url = endpoint.clone();
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", rules.provider.client.id())
            .append_pair("redirect_uri", &rules.provider.redirect_uri)
            .append_pair("scope", &rules.request.scope)
            .append_pair("state", &departure.state)
            .append_pair("nonce", &departure.nonce)
            .append_pair("code_challenge", &departure.challenge)
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(&rules.request.more)
            .extend_pairs(ask.parameters());
        if let Some(resource) = &rules.request.resource {
            query.append_pair("resource", resource);
        }
        drop(query);
        url
    }
}

/// The network of an address, under a name by which nobody finds the address without the secret of the client. A public client has
/// none, nor anything else that all its replicas know and nobody else does: there are few enough addresses to try them all.
fn network(address: IpAddr, secret: &[u8]) -> StoreKey {
    match address.to_canonical() {
        IpAddr::V4(address) => StoreKey::of("network", &[secret, &address.octets()]),
        // One customer often has all of it.
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 80;
            StoreKey::of("network", &[secret, &network.to_be_bytes()])
        }
    }
}

fn read_state(state: &str) -> Option<(u8, Handle)> {
    let (slot, state) = state.split_once('.')?;
    let slot = slot.parse().ok().filter(|slot| *slot < SLOTS && state.len() == 43)?;
    Some((slot, Handle::parse(state)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(address: &str, secret: &str) -> StoreKey {
        network(address.parse().unwrap(), secret.as_bytes())
    }

    #[test]
    fn a_network_has_one_name_at_all_replicas_of_a_client_and_another_for_each_secret() {
        let own = named("192.0.2.1", "secret");
        assert_eq!(own, named("::ffff:192.0.2.1", "secret"));
        assert_ne!(own, named("192.0.2.2", "secret"));
        for other in ["other", "secre", ""] {
            assert_ne!(own, named("192.0.2.1", other), "{other}");
        }
        assert_eq!(named("2001:db8:1::1", "secret"), named("2001:db8:1:ffff::2", "secret"));
        assert_ne!(named("2001:db8:1::1", "secret"), named("2001:db8:2::1", "secret"));
        // Whoever has no secret hides nothing: this is what the documentation of stores says.
        assert_eq!(named("192.0.2.1", ""), StoreKey::of("network", &[&[], &[192, 0, 2, 1]]));
    }
}
