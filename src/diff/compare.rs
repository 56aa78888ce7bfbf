//! What differs between what is wanted and what is there, and who moved.

use std::collections::BTreeMap;

use super::effective;
use crate::model::{
    Canonical, Digest, FieldPath, FieldRule, KindRules, RecordEntry, SecretMode, SecretRef, Unordered, UpdateMode,
    Value,
};

/// What differs between what is wanted and what is there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Comparison {
    /// The fields that differ, sorted by path; a removal has no `after`.
    pub fields: Vec<FieldChange>,
    /// Fields that are there and have to go, sorted: sent once and no longer stated, or strange to an exact mapping.
    pub remove: Vec<FieldPath>,
    /// Fields that the server rewrote as it did before: reported, never fought over.
    pub normalised: Vec<Normalised>,
}

impl Comparison {
    /// True if nothing has to be written.
    pub fn is_equal(&self) -> bool {
        self.fields.is_empty()
    }
}

/// One field that differs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldChange {
    /// Which.
    pub path: FieldPath,
    /// What is there; `None` if nothing is, or it cannot be read.
    pub before: Option<Canonical>,
    /// What is wanted; `None` for a removal. Secrets are references.
    pub after: Option<Canonical>,
    /// Who moved.
    pub cause: Cause,
    /// True if the values must not be shown.
    pub secret: bool,
    /// True if it changes only by delete and create.
    pub forces_replace: bool,
}

/// Who moved, as far as the record can tell.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Cause {
    /// What is wanted is not what was sent; what is there is.
    Intended,
    /// What is there is not what was sent; what is wanted is.
    Drift,
    /// Neither is what was sent.
    Both,
    /// There is no record.
    Unknown,
}

/// A field that the server turned into something else when it was written, and that still is so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Normalised {
    /// Which.
    pub path: FieldPath,
    /// What was sent; `None` for a member that the server added to an exact mapping.
    pub sent: Option<Canonical>,
    /// What the server made of it.
    pub made: Option<Canonical>,
}

/// Compares what is wanted with what is there, and asks the record who moved.
pub fn compare(desired: &Value, observed: &Value, recorded: Option<&RecordEntry>, rules: &KindRules) -> Comparison {
    let (want, live) = (effective(desired, rules), effective(observed, rules));
    let sent = recorded.map(|entry| entry.sent.value());
    let mut walk = Walk {
        rules,
        sent: sent.as_ref().map(|s| effective(s, rules)),
        rewritten: recorded.map(|entry| &entry.rewritten),
        found: Comparison::default(),
    };
    walk.visit(&FieldPath::root(), &want, Some(&live));
    if let Some(sent) = &sent {
        walk.removed(&FieldPath::root(), sent, &want, Some(&live));
    }
    let mut found = walk.found;
    found.fields.sort_by(|a, b| a.path.cmp(&b.path));
    found.fields.dedup_by(|a, b| a.path == b.path);
    found.remove = found.fields.iter().filter(|f| f.after.is_none()).map(|f| f.path.clone()).collect();
    found
}

/// What the server made of `sent` when it was read back, where that differs: for [`RecordEntry::rewritten`].
pub fn rewritten(sent: &Value, readback: &Value, rules: &KindRules) -> BTreeMap<FieldPath, Option<Canonical>> {
    let found = compare(sent, readback, None, rules);
    found.fields.into_iter().filter(|f| !f.secret).map(|f| (f.path, f.before)).collect()
}

/// The fields that differ and whose values are not shown, each with the digest of what is there.
pub fn unshown(sent: &Value, readback: &Value, rules: &KindRules) -> BTreeMap<FieldPath, Option<Digest>> {
    let found = compare(sent, readback, None, rules);
    let there = |path: FieldPath| {
        let digest = readback.get(&path).map(|value| value.canonical().digest());
        (path, digest)
    };
    found.fields.into_iter().filter(|f| f.secret).map(|f| there(f.path)).collect()
}

