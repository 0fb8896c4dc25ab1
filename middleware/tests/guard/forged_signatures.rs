//! JW-24: signatures and keys that a careless verifier takes. The test makes them itself, by arithmetic.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
use http::StatusCode;
use num_bigint::BigUint;
use portcullis_guard::Issuer;
use serde_json::{Value, json};

use crate::service::{Dial, builder, fetch, service};
use crate::signer::{ISSUER, Signer, b64, claims};
use crate::tokens::assert_refused;

/// What PKCS #1 puts before a SHA-256 digest (RFC 8017 §9.2, note 1).
const SHA256_INFO: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];
/// The same without the NULL behind the name of the algorithm.
const SHA256_INFO_WITHOUT_NULL: [u8; 17] =
    [0x30, 0x2f, 0x30, 0x0b, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 4, 0x20];
/// The same for SHA-1.
const SHA1_INFO: [u8; 15] = [0x30, 0x21, 0x30, 9, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0, 4, 0x14];

/// An RSA key whose owner signs whatever block of bytes it likes.
struct Block {
    pair: RsaKeyPair,
    modulus: BigUint,
    private: BigUint,
}

impl Block {
    fn generate() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        // PKCS #8: version, algorithm, key. RSAPrivateKey (RFC 8017 §A.1.2): version, n, e, d ..
        let key = elements(elements(der.as_ref())[0])[2];
        let numbers = elements(elements(key)[0]);
        let number = |at: usize| BigUint::from_bytes_be(numbers[at]);
        let (modulus, private) = (number(1), number(3));
        Self { pair, modulus, private }
    }

    fn jwk(&self) -> Value {
        let n = self.pair.public_key().modulus().big_endian_without_leading_zero().to_vec();
        json!({ "kty": "RSA", "n": b64(n), "e": "AQAB", "kid": "a", "alg": "RS256", "use": "sig" })
    }

    fn sign(&self, block: &[u8]) -> Vec<u8> {
        let number = BigUint::from_bytes_be(block).modpow(&self.private, &self.modulus).to_bytes_be();
        [vec![0; 256 - number.len()], number].concat()
    }
}

/// The contents of the elements that stand behind each other (DER).
fn elements(mut der: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let [_, length, rest @ ..] = der {
        let digits = usize::from(length.saturating_sub(0x80));
        let (long, rest) = rest.split_at(digits);
        let length = match digits {
            0 => usize::from(*length),
            _ => long.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit)),
        };
        let (content, behind) = rest.split_at(length);
        found.push(content);
        der = behind;
    }
    found
}

/// `00 kind, padding of this byte, 00, what is signed, what stands behind`, 256 bytes in all.
fn block(kind: u8, padding: u8, signed: &[u8], behind: usize) -> Vec<u8> {
    let padding = vec![padding; 253 - signed.len() - behind];
    [&[0, kind][..], &padding, &[0], signed, &vec![0xa5; behind]].concat()
}

#[tokio::test]
async fn an_rsa_signature_is_one_block_and_no_other() {
    let key = Block::generate();
    let header = json!({ "alg": "RS256", "typ": "at+jwt", "kid": "a" });
    let message = format!("{}.{}", b64(header.to_string()), b64(claims(&json!({})).to_string()));
    let hash = digest(&SHA256, message.as_bytes());
    let signed = [&SHA256_INFO[..], hash.as_ref()].concat();
    let token = |block: &[u8]| {
        assert_eq!(block.len(), 256);
        format!("{message}.{}", b64(key.sign(block)))
    };
    let jwks = json!({ "keys": [key.jwk()] }).to_string();
    let guard = builder(&Dial::new()).issuer(Issuer::static_jwks(ISSUER, jwks)).build().await.unwrap();
    let service = service(&guard);
    let good = fetch(&service, "/me", &token(&block(1, 0xff, &signed, 0))).await;
    assert_eq!(good.status, StatusCode::OK, "what the standard says is taken: {good:?}");

    // The length of the digest's element says that something belongs to it that stands behind.
    let mut longer = signed.clone();
    longer[1] += 8;
    longer[18] += 8;
    longer.extend([0xa5; 8]);
    // Eight bytes in place of the NULL.
    let parameters =
        [&[0x30, 0x39, 0x30, 0x15][..], &SHA256_INFO[4..15], &[4, 8], &[0xa5; 8], &[4, 0x20], hash.as_ref()]
            .concat();
    let reversed: Vec<u8> = hash.as_ref().iter().rev().copied().collect();
    let sha1 = digest(&SHA1_FOR_LEGACY_USE_ONLY, message.as_bytes());
    for (what, block) in [
        ("one byte behind the digest", block(1, 0xff, &signed, 1)),
        ("little padding and much behind the digest", block(1, 0xff, &signed, 253 - signed.len() - 8)),
        ("no padding at all", block(1, 0xff, &signed, 253 - signed.len())),
        ("a digest that is too long", block(1, 0xff, &longer, 0)),
        ("parameters of the algorithm", block(1, 0xff, &parameters, 0)),
        ("no parameters", block(1, 0xff, &[&SHA256_INFO_WITHOUT_NULL[..], hash.as_ref()].concat(), 0)),
        ("padding of other bytes", block(1, 0xfe, &signed, 0)),
        ("padding of zeros", block(1, 0, &signed, 0)),
        ("a block for encryption", block(2, 0xff, &signed, 0)),
        ("a block of type 0", block(0, 0xff, &signed, 0)),
        ("a digest alone", block(1, 0xff, hash.as_ref(), 0)),
        ("another digest", block(1, 0xff, &[&SHA256_INFO[..], &reversed].concat(), 0)),
        ("a weaker digest", block(1, 0xff, &[&SHA1_INFO[..], sha1.as_ref()].concat(), 0)),
        ("nothing but padding", [&[0, 1][..], &[0xff; 253], &[0]].concat()),
        ("zeros", vec![0; 256]),
        ("one", [&[0; 255][..], &[1]].concat()),
    ] {
        assert_refused(&service, &token(&block), what).await;
    }
}

