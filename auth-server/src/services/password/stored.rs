//! Hashes as they are kept and brought along: their texts, taken apart.
//!
//! | begins with | what it is |
//! |---|---|
//! | `$argon2id$`, `$argon2i$`, `$argon2d$` | Argon2, as a PHC string |
//! | `$2a$`, `$2b$`, `$2y$` | bcrypt |
//! | `$pbkdf2-sha1$`, `$pbkdf2$`, `$pbkdf2-sha256$`, `$pbkdf2-sha512$` | PBKDF2: `i=ITERATIONS` or the number alone, salt, hash |
//! | `$scrypt$` | scrypt: `ln=14,r=8,p=1`, salt, hash |
//! | `$firebase-scrypt$` | Firebase: `ln=14,r=8,sk=SIGNER_KEY,ss=SALT_SEPARATOR`, salt, hash |
//! | `{SSHA}`, `{SSHA256}`, `{SSHA384}`, `{SSHA512}` | a salted digest of a directory, only as it is brought along |
//!
//! A digest is kept as the Argon2id of it: `{SSHA:SALT}$argon2id$...`, for whoever steals it could try billions of passwords in a second.

use std::num::NonZeroU32;

use argon2::password_hash::phc;
use argon2::{Algorithm, Params, Version};
use aws_lc_rs::pbkdf2;
use base64::Engine as _;
use base64::alphabet::BCRYPT;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, STANDARD_NO_PAD};
use zeroize::Zeroizing;

use crate::services::password::function::{Function, Quick};
use crate::services::password::pool::Derivation;

/// What a guesser would have to find at least: 128 bits.
const MIN_OUTPUT_LEN: usize = 16;
const MAX_OUTPUT_LEN: usize = 128;
/// One byte more would be none, for some: directories take four.
const MIN_SALT_LEN: usize = 4;
const MAX_SALT_LEN: usize = 128;
/// The longest text of a hash. Firebase's are the longest that there are, with 200.
const MAX_TEXT_LEN: usize = 1024;

/// The dearest that is checked: each takes about a second.
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=14;
const MAX_ITERATIONS: u32 = 2_000_000;
/// 128 MiB, in blocks of 128 bytes times `r`.
const MAX_SCRYPT_BLOCKS: u64 = 1 << 20;
/// Blocks, times how often they are gone over.
const MAX_SCRYPT_WORK: u64 = 1 << 21;
/// 256 MiB.
const MAX_ARGON2_KIB: u32 = 1 << 18;
const MAX_ARGON2_WORK: u64 = 1 << 20;

/// How bcrypt writes bytes. The last character has bits that nobody reads.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &BCRYPT,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);
const BCRYPT_SALT_CHARACTERS: usize = 22;
const BCRYPT_CHARACTERS: usize = 53;

/// Why a text is not taken for a hash. It never repeats the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unreadable {
    /// It begins like none that is known.
    #[error(
        "is no hash that can be checked: bcrypt, PBKDF2, scrypt, Argon2, SSHA and Firebase's scrypt can be"
    )]
    Kind,
    /// It begins like one, and does not go on so.
    #[error("is not written as hashes of its kind are")]
    Form,
    /// Checking it would take too long, or too much memory.
    #[error("would take too long to check, or too much memory")]
    Dear,
    /// Its salt or the hash itself is shorter or longer than any that is made.
    #[error("has a salt or a hash that is too short or too long")]
    Length,
}

/// A hash, taken apart.
pub(super) struct Stored {
    function: Function,
    salt: Vec<u8>,
    pub(super) output: Zeroizing<Vec<u8>>,
    /// What the function is given in place of the password.
    quick: Option<(Quick, Vec<u8>)>,
}

/// A digest of a directory, as it is brought along.
pub(super) struct Brought {
    pub(super) quick: Quick,
    pub(super) salt: Vec<u8>,
    pub(super) digest: Zeroizing<Vec<u8>>,
}

