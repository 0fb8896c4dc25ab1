//! The functions that make a hash of a password: Argon2id for what is kept here, and those of other systems for what is brought
//! along from them.

use std::num::NonZeroU32;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::digest;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use zeroize::Zeroizing;

/// What bcrypt looks at; what stands behind it counts nothing.
const BCRYPT_LEN: usize = 72;
/// A key of AES-256.
const AES_LEN: usize = 32;

/// A function with what it is told besides the password and the salt.
#[derive(Clone)]
pub(super) enum Function {
    /// RFC 9106.
    Argon2 { algorithm: Algorithm, version: Version, params: Params },
    /// The Blowfish one, as 2a, 2b and 2y have it.
    Bcrypt { cost: u32 },
    /// RFC 8018 §5.2.
    Pbkdf2 { algorithm: pbkdf2::Algorithm, iterations: NonZeroU32 },
    /// RFC 7914.
    Scrypt(scrypt::Params),
    /// Firebase's: the key that signs for a project, encrypted under what scrypt gives.
    Firebase { params: scrypt::Params, separator: Vec<u8>, signer: Vec<u8> },
}

/// Why there is no hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum DeriveError {
    #[error(transparent)]
    Argon2(#[from] argon2::Error),
    /// What was stored asks for something that the function cannot do.
    #[error("the function does not take what is stored")]
    Foreign,
}

/// What a computation gives.
pub(super) type Derived = Result<Zeroizing<Vec<u8>>, DeriveError>;

impl Function {
    /// The hash of a password, of this length where the function can have several. `memory` is used again from call to call.
    pub(super) fn derive(
        &self,
        password: &[u8],
        salt: &[u8],
        len: usize,
        memory: &mut Vec<Block>,
    ) -> Derived {
        let mut output = Zeroizing::new(vec![0; len]);
        match self {
            Self::Argon2 { algorithm, version, params } => {
                reserve(memory, params.block_count())?;
                Argon2::new(*algorithm, *version, params.clone()).hash_password_into_with_memory(
                    password,
                    salt,
                    &mut output,
                    memory.as_mut_slice(),
                )?;
            }
            Self::Bcrypt { cost } => output = bcrypt(*cost, password, salt)?,
            Self::Pbkdf2 { algorithm, iterations } => {
                pbkdf2::derive(*algorithm, *iterations, salt, password, &mut output);
            }
            Self::Scrypt(params) => {
                scrypt::scrypt(password, salt, params, &mut output).map_err(|_| DeriveError::Foreign)?;
            }
            Self::Firebase { params, separator, signer } => {
                let salted = [salt, separator].concat();
                output = Zeroizing::new(signer.clone());
                firebase(password, &salted, params, &mut output)?;
            }
        }
        Ok(output)
    }

    /// Whether it is Argon2id, version 19, at this cost.
    pub(super) fn is_current(&self, wanted: &Params) -> bool {
        let Self::Argon2 { algorithm: Algorithm::Argon2id, version: Version::V0x13, params } = self else {
            return false;
        };
        (params.m_cost(), params.t_cost(), params.p_cost())
            == (wanted.m_cost(), wanted.t_cost(), wanted.p_cost())
    }
}

/// Exactly as much as the job needs: an old hash with dearer parameters must not keep its memory for ever.
fn reserve(memory: &mut Vec<Block>, blocks: usize) -> Result<(), argon2::Error> {
    if memory.len() != blocks {
        *memory = Vec::new();
        memory.try_reserve_exact(blocks).map_err(|_| argon2::Error::OutOfMemory)?;
        memory.resize(blocks, Block::new());
    }
    Ok(())
}

fn bcrypt(cost: u32, password: &[u8], salt: &[u8]) -> Derived {
    let salt = salt.try_into().map_err(|_| DeriveError::Foreign)?;
    // The end of a text counts, as far as there is room for it.
    let mut ended = Zeroizing::new(Vec::with_capacity(password.len() + 1));
    ended.extend_from_slice(password);
    ended.push(0);
    ended.truncate(BCRYPT_LEN);
    let mut output = Zeroizing::new(bcrypt::bcrypt(cost, salt, &ended).to_vec());
    // The last byte of what comes out is not kept by anybody.
    output.pop();
    Ok(output)
}

/// Encrypts `signer` in place.
fn firebase(
    password: &[u8],
    salt: &[u8],
    params: &scrypt::Params,
    signer: &mut [u8],
) -> Result<(), DeriveError> {
    let mut key = Zeroizing::new([0; AES_LEN]);
    scrypt::scrypt(password, salt, params, key.as_mut_slice()).map_err(|_| DeriveError::Foreign)?;
    let key = UnboundCipherKey::new(&AES_256, key.as_slice()).map_err(|_| DeriveError::Foreign)?;
    let key = EncryptingKey::ctr(key).map_err(|_| DeriveError::Foreign)?;
    let begins = EncryptionContext::Iv128(FixedLength::from([0; 16]));
    key.less_safe_encrypt(signer, begins).map(drop).map_err(|_| DeriveError::Foreign)
}

/// A digest of password and salt, as directories keep it. It is far too quick to be kept: see [`super::stored`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Quick {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Quick {
    pub(super) const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// How directories call it.
    pub(super) const fn scheme(self) -> &'static str {
        match self {
            Self::Sha1 => "SSHA",
            Self::Sha256 => "SSHA256",
            Self::Sha384 => "SSHA384",
            Self::Sha512 => "SSHA512",
        }
    }

    pub(super) fn digest(self, password: &[u8], salt: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut context = digest::Context::new(self.algorithm());
        context.update(password);
        context.update(salt);
        Zeroizing::new(context.finish().as_ref().to_vec())
    }

    /// Bytes of a digest.
    pub(super) fn len(self) -> usize {
        self.algorithm().output_len()
    }

    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }
}
