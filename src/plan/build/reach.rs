//! What a delete reaches: what it takes along, what holds it back, and what has to be made anew with it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Builder, CANNOT, Fate};
use crate::diff::Comparison;
use crate::model::{Desired, Diagnostic, Own, ReplaceRule};
use crate::plan::change::Cascade;
use crate::plan::site::{Hold, Web, Which};

impl Builder<'_, '_> {
    /// Follows what each delete takes along: lists it, makes it again where the delete is half of a replace, and holds a
    /// delete back whose reach is not known.
    pub(super) fn follow(&mut self) {
        let renamed: BTreeSet<Which> = self.renames.values().cloned().collect();
        let mut queue: Vec<Which> = self.deletes.keys().filter(|w| !renamed.contains(*w)).cloned().collect();
        let replaced: Vec<Which> =
            self.fates.iter().filter(|(_, f)| matches!(f, Fate::Replace { .. })).map(|(w, _)| w.clone()).collect();
        if queue.is_empty() && replaced.is_empty() && self.renames.is_empty() {
            return;
        }
        let going: BTreeSet<Which> = queue.iter().chain(&replaced).chain(&renamed).cloned().collect();
        let web = self.site.web(going.iter().map(|w| &w.0));
        queue.extend(renamed.iter().cloned());
        queue.extend(replaced);
        let mut done = BTreeSet::new();
        while let Some(which) = queue.pop() {
            if !done.insert(which.clone()) {
                continue;
            }
            let remade = matches!(self.fates.get(&which), Some(Fate::Replace { .. })) || renamed.contains(&which);
            if remade && !self.deletes.contains_key(&which) && !self.may_replace(&which) {
                continue;
            }
            if let Some((kind, why)) = self.site.reaches_unknown(&which, &web) {
                self.hold_back(&which, &format!("it could take along a {kind}, and those are not known: {why}"));
                continue;
            }
            queue.extend(self.take_along(&which, &web, remade));
        }
    }

    fn hold_back(&mut self, which: &Which, why: &str) {
        let message = format!("{} is not deleted in this run: {why}", self.id(which));
        self.tell(Diagnostic::warning("held-back", message));
        self.plan.unknown += 1;
        self.deletes.remove(which);
        self.fates.remove(which);
        let renamed: Vec<Which> = self.renames.iter().filter(|(_, o)| *o == which).map(|(n, _)| n.clone()).collect();
        for new in renamed {
            self.renames.remove(&new);
            self.fates.remove(&new);
        }
    }

    /// Claims the delete of a replace; `false` if it cannot be ours.
    fn may_replace(&mut self, which: &Which) -> bool {
        let Some(observed) = self.site.live.get(which).copied() else { return false };
        let entry = self.site.entry_for(which, observed);
        self.claim(which, observed, entry);
        if !self.deletes.contains_key(which) {
            self.fates.remove(which);
        }
        self.deletes.contains_key(which)
    }

    /// The objects that the delete of `which` takes along. Returns further resources that have to be replaced.
    fn take_along(&mut self, which: &Which, web: &Web, remade: bool) -> Vec<Which> {
        let mut more = Vec::new();
        let mut taken: BTreeMap<Which, Cascade> = BTreeMap::new();
        let mut seen = BTreeSet::from([which.clone()]);
        let mut queue = vec![which.clone()];
        while let Some(holder) = queue.pop() {
            for (hanger, hold) in web.on(&holder) {
                if self.deletes.contains_key(hanger) || seen.contains(hanger) {
                    continue;
                }
                if self.lets_go(hanger, hold, &holder) {
                    continue;
                }
                if let Hold::Restrict { optional } = hold {
                    if remade {
                        more.extend(self.detach(hanger, &holder, *optional));
                    }
                    continue;
                }
                seen.insert(hanger.clone());
                if !remade && self.forgets.get(hanger) == Some(&CANNOT) {
                    // A part of what goes, ours and no longer wanted: it is no delete of its own.
                    self.may_go_along(hanger, which);
                    self.forgets.insert(hanger.clone(), "it goes along with what it is in");
                    queue.push(hanger.clone());
                    continue;
                }
                let declared = self.site.desired.contains_key(hanger);
                let recreated = remade && declared && self.is_selected(hanger);
                if recreated {
                    // Where its own delete may not be ours, it goes along all the same, and has to be shown.
                    if matches!(self.fates.get(hanger), Some(Fate::Replace { .. })) && self.may_replace(hanger) {
                        more.push(hanger.clone());
                        continue;
                    }
                    self.fates.insert(hanger.clone(), Fate::Recreate);
                } else if remade && declared {
                    let message =
                        format!("{} would go along with {}, and is not selected", self.id(hanger), self.id(which));
                    self.refuse("selection", which, message, "select it too");
                }
                self.may_go_along(hanger, which);
                let owned = self.site.record.entries.contains_key(hanger) || self.target.own == Own::Exclusive;
                let cascade = Cascade { kind: hanger.0.clone(), key: hanger.1.clone(), owned, recreated };
                taken.insert(hanger.clone(), cascade);
                queue.push(hanger.clone());
            }
        }
        if !taken.is_empty() {
            self.cascades.insert(which.clone(), taken.into_values().collect());
        }
        more
    }

