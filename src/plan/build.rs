use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::change::{Cascade, Cause, Change, FieldDiff, Plan, Precondition, Refusal, UnknownScope};
use super::input::{EndpointInput, PlanInput, TargetInput};
use super::order::{self, Draft};
use super::site::{Beside, Hold, Site, Web, Which, is_same_object, value_of};
use super::{fields, guard};
use crate::diff::{self, Comparison};
use crate::model::{
    Desired, Diagnostic, FieldPath, KindRules, Mark, Observed, OnRemove, Own, OwnRule, Owned, RecordEntry, ReplaceRule,
    ResourceId, Scope, ScopeState, Value, on_all_cores,
};

/// The code of the warning about an object that was listed and is not understood.
pub const UNREADABLE: &str = "unreadable";

/// Makes the plan: the same bytes for the same inputs, whatever order they came in.
pub fn build(input: &PlanInput<'_>) -> Plan {
    let mut plan = Plan {
        project: input.project.name.clone(),
        commit: input.commit.clone(),
        snapshot: input.snapshot,
        operations: Vec::new(),
        unchanged: 0,
        unknown: 0,
        unknown_scopes: Vec::new(),
        diagnostics: Vec::new(),
        refusals: Vec::new(),
    };
    let mark = Mark::of(&input.project.name);
    let mut targets: Vec<&TargetInput<'_>> = input.targets.iter().collect();
    targets.sort_by(|a, b| a.name.cmp(&b.name));
    let mut drafts = Vec::new();
    for target in &targets {
        if target.first_run && target.own == Own::Recorded {
            let message = format!("{}: there is no record yet, so nothing can be deleted in this run", target.name);
            plan.diagnostics.push(Diagnostic::note("first-run", message));
        }
        let mut endpoints: Vec<&EndpointInput<'_>> = target.endpoints.iter().collect();
        endpoints.sort_by(|a, b| a.name.cmp(&b.name));
        for endpoint in endpoints {
            for ((kind, parent), state) in endpoint.scopes {
                if let ScopeState::Unknown { why } = state {
                    let scope = Scope { endpoint: endpoint.name.clone(), kind: kind.clone(), parent: parent.clone() };
                    plan.unknown_scopes.push(UnknownScope { target: target.name.clone(), scope, why: why.clone() });
                }
            }
            Builder::new(input, target, endpoint, &mark, &mut plan).run(&mut drafts);
        }
    }
    let tables = targets.iter().map(|t| (t.name.clone(), t.table)).collect();
    order::order(drafts, &tables, &mut plan);
    guard::guard(input, &mut plan);
    plan.unknown_scopes.sort();
    plan
}

/// What is to become of one declared resource.
enum Fate {
    Unchanged,
    Create,
    Adopt,
    Update {
        found: Comparison,
        adopt: bool,
    },
    Replace {
        found: Comparison,
    },
    /// Gone along with what it hangs on, and made again.
    Recreate,
    /// Lets go of what is replaced and takes hold of it again, with its own changes.
    Reattach {
        found: Comparison,
        to: BTreeSet<Which>,
    },
}

/// A declared resource with what is known of it.
struct Declared<'b> {
    which: Which,
    desired: &'b Arc<Desired>,
    observed: Option<&'b Observed>,
    /// Its line in the record, also where the object was made anew since.
    entry: Option<&'b RecordEntry>,
}

impl<'b> Declared<'b> {
    /// Its line in the record, if that is of the object that is there.
    fn recorded(&self) -> Option<&'b RecordEntry> {
        self.entry.filter(|entry| self.observed.is_none_or(|observed| is_same_object(entry, observed)))
    }
}

/// What is found different; nothing where there is nothing to compare, or where it would not be looked at.
fn compared(one: &Declared<'_>, target: &TargetInput<'_>) -> Comparison {
    let selected = target.selected.as_ref().is_none_or(|picked| picked.contains(&one.which));
    match (target.table.get(&one.which.0), one.observed) {
        (Some(rules), Some(observed)) if selected => {
            diff::compare_held(&one.desired.body, observed, one.recorded(), rules)
        }
        _ => Comparison::default(),
    }
}

