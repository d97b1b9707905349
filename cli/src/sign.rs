//! `gopcast sign …`: signatures that let viewers in where a stack has viewer keys. Asks nobody: the private key and the time suffice.
//!
//! Policies, alphabet and names as in the CloudFront Developer Guide, "Use signed URLs" and "Use signed cookies"; the hash is SHA-256
//! (`Hash-Algorithm=SHA256`), for RSA keys of 2048 bits and for ECDSA keys on P-256.
//!
//! Invariants: a policy covers what was asked for and nothing beside it; the private key never reaches an output or an error.

use std::{fmt, net::Ipv4Addr, path::Path, time::Duration};

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use media::id::LiveId;
use ring::{rand::SystemRandom, signature};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject as _};
use serde::Serialize;
use service::clock;

use crate::{
    args::{SignCommand, SignWith},
    exit::Exit,
    output, remote,
};

/// Bytes of the modulus of the RSA keys that CloudFront takes: 2048 bits.
const RSA_MODULUS_BYTES: usize = 256;
/// What a signed URL adds; one that has any of them is signed already.
const PARAMETERS: [&str; 5] = ["Expires=", "Policy=", "Signature=", "Key-Pair-Id=", "Hash-Algorithm="];

/// Reads a time as `90s`, `30m`, `12h`, `7d`.
///
/// # Errors
/// When it is none, or zero, or longer than a year.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text} is not a time as 90s, 30m, 12h or 7d");
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text.get(..text.len() - 1).and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
    let seconds = number.checked_mul(unit).filter(|s| (1..=366 * 86_400).contains(s));
    seconds.map(Duration::from_secs).ok_or_else(|| format!("{text} is not between a second and a year"))
}

/// A private key that CloudFront takes.
enum Key {
    Rsa(signature::RsaKeyPair),
    Ecdsa(signature::EcdsaKeyPair),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

impl Key {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let pem = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&pem).with_context(|| format!("{} can't be signed with", path.display()))
    }

    fn parse(pem: &[u8]) -> anyhow::Result<Self> {
        let der = PrivateKeyDer::from_pem_slice(pem)
            .context("it holds no private key in PEM, or an encrypted one")?;
        let rsa = match &der {
            PrivateKeyDer::Pkcs1(der) => signature::RsaKeyPair::from_der(der.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(der) => signature::RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            _ => {
                bail!("an EC key is wanted as PKCS#8: `openssl pkcs8 -topk8 -nodes -in KEY` makes that of it")
            }
        };
        if let Ok(rsa) = rsa {
            let bytes = rsa.public().modulus_len();
            if bytes != RSA_MODULUS_BYTES {
                bail!("CloudFront takes RSA keys of 2048 bits; this one has {}", bytes * 8);
            }
            return Ok(Self::Rsa(rsa));
        }
        let algorithm = &signature::ECDSA_P256_SHA256_ASN1_SIGNING;
        match &der {
            PrivateKeyDer::Pkcs8(der) => {
                signature::EcdsaKeyPair::from_pkcs8(algorithm, der.secret_pkcs8_der(), &SystemRandom::new())
                    .ok()
            }
            _ => None,
        }
        .map(Self::Ecdsa)
        .context("it is neither an RSA key of 2048 bits nor an ECDSA key on P-256")
    }

    fn sign(&self, message: &[u8]) -> anyhow::Result<Vec<u8>> {
        let random = SystemRandom::new();
        let failed = |_| anyhow::anyhow!("signing failed");
        match self {
            Self::Rsa(key) => {
                let mut signed = vec![0; key.public().modulus_len()];
                key.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut signed).map_err(failed)?;
                Ok(signed)
            }
            Self::Ecdsa(key) => Ok(key.sign(&random, message).map_err(failed)?.as_ref().to_vec()),
        }
    }
}

/// Base64 in CloudFront's alphabet for URLs and cookies.
fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes).replace('+', "-").replace('=', "_").replace('/', "~")
}

/// When, and from where, something may be read. Seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    until: i64,
    from: Option<i64>,
    ip: Option<String>,
}

