//! What is answered, and what every answer bears.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;

use super::access::{Denial, Wish};
use crate::model::misleads;

const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const JSON: &str = "application/json";
/// A document a line: what this media type is registered for is close enough, and readers know it.
pub(super) const JSON_LINES: &str = "application/x-ndjson";
pub(super) const HTML: &str = "text/html; charset=utf-8";

pub(super) type Reply = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// One line without what a terminal obeys.
pub(super) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c == '\n' || c == '\t' || misleads(c) { ' ' } else { c }).collect()
}

pub(super) fn denied(denial: Denial, wish: Wish) -> Reply {
    let mut reply = match denial {
        Denial::Token => say(StatusCode::UNAUTHORIZED, "send the token as `Authorization: Bearer …`"),
        Denial::ReadOnly => return say(StatusCode::FORBIDDEN, "the read token gives no orders"),
        Denial::NoOrders => {
            return say(StatusCode::FORBIDDEN, "nobody gives orders here: start with --token-file");
        }
        Denial::Host => {
            let why = "ask by 127.0.0.1 or localhost; another name needs a token: start with --read-token-file";
            return say(StatusCode::MISDIRECTED_REQUEST, why);
        }
    };
    // A browser asks its user for a password then.
    let schemes: &[&'static str] = if wish == Wish::Look { &["Bearer", "Basic realm=\"ctl\""] } else { &["Bearer"] };
    for scheme in schemes {
        reply.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
    }
    reply
}

/// The body of the request may be unread, so the connection cannot go on.
pub(super) fn closing(mut reply: Reply) -> Reply {
    reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    reply
}

pub(super) fn say(status: StatusCode, text: &str) -> Reply {
    reply(status, TEXT, format!("{text}\n").into())
}

pub(super) fn reply(status: StatusCode, kind: &'static str, body: Bytes) -> Reply {
    dressed(status, kind, UnsyncBoxBody::new(Full::new(body)))
}

/// What every answer bears: it is what it says it is, it is not kept, and no page frames it.
pub(super) fn dressed(status: StatusCode, kind: &'static str, body: UnsyncBoxBody<Bytes, Infallible>) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        reply.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    reply
}