impl Stored {
    /// Reads what is kept.
    pub(super) fn read(text: &str) -> Result<Self, Unreadable> {
        if text.len() > MAX_TEXT_LEN {
            return Err(Unreadable::Length);
        }
        if let Some((quick, salt, rest)) = split_quick(text) {
            let salt = STANDARD_NO_PAD.decode(salt).map_err(|_| Unreadable::Form)?;
            return Ok(Self { quick: Some((quick, salt)), ..argon2(rest)? });
        }
        let stored = match text.split('$').nth(1).unwrap_or_default() {
            "argon2id" | "argon2i" | "argon2d" => argon2(text),
            "2a" | "2b" | "2y" => bcrypt(text),
            "pbkdf2" | "pbkdf2-sha1" => pbkdf2(text, pbkdf2::PBKDF2_HMAC_SHA1),
            "pbkdf2-sha256" => pbkdf2(text, pbkdf2::PBKDF2_HMAC_SHA256),
            "pbkdf2-sha512" => pbkdf2(text, pbkdf2::PBKDF2_HMAC_SHA512),
            "scrypt" => scrypt(text),
            "firebase-scrypt" => firebase(text),
            _ => Err(Unreadable::Kind),
        }?;
        let fits = (MIN_SALT_LEN..=MAX_SALT_LEN).contains(&stored.salt.len())
            && (MIN_OUTPUT_LEN..=MAX_OUTPUT_LEN).contains(&stored.output.len());
        if fits { Ok(stored) } else { Err(Unreadable::Length) }
    }

    /// What has to be computed to check a password.
    pub(super) fn derivation(&self, password: &[u8]) -> Derivation {
        let password = match &self.quick {
            Some((quick, salt)) => quick.digest(password, salt),
            None => Zeroizing::new(password.to_vec()),
        };
        Derivation {
            function: self.function.clone(),
            salt: self.salt.clone(),
            password,
            output_len: self.output.len(),
        }
    }

    /// Whether it is an Argon2 that is dearer than any that is taken from elsewhere. What this server made itself is as dear as its
    /// configuration says.
    pub(super) fn is_dear(&self) -> bool {
        let Function::Argon2 { params, .. } = &self.function else { return false };
        let work = u64::from(params.m_cost()) * u64::from(params.t_cost());
        params.m_cost() > MAX_ARGON2_KIB || work > MAX_ARGON2_WORK
    }

    /// Whether it was made as passwords are hashed now.
    pub(super) fn is_current(&self, params: &Params, output_len: usize) -> bool {
        self.quick.is_none() && self.function.is_current(params) && self.output.len() == output_len
    }
}

impl Brought {
    /// The digest of a directory; nothing where the text is something else.
    pub(super) fn read(text: &str) -> Result<Option<Self>, Unreadable> {
        let scheme = |quick: &Quick| {
            let rest = text.strip_prefix('{')?.split_once('}')?;
            rest.0.eq_ignore_ascii_case(quick.scheme()).then_some(rest.1)
        };
        let Some((quick, encoded)) = Quick::ALL.into_iter().find_map(|quick| Some((quick, scheme(&quick)?)))
        else {
            return Ok(None);
        };
        let mut digest = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| Unreadable::Form)?);
        if digest.len() < quick.len() + MIN_SALT_LEN || digest.len() > quick.len() + MAX_SALT_LEN {
            return Err(Unreadable::Length);
        }
        let salt = digest.split_off(quick.len());
        Ok(Some(Self { quick, salt, digest }))
    }

    /// The text that is kept, around the Argon2id of the digest.
    pub(super) fn around(&self, hash: &str) -> String {
        format!("{{{}:{}}}{hash}", self.quick.scheme(), STANDARD_NO_PAD.encode(&self.salt))
    }
}

/// What directories write in front of a hash of another kind.
pub(super) fn without_scheme(text: &str) -> &str {
    ["{CRYPT}", "{BCRYPT}", "{ARGON2}"]
        .into_iter()
        .find_map(|scheme| {
            let (head, rest) = text.split_at_checked(scheme.len())?;
            head.eq_ignore_ascii_case(scheme).then_some(rest)
        })
        .unwrap_or(text)
}

/// `{SSHA:SALT}REST`, as [`Brought::around`] writes it.
fn split_quick(text: &str) -> Option<(Quick, &str, &str)> {
    let (scheme, rest) = text.strip_prefix('{')?.split_once('}')?;
    let (scheme, salt) = scheme.split_once(':')?;
    let quick = Quick::ALL.into_iter().find(|quick| quick.scheme() == scheme)?;
    Some((quick, salt, rest))
}

fn argon2(text: &str) -> Result<Stored, Unreadable> {
    let hash = phc::PasswordHash::new(text).map_err(|_| Unreadable::Form)?;
    let params = Params::try_from(&hash).map_err(|_| Unreadable::Form)?;
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).map_err(|_| Unreadable::Kind)?;
    // RFC 9106 is version 19; a text without a version is older.
    let version = hash.version.map_or(Ok(Version::V0x10), Version::try_from).map_err(|_| Unreadable::Form)?;
    let (salt, output) = hash.salt.zip(hash.hash).ok_or(Unreadable::Form)?;
    Ok(Stored {
        function: Function::Argon2 { algorithm, version, params },
        salt: salt.as_ref().to_vec(),
        output: Zeroizing::new(output.as_bytes().to_vec()),
        quick: None,
    })
}