impl Condition {
    fn new(with: &SignWith, now: i64) -> anyhow::Result<Self> {
        let until = now.saturating_add(i64::try_from(with.expires.as_secs()).unwrap_or(i64::MAX));
        if with.from.is_some_and(|from| from >= until) {
            bail!("--from is not before the end that --expires gives ({until})");
        }
        let ip = with.ip.as_deref().map(range).transpose()?;
        Ok(Self { until, from: with.from, ip })
    }

    /// Whether a canned policy can't say it.
    fn is_custom(&self) -> bool {
        self.from.is_some() || self.ip.is_some()
    }

    /// The policy for a resource, in the order of members that all signers use, without white space: it is signed as text.
    fn policy(&self, resource: &str) -> String {
        let mut condition = format!(r#"{{"DateLessThan":{{"AWS:EpochTime":{}}}"#, self.until);
        if let Some(ip) = &self.ip {
            condition.push_str(&format!(r#","IpAddress":{{"AWS:SourceIp":"{ip}"}}"#));
        }
        if let Some(from) = self.from {
            condition.push_str(&format!(r#","DateGreaterThan":{{"AWS:EpochTime":{from}}}"#));
        }
        // Escapes what a URL may not have anyway.
        let resource = serde_json::Value::from(resource);
        format!(r#"{{"Statement":[{{"Resource":{resource},"Condition":{condition}}}}}]}}"#)
    }
}

/// An IPv4 range as CloudFront takes it; it knows no IPv6 there.
fn range(text: &str) -> anyhow::Result<String> {
    let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
    let fits = address.parse::<Ipv4Addr>().is_ok() && bits.parse::<u8>().is_ok_and(|bits| bits <= 32);
    if !fits {
        bail!("{text} is not an IPv4 address or range, as 192.0.2.7 or 192.0.2.0/24");
    }
    Ok(format!("{address}/{bits}"))
}

/// A signed URL.
fn url(url: &str, condition: &Condition, key: &Key, key_id: &str) -> anyhow::Result<String> {
    if !(url.starts_with("https://") || url.starts_with("http://"))
        || url.contains(['#', ' ', '*', '"', '\\'])
    {
        bail!("{url} is not the whole URL of one object");
    }
    let query = url.split_once('?').map_or("", |(_, query)| query);
    if query.split('&').any(|part| PARAMETERS.iter().any(|name| part.starts_with(name))) {
        bail!("{url} is signed already");
    }
    let policy = condition.policy(url);
    let signature = encode(&key.sign(policy.as_bytes())?);
    let what = if condition.is_custom() {
        format!("Policy={}", encode(policy.as_bytes()))
    } else {
        format!("Expires={}", condition.until)
    };
    let separator = if url.contains('?') { '&' } else { '?' };
    Ok(format!("{url}{separator}{what}&Signature={signature}&Key-Pair-Id={key_id}&Hash-Algorithm=SHA256"))
}

/// The cookies of one policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Cookies {
    /// `Path` of the cookies: where browsers send them.
    path: String,
    /// What the policy covers.
    resource: String,
    #[serde(rename = "CloudFront-Policy")]
    policy: String,
    #[serde(rename = "CloudFront-Signature")]
    signature: String,
    #[serde(rename = "CloudFront-Key-Pair-Id")]
    key_pair_id: String,
    #[serde(rename = "CloudFront-Hash-Algorithm")]
    hash_algorithm: &'static str,
}

impl Cookies {
    fn mint(http: &str, path: &str, condition: &Condition, key: &Key, key_id: &str) -> anyhow::Result<Self> {
        let resource = format!("{http}{path}*");
        let policy = condition.policy(&resource);
        Ok(Self {
            path: path.to_owned(),
            policy: encode(policy.as_bytes()),
            signature: encode(&key.sign(policy.as_bytes())?),
            resource,
            key_pair_id: key_id.to_owned(),
            hash_algorithm: "SHA256",
        })
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let pairs = [
            ("Policy", &self.policy),
            ("Signature", &self.signature),
            ("Key-Pair-Id", &self.key_pair_id),
            ("Hash-Algorithm", &self.hash_algorithm.to_owned()),
        ]
        .map(|(name, value)| {
            format!(
                "Set-Cookie: CloudFront-{name}={value}; Path={}; Secure; HttpOnly; SameSite=Lax",
                self.path
            )
        });
        pairs.into_iter()
    }
}

/// Where a live's media are: below both, and nowhere else. A policy for each, since one with a wildcard in place of the first segment
/// would cover another live's rung of the same name.
fn paths(live: Option<&LiveId>) -> Vec<String> {
    match live {
        Some(live) => vec![format!("/live/{live}/"), format!("/vod/{live}/")],
        None => vec!["/".to_owned()],
    }
}

/// The viewers' host and the key's id.
fn settings(with: &SignWith, http: Option<String>) -> anyhow::Result<(Option<String>, String)> {
    let remote = with.stack.as_deref().map(remote::known).transpose()?;
    let ids = remote.as_ref().map(|r| &r.signing.key_ids);
    let id = match (&with.key_id, &with.key, ids) {
        (Some(id), ..) => id.clone(),
        (None, _, None) => {
            bail!("which key at CloudFront? Give --key-id, or --stack for a stack that tells it")
        }
        (None, Some(name), Some(ids)) => {
            ids.get(name).with_context(|| format!("the stack has no viewer key {name}"))?.clone()
        }
        (None, None, Some(ids)) => match ids.values().collect::<Vec<_>>()[..] {
            [id] => id.clone(),
            [] => bail!(
                "the stack has no viewer keys (Terraform's variable viewer_keys): viewers need no signature"
            ),
            _ => bail!("the stack has several viewer keys: give --key NAME"),
        },
    };
    // It becomes part of URLs and headers.
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        bail!("{id} is not the id of a key at CloudFront");
    }
    let http = http.or_else(|| remote.map(|r| r.http)).map(|http| http.trim_end_matches('/').to_owned());
    Ok((http, id))
}

/// Runs a command.
///
/// # Errors
/// When the key can't be used, or what is asked can't be signed; the text says why.
pub fn run(command: SignCommand) -> anyhow::Result<Exit> {
    let now = clock::now().0 / 1_000_000;
    match command {
        SignCommand::Url { url: asked, with } => {
            let (http, id) = settings(&with, None)?;
            let whole = match (asked.starts_with('/'), http) {
                (true, Some(http)) => format!("{http}{asked}"),
                (true, None) => bail!("on which host? Give the whole URL, or --stack"),
                (false, _) => asked,
            };
            let signed = url(&whole, &Condition::new(&with, now)?, &Key::read(&with.key_file)?, &id)?;
            if with.json {
                output::json(&serde_json::json!({ "url": signed }))?;
            } else {
                output::print(&signed);
            }
        }
        SignCommand::Cookies { live, http, with } => {
            let (http, id) = settings(&with, http)?;
            let http = http.context("for which host? Give --http https://HOST, or --stack")?;
            let (condition, key) = (Condition::new(&with, now)?, Key::read(&with.key_file)?);
            let minted: Vec<_> = paths(live.as_ref())
                .iter()
                .map(|path| Cookies::mint(&http, path, &condition, &key, &id))
                .collect::<Result<_, _>>()?;
            if with.json {
                output::json(&serde_json::json!({ "expires": condition.until, "cookies": minted }))?;
            } else {
                output::print(&minted.iter().flat_map(Cookies::lines).collect::<Vec<_>>().join("\n"));
            }
        }
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RSA: &[u8] = include_bytes!("../testdata/sign/rsa.pem");
    const GOLDEN: &str = include_str!("../testdata/sign/golden.json");
    const KEY_ID: &str = "K2JCJMDEHXQW5F";

    fn golden() -> serde_json::Value {
        serde_json::from_str(GOLDEN).unwrap()
    }

    fn condition(until: i64) -> Condition {
        Condition { until, from: None, ip: None }
    }

    #[test]
    fn urls_are_those_of_another_signer() {
        let key = Key::parse(RSA).unwrap();
        for case in golden()["urls"].as_array().unwrap() {
            let ip = case["ip"].as_str().map(|ip| range(ip).unwrap());
            let condition = Condition { ip, ..condition(case["until"].as_i64().unwrap()) };
            let signed = url(case["url"].as_str().unwrap(), &condition, &key, KEY_ID).unwrap();
            assert_eq!(signed, format!("{}&Hash-Algorithm=SHA256", case["signed"].as_str().unwrap()));
        }
    }

    #[test]
    fn cookies_are_those_of_another_signer_and_cover_one_live() {
        let key = Key::parse(include_bytes!("../testdata/sign/rsa-pkcs1.pem")).unwrap();
        let live: LiveId = "shoes".parse().unwrap();
        assert_eq!(paths(Some(&live)), ["/live/shoes/", "/vod/shoes/"]);
        let http = "https://d111111abcdef8.cloudfront.net";
        let minted = Cookies::mint(http, "/live/shoes/", &condition(1_767_290_400), &key, KEY_ID).unwrap();
        assert_eq!(minted.resource, format!("{http}/live/shoes/*"));
        assert_eq!(minted.policy, golden()["cookies"]["policy"]);
        assert_eq!(minted.signature, golden()["cookies"]["signature"]);
        let lines: Vec<_> = minted.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().all(|l| l.contains("; Path=/live/shoes/; Secure; HttpOnly")), "{lines:?}");
        assert_eq!(
            Cookies::mint(http, "/", &condition(1), &key, KEY_ID).unwrap().resource,
            format!("{http}/*")
        );
    }

    #[test]
    fn an_ecdsa_key_signs_what_its_public_key_verifies() {
        let key = Key::parse(include_bytes!("../testdata/sign/ec.pem")).unwrap();
        let Key::Ecdsa(pair) = &key else { panic!("not ECDSA") };
        let public = ring::signature::KeyPair::public_key(pair).as_ref().to_vec();
        let signed = key.sign(b"policy").unwrap();
        signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_ASN1, public)
            .verify(b"policy", &signed)
            .unwrap();
    }

    #[test]
    fn keys_that_do_not_fit_are_refused_with_what_does() {
        for (pem, says) in [
            (&include_bytes!("../testdata/sign/ec-sec1.pem")[..], "pkcs8 -topk8"),
            (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no private key"),
            (b"", "no private key"),
        ] {
            let error = format!("{:#}", Key::parse(pem).unwrap_err());
            assert!(error.contains(says), "{error}");
        }
        assert!(Key::parse(include_bytes!("../testdata/sign/rsa-1024.pem")).is_err());
        assert!(!format!("{:?}", Key::parse(RSA).unwrap()).contains("Rsa"));
    }

    #[test]
    fn what_can_not_be_signed_is_refused() {
        let key = Key::parse(RSA).unwrap();
        let signed = url("https://h/a", &condition(5), &key, KEY_ID).unwrap();
        for bad in ["h/a", "ftp://h/a", "https://h/*", "https://h/a b", "https://h/a#b", signed.as_str()] {
            assert!(url(bad, &condition(5), &key, KEY_ID).is_err(), "{bad}");
        }
        for bad in ["1.2.3", "1.2.3.4/33", "::1", "1.2.3.4/"] {
            assert!(range(bad).is_err(), "{bad}");
        }
        assert_eq!(range("192.0.2.7").unwrap(), "192.0.2.7/32");
    }

    #[test]
    fn a_time_to_begin_is_in_the_policy() {
        let condition = Condition { from: Some(7), ip: Some("192.0.2.0/24".to_owned()), until: 9 };
        assert!(condition.is_custom());
        assert_eq!(
            condition.policy("https://h/live/a/*"),
            r#"{"Statement":[{"Resource":"https://h/live/a/*","Condition":{"DateLessThan":{"AWS:EpochTime":9},"IpAddress":{"AWS:SourceIp":"192.0.2.0/24"},"DateGreaterThan":{"AWS:EpochTime":7}}}]}"#
        );
    }

    #[test]
    fn times() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(7 * 86_400)));
        for bad in ["", "5", "0s", "-1h", "1.5h", "400d", "h", "9999999999999999999d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
