//! Scheme, host and port in one spelling, so that no spelling hides another host.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Scheme, host and port, normalised, so that two spellings of one origin are equal and no spelling hides another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Origin {
    scheme: &'static str,
    host: Host,
    port: u16,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Host {
    Name(String),
    Ip(IpAddr),
}

/// Why a text is not an origin. It never repeats the text, which may hold a password.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadOrigin {
    /// Another scheme, or none.
    #[error("it does not begin with `http://` or `https://`")]
    Scheme,
    /// A user or a password before the host.
    #[error("it holds a user or a password; those belong into the operator's file")]
    UserInfo,
    /// The host is empty, or has characters that no host has.
    #[error("its host is not a host name or an address in its usual spelling")]
    Host,
    /// The port is not a number from 1 to 65535.
    #[error("its port is not a number from 1 to 65535")]
    Port,
    /// There is more than scheme, host and port.
    #[error("it has more than scheme, host and port")]
    NotWhole,
}

impl Origin {
    /// The origin of an absolute URL.
    pub fn of_url(url: &str) -> Result<Self, BadOrigin> {
        split(url).and_then(|(scheme, host, port, _)| Self::build(scheme, host, port))
    }

    /// Reads a text that is an origin and nothing else (one closing slash is forgiven).
    pub fn whole(text: &str) -> Result<Self, BadOrigin> {
        let (scheme, host, port, rest) = split(text)?;
        if !matches!(rest, "" | "/") {
            return Err(BadOrigin::NotWhole);
        }
        Self::build(scheme, host, port)
    }

    fn build(scheme: &'static str, host: &str, port: Option<&str>) -> Result<Self, BadOrigin> {
        let port = match port {
            None | Some("") => default_port(scheme),
            Some(text) if text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse().ok().filter(|p| *p != 0).ok_or(BadOrigin::Port)?
            }
            Some(_) => return Err(BadOrigin::Port),
        };
        Ok(Self { scheme, host: read_host(host)?, port })
    }

    /// True for this machine itself.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Host::Ip(ip) => ip.is_loopback(),
        }
    }
}

/// `scheme://host:port`, the port left out where it is the scheme's own.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{}://{name}", self.scheme)?,
            Host::Ip(IpAddr::V4(ip)) => write!(f, "{}://{ip}", self.scheme)?,
            Host::Ip(IpAddr::V6(ip)) => write!(f, "{}://[{ip}]", self.scheme)?,
        }
        if self.port == default_port(self.scheme) { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// A line of `allow`: an origin whose port may be `*`, or `embedded`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Allowed {
    /// The server inside this program.
    Embedded,
    /// Exactly this origin.
    Exact(Origin),
    /// This scheme and host at any port.
    AnyPort(Origin),
    /// This machine itself, at any port: the default.
    Loopback,
}

impl Allowed {
    /// Reads one line of `allow`.
    pub(super) fn parse(text: &str) -> Result<Self, BadOrigin> {
        if text == "embedded" {
            return Ok(Self::Embedded);
        }
        let (scheme, host, port, rest) = split(text)?;
        if !matches!(rest, "" | "/") {
            return Err(BadOrigin::NotWhole);
        }
        match port {
            Some("*") => Origin::build(scheme, host, None).map(Self::AnyPort),
            port => Origin::build(scheme, host, port).map(Self::Exact),
        }
    }

    /// True if `origin` fits.
    pub(super) fn fits(&self, origin: &Origin) -> bool {
        match self {
            Self::Embedded => false,
            Self::Exact(exact) => exact == origin,
            Self::AnyPort(any) => any.scheme == origin.scheme && any.host == origin.host,
            Self::Loopback => origin.is_loopback(),
        }
    }
}

fn default_port(scheme: &str) -> u16 {
    if scheme == "https" { 443 } else { 80 }
}

type Parts<'a> = (&'static str, &'a str, Option<&'a str>, &'a str);