/// The field of Curve25519.
struct Field {
    p: BigUint,
}

impl Field {
    fn new() -> Self {
        Self { p: (BigUint::from(1_u8) << 255) - 19_u8 }
    }

    fn power(&self, base: &BigUint, exponent: &BigUint) -> BigUint {
        base.modpow(exponent, &self.p)
    }

    fn over(&self, number: &BigUint, divisor: &BigUint) -> BigUint {
        number * self.power(divisor, &(&self.p - 2_u8)) % &self.p
    }

    fn minus(&self, number: &BigUint) -> BigUint {
        (&self.p - number % &self.p) % &self.p
    }

    /// A square root, if there is one: p is 5 modulo 8.
    fn root(&self, square: &BigUint) -> Option<BigUint> {
        let candidate = self.power(square, &((&self.p + 3_u8) >> 3));
        let turn = self.power(&BigUint::from(2_u8), &((&self.p - 1_u8) >> 2));
        let turned = &candidate * turn % &self.p;
        [candidate, turned].into_iter().find(|root| root * root % &self.p == square % &self.p)
    }

    /// The y of all points that eight times themselves come to nothing.
    ///
    /// Doubled, a point of order 8 has y = 0, so x² = -y²; put into -x² + y² = 1 + d·x²·y², that is d·y⁴ + 2y² = 1.
    fn small_orders(&self) -> Vec<BigUint> {
        let one = BigUint::from(1_u8);
        let d = self.minus(&self.over(&BigUint::from(121_665_u32), &BigUint::from(121_666_u32)));
        let root = self.root(&(&one + &d)).unwrap();
        let squares = [&self.minus(&one) + &root, &self.minus(&one) + self.minus(&root)];
        let eighth: Vec<BigUint> =
            squares.iter().filter_map(|square| self.root(&self.over(square, &d))).collect();
        assert_eq!(eighth.len(), 1, "the four points of order 8 differ by signs");
        let opposite = self.minus(&eighth[0]);
        // Of order 1, 2 and 4, and the first two in their other spelling.
        let rest = [one.clone(), self.minus(&one), BigUint::ZERO, self.p.clone(), &self.p + 1_u8];
        rest.into_iter().chain(eighth).chain([opposite]).collect()
    }
}

/// RFC 8032 §5.1.2: y, with the sign of x in the highest bit.
fn encoded(y: &BigUint, sign: u8) -> Vec<u8> {
    let mut bytes = y.to_bytes_le();
    bytes.resize(32, 0);
    bytes[31] |= sign << 7;
    bytes
}

#[tokio::test]
async fn a_key_for_which_one_signature_fits_all_messages_is_no_key() {
    let points: Vec<Vec<u8>> =
        Field::new().small_orders().iter().flat_map(|y| [encoded(y, 0), encoded(y, 1)]).collect();
    assert_eq!(points.len(), 14);
    let good = Signer::eddsa("good");
    for key in &points {
        let bad = json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(key), "kid": "a", "alg": "EdDSA", "use": "sig" });
        let jwks = json!({ "keys": [bad, good.jwk()] }).to_string();
        let guard = builder(&Dial::new()).issuer(Issuer::static_jwks(ISSUER, jwks)).build().await.unwrap();
        let service = service(&guard);
        assert_eq!(fetch(&service, "/me", &good.token(&json!({}))).await.status, StatusCode::OK);
        for (kid, why) in
            [(Some("a"), "its own key"), (Some("good"), "a good key"), (None, "no key is named")]
        {
            let mut header = json!({ "alg": "EdDSA", "typ": "at+jwt" });
            if let Some(kid) = kid {
                header["kid"] = json!(kid);
            }
            let message = format!("{}.{}", b64(header.to_string()), b64(claims(&json!({})).to_string()));
            // With S = 0, one of eight points R fits every message that such a key is asked about.
            for r in &points {
                let signature = [r.as_slice(), &[0; 32]].concat();
                assert_refused(&service, &format!("{message}.{}", b64(signature)), why).await;
            }
        }
    }
}