fn bcrypt(text: &str) -> Result<Stored, Unreadable> {
    let [_, cost, rest] = parts(text)?;
    let cost = cost.parse().ok().filter(|_| cost.len() == 2).ok_or(Unreadable::Form)?;
    if rest.len() != BCRYPT_CHARACTERS {
        return Err(Unreadable::Form);
    }
    let (salt, output) = rest.split_at_checked(BCRYPT_SALT_CHARACTERS).ok_or(Unreadable::Form)?;
    if cost > *BCRYPT_COSTS.end() {
        return Err(Unreadable::Dear);
    }
    if !BCRYPT_COSTS.contains(&cost) {
        return Err(Unreadable::Form);
    }
    let decode = |text: &str| BCRYPT_BASE64.decode(text).map_err(|_| Unreadable::Form);
    Ok(Stored {
        function: Function::Bcrypt { cost },
        salt: decode(salt)?,
        output: Zeroizing::new(decode(output)?),
        quick: None,
    })
}

fn pbkdf2(text: &str, algorithm: pbkdf2::Algorithm) -> Result<Stored, Unreadable> {
    let [_, params, salt, output] = parts(text)?;
    let number = params.split(',').find_map(|param| param.strip_prefix("i=")).unwrap_or(params);
    let iterations: NonZeroU32 = number.parse().map_err(|_| Unreadable::Form)?;
    if iterations.get() > MAX_ITERATIONS {
        return Err(Unreadable::Dear);
    }
    Ok(Stored {
        function: Function::Pbkdf2 { algorithm, iterations },
        salt: decoded(salt)?,
        output: Zeroizing::new(decoded(output)?),
        quick: None,
    })
}

fn scrypt(text: &str) -> Result<Stored, Unreadable> {
    let [_, params, salt, output] = parts(text)?;
    let (ln, r, p) = (number(params, "ln")?, number(params, "r")?, number(params, "p")?);
    Ok(Stored {
        function: Function::Scrypt(scrypt_params(ln, r, p)?),
        salt: decoded(salt)?,
        output: Zeroizing::new(decoded(output)?),
        quick: None,
    })
}

fn firebase(text: &str) -> Result<Stored, Unreadable> {
    let [_, params, salt, output] = parts(text)?;
    let params_of = scrypt_params(number(params, "ln")?, number(params, "r")?, 1)?;
    let (separator, signer) = (decoded(value(params, "ss")?)?, decoded(value(params, "sk")?)?);
    let output = Zeroizing::new(decoded(output)?);
    if signer.len() != output.len() {
        return Err(Unreadable::Length);
    }
    Ok(Stored {
        function: Function::Firebase { params: params_of, separator, signer },
        salt: decoded(salt)?,
        output,
        quick: None,
    })
}

/// What stands between the dollars, of which the first is at the beginning.
fn parts<const N: usize>(text: &str) -> Result<[&str; N], Unreadable> {
    let rest = text.strip_prefix('$').ok_or(Unreadable::Form)?;
    rest.split('$').collect::<Vec<_>>().try_into().map_err(|_| Unreadable::Form)
}

/// The value of a parameter.
fn value<'a>(params: &'a str, name: &str) -> Result<&'a str, Unreadable> {
    let named = |param: &'a str| param.split_once('=').filter(|(found, _)| *found == name);
    params.split(',').find_map(named).map(|(_, value)| value).ok_or(Unreadable::Form)
}

fn number(params: &str, name: &str) -> Result<u32, Unreadable> {
    value(params, name)?.parse().map_err(|_| Unreadable::Form)
}

fn scrypt_params(log_n: u32, r: u32, p: u32) -> Result<scrypt::Params, Unreadable> {
    let blocks =
        1_u64.checked_shl(log_n).and_then(|n| n.checked_mul(u64::from(r))).ok_or(Unreadable::Dear)?;
    let work = blocks.checked_mul(u64::from(p)).ok_or(Unreadable::Dear)?;
    if blocks > MAX_SCRYPT_BLOCKS || work > MAX_SCRYPT_WORK {
        return Err(Unreadable::Dear);
    }
    let log_n = u8::try_from(log_n).map_err(|_| Unreadable::Dear)?;
    scrypt::Params::new(log_n, r, p).map_err(|_| Unreadable::Form)
}

/// Base64 with or without padding. Some write a full stop for the plus.
fn decoded(text: &str) -> Result<Vec<u8>, Unreadable> {
    let text = text.trim_end_matches('=').replace('.', "+");
    STANDARD_NO_PAD.decode(text).map_err(|_| Unreadable::Form)
}
