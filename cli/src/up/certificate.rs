//! The certificate of the local edge: a certificate authority of this stack's own, which a publisher may be told to trust, and one server
//! certificate from it. Kept while it is good for at least [`RENEW_BEFORE_DAYS`] more days and names this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Context as _;
use jiff::{ToSpan as _, civil::Date};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use serde::{Deserialize, Serialize};

use crate::data_dir::{DataDir, read_optional};

/// How long a certificate is good for: TLS clients refuse server certificates of more than 825 days (Apple's rule).
const VALID_DAYS: i64 = 365;
/// A certificate that ends sooner than this is replaced: nobody leaves a local stack running for longer.
const RENEW_BEFORE_DAYS: i64 = 7;

/// The files.
pub(crate) const CA: &str = "ca.pem";
/// See [`CA`].
pub(crate) const CERTIFICATE: &str = "edge.pem";
/// See [`CA`].
pub(crate) const KEY: &str = "edge-key.pem";
const ABOUT: &str = "certificate.json";

/// What the certificate in the directory is good for.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct About {
    last_day: Date,
    names: Vec<String>,
}

/// Makes sure that there is a good certificate. True when a new one was made.
///
/// # Errors
/// When it can't be made or written.
pub(crate) fn ensure(dir: &DataDir, today: Date, host: Option<&str>) -> anyhow::Result<bool> {
    let mut names = vec!["localhost".to_owned()];
    names.extend(host.filter(|host| *host != "localhost").map(str::to_owned));
    let about = read_optional(&dir.file(ABOUT))?.and_then(|text| serde_json::from_str::<About>(&text).ok());
    let files = [CA, CERTIFICATE, KEY].iter().all(|name| dir.file(name).is_file());
    if files && about.is_some_and(|about| is_good(&about, today, &names)) {
        return Ok(false);
    }
    let last_day =
        today.checked_add(VALID_DAYS.days()).context("the machine's date is beyond all calendars")?;
    let made = make(today, last_day, &names).context("making the edge's certificate")?;
    dir.write_private(KEY, made.key.as_bytes())?;
    dir.write_private(CERTIFICATE, made.certificate.as_bytes())?;
    dir.write_private(CA, made.ca.as_bytes())?;
    dir.write_private(ABOUT, &serde_json::to_vec(&About { last_day, names })?)?;
    Ok(true)
}

fn is_good(about: &About, today: Date, names: &[String]) -> bool {
    let enough = today.checked_add(RENEW_BEFORE_DAYS.days()).is_ok_and(|day| day <= about.last_day);
    enough && names.iter().all(|name| about.names.contains(name))
}

struct Made {
    ca: String,
    certificate: String,
    key: String,
}

fn make(today: Date, last_day: Date, names: &[String]) -> Result<Made, rcgen::Error> {
    // The clocks of publishers in the same room may be a day behind.
    let first = today.yesterday().unwrap_or(today);
    let day = |date: Date| {
        let number = |n: i8| u8::try_from(n).unwrap_or(1);
        rcgen::date_time_ymd(i32::from(date.year()), number(date.month()), number(date.day()))
    };
    let named = |name: &str| {
        let mut dn = DistinguishedName::new();
        dn.push(DnType::OrganizationName, "gopcast local stack");
        dn.push(DnType::CommonName, name);
        dn
    };
    let mut ca = CertificateParams::new(Vec::new())?;
    (ca.not_before, ca.not_after) = (day(first), day(last_day));
    ca.distinguished_name = named("gopcast local CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_key = KeyPair::generate()?;
    let ca_certificate = ca.self_signed(&ca_key)?;
    // The authority's key is not kept: it signs this one certificate and can never sign another.
    let issuer = Issuer::new(ca, ca_key);

    let mut edge = CertificateParams::new(names.to_vec())?;
    (edge.not_before, edge.not_after) = (day(first), day(last_day));
    edge.distinguished_name = named("localhost");
    for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        edge.subject_alt_names.push(SanType::IpAddress(address));
    }
    edge.use_authority_key_identifier_extension = true;
    edge.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    edge.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = edge.signed_by(&key, &issuer)?;
    Ok(Made { ca: ca_certificate.pem(), certificate: certificate.pem(), key: key.serialize_pem() })
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn kept_while_good_and_for_the_same_names() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = DataDir::create(tmp.path()).unwrap();
        let today = date(2026, 11, 22);
        assert!(ensure(&dir, today, Some("studio")).unwrap());
        let first = read_optional(&dir.file(CERTIFICATE)).unwrap();
        assert!(!ensure(&dir, today, Some("studio")).unwrap());
        assert!(!ensure(&dir, date(2027, 11, 15), Some("localhost")).unwrap());
        assert!(ensure(&dir, date(2027, 11, 16), None).unwrap(), "six days left");
        assert_ne!(read_optional(&dir.file(CERTIFICATE)).unwrap(), first);
        assert!(ensure(&dir, date(2027, 11, 16), Some("other")).unwrap(), "another host name");
        std::fs::remove_file(dir.file(KEY)).unwrap();
        assert!(ensure(&dir, date(2027, 11, 16), Some("other")).unwrap(), "the key is gone");
    }
}
