//! HMAC-SHA-256, for records that only the operator's key can have signed.

use ::hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::model::Secret;

/// HMAC-SHA-256 of `bytes`, in hexadecimal.
#[expect(clippy::disallowed_methods, reason = "the key goes into a hash that does not give it back")]
pub fn hmac(key: &Secret, bytes: &[u8]) -> String {
    // A key of any length is taken, so the other arm is never seen; it must still not pass for a signature.
    match Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()) {
        Ok(mut mac) => {
            mac.update(bytes);
            mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect()
        }
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hmac_is_the_standard_one() {
        let sum = hmac(&Secret::new("key"), b"The quick brown fox jumps over the lazy dog");
        assert_eq!(sum, "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
    }
}