struct Walk<'a> {
    rules: &'a KindRules,
    /// What was sent, defaults filled in.
    sent: Option<Value>,
    rewritten: Option<&'a BTreeMap<FieldPath, Option<Canonical>>>,
    found: Comparison,
}

impl Walk<'_> {
    fn visit(&mut self, path: &FieldPath, want: &Value, have: Option<&Value>) {
        if self.rules.is_passed_over(path) {
            return;
        }
        let rule = self.rules.field(path);
        match rule.and_then(|r| r.secret.as_ref()) {
            None => {}
            Some(SecretMode::Readable) if !want.holds_secret() => {}
            Some(_) => return self.secret(path, want),
        }
        match (want, have) {
            (Value::Secret(_), _) => self.secret(path, want),
            (Value::Object(members), Some(Value::Object(live))) => {
                for (name, member) in members {
                    self.visit(&path.join(name), member, live.get(name));
                }
                if self.is_exact(path, rule) {
                    for (name, extra) in live.iter().filter(|(name, _)| !members.contains_key(*name)) {
                        let path = path.join(name);
                        if !self.is_left_out(&path) {
                            self.differs(path, None, Some(extra));
                        }
                    }
                }
            }
            (Value::Array(items), Some(Value::Array(live))) => self.list(path, rule, items, live, want, have),
            (Value::Null, None) => {}
            (_, Some(live)) if scalar_normal(rule, want) == scalar_normal(rule, live) => {}
            _ => self.differs(path.clone(), Some(want), have),
        }
    }

    fn list(
        &mut self,
        path: &FieldPath,
        rule: Option<&FieldRule>,
        items: &[Value],
        live: &[Value],
        want: &Value,
        have: Option<&Value>,
    ) {
        let before = self.found.fields.len();
        let equal = match rule.and_then(|r| r.unordered.as_ref()) {
            Some(Unordered::ByValue) => self.pair_by_value(path, items, live),
            Some(Unordered::ByKey(key)) => self.pair_by_key(path, key, items, live),
            None if items.len() != live.len() => false,
            None if items.iter().any(|i| matches!(i, Value::Object(_) | Value::Array(_))) => {
                for (i, (item, live)) in items.iter().zip(live).enumerate() {
                    self.visit(&path.join(i.to_string()), item, Some(live));
                }
                true
            }
            None => (0..items.len()).all(|i| self.fits(&path.join(i.to_string()), &items[i], &live[i])),
        };
        if !equal {
            return self.differs(path.clone(), Some(want), have);
        }
        if self.found.fields.len() > before {
            return;
        }
        // Elements are subsets of what is there, so a member that went from an element shows only beside what was sent.
        let stale = self.sent.as_ref().and_then(|s| s.get(path)).is_some_and(|sent| {
            let dropped = !self.fits(path, sent, want) && have.is_some_and(|live| self.fits(path, sent, live));
            dropped || secrets_of(sent) != secrets_of(want)
        });
        if stale {
            self.differs(path.clone(), Some(want), have);
        }
    }

    /// True if each wanted element can have a live one of its own, and none is left over.
    fn pair_by_value(&self, path: &FieldPath, items: &[Value], live: &[Value]) -> bool {
        if items.len() != live.len() {
            return false;
        }
        let fits: Vec<Vec<usize>> = items
            .iter()
            .enumerate()
            .map(|(i, item)| {
                let path = path.join(i.to_string());
                (0..live.len()).filter(|j| self.fits(&path, item, &live[*j])).collect()
            })
            .collect();
        let mut taken: Vec<Option<usize>> = vec![None; live.len()];
        (0..items.len()).all(|i| assign(i, &fits, &mut taken))
    }

    fn pair_by_key(&self, path: &FieldPath, key: &FieldPath, items: &[Value], live: &[Value]) -> bool {
        if items.len() != live.len() {
            return false;
        }
        let mut by_key: BTreeMap<Canonical, Vec<&Value>> = BTreeMap::new();
        for element in live {
            by_key.entry(self.element_key(path, key, element)).or_default().push(element);
        }
        items.iter().enumerate().all(|(i, item)| {
            let candidates = by_key.get_mut(&self.element_key(path, key, item));
            candidates.and_then(Vec::pop).is_some_and(|live| self.fits(&path.join(i.to_string()), item, live))
        })
    }

    fn element_key(&self, path: &FieldPath, key: &FieldPath, element: &Value) -> Canonical {
        let at = key.segments().iter().fold(path.join("0"), |at, step| at.join(step));
        let value = element.get(key).unwrap_or(&Value::Null);
        scalar_normal(self.rules.field(&at), value).canonical()
    }

    /// True if `have` is all that `want` states; secrets are not looked at.
    fn fits(&self, path: &FieldPath, want: &Value, have: &Value) -> bool {
        let mut walk = Walk { rules: self.rules, sent: None, rewritten: None, found: Comparison::default() };
        walk.visit(path, want, Some(have));
        walk.found.fields.is_empty()
    }

    /// A secret cannot be compared with what is there; another reference than the one that was sent can be seen.
    fn secret(&mut self, path: &FieldPath, want: &Value) {
        let Some(sent) = &self.sent else { return };
        let before = sent.get(path);
        let moved = match (before, want) {
            (Some(before), want) => before != want,
            (None, want) => want.holds_secret(),
        };
        if moved {
            let change = FieldChange {
                path: path.clone(),
                before: before.filter(|b| b.holds_secret()).map(Value::canonical),
                after: Some(want.canonical()),
                cause: Cause::Intended,
                secret: true,
                forces_replace: self.forces_replace(path),
            };
            self.found.fields.push(change);
        }
    }

    fn differs(&mut self, path: FieldPath, want: Option<&Value>, have: Option<&Value>) {
        let cause = self.cause(&path, want, have);
        let made = have.map(Value::canonical);
        if cause == Cause::Drift && self.rewritten.and_then(|r| r.get(&path)).is_some_and(|known| *known == made) {
            self.found.normalised.push(Normalised { path, sent: want.map(Value::canonical), made });
            return;
        }
        let secret = self.rules.hides(&path) || want.is_some_and(Value::holds_secret);
        self.found.fields.push(FieldChange {
            before: if secret { None } else { made },
            after: want.map(Value::canonical),
            cause,
            secret,
            forces_replace: self.forces_replace(&path),
            path,
        });
    }

    fn cause(&self, path: &FieldPath, want: Option<&Value>, have: Option<&Value>) -> Cause {
        let Some(sent) = &self.sent else { return Cause::Unknown };
        let sent = sent.get(path);
        let git_moved = match (sent, want) {
            (None, None) => false,
            (Some(a), Some(b)) => {
                a != b && (!self.fits(path, a, b) || !self.fits(path, b, a) || secrets_of(a) != secrets_of(b))
            }
            _ => true,
        };
        let live_moved = match (sent, have) {
            (None, None) => false,
            (Some(sent), Some(live)) => !self.fits(path, sent, live),
            _ => true,
        };
        match (git_moved, live_moved) {
            (true, true) => Cause::Both,
            (true, false) => Cause::Intended,
            (false, _) => Cause::Drift,
        }
    }

    /// Finds what was sent, is no longer stated, and still is there.
    fn removed(&mut self, path: &FieldPath, sent: &Value, want: &Value, have: Option<&Value>) {
        let (Value::Object(sent), Value::Object(want), Some(Value::Object(have))) = (sent, want, have) else { return };
        for (name, value) in sent {
            let path = path.join(name);
            if self.rules.is_passed_over(&path) || value.holds_secret() || self.rules.is_secret(&path) {
                continue;
            }
            match want.get(name) {
                Some(want) => self.removed(&path, value, want, have.get(name)),
                None => self.gone(&path, value, have.get(name)),
            }
        }
    }

    fn gone(&mut self, path: &FieldPath, sent: &Value, have: Option<&Value>) {
        match (sent, have) {
            (_, None | Some(Value::Null)) => {}
            (Value::Object(members), Some(Value::Object(live)))
                if live.keys().any(|name| !members.contains_key(name)) =>
            {
                // The server (or somebody else) put more into it: only what we sent goes.
                for (name, member) in members {
                    let path = path.join(name);
                    if !member.holds_secret() && !self.rules.is_passed_over(&path) && !self.rules.is_secret(&path) {
                        self.gone(&path, member, live.get(name));
                    }
                }
            }
            (_, Some(live)) => {
                if !self.found.fields.iter().any(|f| &f.path == path) {
                    self.differs(path.clone(), None, Some(live));
                }
            }
        }
    }

    fn is_exact(&self, path: &FieldPath, rule: Option<&FieldRule>) -> bool {
        rule.is_some_and(|r| r.exact) || (path.is_root() && self.rules.exact.is_some())
    }

    /// True for a member that an exact mapping may have although nobody stated it.
    fn is_left_out(&self, path: &FieldPath) -> bool {
        self.rules.is_passed_over(path)
            || self.rules.is_secret(path)
            || self.rules.exact.as_ref().is_some_and(|e| e.except.iter().any(|x| x.matches(path)))
            || self.rules.key.iter().any(|k| path.contains(&k.path))
            || self.rules.owner.as_ref().is_some_and(|o| path.contains(&o.at))
    }

    fn forces_replace(&self, path: &FieldPath) -> bool {
        self.rules.update != UpdateMode::InPlace || self.rules.is_immutable(path)
    }
}