    /// Refuses a delete of `which` that would take along what is protected, or what is never to be made anew. No consent
    /// to deletes lifts that.
    fn may_go_along(&mut self, hanger: &Which, which: &Which) {
        let meta = self.site.desired.get(hanger).map(|desired| &desired.meta);
        let recorded = self.site.record.entries.get(hanger).is_some_and(|entry| entry.protect);
        if recorded || meta.is_some_and(|meta| meta.protect) {
            let message = format!("{} is protected, and would go along with {}", self.id(hanger), self.id(which));
            self.refuse("protected", which, message, "take the change back, or lift `protect` in an apply of its own");
        } else if meta.is_some_and(|meta| meta.replace == ReplaceRule::Never) {
            let message = format!(
                "{} would go along with {}, and its manifest says `replace: never`",
                self.id(hanger),
                self.id(which)
            );
            self.refuse("replace", which, message, "take the change back, or change `replace` in its metadata");
        }
    }

    /// True if the hanger's own update lets go of `holder` before it goes.
    fn lets_go(&self, hanger: &Which, hold: &Hold, holder: &Which) -> bool {
        if *hold == Hold::Inside || !matches!(self.fates.get(hanger), Some(Fate::Update { .. } | Fate::Reattach { .. }))
        {
            return false;
        }
        self.site.desired.get(hanger).is_some_and(|desired| {
            let refs = self.site.refs(&hanger.0, &desired.body.value());
            !refs.iter().any(|r| (&r.kind, &r.key) == (&holder.0, &holder.1))
        })
    }

    /// A referrer that forbids the delete lets go first and takes hold again, or is itself replaced.
    fn detach(&mut self, hanger: &Which, holder: &Which, optional: bool) -> Option<Which> {
        match self.fates.remove(hanger) {
            Some(Fate::Reattach { found, mut to }) => {
                to.insert(holder.clone());
                self.fates.insert(hanger.clone(), Fate::Reattach { found, to });
                None
            }
            Some(Fate::Unchanged | Fate::Adopt) if optional => {
                let to = BTreeSet::from([holder.clone()]);
                self.fates.insert(hanger.clone(), Fate::Reattach { found: Comparison::default(), to });
                None
            }
            Some(Fate::Update { found, .. }) if optional => {
                let to = BTreeSet::from([holder.clone()]);
                self.fates.insert(hanger.clone(), Fate::Reattach { found, to });
                None
            }
            Some(Fate::Unchanged | Fate::Adopt) => {
                self.fates.insert(hanger.clone(), Fate::Replace { found: Comparison::default() });
                Some(hanger.clone())
            }
            Some(Fate::Update { found, .. }) => {
                self.fates.insert(hanger.clone(), Fate::Replace { found });
                Some(hanger.clone())
            }
            Some(other) => {
                let again = matches!(other, Fate::Replace { .. }).then(|| hanger.clone());
                self.fates.insert(hanger.clone(), other);
                again
            }
            None => {
                let message = format!(
                    "{} refers to {}, which is replaced: the server will refuse that",
                    self.id(hanger),
                    self.id(holder)
                );
                self.tell(Diagnostic::warning("restricted", message).help("declare it, or let it go of it by hand"));
                None
            }
        }
    }

    pub(super) fn may_be_replaced(&mut self, which: &Which, desired: &Desired) {
        let id = self.id(which);
        let protected = desired.meta.protect || self.site.record.entries.get(which).is_some_and(|e| e.protect);
        if protected {
            let message = format!("{id} is protected, and the change needs a delete and a create");
            return self.refuse(
                "protected",
                which,
                message,
                "take the change back, or lift `protect` in an apply of its own",
            );
        }
        let can = self.site.rules(&which.0).is_some_and(|r| r.can_create && r.can_delete);
        match desired.meta.replace {
            _ if !can => {
                let message = format!("{id} would have to be replaced, and the API cannot delete and create one");
                self.refuse("replace", which, message, "take the change back");
            }
            ReplaceRule::Allow => {}
            ReplaceRule::Ask if self.input.allow_replace => {}
            ReplaceRule::Ask => {
                let message = format!("{id} would be deleted and created again, and what it holds is lost");
                self.refuse("replace", which, message, "--allow-replace, or `replace: allow` in its metadata");
            }
            ReplaceRule::Never => {
                let message = format!("{id} would have to be replaced, and its manifest says `replace: never`");
                self.refuse("replace", which, message, "take the change back, or change `replace` in its metadata");
            }
        }
    }
}
