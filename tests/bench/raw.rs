//! The floors: one signature, one verification and one password hash, with nothing around them.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey,
};

use crate::cpu;

/// About the size of an access token's signing input.
const MESSAGE: [u8; 600] = [7; 600];

/// CPU microseconds of one raw operation each.
pub(crate) struct Raw {
    /// One ES256 signature over 600 bytes with a parsed key.
    pub(crate) sign: f64,
    /// One ES256 verification of it with a parsed key.
    pub(crate) verify: f64,
    /// One Argon2id hash at the server's default parameters, memory reused.
    pub(crate) argon2: f64,
}

/// Measures one round of each.
pub(crate) fn measure() -> Raw {
    let (sign, verify) = es256();
    Raw { sign, verify, argon2: argon2() }
}

fn es256() -> (f64, f64) {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
    let key =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).expect("our own key");
    let public =
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public_key().as_ref()).expect("our own key");
    let signature = key.sign(&random, &MESSAGE).expect("a signature");
    // The scheduler's account of a running thread moves in steps of some milliseconds: the loops are long beside them.
    let sign = cpu::micros_per_operation(20_000, || {
        std::hint::black_box(key.sign(&random, &MESSAGE).expect("a signature"));
    });
    let verify = cpu::micros_per_operation(10_000, || {
        public.verify_sig(&MESSAGE, signature.as_ref()).expect("our own signature");
    });
    (sign, verify)
}

fn argon2() -> f64 {
    let params = argon2::Params::new(19_456, 2, 1, None).expect("valid parameters");
    let hasher = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let mut memory = vec![argon2::Block::default(); hasher.params().block_count()];
    let mut output = [0_u8; 32];
    cpu::micros_per_operation(60, || {
        hasher
            .hash_password_into_with_memory(
                b"correct horse battery staple",
                b"0123456789abcdef",
                &mut output,
                &mut memory,
            )
            .expect("valid parameters");
    })
}
