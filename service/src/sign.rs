//! The signature on the private hop from the gateway to an encoder: HMAC-SHA256 over time, path and body, with a shared secret.
//! Pure: the time is an input. An unsigned, altered or old request is refused.

use hmac::{Hmac, Mac};
use media::time::WallTime;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::config::Secret;

/// The header that carries the signature: `t=<unix ms>,v1=<hex>`.
pub const HEADER: &str = "x-gopcast-signature";
/// How far the clocks of signer and checker may be apart, plus the way: tasks in one region are within milliseconds.
pub const TOLERANCE_MS: u64 = 30_000;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No header, or not of the form.
    #[error("the request carries no readable signature")]
    Missing,
    /// Signed too long ago, or by a clock too far off.
    #[error("the signature's time is more than {} s off", TOLERANCE_MS / 1000)]
    Expired,
    /// Not signed with the shared secret.
    #[error("the signature is wrong")]
    Wrong,
}

fn mac(secret: &Secret, unix_ms: u64, path: &str, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()).ok()?;
    mac.update(&unix_ms.to_be_bytes());
    mac.update(path.as_bytes());
    mac.update(&[0]);
    mac.update(body);
    Some(hex::encode(mac.finalize().into_bytes()))
}

/// The header's value for a request.
#[must_use]
pub fn sign(secret: &Secret, now: WallTime, path: &str, body: &[u8]) -> String {
    let unix_ms = now.unix_ms();
    format!("t={unix_ms},v1={}", mac(secret, unix_ms, path, body).unwrap_or_default())
}

/// Checks a request against its header.
///
/// # Errors
/// When the request must be refused.
pub fn verify(
    secret: &Secret,
    now: WallTime,
    path: &str,
    body: &[u8],
    header: Option<&str>,
) -> Result<(), SignatureError> {
    let (time, signature) = header
        .and_then(|h| h.strip_prefix("t="))
        .and_then(|h| h.split_once(",v1="))
        .ok_or(SignatureError::Missing)?;
    let unix_ms: u64 = time.parse().map_err(|_| SignatureError::Missing)?;
    let expected = mac(secret, unix_ms, path, body).ok_or(SignatureError::Wrong)?;
    if !bool::from(expected.as_bytes().ct_eq(signature.as_bytes())) {
        return Err(SignatureError::Wrong);
    }
    if now.unix_ms().abs_diff(unix_ms) > TOLERANCE_MS {
        return Err(SignatureError::Expired);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_signed_request_passes() {
        let (secret, now) = (Secret::new("0123456789abcdef"), WallTime(1_700_000_000_000_000));
        let header = sign(&secret, now, "/v1/x", b"body");
        let check =
            |s: &Secret, at: WallTime, path, body: &[u8], h: Option<&str>| verify(s, at, path, body, h);
        assert_eq!(check(&secret, now, "/v1/x", b"body", Some(&header)), Ok(()));
        assert_eq!(check(&secret, now, "/v1/x", b"Body", Some(&header)), Err(SignatureError::Wrong));
        assert_eq!(check(&secret, now, "/v1/y", b"body", Some(&header)), Err(SignatureError::Wrong));
        assert_eq!(
            check(&Secret::new("other"), now, "/v1/x", b"body", Some(&header)),
            Err(SignatureError::Wrong)
        );
        assert_eq!(check(&secret, now, "/v1/x", b"body", None), Err(SignatureError::Missing));
        assert_eq!(check(&secret, now, "/v1/x", b"body", Some("t=x,v1=")), Err(SignatureError::Missing));
        let late = now.plus_micros(31_000_000);
        assert_eq!(check(&secret, late, "/v1/x", b"body", Some(&header)), Err(SignatureError::Expired));
    }
}
