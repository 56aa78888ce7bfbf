//! The operator's file as it is written.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::source::Source;
use crate::model::{Diagnostic, Digest, Limits, Secret};

/// The operator's file as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct OperatorFile {
    #[serde(default, deserialize_with = "unique")]
    pub(super) credentials: BTreeMap<String, CredentialEntry>,
    #[serde(default, deserialize_with = "unique")]
    pub(super) secrets: BTreeMap<String, SecretEntry>,
    pub(super) allow: Option<Vec<String>>,
    #[serde(rename = "record-key")]
    pub(super) record_key: Option<Source>,
    #[serde(default)]
    pub(super) ceiling: CeilingEntry,
    #[serde(default)]
    pub(super) record: RecordEntry,
    #[serde(default)]
    pub(super) limits: LimitsEntry,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CredentialEntry {
    pub(super) hosts: Vec<String>,
    pub(super) header: Option<HeaderEntry>,
    pub(super) basic: Option<BasicEntry>,
    pub(super) bearer: Option<Source>,
    pub(super) login: Option<BTreeMap<String, Source>>,
    #[serde(rename = "client-certificate")]
    pub(super) client_certificate: Option<CertificateEntry>,
    pub(super) ca: Option<Source>,
    #[serde(default)]
    pub(super) api: ApiEntry,
    pub(super) grant: Option<Vec<GrantEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeaderEntry {
    pub(super) name: String,
    pub(super) value: Source,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BasicEntry {
    pub(super) user: Source,
    pub(super) password: Source,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CertificateEntry {
    pub(super) certificate: Source,
    pub(super) key: Source,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantEntry {
    pub(super) repository: Option<String>,
    pub(super) project: Option<String>,
    pub(super) kinds: Option<Vec<String>>,
    #[serde(rename = "match", default)]
    pub(super) fields: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct CeilingEntry {
    pub(super) deletes: Option<Percent>,
    pub(super) updates: Option<Percent>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordEntry {
    #[serde(default)]
    pub(super) push: Vec<String>,
    #[serde(default)]
    pub(super) file: Vec<String>,
}

/// How much may come from outside. Its fields are [`Limits::WORDS`].
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsEntry {
    file: Option<Amount>,
    files: Option<Amount>,
    project: Option<Amount>,
    documents: Option<Amount>,
    nodes: Option<Amount>,
    page: Option<Amount>,
    object: Option<Amount>,
    objects: Option<Amount>,
    list: Option<Amount>,
    pages: Option<Amount>,
    header: Option<Amount>,
}

impl LimitsEntry {
    /// The limits as they are without a word, with those that have one here.
    pub(super) fn limits(&self) -> Limits {
        let usual = Limits::default();
        let or = |said: &Option<Amount>, usual: usize| {
            said.as_ref().map_or(usual, |amount| usize::try_from(amount.0).unwrap_or(usize::MAX))
        };
        Limits {
            file: self.file.as_ref().map_or(usual.file, |amount| amount.0),
            files: or(&self.files, usual.files),
            project: or(&self.project, usual.project),
            documents: or(&self.documents, usual.documents),
            nodes: or(&self.nodes, usual.nodes),
            page: or(&self.page, usual.page),
            object: or(&self.object, usual.object),
            objects: or(&self.objects, usual.objects),
            list: or(&self.list, usual.list),
            pages: or(&self.pages, usual.pages),
            header: or(&self.header, usual.header),
            ..usual
        }
    }
}

/// A number from 1 on, or a size: `8388608`, `8MiB`.
struct Amount(u64);

/// A source, with the fences of a secret.
pub(super) struct SecretEntry {
    pub(super) source: Source,
    pub(super) targets: Option<Vec<String>>,
    pub(super) kinds: Option<Vec<String>>,
}

/// The descriptions that a credential works with besides those in this program.
#[derive(Default)]
pub(super) struct ApiEntry(pub(super) Vec<Digest>);

/// 0 to 100, written `30%` or `30`.
pub(super) struct Percent(pub(super) u8);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSecret {
    env: Option<String>,
    file: Option<String>,
    command: Option<Vec<String>>,
    text: Option<String>,
    targets: Option<Vec<String>>,
    kinds: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSource {
    env: Option<String>,
    file: Option<String>,
    command: Option<Vec<String>>,
    text: Option<String>,
}

impl RawSource {
    fn one<E: de::Error>(self) -> Result<Source, E> {
        match (self.env, self.file, self.command, self.text) {
            (Some(name), None, None, None) => Ok(Source::Env(name)),
            (None, Some(path), None, None) => Ok(Source::File(path)),
            (None, None, Some(words), None) if !words.is_empty() => Ok(Source::Command(words)),
            (None, None, Some(_), None) => Err(E::custom("`command` needs a program")),
            (None, None, None, Some(text)) => Ok(Source::Text(Secret::new(text))),
            _ => Err(E::custom("a value needs exactly one of `env`, `file`, `command`, `text`")),
        }
    }
}

struct SourceVisitor;

impl<'de> Visitor<'de> for SourceVisitor {
    type Value = SecretEntry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text in quotes, or one of {env: …}, {file: …}, {command: […]}, {text: …}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<SecretEntry, E> {
        Ok(SecretEntry { source: Source::Text(Secret::new(text)), targets: None, kinds: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SecretEntry, A::Error> {
        let raw = RawSecret::deserialize(de::value::MapAccessDeserializer::new(map))?;
        let source = RawSource { env: raw.env, file: raw.file, command: raw.command, text: raw.text }.one()?;
        Ok(SecretEntry { source, targets: raw.targets, kinds: raw.kinds })
    }
}

impl<'de> Deserialize<'de> for SecretEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SourceVisitor)
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entry = deserializer.deserialize_any(SourceVisitor)?;
        match (entry.targets, entry.kinds) {
            (None, None) => Ok(entry.source),
            _ => Err(de::Error::custom("`targets` and `kinds` belong to `secrets`, not here")),
        }
    }
}

impl<'de> Deserialize<'de> for ApiEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum OneOrMany {
            One(String),
            Many(Vec<String>),
        }
        let words = match OneOrMany::deserialize(deserializer)? {
            OneOrMany::One(word) => vec![word],
            OneOrMany::Many(words) => words,
        };
        let digest = |word: &String| {
            word.starts_with("sha256:")
                .then(|| Digest::parse(word))
                .flatten()
                .ok_or_else(|| de::Error::custom("`api` is `shipped` or `sha256:` with 64 hexadecimal digits"))
        };
        words.iter().filter(|word| *word != "shipped").map(digest).collect::<Result<_, _>>().map(Self)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Spelling {
            Number(u8),
            Text(String),
        }
        let number = match Spelling::deserialize(deserializer)? {
            Spelling::Number(number) => Some(number),
            Spelling::Text(text) => text.strip_suffix('%').unwrap_or(&text).parse().ok(),
        };
        number.filter(|n| *n <= 100).map(Self).ok_or_else(|| de::Error::custom("a share is 0% to 100%"))
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Spelling {
            Number(u64),
            Text(String),
        }
        let number = match Spelling::deserialize(deserializer) {
            Ok(Spelling::Number(number)) => Some(number),
            Ok(Spelling::Text(text)) => {
                let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
                let sized = units.iter().find_map(|(unit, bits)| Some((text.strip_suffix(unit)?, 1_u64 << bits)));
                let (digits, unit) = sized.unwrap_or((&text, 1));
                digits.trim_end().parse::<u64>().ok().and_then(|n| n.checked_mul(unit))
            }
            Err(_) => None,
        };
        let wrong = "a limit is a number from 1 on, or a size such as `512KiB`, `8MiB`, `1GiB`";
        number.filter(|n| *n > 0).map(Self).ok_or_else(|| de::Error::custom(wrong))
    }
}

/// A mapping in which no name stands twice: the second of two would silently win.
fn unique<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<BTreeMap<String, T>, D::Error> {
    struct Unique<T>(std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Unique<T> {
        type Value = BTreeMap<String, T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a mapping of names")
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut out = BTreeMap::new();
            while let Some(name) = map.next_key::<String>()? {
                if out.contains_key(&name) {
                    return Err(de::Error::custom(format!("`{name}` stands here twice")));
                }
                out.insert(name, map.next_value()?);
            }
            Ok(out)
        }
    }
    deserializer.deserialize_any(Unique(std::marker::PhantomData))
}

/// Reads the text of an operator's file. `place` is its path, or how it came.
pub(super) fn read(text: &str, place: &str) -> Result<OperatorFile, Diagnostic> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(OperatorFile::default());
    }
    serde_yaml::from_str(text).map_err(|error| {
        let at = error.location().map(|l| format!(":{}:{}", l.line(), l.column())).unwrap_or_default();
        Diagnostic::error(
            "operator-file",
            format!("the operator's file {place}{at} cannot be read: {}", without_values(&error.to_string())),
        )
        .help("its shape is described by `ctl explain operator-file`")
    })
}

/// The parser's message without the values that it quotes: what stands at a wrong place may be a password. `{TOKEN}` is
/// a mapping with the field TOKEN, so that even a field is shown only if it reads like one.
fn without_values(message: &str) -> String {
    let message = message.split(" at line ").next().unwrap_or_default();
    if let Some((before, rest)) = message.split_once("unknown field `")
        && let Some((name, after)) = rest.rsplit_once("`, expected ")
    {
        let (name, after) = rest.split_once("`, expected ").unwrap_or((name, after));
        let word = name.len() <= 20 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        let shown = if word { format!(" `{name}`") } else { String::new() };
        return format!("{before}unknown field{shown}, expected {after}");
    }
    // The parser calls a mapping by the name that it has in the code.
    let message = match message.split_once(", expected struct ") {
        Some((before, _)) => &format!("{before}, expected a mapping"),
        None => message,
    };
    let Some(at) = message.find("invalid type: ").or_else(|| message.find("invalid value: ")) else {
        return message.to_owned();
    };
    let (before, rest) = message.split_at(at);
    match (rest.find(['"', '`']), rest.rfind(", expected ")) {
        (Some(open), Some(expected)) if open < expected => {
            format!("{before}{}{}", rest[..open].trim_end(), &rest[expected..])
        }
        _ => message.to_owned(),
    }
}