/// Finds an element for `start` along an alternating path: the textbook matching, without recursion.
fn assign(start: usize, fits: &[Vec<usize>], taken: &mut [Option<usize>]) -> bool {
    let mut reached_by: BTreeMap<usize, usize> = BTreeMap::new();
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(item) = queue.pop_front() {
        for &slot in &fits[item] {
            if reached_by.contains_key(&slot) {
                continue;
            }
            reached_by.insert(slot, item);
            match taken[slot] {
                Some(other) => queue.push_back(other),
                None => {
                    let mut slot = slot;
                    loop {
                        let item = reached_by[&slot];
                        let given_up = taken.iter().position(|t| *t == Some(item));
                        taken[slot] = Some(item);
                        match given_up {
                            Some(previous) if item != start => slot = previous,
                            _ => return true,
                        }
                    }
                }
            }
        }
    }
    false
}

fn secrets_of(value: &Value) -> Vec<&SecretRef> {
    fn collect<'a>(value: &'a Value, out: &mut Vec<&'a SecretRef>) {
        match value {
            Value::Secret(reference) => out.push(reference),
            Value::Array(items) => items.iter().for_each(|v| collect(v, out)),
            Value::Object(map) => map.values().for_each(|v| collect(v, out)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut out = Vec::new();
    collect(value, &mut out);
    out.sort();
    out
}

/// The one spelling of a scalar under its rule.
pub(super) fn scalar_normal(rule: Option<&FieldRule>, value: &Value) -> Value {
    let Some(rule) = rule else { return value.clone() };
    let mut value = match value {
        Value::String(word) => rule.values.get(word).map_or_else(|| value.clone(), |w| Value::from(w.as_str())),
        other => other.clone(),
    };
    if let Some(form) = rule.form {
        value = form.normal(&value);
    }
    if rule.loose {
        value = match value {
            Value::Number(n) => Value::from(n.as_str()),
            Value::String(text) => crate::model::Number::parse(&text)
                .map_or_else(|| Value::from(text.as_str()), |n| Value::from(n.as_str())),
            other => other,
        };
    }
    value
}
