//! Webhooks: proof that the sender knows the secret, and nothing else. What a webhook says is never looked at, for it may
//! be forged, replayed or malformed: all that it can do is have the watcher look at the repository, which it may do at any
//! time anyway.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use sha2::Sha256;

use crate::model::Secret;

use super::error::DaemonError;

/// SHA-256's.
const MAC_LENGTH: usize = 32;
/// Signatures that one request may bring; senders that change their key bring two.
const MAX_SIGNATURES: usize = 4;
/// What a key of the Standard Webhooks form begins with; the rest of it is base64.
const STANDARD_PREFIX: &str = "whsec_";

/// How a sender proves itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// The MAC of the body in hexadecimal, after this prefix.
    Hex { header: &'static str, prefix: &'static str },
    /// The secret itself.
    Token { header: &'static str },
    /// Standard Webhooks: the base64 of the MAC of `id.timestamp.body`. The timestamp is not checked: what is replayed
    /// does what any other one does.
    Standard,
}

const HUB: Form = Form::Hex { header: "x-hub-signature-256", prefix: "sha256=" };
const FORGEJO: Form = Form::Hex { header: "x-forgejo-signature", prefix: "" };
const GITEA: Form = Form::Hex { header: "x-gitea-signature", prefix: "" };
const PLAIN: Form = Form::Hex { header: "x-ctl-signature-256", prefix: "sha256=" };
const TOKEN: Form = Form::Token { header: "x-gitlab-token" };

/// The forms that are taken at `/hook/NAME`, in the order in which they are looked for. Of what a request brings the
/// first is checked: a bad one is not made good by another.
fn forms(name: &str) -> Option<&'static [Form]> {
    match name {
        "" => Some(&[PLAIN, HUB, FORGEJO, GITEA, Form::Standard, TOKEN]),
        "plain" => Some(&[PLAIN]),
        "github" => Some(&[HUB]),
        "gitea" | "forgejo" => Some(&[FORGEJO, GITEA, HUB]),
        "gitlab" => Some(&[Form::Standard, TOKEN]),
        _ => None,
    }
}

/// The webhook's secret, ready to check signatures.
pub(super) struct Hook {
    key: Hmac<Sha256>,
    /// The same for Standard Webhooks, whose keys are written in base64.
    standard: Hmac<Sha256>,
    /// The MAC of the secret itself, which a token that is sent is compared with in constant time.
    own: Vec<u8>,
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

/// What a webhook says of itself, before its body is read. Feed it the body, then ask whether it is true.
pub(super) enum Claim {
    /// It showed the secret.
    Proven,
    /// One of these signatures must be that of the body.
    Signed {
        /// Of what came so far.
        mac: Hmac<Sha256>,
        /// At most [`MAX_SIGNATURES`].
        signatures: Vec<[u8; MAC_LENGTH]>,
    },
}

impl Hook {
    /// Fails if the secret is empty.
    pub(super) fn new(secret: &Secret) -> Result<Self, DaemonError> {
        #[expect(clippy::disallowed_methods, reason = "this is the other end: it must know what to ask for")]
        let secret = secret.expose().trim();
        if secret.is_empty() {
            return Err(DaemonError::EmptyHookSecret);
        }
        let decoded = secret.strip_prefix(STANDARD_PREFIX).and_then(|text| STANDARD.decode(text).ok());
        let key = |bytes: &[u8]| Hmac::<Sha256>::new_from_slice(bytes).map_err(|_| DaemonError::EmptyHookSecret);
        let standard = key(decoded.as_deref().unwrap_or(secret.as_bytes()))?;
        let key = key(secret.as_bytes())?;
        let own = key.clone().chain_update(secret).finalize().into_bytes().to_vec();
        Ok(Self { key, standard, own })
    }

