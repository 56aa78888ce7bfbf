//! What two sides of TLS hold against each other, in words that say what to do.

use std::error::Error;

use rustls::AlertDescription as Alert;
use rustls::CertificateError as Bad;

/// What is wrong with a certificate, if that is what `cause` is about: the server's, or ours in the server's eyes.
pub(super) fn told(cause: &(dyn Error + 'static)) -> Option<String> {
    if let Some(wrapper) = cause.downcast_ref::<std::io::Error>() {
        // It gives what is in it as its own words, and not as its cause.
        return told(wrapper.get_ref()?);
    }
    match cause.downcast_ref()? {
        rustls::Error::InvalidCertificate(bad) => Some(format!("the server's certificate {}", theirs(bad))),
        rustls::Error::AlertReceived(alert) => ours(*alert),
        rustls::Error::InconsistentKeys(_) => {
            Some("the client certificate and its key do not belong together".to_owned())
        }
        _ => None,
    }
}

fn theirs(bad: &Bad) -> String {
    match bad {
        Bad::UnknownIssuer => {
            "is not signed by an authority that is trusted here; a private authority's certificate is \
             named with `ca` in the operator's file"
                .to_owned()
        }
        Bad::ExpiredContext { not_after, .. } => format!("expired on {}", day(*not_after)),
        Bad::Expired => "has expired".to_owned(),
        Bad::NotValidYetContext { not_before, .. } => {
            format!("is not valid before {}; is the clock of this machine right?", day(*not_before))
        }
        Bad::NotValidForNameContext { expected, presented } => {
            let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
            format!("is for {names} and not for {}", expected.to_str())
        }
        Bad::NotValidForName => "is not for this name".to_owned(),
        Bad::Revoked => "was revoked by its authority".to_owned(),
        Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => "is not one for servers".to_owned(),
        // What is inside has a type of its own, of a crate that is nobody's business here.
        Bad::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "is one of an authority and not of a \
             server; one that signs itself says `basicConstraints=CA:FALSE`"
                .to_owned()
        }
        other => format!("is not accepted: {other}"),
    }
}

/// What a server says that wants to know who we are. Alerts of other kinds have their own words.
fn ours(alert: Alert) -> Option<String> {
    let why = match alert {
        Alert::CertificateRequired | Alert::NoCertificate => {
            return Some(
                "the server wants a client certificate: `client-certificate` in the operator's file names it"
                    .to_owned(),
            );
        }
        Alert::UnknownCA => "it does not know the authority that signed it",
        Alert::CertificateExpired => "it has expired, or is not valid yet",
        Alert::CertificateRevoked => "it was revoked",
        Alert::BadCertificate | Alert::CertificateUnknown | Alert::UnsupportedCertificate => {
            "it does not take this one"
        }
        Alert::AccessDenied => "it gives it no access",
        _ => return None,
    };
    Some(format!("the server does not accept our client certificate: {why}"))
}

fn day(time: rustls::pki_types::UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| "a day that is none".to_owned(), |time| time.to_string())
}

/// `elsewhere.example` out of `DnsName("elsewhere.example")`.
fn bare(name: &str) -> &str {
    name.split_once("(\"").and_then(|(_, rest)| rest.strip_suffix("\")")).unwrap_or(name)
}
