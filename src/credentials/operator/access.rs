//! Where an endpoint may be and what is sent to it; values are read here, when they are needed.

use super::Operator;
use crate::credentials::credential::{ApiOrigin, AuthSource, Credential};
use crate::credentials::origin::{Allowed, Origin};
use crate::credentials::source::{Source, Surroundings};
use crate::credentials::{Access, Auth};
use crate::model::{Diagnostic, EndpointName, Secret, TargetName};

impl Operator {
    /// What an endpoint is approached with. Refused, before any contact, where the operator's file does not name the
    /// URL's origin.
    pub fn access(
        &self,
        target: &TargetName,
        endpoint: &EndpointName,
        url: &str,
        credential: Option<&str>,
        api: &ApiOrigin,
    ) -> Result<Access, Diagnostic> {
        let who = format!("{target}/{endpoint}");
        let Some(name) = credential else {
            return self.allows(&who, url).map(|()| Access::anonymous());
        };
        let held = self.credential(name)?;
        let origin = Origin::of_url(url).map_err(|why| {
            Diagnostic::error("origin-refused", format!("the url of {who} cannot take the credential {name}: {why}"))
        })?;
        if !held.hosts.contains(&origin) {
            return Err(Diagnostic::error(
                "origin-refused",
                format!("the credential {name} may not go to {origin}, where {who} points"),
            )
            .help(format!("if it should, the operator adds \"{origin}\" to its `hosts` in {}", self.place)));
        }
        if !held.trusts(api) {
            return Err(Diagnostic::error(
                "api-not-pinned",
                format!(
                    "the API description of {who} comes from the repository, and the credential {name} does not name it"
                ),
            )
            .help(format!(
                "after reading it, the operator adds `api: sha256:{}` to it in {}",
                api.digest, self.place
            )));
        }
        self.open(name, held)
    }

    pub(super) fn credential(&self, name: &str) -> Result<&Credential, Diagnostic> {
        self.credentials.get(name).ok_or_else(|| {
            Diagnostic::error("credential-unknown", format!("the operator holds no credential `{name}`")).help(format!(
                "whoever runs ctl adds `{name}: {{hosts: [ORIGIN], bearer: {{env: NAME}}}}` (or header, basic, login) \
                     to `credentials` in {}, a file that nobody else may read",
                self.place
            ))
        })
    }

    fn allows(&self, who: &str, url: &str) -> Result<(), Diagnostic> {
        let refused = |what: String, line: &str| {
            Diagnostic::error("origin-refused", what)
                .help(format!("if it should, the operator adds \"{line}\" to `allow` in their file {}", self.place))
        };
        if url == "embedded" {
            let allowed = self.allow.contains(&Allowed::Embedded);
            return if allowed { Ok(()) } else { Err(refused(format!("{who} may not be embedded"), "embedded")) };
        }
        let origin = Origin::of_url(url)
            .map_err(|why| Diagnostic::error("origin-refused", format!("the url of {who} is refused: {why}")))?;
        if self.allow.iter().any(|line| line.fits(&origin)) {
            return Ok(());
        }
        Err(refused(format!("{who} has no credentials and may not go to {origin}"), &origin.to_string()))
    }

    pub(super) fn open(&self, name: &str, held: &Credential) -> Result<Access, Diagnostic> {
        let value = |source: &Source| self.value(name, source, "credential-unreadable", "credential");
        let auth = match &held.auth {
            AuthSource::None => Auth::None,
            AuthSource::Header { name: header, value: source } => {
                Auth::Header { name: header.clone(), value: value(source)? }
            }
            AuthSource::Basic { user, password } => {
                Auth::Basic { user: plain(&self.raw(name, user)?), password: value(password)? }
            }
            AuthSource::Bearer(source) => Auth::Bearer(value(source)?),
            AuthSource::Login(holes) => Auth::Login(
                holes.iter().map(|(hole, s)| Ok((hole.clone(), value(s)?))).collect::<Result<_, Diagnostic>>()?,
            ),
        };
        let identity = match &held.identity {
            Some((certificate, key)) => Some(joined(&self.raw(name, certificate)?, &value(key)?)),
            None => None,
        };
        let ca = match &held.ca {
            Some(source) => Some(plain(&self.raw(name, source)?).into_bytes()),
            None => None,
        };
        Ok(Access { auth, ca, identity })
    }

    pub(super) fn value(
        &self,
        name: &str,
        source: &Source,
        code: &'static str,
        noun: &str,
    ) -> Result<Secret, Diagnostic> {
        let around = Surroundings { env: &self.env, base: self.base.as_deref() };
        let value = source.read(&around).map_err(|why| unreadable(code, noun, name, source, &why))?;
        self.redactor.learn(name, &value);
        Ok(value)
    }

    /// A value that is no secret (a user, a certificate): not hidden in outputs.
    fn raw(&self, name: &str, source: &Source) -> Result<Secret, Diagnostic> {
        let around = Surroundings { env: &self.env, base: self.base.as_deref() };
        source.read(&around).map_err(|why| unreadable("credential-unreadable", "credential", name, source, &why))
    }

    /// The key of the record's HMACs, if the operator has one.
    pub fn record_key(&self) -> Result<Option<Secret>, Diagnostic> {
        self.record_key.as_ref().map(|s| self.value("record-key", s, "secret-unreadable", "key")).transpose()
    }
}

#[expect(clippy::disallowed_methods, reason = "a user name or a certificate, read like a secret, is none")]
pub(super) fn plain(value: &Secret) -> String {
    value.expose().to_owned()
}

#[expect(clippy::disallowed_methods, reason = "the certificate and its key leave as one PEM text")]
fn joined(certificate: &Secret, key: &Secret) -> Secret {
    Secret::new(format!("{}\n{}\n", certificate.expose(), key.expose()))
}

/// What is told of a value that cannot be had.
fn unreadable(code: &'static str, noun: &str, name: &str, source: &Source, why: &str) -> Diagnostic {
    let message = format!("the {noun} {name} cannot be read from {}: {why}", source.place());
    Diagnostic::error(code, message).help(source.help())
}
