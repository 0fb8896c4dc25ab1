//! Recovery codes: what gets somebody in who lost the device. Each is 80 random bits, so a keyed digest is enough to keep.

use crate::domain::typed_code::TypedCode;

/// How many somebody gets.
pub(crate) const CODES: usize = 10;
/// Characters of a code, each of them five random bits: none can be guessed, however often somebody tries.
const LENGTH: usize = 16;

/// A recovery code. It is never printed.
pub(crate) type RecoveryCode = TypedCode<LENGTH>;
