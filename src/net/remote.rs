//! Which texts are addresses of repositories, and how one is shown without its password.

/// Why a text is not the address of a repository that `ctl` talks to.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadRemote {
    /// A scheme that runs programs, or one that nobody checked.
    #[error("`{0}:` is not a scheme for a repository")]
    Scheme(String),
    /// Plain http to another machine.
    #[error("plain http to `{0}`: anybody on the way could change what is read")]
    PlainHttp(String),
    /// No host where one must be.
    #[error("the URL names no host")]
    NoHost,
    /// Host, user or path would be read as an option.
    #[error("`{0}` would be read as an option")]
    OptionLike(String),
    /// A control character, raw or percent-encoded.
    #[error("the URL holds a control character")]
    Control,
    /// A path on this machine where only a remote will do.
    #[error("a path on this machine is not allowed here")]
    Local,
}

impl BadRemote {
    /// What to do now.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Scheme(_) => "use https://, ssh:// or git@host:path",
            Self::PlainHttp(_) => "use https://",
            Self::NoHost => "write it as https://host/path",
            Self::OptionLike(_) => "no part of a repository's address begins with `-`",
            Self::Control => "write the URL without line breaks and other control characters",
            Self::Local => "use https://, ssh:// or git@host:path",
        }
    }
}

/// Who may name what as a remote.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RemoteRule {
    /// The user typed it, or configured it in the own clone: paths and `file://` will do.
    pub local: bool,
    /// Plain http to other hosts than loopback.
    pub plain_http: bool,
}

/// Refuses what is not the address of a repository, or would make `git` start a program of somebody's choice.
pub fn check_remote_url(text: &str, rule: RemoteRule) -> Result<(), BadRemote> {
    let lower = text.to_ascii_lowercase();
    let encoded = lower.match_indices('%').any(|(at, _)| {
        let digits = lower.get(at + 1..at + 3).and_then(|d| u8::from_str_radix(d, 16).ok());
        digits.is_some_and(|b| b.is_ascii_control())
    });
    if encoded || text.chars().any(char::is_control) {
        return Err(BadRemote::Control);
    }
    if text.is_empty() {
        return Err(BadRemote::NoHost);
    }
    if text.starts_with('-') {
        return Err(BadRemote::OptionLike(text.to_owned()));
    }
    if let Some((scheme, rest)) = lower.split_once("://") {
        if scheme.contains(':') || scheme.contains('/') {
            return Err(BadRemote::Scheme(scheme.split(':').next().unwrap_or_default().to_owned()));
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(user, host)| (user, host));
        return match scheme {
            "file" if rule.local => Ok(()),
            "file" => Err(BadRemote::Local),
            "https" | "http" | "ssh" | "git+ssh" | "ssh+git" => {
                check_authority(user, host)?;
                let free = rule.plain_http || is_loopback(host_name(host));
                if scheme == "http" && !free {
                    return Err(BadRemote::PlainHttp(host.to_owned()));
                }
                let path = rest.get(authority.len()..).unwrap_or_default();
                if path.trim_start_matches('/').starts_with('-') {
                    return Err(BadRemote::OptionLike(path.to_owned()));
                }
                Ok(())
            }
            other => Err(BadRemote::Scheme(other.to_owned())),
        };
    }
    if let Some((helper, _)) = lower.split_once("::") {
        return Err(BadRemote::Scheme(helper.to_owned()));
    }
    // `git@host:path`, as git reads it: a colon before the first slash.
    if let Some((authority, path)) = text.split_once(':').filter(|(a, _)| !a.contains('/')) {
        let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(user, host)| (user, host));
        check_authority(user, host)?;
        if path.starts_with('-') {
            return Err(BadRemote::OptionLike(path.to_owned()));
        }
        return Ok(());
    }
    if rule.local { Ok(()) } else { Err(BadRemote::Local) }
}

fn check_authority(user: &str, host: &str) -> Result<(), BadRemote> {
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    for part in [user, host] {
        if decoded(part).starts_with('-') {
            return Err(BadRemote::OptionLike(part.to_owned()));
        }
    }
    if host_name(host).is_empty() { Err(BadRemote::NoHost) } else { Ok(()) }
}

fn host_name(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The text with the user part of every URL hidden: `https://***@host`.
pub fn without_credentials(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(|c: char| c == '/' || c.is_whitespace() || c == '\'' || c == '"').unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(at) => {
                out.push_str("***");
                &after[at..]
            }
            None => after,
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        check_remote_url(text, RemoteRule::default()).unwrap_err().to_string()
    }

    #[test]
    fn rem_01_to_06_are_refused_by_name() {
        assert_eq!(refused("ssh://-oProxyCommand=x/path"), "`-oproxycommand=x` would be read as an option");
        assert_eq!(refused("ssh://-x@host/path"), "`-x` would be read as an option");
        assert_eq!(refused("git@-oProxyCommand=x:path"), "`-oProxyCommand=x` would be read as an option");
        assert_eq!(refused("ssh://%2doProxyCommand=x/path"), "`%2doproxycommand=x` would be read as an option");
        assert_eq!(refused("--upload-pack=x"), "`--upload-pack=x` would be read as an option");
        assert_eq!(refused("ext::sh -c x"), "`ext:` is not a scheme for a repository");
        assert_eq!(refused("ext::https://host/x"), "`ext:` is not a scheme for a repository");
        assert_eq!(refused("file:///etc"), "a path on this machine is not allowed here");
        assert_eq!(refused("/etc"), "a path on this machine is not allowed here");
        assert_eq!(refused("https:///host"), "the URL names no host");
        assert_eq!(refused("https://user@/host"), "the URL names no host");
        assert_eq!(refused("https://host/a%0ab"), "the URL holds a control character");
        assert_eq!(refused("https://host/a\nb"), "the URL holds a control character");
        assert_eq!(
            refused("http://forge.example/x"),
            "plain http to `forge.example`: anybody on the way could change what is read"
        );
    }

    #[test]
    fn what_people_use_is_allowed() {
        for good in [
            "https://forge.example/shop.git",
            "https://user:pw@forge.example:8443/shop.git",
            "ssh://git@forge.example:22/shop.git",
            "git@forge.example:team/shop.git",
            "http://127.0.0.1:3000/shop.git",
            "http://[::1]:3000/shop.git",
        ] {
            assert_eq!(check_remote_url(good, RemoteRule::default()), Ok(()), "{good}");
        }
        let local = RemoteRule { local: true, plain_http: false };
        for good in ["/srv/shop.git", "../shop.git", "file:///srv/shop.git"] {
            assert_eq!(check_remote_url(good, local), Ok(()), "{good}");
        }
    }
}
