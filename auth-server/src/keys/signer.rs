//! A private key, parsed once and held ready to sign.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaEncoding, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::domain::signing::SigningAlg;
use crate::keys::jwk::{Padding, PublicKey};
use crate::keys::jwt::JwtType;

/// A key that signs. The key object is parsed when it is loaded: parsing costs as much as a signature.
pub(crate) struct Signer {
    pair: Pair,
    /// The encoded header of each kind of token with its dot, ready to be copied.
    headers: [(JwtType, String); JwtType::ALL.len()],
}

enum Pair {
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Rsa(RsaKeyPair, Padding),
}

/// A key that was just made: its private half is on its way to being sealed.
pub(crate) struct FreshKey {
    pub(crate) public: PublicKey,
    pub(crate) pkcs8: Zeroizing<Vec<u8>>,
}

/// The cryptographic library refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the cryptographic library refused a signing key")]
pub struct KeyRefused;

impl FreshKey {
    /// Makes a key. RSA takes up to a second: not on an async thread.
    pub(crate) fn generate(alg: SigningAlg) -> Result<Self, KeyRefused> {
        let pkcs8 = match alg {
            SigningAlg::EdDsa => {
                Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1()).map(|der| der.as_ref().to_vec())
            }
            SigningAlg::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .and_then(|pair| pair.to_pkcs8v1())
                .map(|der| der.as_ref().to_vec()),
            SigningAlg::Ps256 | SigningAlg::Rs256 => RsaKeyPair::generate(KeySize::Rsa2048)
                .and_then(|pair| AsDer::<Pkcs8V1Der<'_>>::as_der(&pair))
                .map(|der| der.as_ref().to_vec()),
        };
        let pkcs8 = Zeroizing::new(pkcs8.map_err(|_| KeyRefused)?);
        let public = Pair::parse(alg, &pkcs8)?.public()?;
        Ok(Self { public, pkcs8 })
    }
}

impl Signer {
    /// Parses a private key. `kid` goes into the header of each token.
    pub(crate) fn parse(alg: SigningAlg, pkcs8: &[u8], kid: &str) -> Result<Self, KeyRefused> {
        let header = |kind: JwtType| {
            let json =
                serde_json::json!({ "alg": alg.as_str(), "kid": kid, "typ": kind.as_str() }).to_string();
            (kind, URL_SAFE_NO_PAD.encode(json) + ".")
        };
        Ok(Self { pair: Pair::parse(alg, pkcs8)?, headers: JwtType::ALL.map(header) })
    }

    /// The public half.
    pub(crate) fn public(&self) -> Result<PublicKey, KeyRefused> {
        self.pair.public()
    }

    /// Writes the token whose claims are this JSON.
    pub(crate) fn sign(&self, kind: JwtType, claims: &[u8]) -> Result<String, KeyRefused> {
        let header =
            self.headers.iter().find(|(of, _)| *of == kind).map_or("", |(_, header)| header.as_str());
        // Claims grow by a third; an RSA signature, the longest, is 342 characters.
        let mut token = String::with_capacity(header.len() + claims.len() * 4 / 3 + 360);
        token.push_str(header);
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        self.pair.append_signature(&mut token)?;
        Ok(token)
    }
}