struct Builder<'b, 'a> {
    input: &'b PlanInput<'a>,
    target: &'b TargetInput<'a>,
    endpoint: &'b EndpointInput<'a>,
    site: Site<'b>,
    mark: &'b Mark,
    plan: &'b mut Plan,
    fates: BTreeMap<Which, Fate>,
    deletes: BTreeMap<Which, (Owned, Option<RecordEntry>)>,
    forgets: BTreeMap<Which, &'static str>,
    cascades: BTreeMap<Which, Vec<Cascade>>,
    /// New name to old name, where a rename is a delete and a create.
    renames: BTreeMap<Which, Which>,
    paths: fields::Paths,
}

impl<'b, 'a> Builder<'b, 'a> {
    fn new(
        input: &'b PlanInput<'a>,
        target: &'b TargetInput<'a>,
        endpoint: &'b EndpointInput<'a>,
        mark: &'b Mark,
        plan: &'b mut Plan,
    ) -> Self {
        let site = Site::new(target.table, target.own, endpoint.record, endpoint.scopes, &target.desired);
        Self {
            input,
            target,
            endpoint,
            site,
            mark,
            plan,
            fates: BTreeMap::new(),
            deletes: BTreeMap::new(),
            forgets: BTreeMap::new(),
            cascades: BTreeMap::new(),
            renames: BTreeMap::new(),
            paths: fields::Paths::default(),
        }
    }

    fn run(mut self, drafts: &mut Vec<Draft>) {
        let (mut live, mut recorded) = (Beside::new(&self.site.live), Beside::new(&self.site.record.entries));
        let all = self.site.desired.iter().map(|(which, desired)| Declared {
            which: which.clone(),
            desired,
            observed: live.find(which).copied(),
            entry: recorded.find(which).map(|entry| &**entry),
        });
        let declared: Vec<Declared<'b>> = all.collect();
        let compared = on_all_cores(&declared, |one| compared(one, self.target));
        let judged = declared.iter().zip(compared).filter_map(|(one, found)| {
            let fate = if self.is_selected(&one.which) { self.judge(one, found) } else { None };
            fate.map(|fate| (one.which.clone(), fate))
        });
        self.fates = judged.collect();
        self.name_anew(&declared);
        self.judge_undeclared();
        // An old name that stays (kept, not ours any more) is not what the new one replaces.
        let deletes = &self.deletes;
        self.renames.retain(|_, old| deletes.contains_key(old));
        self.follow();
        self.emit(drafts);
    }

    fn is_selected(&self, which: &Which) -> bool {
        self.target.selected.as_ref().is_none_or(|s| s.contains(which))
    }

    fn id(&self, which: &Which) -> ResourceId {
        ResourceId { target: self.target.name.clone(), kind: which.0.clone(), key: which.1.clone() }
    }

    fn refuse(&mut self, gate: &'static str, which: &Which, message: String, help: &str) {
        self.plan.refusals.push(Refusal {
            gate,
            target: self.target.name.clone(),
            endpoint: Some(self.endpoint.name.clone()),
            kind: Some(which.0.clone()),
            message,
            help: help.to_owned(),
        });
    }

    fn tell(&mut self, diagnostic: Diagnostic) {
        self.plan.diagnostics.push(diagnostic);
    }

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

