use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::credential::{ApiOrigin, AuthSource, Credential};
use super::file::{self, OperatorFile, SecretEntry};
use super::origin::{Allowed, Origin};
use super::source::{Source, Surroundings};
use super::{Access, Auth, Redactor, SecretSource, Writing};
use crate::model::{
    Diagnostic, Digest, EndpointName, Guard, Kind, Limits, Secret, SecretRef, TargetName, glob_matches,
};

/// Longest operator's file, in bytes.
const LIMIT: u64 = 1024 * 1024;

/// What the operator of this machine allows. It reads values only when they are needed.
pub struct Operator {
    credentials: BTreeMap<String, Credential>,
    secrets: BTreeMap<String, SecretEntry>,
    allow: Vec<Allowed>,
    record_key: Option<Source>,
    ceiling: Guard,
    limits: Limits,
    push: Vec<String>,
    file: Vec<String>,
    env: BTreeMap<String, String>,
    base: Option<PathBuf>,
    place: String,
    /// Of the file's text.
    text: Digest,
    redactor: Redactor,
}

/// Gives no secret away: for targets whose description is neither shipped nor pinned.
#[derive(Clone, Copy, Debug)]
pub struct NoSecrets;

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operator").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Operator {
    /// An operator without a file: targets without credentials on this machine, and the embedded server.
    pub fn empty() -> Self {
        Self {
            credentials: BTreeMap::new(),
            secrets: BTreeMap::new(),
            allow: vec![Allowed::Loopback, Allowed::Embedded],
            record_key: None,
            ceiling: Guard { deletes: 100, updates: None },
            limits: Limits::default(),
            push: Vec::new(),
            file: Vec::new(),
            env: BTreeMap::new(),
            base: None,
            place: "(there is none)".to_owned(),
            text: Digest::of(b""),
            redactor: Redactor::default(),
        }
    }

    /// Reads the operator's file: the text of `CTL_CREDENTIALS_YAML`, else the file `CTL_CREDENTIALS`, else
    /// `$XDG_CONFIG_HOME/ctl/credentials.yaml` (`$HOME/.config/…`), which need not be there.
    ///
    /// A file that others than its owner can read is refused.
    pub fn load(env: &BTreeMap<String, String>) -> Result<Self, Diagnostic> {
        let set = |name: &str| env.get(name).filter(|value| !value.is_empty());
        if let Some(text) = set("CTL_CREDENTIALS_YAML") {
            if set("CTL_CREDENTIALS").is_some() {
                return Err(Diagnostic::error(
                    "operator-file",
                    "CTL_CREDENTIALS and CTL_CREDENTIALS_YAML are both set",
                )
                .help("keep one of them"));
            }
            return Self::from_text(text, "CTL_CREDENTIALS_YAML", None, env);
        }
        if let Some(path) = set("CTL_CREDENTIALS") {
            return Self::from_file(Path::new(path), env, true);
        }
        let folder = match (set("XDG_CONFIG_HOME").map(PathBuf::from).filter(|p| p.is_absolute()), set("HOME")) {
            (Some(folder), _) => folder,
            (None, Some(home)) => Path::new(home).join(".config"),
            (None, None) => return Ok(Self { env: env.clone(), ..Self::empty() }),
        };
        Self::from_file(&folder.join("ctl/credentials.yaml"), env, false)
    }

    fn from_file(path: &Path, env: &BTreeMap<String, String>, must_exist: bool) -> Result<Self, Diagnostic> {
        let place = path.display().to_string();
        let cannot = |error: std::io::Error| {
            Diagnostic::error("operator-file", format!("the operator's file {place} cannot be read: {error}"))
                .help("CTL_CREDENTIALS names another file")
        };
        let opened = match std::fs::File::open(path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => {
                return Ok(Self { env: env.clone(), place: format!("{place} (not there yet)"), ..Self::empty() });
            }
            Err(error) => return Err(cannot(error)),
        };
        let about = opened.metadata().map_err(cannot)?;
        if about.is_dir() {
            return Err(Diagnostic::error("operator-file", format!("the operator's file {place} is a folder")));
        }
        let me = rustix::process::geteuid().as_raw();
        if is_open_to_others(about.mode(), about.uid(), me) {
            return Err(Diagnostic::error(
                "operator-file",
                format!("others can read the operator's file {place} (mode {:04o})", about.mode() & 0o7777),
            )
            .help(format!("chmod 600 {place}")));
        }
        if about.uid() != me && about.uid() != 0 {
            return Err(Diagnostic::error(
                "operator-file",
                format!("the operator's file {place} belongs to user {}, and this is user {me}", about.uid()),
            )
            .help("own it yourself, or let root own it"));
        }
        let mut text = String::new();
        opened.take(LIMIT + 1).read_to_string(&mut text).map_err(cannot)?;
        if text.len() as u64 > LIMIT {
            return Err(Diagnostic::error("operator-file", format!("the operator's file {place} is over 1 MiB")));
        }
        Self::from_text(&text, &place, path.parent(), env)
    }

    fn from_text(
        text: &str,
        place: &str,
        base: Option<&Path>,
        env: &BTreeMap<String, String>,
    ) -> Result<Self, Diagnostic> {
        let OperatorFile { credentials, secrets, allow, record_key, ceiling, record, limits } =
            file::read(text, place)?;
        // A command that fetches one value is not handed all the others.
        let env: BTreeMap<String, String> = env
            .iter()
            .filter(|(name, _)| *name != "CTL_CREDENTIALS_YAML")
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        let mut operator = Self {
            secrets,
            record_key,
            ceiling: Guard {
                deletes: ceiling.deletes.map_or(100, |share| share.0),
                updates: ceiling.updates.map(|share| share.0),
            },
            limits: limits.limits(),
            push: record.push,
            file: record.file,
            env,
            base: base.map(Path::to_owned),
            place: place.to_owned(),
            text: Digest::of(text.as_bytes()),
            ..Self::empty()
        };
        if let Some(lines) = allow {
            let read = |(i, line): (usize, &String)| {
                Allowed::parse(line)
                    .map_err(|why| Diagnostic::error("operator-file", format!("{place}: `allow[{i}]`: {why}")))
            };
            operator.allow = lines.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        }
        for (name, entry) in credentials {
            let credential = Credential::read(&name, entry, place)?;
            operator.credentials.insert(name, credential);
        }
        operator.learn_what_is_at_hand();
        Ok(operator)
    }

    /// What costs nothing to know is hidden from the first line of output on, whether it is used or not.
    fn learn_what_is_at_hand(&self) {
        let credentials = self.credentials.iter().flat_map(|(name, c)| c.sources().map(move |s| (name.as_str(), s)));
        let secrets = self.secrets.iter().map(|(name, entry)| (name.as_str(), &entry.source));
        let key = self.record_key.iter().map(|source| ("record-key", source));
        for (name, source) in credentials.chain(secrets).chain(key) {
            if let Some(value) = source.at_hand(&self.env) {
                self.redactor.learn(name, &value);
            }
        }
    }

    /// True if the other one was made of the same file with the same text. The values that it names may be others now:
    /// they are read when they are needed.
    pub fn says_the_same(&self, other: &Self) -> bool {
        (self.text, &self.place, &self.base, &self.env) == (other.text, &other.place, &other.base, &other.env)
    }

    /// Hides all values that this operator has given out, or has at hand.
    pub fn redactor(&self) -> Redactor {
        self.redactor.clone()
    }

    /// The file's path, or how its text came.
    pub fn place(&self) -> &str {
        &self.place
    }

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

    fn credential(&self, name: &str) -> Result<&Credential, Diagnostic> {
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

    fn open(&self, name: &str, held: &Credential) -> Result<Access, Diagnostic> {
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

    fn value(&self, name: &str, source: &Source, code: &'static str, noun: &str) -> Result<Secret, Diagnostic> {
        let around = Surroundings { env: &self.env, base: self.base.as_deref() };
        let value = source.read(&around).map_err(|why| {
            Diagnostic::error(code, format!("the {noun} {name} cannot be read from {}: {why}", source.place()))
        })?;
        self.redactor.learn(name, &value);
        Ok(value)
    }

    /// A value that is no secret (a user, a certificate): not hidden in outputs.
    fn raw(&self, name: &str, source: &Source) -> Result<Secret, Diagnostic> {
        let around = Surroundings { env: &self.env, base: self.base.as_deref() };
        source.read(&around).map_err(|why| {
            let place = source.place();
            Diagnostic::error(
                "credential-unreadable",
                format!("the credential {name} cannot be read from {place}: {why}"),
            )
        })
    }

    /// True if a description may receive secrets: it is shipped, or the credential pins it.
    pub fn trusts(&self, credential: Option<&str>, api: &ApiOrigin) -> bool {
        api.shipped || credential.and_then(|name| self.credentials.get(name)).is_some_and(|held| held.trusts(api))
    }

    /// Says whether a write is inside the credential's grants. Without grants there is no fence.
    pub fn grants_write(&self, credential: Option<&str>, writing: &Writing<'_>) -> Result<(), Diagnostic> {
        let Some(name) = credential else { return Ok(()) };
        let Some(grants) = &self.credential(name)?.grant else { return Ok(()) };
        if grants.iter().any(|grant| grant.permits(writing)) {
            return Ok(());
        }
        let key: Vec<String> = writing.key.iter().map(|(field, text)| format!("{field}={text}")).collect();
        Err(Diagnostic::error(
            "grant-refused",
            format!(
                "the credential {name} grants project {} of {} no write of {} {}",
                writing.project,
                writing.repository,
                writing.kind,
                key.join(", ")
            ),
        )
        .help(format!("if it should, the operator widens its `grant` in {}", self.place)))
    }

    /// Refuses `own: exclusive` together with grants: it would delete what the grants fence off.
    pub fn grants_exclusive(&self, credential: Option<&str>, target: &TargetName) -> Result<(), Diagnostic> {
        let Some(name) = credential else { return Ok(()) };
        if self.credential(name)?.grant.is_none() {
            return Ok(());
        }
        Err(Diagnostic::error(
            "grant-exclusive",
            format!("{target} is `own: exclusive`, and the credential {name} grants only a part of it"),
        )
        .help("own what is recorded, or use a credential without `grant`"))
    }

    /// The strictest that a project must bear: join it with `Guard::stricter`.
    pub fn ceiling(&self) -> Guard {
        self.ceiling
    }

    /// How much may come from outside.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Says whether the record may be pushed to this URL.
    pub fn allows_record_push(&self, url: &str) -> Result<(), Diagnostic> {
        if self.push.iter().any(|glob| glob_matches(glob, url)) {
            return Ok(());
        }
        Err(Diagnostic::error("record-place-refused", "the record may not be pushed to the URL that the project names")
            .help(format!("name a configured remote, or the operator adds the URL to `record.push` in {}", self.place)))
    }

    /// Says whether the record may be kept in this folder, or below it.
    pub fn allows_record_file(&self, path: &Path) -> Result<(), Diagnostic> {
        let plain =
            path.is_absolute() && path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
        let text = path.to_string_lossy();
        if plain && self.file.iter().any(|allowed| path.starts_with(allowed) || glob_matches(allowed, &text)) {
            return Ok(());
        }
        Err(Diagnostic::error("record-place-refused", format!("the record may not be kept in {text}"))
            .help(format!("the operator adds its absolute path to `record.file` in {}", self.place)))
    }

    /// The key of the record's HMACs, if the operator has one.
    pub fn record_key(&self) -> Result<Option<Secret>, Diagnostic> {
        self.record_key.as_ref().map(|s| self.value("record-key", s, "secret-unreadable", "key")).transpose()
    }
}

impl Operator {
    /// Says whether a secret may go to this target and kind, without reading its value.
    pub fn may_resolve(&self, name: &SecretRef, target: &TargetName, kind: &Kind) -> Result<(), Box<Diagnostic>> {
        self.entry_for(name, target, kind).map(drop)
    }

    fn entry_for(&self, name: &SecretRef, target: &TargetName, kind: &Kind) -> Result<&SecretEntry, Box<Diagnostic>> {
        let Some(entry) = self.secrets.get(&name.name) else {
            return Err(Box::new(
                Diagnostic::error("secret-refused", format!("the operator holds no secret `{}`", name.name)).help(
                    format!(
                        "the operator adds `secrets: {{{}: {{env: VARIABLE}}}}` (or `{{file: PATH}}`) to {}",
                        name.name, self.place
                    ),
                ),
            ));
        };
        let fits = |globs: &Option<Vec<String>>, text: &str| {
            globs.as_ref().is_none_or(|globs| globs.iter().any(|glob| glob_matches(glob, text)))
        };
        if !fits(&entry.targets, target.as_str()) || !fits(&entry.kinds, kind.as_str()) {
            return Err(Box::new(
                Diagnostic::error("secret-refused", format!("the secret {} is not for {target}:{kind}", name.name))
                    .help(format!("if it is, the operator widens its `targets` or `kinds` in {}", self.place)),
            ));
        }
        Ok(entry)
    }
}

impl SecretSource for Operator {
    fn resolve(&self, name: &SecretRef, target: &TargetName, kind: &Kind) -> Result<Secret, Box<Diagnostic>> {
        let entry = self.entry_for(name, target, kind)?;
        self.value(&name.name, &entry.source, "secret-unreadable", "secret").map_err(Box::new)
    }
}

impl SecretSource for NoSecrets {
    fn resolve(&self, name: &SecretRef, target: &TargetName, _: &Kind) -> Result<Secret, Box<Diagnostic>> {
        Err(Box::new(
            Diagnostic::error(
                "secret-refused",
                format!("the secret {} does not go to {target}: its API description is not trusted", name.name),
            )
            .help("secrets go only where a shipped description, or one pinned in the operator's file, calls a field secret"),
        ))
    }
}

#[expect(clippy::disallowed_methods, reason = "a user name or a certificate, read like a secret, is none")]
fn plain(value: &Secret) -> String {
    value.expose().to_owned()
}

#[expect(clippy::disallowed_methods, reason = "the certificate and its key leave as one PEM text")]
fn joined(certificate: &Secret, key: &Secret) -> Secret {
    Secret::new(format!("{}\n{}\n", certificate.expose(), key.expose()))
}

/// Whether somebody besides `me` may read or change a file of this mode and owner.
///
/// Service managers and container platforms hand a secret to an unprivileged process as a file of root's that this
/// process's group, or an access list that the group bits stand for, may read: whom root lets read it is root's word.
fn is_open_to_others(mode: u32, owner: u32, me: u32) -> bool {
    let handed_over = owner == 0 && me != 0;
    mode & if handed_over { 0o037 } else { 0o077 } != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const FILE: &str = r#"
credentials:
  dns:
    hosts: ["http://127.0.0.1:8081"]
    header: {name: X-API-Key, value: {env: KEY}}
    grant: [{repository: "https://forge.example/shop*", project: shop, kinds: [rrset], match: {zone: "shop.example."}}]
  mq:
    hosts: ["https://mq.example"]
    basic: {user: guest, password: {command: [printf, "out-of-a-command"]}}
    api: sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
secrets:
  orders-password: {text: swordfish, targets: ["mq-*"], kinds: [user]}
  gone: {file: /nowhere/at/all}
allow: ["http://10.0.0.1:*"]
record-key: {text: key-of-the-record}
ceiling: {deletes: 20%}
record: {push: ["https://forge.example/*"], file: [/var/lib/ctl]}
"#;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let path = ("PATH", "/usr/bin:/bin");
        pairs.iter().chain([&path]).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn operator() -> Operator {
        Operator::load(&env(&[("CTL_CREDENTIALS_YAML", FILE), ("KEY", "canary-0815")])).unwrap()
    }

    fn access(operator: &Operator, url: &str, credential: Option<&str>, shipped: bool) -> Result<Access, Diagnostic> {
        let digest = Digest::parse(&"b".repeat(64)).unwrap();
        let api = ApiOrigin { shipped, digest };
        operator.access(&"t".parse().unwrap(), &EndpointName::only(), url, credential, &api)
    }

    fn refusal<T: std::fmt::Debug>(result: Result<T, Diagnostic>) -> &'static str {
        let code = result.unwrap_err().code;
        assert!(super::super::REFUSALS.contains(&code) || super::super::UNREADABLE.contains(&code));
        code
    }

    #[test]
    fn a_credential_goes_only_to_its_own_origins() {
        let operator = operator();
        assert!(access(&operator, "http://127.0.0.1:8081/api/v1", Some("dns"), true).is_ok());
        for url in [
            "http://127.0.0.1:8082/",
            "https://127.0.0.1:8081/",
            "http://127.0.0.1:8081.evil.example/",
            "http://127.0.0.1:8081@evil.example/",
            "http://evil.example/#http://127.0.0.1:8081",
            "embedded",
        ] {
            assert_eq!(refusal(access(&operator, url, Some("dns"), true)), "origin-refused", "{url}");
        }
        assert_eq!(refusal(access(&operator, "http://127.0.0.1:8081", Some("other"), true)), "credential-unknown");
    }

    #[test]
    fn without_credentials_only_allowed_origins_are_reached() {
        let operator = operator();
        assert!(access(&operator, "http://10.0.0.1:5/x", None, true).is_ok());
        assert_eq!(refusal(access(&operator, "http://127.0.0.1:1", None, true)), "origin-refused");
        let empty = Operator::empty();
        assert!(access(&empty, "embedded", None, false).is_ok());
        assert!(access(&empty, "http://127.0.0.1:1", None, false).is_ok());
        for url in ["http://169.254.169.254/latest", "http://10.0.0.1/", "file:///etc/passwd"] {
            assert_eq!(refusal(access(&empty, url, None, true)), "origin-refused", "{url}");
        }
    }

    #[test]
    fn a_description_from_the_repository_must_be_pinned() {
        let operator = operator();
        assert_eq!(refusal(access(&operator, "https://mq.example/", Some("mq"), false)), "api-not-pinned");
        let api = ApiOrigin { shipped: false, digest: Digest::parse(&"a".repeat(64)).unwrap() };
        let url = "https://mq.example/";
        let found = operator.access(&"mq".parse().unwrap(), &EndpointName::only(), url, Some("mq"), &api).unwrap();
        let Auth::Basic { user, .. } = found.auth else { panic!("{:?}", found.auth) };
        assert_eq!(user, "guest");
        assert!(operator.trusts(Some("mq"), &api));
        assert!(!operator.trusts(None, &api));
        assert_eq!(operator.redactor().hide("x out-of-a-command"), "x <secret mq>");
    }

    #[test]
    fn a_secret_reaches_only_the_targets_and_kinds_it_is_for() {
        let operator = operator();
        let ask = |name: &str, target: &str, kind: &str| {
            let reference = SecretRef { name: name.to_owned(), version: None };
            operator.resolve(&reference, &target.parse().unwrap(), &Kind::new(kind)).map_err(|d| *d)
        };
        assert!(ask("orders-password", "mq-eu", "user").is_ok());
        assert_eq!(refusal(ask("orders-password", "web", "user")), "secret-refused");
        assert_eq!(refusal(ask("orders-password", "mq-eu", "queue")), "secret-refused");
        assert_eq!(refusal(ask("nobody", "mq-eu", "user")), "secret-refused");
        let error = ask("gone", "mq", "user").unwrap_err();
        assert_eq!(error.code, "secret-unreadable");
        assert!(error.message.contains("gone") && error.message.contains("/nowhere/at/all"), "{}", error.message);
    }

    #[test]
    fn grants_fence_writes_by_key() {
        let operator = operator();
        let (shop, rrset, zone) = ("shop".parse().unwrap(), Kind::new("rrset"), Kind::new("zone"));
        let key = [("zone", "shop.example."), ("name", "www")];
        let writing = Writing { repository: "https://forge.example/shop.git", project: &shop, kind: &rrset, key: &key };
        assert!(operator.grants_write(Some("dns"), &writing).is_ok());
        for refused in [
            Writing { repository: "https://evil.example/shop", ..writing },
            Writing { kind: &zone, ..writing },
            Writing { key: &[("zone", "other.example.")], ..writing },
            Writing { key: &[("name", "shop.example.")], ..writing },
            Writing { project: &"shop2".parse().unwrap(), ..writing },
        ] {
            assert_eq!(refusal(operator.grants_write(Some("dns"), &refused)), "grant-refused");
        }
        assert_eq!(refusal(operator.grants_exclusive(Some("dns"), &"dns".parse().unwrap())), "grant-exclusive");
        assert!(operator.grants_exclusive(Some("mq"), &"mq".parse().unwrap()).is_ok());
    }

    #[test]
    fn the_record_goes_only_where_the_operator_lets_it() {
        let operator = operator();
        assert!(operator.allows_record_push("https://forge.example/x.git").is_ok());
        assert_eq!(refusal(operator.allows_record_push("https://evil.example/x.git")), "record-place-refused");
        assert!(operator.allows_record_file(Path::new("/var/lib/ctl/shop")).is_ok());
        for path in ["/var/lib/ctl/../../../etc", "/etc", "var/lib/ctl", "/var/lib/ctlx"] {
            assert_eq!(refusal(operator.allows_record_file(Path::new(path))), "record-place-refused", "{path}");
        }
        assert_eq!(operator.ceiling(), Guard { deletes: 20, updates: None });
    }

    #[test]
    fn the_operator_raises_each_limit_by_its_word() {
        let limits = |text: &str| Operator::load(&env(&[("CTL_CREDENTIALS_YAML", text)])).unwrap().limits().clone();
        let usual = Limits::default();
        assert_eq!(limits("allow: []"), usual);
        for (text, file) in [("8MiB", 8 << 20), ("5000000", 5_000_000), ("'1 GiB'", 1 << 30), ("512KiB", 512 << 10)] {
            assert_eq!(limits(&format!("limits: {{file: {text}}}")), Limits { file, ..usual.clone() }, "{text}");
        }
        let words: Vec<String> = Limits::WORDS.iter().enumerate().map(|(i, w)| format!("{w}: {}", i + 1)).collect();
        let expected = Limits {
            file: 1,
            files: 2,
            project: 3,
            documents: 4,
            nodes: 5,
            page: 6,
            object: 7,
            objects: 8,
            list: 9,
            pages: 10,
            header: 11,
            ..usual
        };
        assert_eq!(limits(&format!("limits: {{{}}}", words.join(", "))), expected);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ctl/credentials.yaml");
        std::fs::create_dir(folder.path().join("ctl")).unwrap();
        let home = folder.path().to_str().unwrap().to_owned();
        let env = env(&[("XDG_CONFIG_HOME", home.as_str())]);
        assert!(Operator::load(&env).is_ok(), "no default file is an empty operator");
        std::fs::write(&path, FILE).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        assert_eq!(refusal(Operator::load(&env)), "operator-file");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        assert!(Operator::load(&env).is_ok());
    }

    #[test]
    fn a_group_may_read_what_root_hands_over_and_nothing_else() {
        let open = |mode, owner, me| is_open_to_others(mode, owner, me);
        assert!(!open(0o100_400, 1000, 1000) && !open(0o100_600, 0, 0) && !open(0o100_600, 0, 1000));
        assert!(open(0o100_440, 1000, 1000) && open(0o100_640, 0, 0), "its owner can close it");
        assert!(!open(0o100_440, 0, 1000) && !open(0o100_640, 0, 1000));
        for mode in [0o100_444, 0o100_460, 0o100_604, 0o100_641, 0o100_620] {
            assert!(open(mode, 0, 1000), "{mode:o}");
        }
        assert!(open(0o100_440, 7, 1000), "another user is not root");
    }

    #[test]
    fn a_mistake_in_the_file_is_named_and_no_value_is_shown() {
        for (text, words) in [
            ("credentials: {a: {hosts: [\"http://x\"], basic: canary-0815}}", "invalid type: string"),
            ("credentials: {a: {hosts: [\"http://x\"], bearer: 8150815}}", "a text in quotes"),
            ("credentials: {a: {hosts: [\"http://u:canary-0815@x\"]}}", "a user or a password"),
            ("credentials: {a: {hosts: [\"http://x/path\"]}}", "more than scheme"),
            ("credentials: {a: {hosts: [\"http://x\"], heder: 1}}", "unknown field `heder`"),
            ("credentials: {a: {hosts: [\"http://x\"]}, a: {hosts: [\"http://y\"]}}", "twice"),
            ("secrets: {a: {env: A, text: canary-0815}}", "exactly one of"),
            ("ceiling: {deletes: 130%}", "0% to 100%"),
            ("limits: {fil: 8MiB}", "unknown field `fil`, expected one of `file`, `files`, `project`"),
            ("limits: {file: 8MB}", "such as `512KiB`"),
            ("limits: {file: 0}", "from 1 on"),
            ("limits: {nodes: -1}", "from 1 on"),
            ("limits: {file: 99999999999GiB}", "such as `512KiB`"),
        ] {
            let error = Operator::load(&env(&[("CTL_CREDENTIALS_YAML", text)])).unwrap_err();
            assert_eq!(error.code, "operator-file");
            assert!(error.message.contains(words), "{text}: {}", error.message);
            assert!(!error.message.contains("0815"), "{}", error.message);
        }
    }

    #[test]
    fn what_is_at_hand_is_hidden_from_the_first_line_on() {
        let redactor = operator().redactor();
        assert_eq!(redactor.hide("canary-0815 swordfish"), "<secret dns> <secret orders-password>");
        assert!(!format!("{:?}", operator()).contains("canary-0815"));
    }
}
