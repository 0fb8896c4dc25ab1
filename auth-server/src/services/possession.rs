//! What the sender of a request showed that it holds: a key, by a proof of possession, or a certificate.

use bytes::Bytes;

use crate::domain::confirmation::{Confirmation, KeyProof, Thumbprint};

/// What the sender of a request showed that it holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Possession {
    /// A key, by a proof that was made for this request ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)).
    pub(crate) proof: Option<KeyProof>,
    /// The certificate of the TLS handshake ([RFC 8705](https://www.rfc-editor.org/rfc/rfc8705)).
    pub(crate) certificate: Option<ShownCertificate>,
}

/// A certificate whose key the client has, as the handshake showed. Nothing is known of who issued it.
#[derive(Clone, Debug)]
pub(crate) struct ShownCertificate {
    pub(crate) thumbprint: Thumbprint,
    /// The certificate itself, in DER.
    pub(crate) der: Bytes,
    /// What stands between it and who is trusted, in DER.
    pub(crate) chain: Vec<Bytes>,
}

impl Possession {
    /// What is held, in the form of what can be asked for.
    pub(crate) fn held(&self) -> Confirmation {
        Confirmation {
            jkt: self.proof.as_ref().map(|proof| proof.key.clone()),
            x5t: self.certificate.as_ref().map(|certificate| certificate.thumbprint.clone()),
        }
    }
}

/// How a request says that its access token is meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TokenScheme {
    /// Whoever has it may use it (RFC 6750), or the TLS handshake shows who may.
    Bearer,
    /// It is bound to a key, and a proof is beside it (RFC 9449 §7.1).
    Dpop,
}

/// An access token as a request shows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShownToken<'a> {
    pub(crate) token: &'a str,
    pub(crate) scheme: TokenScheme,
    pub(crate) possession: &'a Possession,
}

impl ShownToken<'_> {
    /// Whether it is shown as what it is, by somebody who holds what it is bound to.
    pub(crate) fn proves(&self, bound: &Confirmation) -> bool {
        let as_what_it_is = bound.jkt.is_some() == (self.scheme == TokenScheme::Dpop);
        as_what_it_is && bound.is_met_by(&self.possession.held())
    }
}
