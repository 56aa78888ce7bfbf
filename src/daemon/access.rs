//! Who may look, and who may give orders.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, header};
use sha2::Sha256;

use crate::model::{Secret, names_this_machine};

use super::error::DaemonError;

/// What people prove themselves with. Without any token only a listener on loopback may be opened.
#[derive(Clone, Default, Debug)]
pub struct Access {
    /// For those who only look. Without it everybody on this machine may look; from elsewhere the write token is asked
    /// for.
    pub read: Option<Secret>,
    /// For those who give orders; it opens everything. Without any token everybody on this machine may give orders; with
    /// a read token alone nobody may.
    pub write: Option<Secret>,
}

/// What a request wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wish {
    /// Status, events, the page.
    Look,
    /// An order.
    Order,
}

/// Why a request may not have what it wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Denial {
    /// No token, or not the right one.
    Token,
    /// The read token, where it takes the write token.
    ReadOnly,
    /// Nobody may, for no token was set up for it.
    NoOrders,
    /// It came by another name than this machine's own: a page somewhere may have sent it.
    Host,
}

/// [`Access`], ready to be asked.
#[derive(Debug)]
pub(super) struct Gate {
    read: Option<Known>,
    write: Option<Known>,
    loopback: bool,
}

impl Gate {
    /// Fails if a token is empty, or if there is none and `addr` can be reached from elsewhere.
    pub(super) fn new(access: &Access, addr: SocketAddr) -> Result<Self, DaemonError> {
        let known = |token: &Option<Secret>| token.as_ref().map(Known::new).transpose();
        let (read, write) = (known(&access.read)?, known(&access.write)?);
        let loopback = addr.ip().to_canonical().is_loopback();
        if !loopback && read.is_none() && write.is_none() {
            return Err(DaemonError::NoToken { addr });
        }
        Ok(Self { read, write, loopback })
    }

    /// Whether a request with these headers may have what it wants.
    pub(super) fn admits(&self, wish: Wish, headers: &HeaderMap) -> Result<(), Denial> {
        // A page has the browser send its own origin's password only with requests to that origin; yet orders are
        // given with a bearer token alone, which no browser adds by itself.
        let basic = wish == Wish::Look;
        let shown = shown(headers, basic);
        let is = |known: &Option<Known>| known.as_ref().zip(shown.as_deref()).is_some_and(|(k, s)| k.is(s));
        let open = match wish {
            Wish::Look => self.read.is_none() && self.loopback,
            Wish::Order => self.read.is_none() && self.write.is_none(),
        };
        if is(&self.write) || (wish == Wish::Look && is(&self.read)) {
            return Ok(());
        }
        if open {
            return if is_this_machine(headers) { Ok(()) } else { Err(Denial::Host) };
        }
        Err(match wish {
            Wish::Order if self.write.is_none() => Denial::NoOrders,
            Wish::Order if is(&self.read) => Denial::ReadOnly,
            Wish::Order | Wish::Look => Denial::Token,
        })
    }
}

/// A token, kept as its MAC: two MACs are compared in constant time, whatever the length of what is shown.
struct Known(Vec<u8>);

impl Known {
    fn new(token: &Secret) -> Result<Self, DaemonError> {
        #[expect(clippy::disallowed_methods, reason = "this is the other end: it must know what to ask for")]
        let token = token.expose().trim();
        if token.is_empty() {
            return Err(DaemonError::EmptyToken);
        }
        Ok(Self(mac(token)?.finalize().into_bytes().to_vec()))
    }

    fn is(&self, shown: &str) -> bool {
        mac(shown).is_ok_and(|mac| mac.verify_slice(&self.0).is_ok())
    }
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

/// The key is no secret: it makes the length equal, and the comparison is one of MACs.
fn mac(token: &str) -> Result<Hmac<Sha256>, DaemonError> {
    let mac = Hmac::<Sha256>::new_from_slice(b"a token of ctl").map_err(|_| DaemonError::EmptyToken)?;
    Ok(mac.chain_update(token.as_bytes()))
}

/// The token that a request shows: a bearer's, or the password of a browser that was asked for one.
fn shown(headers: &HeaderMap, basic: bool) -> Option<String> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = text.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !basic || !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    Some(pair.split_once(':')?.1.to_owned())
}

/// True if a request came by an address or by `localhost`. Any other name may be one that a stranger's page points at
/// this machine to have a browser here ask for it.
fn is_this_machine(headers: &HeaderMap) -> bool {
    headers.get(header::HOST).and_then(|host| host.to_str().ok()).is_some_and(names_this_machine)
}

