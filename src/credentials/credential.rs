//! One credential of the operator's file: where it may go, what it is made of, and whom it trusts.

use std::collections::BTreeMap;

use super::file::{CredentialEntry, GrantEntry};
use super::origin::Origin;
use super::source::Source;
use crate::model::{Diagnostic, Digest};

/// Where an API description comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ApiOrigin {
    /// It is inside this program.
    pub shipped: bool,
    /// The SHA-256 of its text.
    pub digest: Digest,
}

pub(super) struct Credential {
    pub(super) hosts: Vec<Origin>,
    pub(super) auth: AuthSource,
    pub(super) identity: Option<(Source, Source)>,
    pub(super) ca: Option<Source>,
    pub(super) api: Vec<Digest>,
    pub(super) grant: Option<Vec<GrantEntry>>,
}

pub(super) enum AuthSource {
    None,
    Header { name: String, value: Source },
    Basic { user: Source, password: Source },
    Bearer(Source),
    Login(BTreeMap<String, Source>),
}

impl Credential {
    pub(super) fn read(name: &str, entry: CredentialEntry, place: &str) -> Result<Self, Diagnostic> {
        let bad = |what: String| Diagnostic::error("operator-file", format!("{place}: credential {name}: {what}"));
        let host = |(i, text): (usize, &String)| Origin::whole(text).map_err(|why| bad(format!("`hosts[{i}]`: {why}")));
        let hosts = entry.hosts.iter().enumerate().map(host).collect::<Result<Vec<_>, _>>()?;
        if hosts.is_empty() {
            return Err(bad("`hosts` is empty, so it can go nowhere".to_owned()));
        }
        let mut ways = Vec::new();
        ways.extend(entry.header.map(|h| AuthSource::Header { name: h.name, value: h.value }));
        ways.extend(entry.basic.map(|b| AuthSource::Basic { user: b.user, password: b.password }));
        ways.extend(entry.bearer.map(AuthSource::Bearer));
        ways.extend(entry.login.map(AuthSource::Login));
        if ways.len() > 1 {
            return Err(bad("it has more than one of `header`, `basic`, `bearer`, `login`".to_owned()));
        }
        Ok(Self {
            hosts,
            auth: ways.pop().unwrap_or(AuthSource::None),
            identity: entry.client_certificate.map(|c| (c.certificate, c.key)),
            ca: entry.ca,
            api: entry.api.0,
            grant: entry.grant,
        })
    }

    pub(super) fn trusts(&self, api: &ApiOrigin) -> bool {
        api.shipped || self.api.contains(&api.digest)
    }

    /// The sources of what must not be shown.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Source> {
        let auth: Vec<&Source> = match &self.auth {
            AuthSource::None => Vec::new(),
            AuthSource::Header { value, .. } | AuthSource::Bearer(value) => vec![value],
            AuthSource::Basic { password, .. } => vec![password],
            AuthSource::Login(holes) => holes.values().collect(),
        };
        auth.into_iter().chain(self.identity.iter().map(|(_, key)| key))
    }
}