    fn judge(&mut self, one: &Declared<'_>, found: Comparison) -> Option<Fate> {
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
                self.refuse("create", which, message, "make it by the API's own means, or remove its manifest");
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
    fn name_anew(&mut self, declared: &[Declared<'b>]) {
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

    fn judge_undeclared(&mut self) {
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
                if !rules.keeps(&value_of(observed)) && rules.can_delete && !rules.eventual {
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
            return self.tell(Diagnostic::warning("unknown-kind", message));
        };
        if self.site.unknown(which).is_some() {
            self.plan.unknown += 1;
            return;
        }
        let forget = |s: &mut Self, why| _ = s.forgets.insert(which.clone(), why);
        if self.site.ignored.contains(which) {
            return forget(self, "the description says that it is never touched");
        }
        let Some(observed) = self.site.live.get(which).copied() else { return forget(self, "it is gone") };
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
            let message = format!("{id} is forgotten and stays: the API cannot delete one");
            self.tell(Diagnostic::warning("cannot-delete", message));
            return forget(self, "the API cannot delete one");
        }
        if rules.eventual {
            let message =
                format!("{id} is not deleted: the API's lists lag behind, so that one list is no reason to delete");
            return self.tell(Diagnostic::note("eventual", message));
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

    fn claim(&mut self, which: &Which, observed: &Observed, entry: Option<&RecordEntry>) {
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

    /// Follows what each delete takes along: lists it, makes it again where the delete is half of a replace, and holds a
    /// delete back whose reach is not known.
    fn follow(&mut self) {
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

    fn may_be_replaced(&mut self, which: &Which, desired: &Desired) {
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

    fn emit(&mut self, drafts: &mut Vec<Draft>) {
        let fates = std::mem::take(&mut self.fates);
        let mut deletes = std::mem::take(&mut self.deletes);
        let renames = std::mem::take(&mut self.renames);
        for (which, fate) in fates {
            if matches!(fate, Fate::Unchanged) {
                self.plan.unchanged += 1;
                continue;
            }
            let Some(desired) = self.site.desired.get(&which).map(|d| Arc::clone(d)) else { continue };
            let observed = self.site.live.get(&which).copied();
            let Some(rules) = self.site.rules(&which.0) else { continue };
            match fate {
                Fate::Unchanged => {}
                Fate::Create => {
                    let old = renames.get(&which).and_then(|old| deletes.remove_entry(old));
                    let create = self.create(&which, &desired, rules);
                    let first = old.map(|(old, proof)| {
                        self.may_be_replaced(&old, &desired);
                        self.delete(&old, proof)
                    });
                    push_pair(drafts, first, create);
                }
                Fate::Recreate => drafts.push(self.create(&which, &desired, rules)),
                Fate::Adopt => drafts.extend(observed.map(|o| self.adopt(&which, &desired, o, rules))),
                Fate::Update { found, adopt } => {
                    let Some(observed) = observed else { continue };
                    if adopt {
                        drafts.push(self.adopt(&which, &desired, observed, rules));
                    }
                    drafts.push(self.update(&which, &desired, observed, found, rules));
                }
                Fate::Reattach { found, to } => {
                    let Some(observed) = observed else { continue };
                    if self.site.entry_for(&which, observed).is_none() {
                        drafts.push(self.adopt(&which, &desired, observed, rules));
                    }
                    let mut attach = self.update(&which, &desired, observed, found, rules);
                    attach.reattaches = to;
                    drafts.push(attach);
                }
                Fate::Replace { found } => {
                    let Some(proof) = deletes.remove(&which) else { continue };
                    self.may_be_replaced(&which, &desired);
                    let first = self.delete(&which, proof);
                    let mut create = self.create(&which, &desired, rules);
                    if !found.fields.is_empty() {
                        create.op.cause = fields::cause_of(&found);
                        create.op.fields = fields::of_comparison(&found);
                    }
                    push_pair(drafts, Some(first), create);
                }
            }
        }
        for (which, proof) in deletes {
            let draft = self.delete(&which, proof);
            drafts.push(draft);
        }
        for (which, why) in std::mem::take(&mut self.forgets) {
            let Some(entry) = self.site.record.entries.get(&which) else { continue };
            let entry = Box::new((**entry).clone());
            let cause = if why == "it is gone" { Cause::Drift } else { Cause::Intended };
            let precondition = Precondition::Unconditional("nothing is written to the target");
            drafts.push(self.draft(&which, Change::Forget { entry, why }, cause, precondition, Vec::new()));
        }
    }

    fn draft(
        &self,
        which: &Which,
        change: Change,
        cause: Cause,
        precondition: Precondition,
        fields: Vec<FieldDiff>,
    ) -> Draft {
        Draft::new(self.endpoint.name.clone(), self.id(which), change, cause, precondition, fields)
    }

    fn create(&mut self, which: &Which, desired: &Arc<Desired>, rules: &KindRules) -> Draft {
        let known = self.site.record.entries.contains_key(which) && !self.site.live.contains_key(which);
        let cause = if known { Cause::Drift } else { Cause::Intended };
        let want = desired.body.value();
        let fields = fields::stated(&want, &mut self.paths, rules, cause);
        let change = Change::Create { desired: Arc::clone(desired) };
        self.draft(which, change, cause, Precondition::Absent, fields)
    }

    fn precondition(
        &self,
        observed: &Observed,
        have: &Value,
        want: Option<&Value>,
        entry: Option<&RecordEntry>,
        rules: &KindRules,
    ) -> Precondition {
        match &observed.token {
            Some(token) => Precondition::Token(token.clone()),
            None => Precondition::Digest(diff::digest_of(have, want, entry, rules)),
        }
    }

    fn adopt(&self, which: &Which, desired: &Arc<Desired>, observed: &Observed, rules: &KindRules) -> Draft {
        let (want, have) = (desired.body.value(), value_of(observed));
        let precondition = self.precondition(observed, &have, Some(&want), None, rules);
        let change = Change::Adopt { desired: Arc::clone(desired), observed: Box::new(observed.clone()) };
        self.draft(which, change, Cause::Intended, precondition, Vec::new())
    }

    fn update(
        &self,
        which: &Which,
        desired: &Arc<Desired>,
        observed: &Observed,
        found: Comparison,
        rules: &KindRules,
    ) -> Draft {
        let (want, have) = (desired.body.value(), value_of(observed));
        let entry = self.site.entry_for(which, observed);
        let precondition = self.precondition(observed, &have, Some(&want), entry, rules);
        let fields = fields::of_comparison(&found);
        let cause = fields::cause_of(&found);
        let base = Box::new(observed.clone());
        let change = Change::Update { desired: Arc::clone(desired), base, remove: found.remove };
        let mut draft = self.draft(which, change, cause, precondition, fields);
        draft.entry = entry.map(|e| Box::new(e.clone()));
        draft
    }

    fn delete(&mut self, which: &Which, (owned, entry): (Owned, Option<RecordEntry>)) -> Draft {
        let have = value_of(owned.observed());
        let rules = self.site.rules(&which.0);
        let (precondition, fields) = match rules {
            Some(rules) => (
                self.precondition(owned.observed(), &have, None, entry.as_ref(), rules),
                entry.as_ref().map(|e| fields::recorded(&e.sent.value(), &mut self.paths, rules)).unwrap_or_default(),
            ),
            None => (Precondition::Unconditional("its kind is not described"), Vec::new()),
        };
        let cascades = self.cascades.remove(which).unwrap_or_default();
        let taken = cascades
            .iter()
            .filter_map(|c| {
                let which = (c.kind.clone(), c.key.clone());
                Some((c.kind.clone(), value_of(self.site.live.get(&which)?)))
            })
            .collect();
        let change = Change::Delete { owned: Box::new(owned), entry: entry.map(Box::new) };
        let mut draft = self.draft(which, change, Cause::Intended, precondition, fields);
        (draft.op.cascades, draft.taken) = (cascades, taken);
        draft
    }
}

/// Two halves of a replace name each other; their places are turned into numbers once the plan is ordered.
fn push_pair(drafts: &mut Vec<Draft>, first: Option<Draft>, mut create: Draft) {
    if let Some(mut first) = first {
        first.other_half = Some(drafts.len() + 1);
        create.other_half = Some(drafts.len());
        drafts.push(first);
    }
    drafts.push(create);
}

/// The update that only takes references away, for an object that has to let go before it can take hold again.
pub(super) fn detached(draft: &Draft, paths: &[FieldPath], rules: &KindRules) -> Option<Draft> {
    let Change::Update { desired, base, .. } = &draft.op.change else { return None };
    let have = draft.have()?;
    let want = desired.body.value();
    let mut template = want.clone();
    for path in paths {
        if template.get(path).is_none()
            && let Some(value) = have.get(path)
        {
            template.set(path, value.clone());
        }
    }
    let body = super::refs::without(diff::stated(&have, &template, rules), paths);
    let fields = fields::of_detach(&have, &body, paths);
    let remove = fields.iter().filter(|f| f.after.is_none()).map(|f| f.path.clone()).collect();
    let canonical = body.canonical();
    let wanted = Desired { digest: canonical.digest(), body: canonical, ..desired.as_ref().clone() };
    let change = Change::Update { desired: Arc::new(wanted), base: base.clone(), remove };
    let mut detach = Draft::new(
        draft.op.endpoint.clone(),
        draft.op.resource.clone(),
        change,
        Cause::Intended,
        draft.op.precondition.clone(),
        fields,
    );
    (detach.shown, detach.detaches) = (draft.shown.clone(), true);
    Some(detach)
}

/// A value as it stands in a sentence: its beginning, where it is long.
fn brief(text: &str) -> String {
    const SHOWN: usize = 80;
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}… ({} more)", &text[..at], text[at..].chars().count()),
        None => text.to_owned(),
    }
}