/// True if no page of another origin sent the request. Programs that are no browsers say nothing of an origin.
pub(super) fn is_own_origin(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(|site| matches!(site.as_bytes(), b"same-origin" | b"none"));
    let origin = headers.get(header::ORIGIN).map(|origin| {
        let host = headers.get(header::HOST).map_or(&b""[..], |host| host.as_bytes());
        let after = |scheme: &[u8]| origin.as_bytes().strip_prefix(scheme).is_some_and(|rest| rest == host);
        !host.is_empty() && (after(b"http://") || after(b"https://"))
    });
    site.unwrap_or(true) && origin.unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "127.0.0.1:9464";
    const ANYWHERE: &str = "[::]:9464";

    fn gate(read: Option<&str>, write: Option<&str>, addr: &str) -> Result<Gate, DaemonError> {
        let access = Access { read: read.map(Secret::new), write: write.map(Secret::new) };
        Gate::new(&access, addr.parse().unwrap())
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn bearer(token: &str) -> HeaderMap {
        headers(&[("host", "localhost"), ("authorization", &format!("Bearer {token}"))])
    }

    #[test]
    fn without_a_token_only_loopback_is_listened_on() {
        assert!(matches!(gate(None, None, ANYWHERE), Err(DaemonError::NoToken { .. })));
        assert!(matches!(gate(None, None, "10.0.0.1:1"), Err(DaemonError::NoToken { .. })));
        assert!(matches!(gate(Some(" \n"), None, HERE), Err(DaemonError::EmptyToken)));
        for addr in [HERE, "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(gate(None, None, addr).is_ok(), "{addr}");
        }
        assert!(gate(Some("r"), None, ANYWHERE).is_ok());
    }

    #[test]
    fn each_token_opens_what_it_should_and_nothing_else() {
        use Denial::{NoOrders, ReadOnly, Token};
        let (none, r, w, bad) = (headers(&[("host", "localhost")]), bearer("r"), bearer("w"), bearer("x"));
        // Tokens, address; then what nobody's, the read, the write and a wrong token get: looking, ordering.
        let all = [Ok(()); 4];
        for (read, write, addr, look, order) in [
            (None, None, HERE, all, all),
            (Some("r"), None, HERE, [Err(Token), Ok(()), Err(Token), Err(Token)], [Err(NoOrders); 4]),
            (None, Some("w"), HERE, all, [Err(Token), Err(Token), Ok(()), Err(Token)]),
            (
                None,
                Some("w"),
                ANYWHERE,
                [Err(Token), Err(Token), Ok(()), Err(Token)],
                [Err(Token), Err(Token), Ok(()), Err(Token)],
            ),
            (
                Some("r"),
                Some("w"),
                ANYWHERE,
                [Err(Token), Ok(()), Ok(()), Err(Token)],
                [Err(Token), Err(ReadOnly), Ok(()), Err(Token)],
            ),
        ] {
            let gate = gate(read, write, addr).unwrap();
            for (i, headers) in [&none, &r, &w, &bad].into_iter().enumerate() {
                assert_eq!(gate.admits(Wish::Look, headers), look[i], "{read:?} {write:?} {addr}: look {i}");
                assert_eq!(gate.admits(Wish::Order, headers), order[i], "{read:?} {write:?} {addr}: order {i}");
            }
        }
    }

    #[test]
    fn a_browser_may_look_with_a_password_and_never_orders_with_it() {
        let gate = gate(Some("r"), Some("w"), HERE).unwrap();
        let basic = headers(&[("authorization", &format!("Basic {}", STANDARD.encode("anybody:w")))]);
        assert_eq!(gate.admits(Wish::Look, &basic), Ok(()));
        assert_eq!(gate.admits(Wish::Order, &basic), Err(Denial::Token));
    }

    #[test]
    fn a_name_that_a_stranger_points_here_opens_nothing() {
        let open = gate(None, None, HERE).unwrap();
        for (host, ok) in [
            ("localhost", true),
            ("LOCALHOST:9464", true),
            ("ctl.localhost:1", true),
            ("127.0.0.1:9464", true),
            ("[::1]:9464", true),
            ("[::1]", true),
            ("evil.example", false),
            ("evil.example:9464", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("", false),
        ] {
            let asked = headers(&[("host", host)]);
            assert_eq!(open.admits(Wish::Look, &asked).is_ok(), ok, "{host}");
            assert_eq!(open.admits(Wish::Order, &asked).is_ok(), ok, "{host}");
        }
        assert_eq!(open.admits(Wish::Look, &HeaderMap::new()), Err(Denial::Host));
        let closed = gate(Some("r"), None, HERE).unwrap();
        let named = headers(&[("host", "ctl.example"), ("authorization", "Bearer r")]);
        assert_eq!(closed.admits(Wish::Look, &named), Ok(()), "a token is proof enough");
    }

    #[test]
    fn a_page_of_another_origin_gives_no_orders() {
        for (pairs, own) in [
            (vec![("host", "a:1")], true),
            (vec![("host", "a:1"), ("origin", "http://a:1")], true),
            (vec![("host", "a:1"), ("origin", "https://a:1"), ("sec-fetch-site", "same-origin")], true),
            (vec![("host", "a:1"), ("origin", "http://b:1")], false),
            (vec![("host", "a:1"), ("origin", "http://a:1.evil")], false),
            (vec![("host", "a:1"), ("origin", "null")], false),
            (vec![("host", "a:1"), ("sec-fetch-site", "cross-site")], false),
            (vec![("origin", "http://")], false),
        ] {
            assert_eq!(is_own_origin(&headers(&pairs)), own, "{pairs:?}");
        }
    }
}