    /// What a request to `/hook/NAME` claims; none for a name that nobody has. Tells cheaply, from the headers alone, those
    /// apart that cannot be genuine.
    pub(super) fn claim(&self, name: &str, headers: &HeaderMap) -> Option<Result<Claim, &'static str>> {
        let forms = forms(name)?;
        for form in forms {
            match form {
                Form::Hex { header, prefix } => {
                    let Some(text) = text(headers, header) else { continue };
                    let signature = text.and_then(|text| text.strip_prefix(prefix)).and_then(from_hex);
                    let claim = signature.map(|signature| Claim::signed(&self.key, vec![signature]));
                    return Some(claim.ok_or("the signature is malformed"));
                }
                Form::Standard => {
                    let Some(signatures) = text(headers, "webhook-signature") else { continue };
                    return Some(self.standard(headers, signatures).ok_or("the signature is malformed"));
                }
                Form::Token { header } => {
                    let Some(token) = text(headers, header) else { continue };
                    let same = |token| self.key.clone().chain_update(token).verify_slice(&self.own).is_ok();
                    return Some(match token.is_some_and(same) {
                        true => Ok(Claim::Proven),
                        false => Err("the token is not the secret"),
                    });
                }
            }
        }
        let sha1 = headers.contains_key("x-hub-signature");
        Some(Err(if sha1 { "signed with SHA-1 only, which can be forged" } else { "there is no signature" }))
    }

    fn standard(&self, headers: &HeaderMap, signatures: Option<&str>) -> Option<Claim> {
        let (id, timestamp) = (text(headers, "webhook-id")??, text(headers, "webhook-timestamp")??);
        let mut found = Vec::new();
        // Versions that are not known are other people's.
        for signature in signatures?.split(' ').filter_map(|word| word.strip_prefix("v1,")).take(MAX_SIGNATURES) {
            found.push(STANDARD.decode(signature).ok()?.try_into().ok()?);
        }
        let mac = self.standard.clone().chain_update(id).chain_update(".").chain_update(timestamp).chain_update(".");
        (!found.is_empty()).then(|| Claim::signed(&mac, found))
    }
}

impl Claim {
    fn signed(mac: &Hmac<Sha256>, signatures: Vec<[u8; MAC_LENGTH]>) -> Self {
        Self::Signed { mac: mac.clone(), signatures }
    }

    /// Takes the next bytes of the body.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Proven => {}
            Self::Signed { mac, .. } => mac.update(bytes),
        }
    }

    /// True if whoever sent the body knew the secret. Compares in constant time.
    pub(super) fn holds(self) -> bool {
        match self {
            Self::Proven => true,
            Self::Signed { mac, signatures } => signatures.iter().any(|one| mac.clone().verify_slice(one).is_ok()),
        }
    }
}

/// A header: none if it is not there, `Some(None)` if it is no text or comes twice.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<Option<&'a str>> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?;
    Some(if all.next().is_some() { None } else { first.to_str().ok() })
}

