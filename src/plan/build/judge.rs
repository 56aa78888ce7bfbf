//! The fate of each resource by itself: what is declared, and what is recorded and no longer declared.

use super::{Builder, CANNOT, Declared, EVENTUAL, Fate, UNREADABLE};
use crate::diff::Comparison;
use crate::model::{Diagnostic, KindRules, Mark, Observed, OnRemove, Own, OwnRule, Owned, RecordEntry};
use crate::plan::site::{Beside, Which, value_of};

impl<'b> Builder<'b, '_> {
    /// True if it bears the mark of another project. That counts with `marks: off` as well: the repository says that word,
    /// and it may say what we put on our own, not whose the others are.
    fn is_foreign(&self, observed: &Observed) -> bool {
        observed.mark.as_ref().is_some_and(|m| m != self.mark)
    }

    /// True if nobody can tell what the object is: the server shows something that is JSON to the eye and no value. What
    /// is not understood is unknown, so that nothing happens to it.
    fn is_unreadable(&mut self, which: &Which, observed: &Observed) -> bool {
        let Err(error) = observed.value() else { return false };
        let message = format!("{}: what the server shows of it is no value: {error}", self.id(which));
        let help = "nothing happens to it in this run; the server has to say something else";
        self.tell(Diagnostic::warning(UNREADABLE, message).help(help));
        self.plan.unknown += 1;
        true
    }

    pub(super) fn judge(&mut self, one: &Declared<'_>, found: Comparison) -> Option<Fate> {
        let (which, desired, observed, entry) = (&one.which, one.desired, one.observed, one.recorded());
        let id = &desired.id;
        let Some(rules) = self.site.rules(&which.0) else {
            self.tell(Diagnostic::error("unknown-kind", format!("{id}: the description has no kind `{}`", which.0)));
            return None;
        };
        if self.site.unknown(which).is_some() {
            self.plan.unknown += 1;
            return None;
        }
        if self.site.ignored.contains(which) {
            let message = format!("{id} is declared, and the API description says that it is never touched");
            self.refuse("ignored", which, message, "remove its manifest");
            return None;
        }
        let Some(observed) = observed else {
            if !rules.can_create {
                let message = format!("{id} is not there, and the API cannot create one");
                let help = "make it by the API's own means, or remove its manifest; if it comes with what it is in, or a write \
                            makes it, say `create:` in the description as `update:` says it";
                self.refuse("create", which, message, help);
            }
            return Some(Fate::Create);
        };
        if self.is_foreign(observed) {
            let owner = observed.mark.as_ref().map(Mark::as_str).unwrap_or_default();
            let message = format!("{id} carries the mark of another project: `{owner}`");
            self.refuse("foreign", which, message, "remove it from one of the two projects, or `release` it there");
            return None;
        }
        if !found.is_equal() && self.is_unreadable(which, observed) {
            return None;
        }
        for normalised in &found.normalised {
            let made = normalised.made.as_ref().map_or("nothing".to_owned(), |v| brief(v.as_str()));
            let sent = normalised.sent.as_ref().map_or("nothing".to_owned(), |v| brief(v.as_str()));
            let hidden = || ("<secret>".to_owned(), "<secret>".to_owned());
            let (made, sent) = if rules.hides(&normalised.path) { hidden() } else { (made, sent) };
            let message = format!("{id}: the server turns {} from {sent} into {made}", normalised.path);
            let help =
                "state what the server makes of it, or add a `form`, `values` or `unordered` to the API description";
            self.plan.diagnostics.push(Diagnostic::note("normalised", message).help(help));
        }
        let replaces = found.fields.iter().any(|f| f.forces_replace);
        Some(match (entry, found.is_equal()) {
            // What ctl keeps about it moved: the record has to learn it, or it would guard by yesterday's word.
            (Some(entry), true)
                if entry.protect != desired.meta.protect || entry.on_remove != desired.meta.on_remove =>
            {
                Fate::Adopt
            }
            (Some(_), true) => Fate::Unchanged,
            (None, true) => Fate::Adopt,
            (None, false) if replaces && self.target.own == Own::Recorded => {
                let message = format!("{id} is adopted as it is: it differs in what only a replace can change");
                self.tell(
                    Diagnostic::warning("adopted-different", message)
                        .help("the plan after this one will want to replace it"),
                );
                Fate::Adopt
            }
            (_, false) if replaces => Fate::Replace { found },
            (entry, false) => Fate::Update { found, adopt: entry.is_none() },
        })
    }

    /// `previously`: no description can say yet how to rename, so that it is a delete and a create, and says so.
    pub(super) fn name_anew(&mut self, declared: &[Declared<'b>]) {
        for Declared { which, desired, .. } in declared {
            if desired.meta.previously.is_empty() || !matches!(self.fates.get(which), Some(Fate::Create)) {
                continue;
            }
            let old = self.site.record.entries.keys().find(|old| {
                old.0 == which.0
                    && desired.meta.previously.contains(&format!("{}/{}", old.0, old.1))
                    && !self.site.desired.contains_key(*old)
                    && self.site.live.contains_key(*old)
                    && self.is_selected(old)
                    && !self.renames.values().any(|taken| taken == *old)
            });
            if let Some(old) = old.cloned() {
                let message =
                    format!("{} was {}/{}: the API cannot rename, so it is made anew", self.id(which), old.0, old.1);
                self.tell(Diagnostic::note("renamed", message));
                self.renames.insert(which.clone(), old);
            }
        }
    }

    pub(super) fn judge_undeclared(&mut self) {
        let record = self.site.record;
        let mut declared = Beside::new(&self.site.desired);
        let undeclared: Vec<Which> = record.entries.keys().filter(|w| declared.find(w).is_none()).cloned().collect();
        for which in undeclared {
            if self.is_selected(&which) {
                self.judge_recorded(&which, &record.entries[&which]);
            }
        }
        if self.target.own == Own::Exclusive {
            let strange: Vec<Which> = self
                .site
                .live
                .keys()
                .filter(|w| !self.site.desired.contains_key(*w) && !self.site.record.entries.contains_key(*w))
                .filter(|w| self.is_selected(w))
                .cloned()
                .collect();
            for which in strange {
                let observed = self.site.live[&which];
                let Some(rules) = self.site.rules(&which.0) else { continue };
                if self.is_unreadable(&which, observed) {
                    continue;
                }
                if !rules.keeps(&value_of(observed))
                    && rules.can_delete
                    && (!rules.eventual || self.endpoint.twice.contains(&which))
                {
                    self.claim(&which, observed, None);
                }
            }
        }
    }

    fn judge_recorded(&mut self, which: &Which, entry: &RecordEntry) {
        let id = self.id(which);
        let Some(rules) = self.site.rules(&which.0) else {
            self.plan.unknown += 1;
            let message = format!("{id} is recorded, and the description has no kind `{}` any more", which.0);
            let help = "put the kind back to manage it; `ctl release` forgets it and leaves it there";
            return self.tell(Diagnostic::warning("unknown-kind", message).help(help));
        };
        if self.site.unknown(which).is_some() {
            self.plan.unknown += 1;
            return;
        }
        let forget = |s: &mut Self, why| _ = s.forgets.insert(which.clone(), why);
        if self.site.ignored.contains(which) {
            return forget(self, "the description says that it is never touched");
        }
        let Some(observed) = self.site.live.get(which).copied() else {
            if rules.eventual && !self.endpoint.missed.contains(which) {
                let message =
                    format!("{id} stays in the record: the API's lists lag behind, so that one without it is no proof");
                let help = "`ctl watch` forgets it once lists of two of its cycles agree, `ctl release` at once";
                return self.tell(Diagnostic::note(EVENTUAL, message).help(help));
            }
            return self.miss(which, entry, rules);
        };
        if self.site.entry_for(which, observed).is_none() && self.target.own == Own::Recorded {
            return forget(self, "it was made anew by somebody else");
        }
        if entry.on_remove == OnRemove::Keep {
            return forget(self, "its manifest said on-remove: keep");
        }
        if self.is_unreadable(which, observed) {
            return;
        }
        if rules.keeps(&value_of(observed)) {
            return forget(self, "the description says that it stays");
        }
        if !rules.can_delete {
            return forget(self, CANNOT);
        }
        if rules.eventual && !self.endpoint.twice.contains(which) {
            let message =
                format!("{id} is not deleted: the API's lists lag behind, so that one list is no reason to delete");
            let help = "`ctl watch` deletes it once lists of two of its cycles agree";
            return self.tell(Diagnostic::note(EVENTUAL, message).help(help));
        }
        if self.is_foreign(observed) && self.target.own == Own::Recorded {
            let message = format!("{id} is not deleted: it carries another project's mark");
            return self.tell(Diagnostic::warning("not-ours", message));
        }
        self.claim(which, observed, Some(entry));
        if entry.protect && self.deletes.contains_key(which) {
            let message = format!("{id} is protected, and its manifest is gone");
            self.refuse(
                "protected",
                which,
                message,
                "put its manifest back with `protect: false`, apply, then remove it",
            );
        }
    }

    /// What is recorded is not there under its key: it is gone, or the description gives it another key now.
    fn miss(&mut self, which: &Which, entry: &RecordEntry, rules: &KindRules) {
        let elsewhere = entry.uid.as_ref().and_then(|uid| {
            // Once for all that is missing: there may be many.
            let by_uid = self.by_uid.get_or_insert_with(|| {
                let shown = self.site.live.iter().filter_map(|(which, item)| Some((which, item.uid.clone()?)));
                shown.map(|(which, uid)| ((which.0.clone(), uid), which.clone())).collect()
            });
            by_uid.get(&(which.0.clone(), uid.clone())).cloned()
        });
        let why = match &elsewhere {
            Some(found) if self.site.desired.contains_key(found) => "it has another key now",
            None if which.1.len() == rules.key.len() => "it is gone",
            _ => {
                self.plan.unknown += 1;
                let now = elsewhere.map(|found| format!(", as {}/{}", found.0, found.1)).unwrap_or_default();
                let message = format!("{} is recorded, and has another key now{now}: it is left alone", self.id(which));
                let help = "take the change of `key` back, or declare it under its new key; `ctl release` forgets it and \
                            leaves it there";
                return self.tell(Diagnostic::warning("other-key", message).help(help));
            }
        };
        self.forgets.insert(which.clone(), why);
    }

    pub(super) fn claim(&mut self, which: &Which, observed: &Observed, entry: Option<&RecordEntry>) {
        let verified = !self.endpoint.unverified.contains(which);
        let rule = match self.target.own {
            Own::Exclusive => OwnRule::Exclusive,
            Own::Recorded => OwnRule::Recorded { mark: self.mark, verified },
        };
        let unmarked = entry.filter(|_| !self.target.marks).map(|e| RecordEntry { marked: false, ..e.clone() });
        match Owned::claim(observed.clone(), unmarked.as_ref().or(entry), rule) {
            Ok(owned) => _ = self.deletes.insert(which.clone(), (owned, entry.cloned())),
            Err(_) => {
                let why = if verified { "it no longer carries our mark" } else { "its record entry is not verified" };
                let message = format!("{} is not deleted: {why}", self.id(which));
                self.tell(
                    Diagnostic::warning("not-ours", message).help("delete it by hand, or `ctl release` forgets it"),
                );
            }
        }
    }
}

/// A value as it stands in a sentence: its beginning, where it is long.
fn brief(text: &str) -> String {
    const SHOWN: usize = 80;
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}… ({} more)", &text[..at], text[at..].chars().count()),
        None => text.to_owned(),
    }
}