/// Cuts a URL into scheme, host, port and the rest.
fn split(url: &str) -> Result<Parts<'_>, BadOrigin> {
    let scheme_is = |s: &str| url.get(..s.len()).is_some_and(|head| head.eq_ignore_ascii_case(s));
    let (scheme, rest) = if scheme_is("https://") {
        ("https", &url[8..])
    } else if scheme_is("http://") {
        ("http", &url[7..])
    } else {
        return Err(BadOrigin::Scheme);
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    if authority.contains('@') {
        return Err(BadOrigin::UserInfo);
    }
    if authority.contains(|c: char| c == '\\' || c.is_whitespace() || c.is_control()) {
        return Err(BadOrigin::Host);
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(inner) => {
            let close = inner.find(']').ok_or(BadOrigin::Host)?;
            let after = &inner[close + 1..];
            let port = match after.strip_prefix(':') {
                Some(port) => Some(port),
                None if after.is_empty() => None,
                None => return Err(BadOrigin::Host),
            };
            (&authority[..close + 2], port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    Ok((scheme, host, port, rest))
}

fn read_host(text: &str) -> Result<Host, BadOrigin> {
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        let ip: Ipv6Addr = inner.parse().map_err(|_| BadOrigin::Host)?;
        // An address that is only wrapped must not pass as another one.
        return Ok(Host::Ip(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4)));
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if let Ok(ip) = name.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(IpAddr::V4(ip)));
    }
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let labels_good = name.split('.').all(|label| !label.is_empty() && label.bytes().all(good));
    // `2130706433`, `0x7f.1` and `127.1` are addresses to some resolvers and names to others.
    let last = name.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    if name.len() > 253 || !labels_good || numeric { Err(BadOrigin::Host) } else { Ok(Host::Name(name)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_origin_are_one() {
        for (text, expected) in [
            ("http://A.Example/", "http://a.example"),
            ("HTTP://a.example:80", "http://a.example"),
            ("https://a.example.:443/x?y#z", "https://a.example"),
            ("https://[::1]:8443/x", "https://[::1]:8443"),
            ("https://[0:0:0:0:0:0:0:1]:8443", "https://[::1]:8443"),
            ("http://[::ffff:127.0.0.1]:8080", "http://127.0.0.1:8080"),
        ] {
            assert_eq!(Origin::of_url(text).map(|o| o.to_string()), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn an_address_in_an_odd_spelling_is_no_host() {
        for text in
            ["http://2130706433", "http://0x7f.1", "http://127.1", "http://0177.0.0.1.", "http://a b", "http://"]
        {
            assert_eq!(Origin::of_url(text), Err(BadOrigin::Host), "{text}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        for text in ["http://user:hunter2@a.example/", "http://127.0.0.1:80@evil.example"] {
            let error = Origin::of_url(text).unwrap_err();
            assert_eq!(error, BadOrigin::UserInfo);
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_backslash_does_not_smuggle_a_host() {
        assert_eq!(Origin::of_url(r"http://good.example\@evil.example"), Err(BadOrigin::UserInfo));
        assert_eq!(Origin::of_url(r"http://good.example\.evil"), Err(BadOrigin::Host));
    }

    #[test]
    fn only_the_port_may_be_open() {
        let any = Allowed::parse("http://127.0.0.1:*").unwrap();
        assert!(any.fits(&Origin::of_url("http://127.0.0.1:9999/x").unwrap()));
        assert!(!any.fits(&Origin::of_url("https://127.0.0.1:9999/x").unwrap()));
        assert!(!any.fits(&Origin::of_url("http://127.0.0.2:9999/x").unwrap()));
        assert!(Allowed::parse("http://*:80").is_err());
    }

    #[test]
    fn the_default_never_reaches_link_local_addresses() {
        for url in
            ["http://169.254.169.254/", "http://[fe80::1]/", "http://[::ffff:169.254.169.254]/", "http://10.0.0.1/"]
        {
            assert!(!Allowed::Loopback.fits(&Origin::of_url(url).unwrap()), "{url}");
        }
        for url in ["http://127.8.8.8:1", "https://localhost:2", "http://[::1]"] {
            assert!(Allowed::Loopback.fits(&Origin::of_url(url).unwrap()), "{url}");
        }
    }
}