impl Pair {
    fn parse(alg: SigningAlg, pkcs8: &[u8]) -> Result<Self, KeyRefused> {
        match alg {
            SigningAlg::EdDsa => Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map(Self::EdDsa),
            SigningAlg::Es256 => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map(Self::Es256)
            }
            SigningAlg::Ps256 => RsaKeyPair::from_pkcs8(pkcs8).map(|pair| Self::Rsa(pair, Padding::Pss)),
            SigningAlg::Rs256 => RsaKeyPair::from_pkcs8(pkcs8).map(|pair| Self::Rsa(pair, Padding::Pkcs1)),
        }
        .map_err(|_| KeyRefused)
    }

    fn public(&self) -> Result<PublicKey, KeyRefused> {
        match self {
            Self::EdDsa(pair) => {
                pair.public_key().as_ref().try_into().map(PublicKey::Ed25519).map_err(|_| KeyRefused)
            }
            Self::Es256(pair) => {
                // The uncompressed form begins with 4 (SEC 1 section 2.3.3).
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                point.try_into().map(PublicKey::Ec256).map_err(|_| KeyRefused)
            }
            Self::Rsa(pair, padding) => Ok(PublicKey::Rsa {
                modulus: pair.public_key().modulus().big_endian_without_leading_zero().to_vec(),
                exponent: pair.public_key().exponent().big_endian_without_leading_zero().to_vec(),
                padding: *padding,
            }),
        }
    }

    /// Signs what the token holds so far and appends the signature.
    fn append_signature(&self, token: &mut String) -> Result<(), KeyRefused> {
        let rng = SystemRandom::new();
        let append = |signature: &[u8], token: &mut String| {
            token.push('.');
            URL_SAFE_NO_PAD.encode_string(signature, token);
        };
        match self {
            Self::EdDsa(pair) => append(pair.sign(token.as_bytes()).as_ref(), token),
            Self::Es256(pair) => {
                let signature = pair.sign(&rng, token.as_bytes()).map_err(|_| KeyRefused)?;
                append(signature.as_ref(), token);
            }
            Self::Rsa(pair, padding) => {
                let encoding: &'static dyn RsaEncoding = match padding {
                    Padding::Pkcs1 => &RSA_PKCS1_SHA256,
                    Padding::Pss => &RSA_PSS_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &rng, token.as_bytes(), &mut signature).map_err(|_| KeyRefused)?;
                append(&signature, token);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::jwks::VerifyingKey;
    use crate::keys::jwt::{CompactJwt, JwtError};

    #[test]
    fn each_algorithm_signs_what_its_own_public_key_verifies() {
        for alg in SigningAlg::ALL {
            let key = FreshKey::generate(alg).unwrap();
            let kid = key.public.thumbprint();
            let signer = Signer::parse(alg, &key.pkcs8, &kid).unwrap();
            assert_eq!(signer.public().unwrap(), key.public);
            let token = signer.sign(JwtType::AccessToken, br#"{"sub":"alice"}"#).unwrap();
            let jwt = CompactJwt::parse(&token).unwrap();
            assert_eq!(
                (jwt.header.alg.as_str(), jwt.header.kid.as_deref()),
                (alg.as_str(), Some(kid.as_str()))
            );
            assert!(jwt.header.is(JwtType::AccessToken));
            VerifyingKey::new(None, &key.public).unwrap().verify(&jwt).unwrap();
            let stranger = VerifyingKey::new(None, &FreshKey::generate(alg).unwrap().public).unwrap();
            assert_eq!(stranger.verify(&jwt), Err(JwtError::BadSignature));
        }
    }

    #[test]
    fn a_key_of_another_algorithm_is_refused() {
        let key = FreshKey::generate(SigningAlg::EdDsa).unwrap();
        assert!(matches!(Signer::parse(SigningAlg::Es256, &key.pkcs8, "k"), Err(KeyRefused)));
        assert!(matches!(Signer::parse(SigningAlg::Rs256, b"", "k"), Err(KeyRefused)));
        assert!(matches!(Signer::parse(SigningAlg::Ps256, &key.pkcs8, "k"), Err(KeyRefused)));
    }

    #[test]
    fn a_signature_with_one_padding_is_none_with_the_other() {
        for (alg, other) in [(SigningAlg::Ps256, Padding::Pkcs1), (SigningAlg::Rs256, Padding::Pss)] {
            let key = FreshKey::generate(alg).unwrap();
            let token = Signer::parse(alg, &key.pkcs8, "k").unwrap().sign(JwtType::IdToken, b"{}").unwrap();
            let PublicKey::Rsa { modulus, exponent, .. } = key.public else { panic!("an RSA key") };
            let mistaken = PublicKey::Rsa { modulus, exponent, padding: other };
            let jwt = CompactJwt::parse(&token).unwrap();
            let refused = VerifyingKey::new(None, &mistaken).unwrap().verify(&jwt);
            assert_eq!(refused, Err(JwtError::UnknownKey), "{alg}: the algorithm is the key's");
            let raw = mistaken.verifying().unwrap().verify_sig(jwt.signed.as_bytes(), &jwt.signature);
            assert!(raw.is_err(), "{alg}");
        }
    }
}