/// Exactly as many digits as a MAC has, of either case.
fn from_hex(text: &str) -> Option<[u8; MAC_LENGTH]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * MAC_LENGTH {
        return None;
    }
    let mut out = [0; MAC_LENGTH];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |b: u8| char::from(b).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    /// As GitHub's manual and `openssl dgst -sha256 -hmac` have it.
    const GOOD: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn ask(secret: &str, name: &str, pairs: &[(&'static str, &str)], body: &[u8]) -> Result<bool, &'static str> {
        let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let mut claim = Hook::new(&Secret::new(secret)).unwrap().claim(name, &headers).unwrap()?;
        body.chunks(5).for_each(|chunk| claim.update(chunk));
        Ok(claim.holds())
    }

    #[test]
    fn each_forge_proves_itself_in_its_own_way() {
        let prefixed = format!("sha256={GOOD}");
        for (names, header, value) in [
            (["", "github"], "x-hub-signature-256", prefixed.as_str()),
            (["", "gitea"], "x-gitea-signature", GOOD),
            (["", "forgejo"], "x-forgejo-signature", GOOD),
            (["forgejo", "gitea"], "x-hub-signature-256", &prefixed),
            (["", "plain"], "x-ctl-signature-256", &prefixed),
            (["", "gitlab"], "x-gitlab-token", SECRET),
        ] {
            for name in names {
                assert_eq!(ask(SECRET, name, &[(header, value)], BODY), Ok(true), "{name} {header}");
                let refused = !matches!(ask("another", name, &[(header, value)], BODY), Ok(true));
                assert!(refused, "{name} {header}: another secret");
                let refused = !matches!(ask(SECRET, name, &[(header, &value[..value.len() - 1])], BODY), Ok(true));
                assert!(refused, "{name} {header}: half a proof");
                if header != "x-gitlab-token" {
                    assert_eq!(ask(SECRET, name, &[(header, value)], b"Hello, World?"), Ok(false), "{name} {header}");
                }
            }
        }
    }

    #[test]
    fn a_standard_webhook_is_signed_with_its_id_and_time() {
        let secret = "whsec_plJ3nmyCDGBKInavdOK15jsl";
        let body = br#"{"event_type":"ping","data":{"success":true}}"#;
        let good = "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=";
        let other = "v1,AAAAW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=";
        let send = |signature: &str, time| {
            let pairs =
                [("webhook-id", "msg_loFOjxBNrRLzqYUf"), ("webhook-timestamp", time), ("webhook-signature", signature)];
            ask(secret, "gitlab", &pairs, body)
        };
        assert_eq!(send(good, "1731705121"), Ok(true));
        assert_eq!(send(&format!("v2,x {other} {good}"), "1731705121"), Ok(true), "one of several");
        assert_eq!(send(good, "1731705122"), Ok(false), "another time");
        assert_eq!(send(other, "1731705121"), Ok(false));
        let flood = format!("{}{good}", format!("{other} ").repeat(MAX_SIGNATURES));
        assert_eq!(send(&flood, "1731705121"), Ok(false), "no more than a few are tried");
        for malformed in ["", "v1,", "v1,AAAA", "v2,x", good.trim_start_matches("v1,")] {
            assert!(send(malformed, "1731705121").is_err(), "{malformed}");
        }
        assert!(ask(secret, "gitlab", &[("webhook-signature", good)], body).is_err(), "neither id nor time");
    }

    #[test]
    fn what_cannot_be_genuine_is_known_by_its_headers() {
        let sha1 = [("x-hub-signature", "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59")];
        assert_eq!(ask(SECRET, "", &sha1, BODY), Err("signed with SHA-1 only, which can be forged"));
        assert_eq!(ask(SECRET, "", &[], BODY), Err("there is no signature"));
        let hub = "x-hub-signature-256";
        let long = "0".repeat(65);
        for value in ["", "sha256=", "sha1=757107ea", GOOD, "sha256=zz", &format!("sha256={long}"), "md5=00"] {
            assert_eq!(ask(SECRET, "", &[(hub, value)], BODY), Err("the signature is malformed"), "{value}");
        }
        let good = format!("sha256={GOOD}");
        assert!(ask(SECRET, "", &[(hub, &good), (hub, &good)], BODY).is_err(), "two of a kind");
        assert!(ask(SECRET, "gitlab", &[(hub, &good)], BODY).is_err(), "another forge's form");
        let zeros = "0".repeat(64);
        let both = [("x-ctl-signature-256", &*format!("sha256={zeros}")), (hub, &*good)];
        assert_eq!(ask(SECRET, "", &both, BODY), Ok(false), "a bad one is not made good by another");
    }

    #[test]
    fn a_name_that_nobody_has_is_no_hook() {
        let hook = Hook::new(&Secret::new("x")).unwrap();
        assert!(hook.claim("../github", &HeaderMap::new()).is_none());
        assert!(matches!(Hook::new(&Secret::new(" \n")), Err(DaemonError::EmptyHookSecret)));
    }
}
