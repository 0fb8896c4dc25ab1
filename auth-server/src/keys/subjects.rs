//! What clients call people: everywhere the same, or pairwise ([OpenID Connect Core §8]).
//!
//! [OpenID Connect Core §8]: https://openid.net/specs/openid-connect-core-1_0.html#SubjectIDTypes

use aws_lc_rs::hmac::{self, HMAC_SHA256};

use crate::domain::client::Client;
use crate::domain::client_openid::SubjectType;
use crate::domain::user::Sub;
use crate::keys::seal::Sealer;

/// What the key is derived for. Another text would give everybody another name.
const PURPOSE: &str = "pairwise subjects";

/// Names people for clients.
///
/// A pairwise subject is an HMAC of the sector and the subject under a key that follows from the master key: whoever knows both still
/// cannot compute it, and it stays the same for as long as the master key does (§8.1).
pub(crate) struct Subjects(hmac::Key);

impl Subjects {
    pub(crate) fn of(sealer: &Sealer) -> Self {
        Self(hmac::Key::new(HMAC_SHA256, &sealer.derive(PURPOSE)))
    }

    /// What this client calls this user.
    pub(crate) fn subject(&self, client: &Client, sub: &Sub) -> Sub {
        match &client.settings.protocol.openid.subject {
            SubjectType::Public => sub.clone(),
            SubjectType::Pairwise { sector } => self.pairwise(sector, sub),
        }
    }

    fn pairwise(&self, sector: &str, sub: &Sub) -> Sub {
        // No host has a zero byte, so no two pairs read the same.
        let message = [sector.as_bytes(), &[0], sub.as_str().as_bytes()].concat();
        let tag = hmac::sign(&self.0, &message);
        let mut bytes = [0; Sub::LENGTH];
        bytes.iter_mut().zip(tag.as_ref()).for_each(|(byte, drawn)| *byte = *drawn);
        Sub::of(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Entropy;
    use crate::keys::master::MasterKey;

    fn subjects(seed: u64) -> Subjects {
        let entropy = Entropy::seeded(seed);
        Subjects::of(&Sealer::from_master(&MasterKey::generate(&entropy), entropy))
    }

    #[test]
    fn a_pairwise_subject_follows_from_sector_person_and_master_key() {
        let (ada, bob) = (Sub::generate(&Entropy::seeded(1)), Sub::generate(&Entropy::seeded(2)));
        let known = subjects(1).pairwise("a.example", &ada);
        assert_eq!(subjects(1).pairwise("a.example", &ada), known, "it is stable");
        assert_eq!(Sub::parse(known.as_str()), Ok(known.clone()));
        for other in [
            subjects(1).pairwise("b.example", &ada),
            subjects(1).pairwise("a.example", &bob),
            subjects(2).pairwise("a.example", &ada),
            ada,
        ] {
            assert_ne!(other, known);
        }
    }
}
