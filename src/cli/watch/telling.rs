//! What came of looks and cycles, put on the board and told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::board::{Applied, Board, Seen, Wrong};
use super::cycle::Basis;
use super::cycled::{CONTESTED, CycleReport, FAILED, OpReport, Outcome};
use super::desired::{Moved, Read};
use super::standing::by_endpoint;
use crate::cli::session::Advice;
use crate::event::{ErrorType, Level, News};
use crate::model::{Digest, Kind, MAX_PENDING, PendingStatus, Quarantined, RefusalStatus};
use crate::plan::{Action, Cause, Refusal};
use crate::reconcile::{Input, Looked, Trouble};

/// Gates that `ctl approve` opens. What a person is not trusted with stays shut.
const APPROVABLE: &[&str] = &[
    "deletes",
    "updates",
    "empty",
    "replace",
    "container",
    "exclusive-first-run",
    "folder-gone",
    "older-commit",
    "shallow",
    "rewritten-history",
];

/// Puts a look on the board: what the machine is told of it, and the state that is in force now.
pub(super) fn looked(board: &Board, read: Read) -> Input {
    let fetched = match &read {
        Read::Same { fetched } => *fetched,
        Read::Moved(moved) => moved.fetched,
        Read::Away { .. } => None,
    };
    if let Some(took) = fetched {
        board.say(&News::Fetched { took });
    }
    match read {
        Read::Same { .. } => {
            came_back(board);
            Input::Looked(Looked::Same)
        }
        Read::Moved(moved) => {
            came_back(board);
            let wanted = moved.wanted.clone();
            in_force(board, &moved);
            Input::Looked(Looked::Moved { wanted })
        }
        Read::Away { why, help, recalled } => {
            let known = {
                let mut facts = board.facts();
                let known = facts.source.trouble.as_ref().is_some_and(|(before, _)| *before == why);
                facts.source.trouble = Some((why.clone(), help.clone()));
                known
            };
            let news = News::SourceAway { why: why.clone(), help };
            // Counted each time, said once.
            if known {
                board.metrics.listen(&news)
            } else {
                board.say(&news)
            }
            if let Some((moved, age)) = recalled {
                in_force(board, &moved);
                board.machine().fall_back(board.clock.boot(), &moved.wanted, age);
                let message =
                    "the last known good state is in force: drift is corrected, nothing is deleted".to_owned();
                board.say(&News::Note { level: Level::Warn, message });
            }
            Input::Looked(Looked::Away { why })
        }
    }
}

fn came_back(board: &Board) {
    let was_away = board.facts().source.trouble.take().is_some();
    if was_away {
        board.say(&News::SourceBack);
    }
}

/// The file of a place: what is wrong with it may move to another line.
fn file(place: &str) -> &str {
    let without = |text: &str| {
        let (rest, number) = text.rsplit_once(':')?;
        number.bytes().all(|b| b.is_ascii_digit()).then_some(rest.len())
    };
    let line = without(place).unwrap_or(place.len());
    &place[..without(&place[..line]).unwrap_or(line)]
}

fn in_force(board: &Board, moved: &Moved) {
    let basis = &moved.basis;
    let now = board.clock.boot();
    board.machine().know(&moved.places, now);
    let places: Vec<_> = moved.places.iter().cloned().collect();
    board.metrics.declare(&places);
    let (new, gone, first) = {
        let mut facts = board.facts();
        let first = facts.project.is_none();
        facts.project = Some(basis.loaded.project.name.to_string());
        // What was known of targets that are gone would be counted, and could be approved, for ever.
        facts.seen.retain(|target, _| places.iter().any(|(at, _)| at == target));
        facts.requests.retain(|place, _| moved.places.contains(place));
        facts.states.retain(|place, _| moved.places.contains(place));
        let paths = |list: &[Quarantined]| list.iter().map(|q| file(&q.place).to_owned()).collect::<BTreeSet<_>>();
        let (before, after) = (paths(&facts.source.quarantined), paths(&moved.quarantined));
        facts.source.commit = Some(basis.loaded.revision.clone());
        facts.wanted = Some(Arc::clone(&basis.snapshot));
        facts.source.deletes_held.clone_from(&basis.deletes_held);
        let old = std::mem::replace(&mut facts.source.quarantined, moved.quarantined.clone());
        let same = |a: &Quarantined, b: &Quarantined| file(&a.place) == file(&b.place) && a.code == b.code;
        let is_new = |q: &&Quarantined| !old.iter().any(|before| same(before, q));
        let new: Vec<_> = moved.quarantined.iter().filter(is_new).cloned().collect();
        (new, before.difference(&after).cloned().collect::<Vec<_>>(), first)
    };
    if first {
        board.say(&News::Started {
            project: basis.loaded.project.name.to_string(),
            source: board.facts().source.text.clone(),
            places,
        });
    }
    board.say(&News::Loaded {
        commit: basis.loaded.revision.as_str().to_owned(),
        resources: basis.snapshot.desired.len(),
        blobs: moved.blobs,
        took: moved.took,
        rewritten: moved.rewritten,
    });
    for found in new {
        board.say(&News::Quarantined { place: found.place, code: found.code, message: found.message });
    }
    for path in gone {
        board.say(&News::Unquarantined { path });
    }
}

/// Puts a cycle on the board, and says what is worth saying.
pub(super) fn cycled(board: &Board, basis: &Basis, report: &CycleReport) {
    let target = &report.target;
    let (seen, news) = (seen(board, report), news(board, report));
    let queue = seen.pending_total;
    let tried = report.operations.iter().any(|op| op.attempts > 0 || op.outcome == Outcome::Done);
    let before = board.facts().seen.insert(target.clone(), seen.clone());
    if let Some(before) = &before {
        board.metrics.retried(target, tried_again(before, report));
    }
    let as_before = !tried && before.is_some_and(|before| is_as_before(&before, &seen));
    if let Some(left) = report.endpoints.values().filter_map(|endpoint| endpoint.retries_left).min() {
        board.metrics.retry_budget(target, left as f64);
    }
    for item in news {
        board.say(&item);
    }
    if !report.quiet {
        board.say(&News::Resources { target: target.clone(), counts: counts(basis, report) });
        for diagnostic in report.diagnostics.iter().filter(|d| d.severity < crate::model::Severity::Note) {
            let level = match diagnostic.severity {
                crate::model::Severity::Error => Level::Error,
                _ => Level::Warn,
            };
            board.note_once(level, &format!("{target}: {}", diagnostic.message));
        }
    }
    let quiet = report.quiet || as_before || (report.operations.is_empty() && report.stopped.is_none());
    board.say(&News::Cycled { target: target.clone(), took: report.took, quiet, errors: errors(report), queue });
}

/// How many operations were sent that had come to nothing in an earlier cycle.
fn tried_again(before: &Seen, report: &CycleReport) -> u64 {
    let in_vain = |p: &&PendingStatus| matches!(p.state.as_str(), "failed" | "conflict" | "in-doubt");
    let in_vain: BTreeSet<_> = before.pending.iter().filter(in_vain).map(|p| (&*p.address, &*p.endpoint)).collect();
    let sent = report.operations.iter().filter(|op| op.attempts > 0);
    sent.filter(|op| in_vain.contains(&(&*op.address, op.endpoint.as_str()))).count() as u64
}

/// True if what waits, what is refused and what is wrong were all told after the cycle before.
fn is_as_before(before: &Seen, now: &Seen) -> bool {
    let same = |a: &PendingStatus, b: &PendingStatus| (&a.address, &a.state, &a.why) == (&b.address, &b.state, &b.why);
    before.pending_total == now.pending_total
        && before.pending.len() == now.pending.len()
        && before.pending.iter().zip(&now.pending).all(|(a, b)| same(a, b))
        && before.refusals == now.refusals
        && before.wrong == now.wrong
}

fn news(board: &Board, report: &CycleReport) -> Vec<News> {
    let target = &report.target;
    let mut news = Vec::new();
    // What waits since an earlier cycle was told then.
    let told: BTreeSet<(String, String)> = match board.facts().seen.get(target) {
        Some(seen) => seen.pending.iter().map(|p| (p.address.clone(), p.endpoint.clone())).collect(),
        None => BTreeSet::new(),
    };
    for op in &report.operations {
        if matches!(op.cause, Cause::Drift | Cause::Both)
            && !told.contains(&(op.address.clone(), op.endpoint.to_string()))
        {
            let cause = match op.action {
                Action::Create => "missing",
                Action::Delete => "unmanaged",
                Action::Update | Action::Adopt | Action::Forget | Action::Rename => "changed",
            };
            news.push(News::Drift { target: target.clone(), address: op.address.clone(), cause });
        }
        let (outcome, why) = match &op.outcome {
            Outcome::Held(_) | Outcome::Refused(_) | Outcome::Pending | Outcome::Skipped(_) => continue,
            Outcome::Done => ("done", None),
            Outcome::Failed { why, .. } => ("failed", Some(why.clone())),
            Outcome::Conflict(why) => ("conflict", Some(why.clone())),
            Outcome::InDoubt(why) => ("in_doubt", Some(why.clone())),
        };
        news.push(News::Wrote {
            target: target.clone(),
            endpoint: op.endpoint.clone(),
            address: op.address.clone(),
            action: op.action.as_str(),
            outcome,
            why,
            source: op.source.clone(),
        });
    }
    if let Some(version) = &report.version {
        news.push(News::Version {
            target: target.clone(),
            number: version.number,
            commit: version.commit.clone(),
            snapshot: version.snapshot.to_string(),
            result: version.result.clone(),
            took: version.took,
            who: version.who.clone(),
        });
    }
    news
}

/// How many resources of each kind stand how: a resource that stands differently at several endpoints counts as it stands
/// where it is worst.
fn counts(basis: &Basis, report: &CycleReport) -> BTreeMap<(Kind, &'static str), usize> {
    let declared = || basis.snapshot.desired.iter().filter(|desired| desired.id.target == report.target);
    let mut counts: BTreeMap<(Kind, &'static str), usize> = BTreeMap::new();
    for kind in declared().map(|desired| &desired.id.kind).collect::<BTreeSet<_>>() {
        for state in STATES {
            counts.insert((kind.clone(), state), 0);
        }
    }
    let waiting = &report.waiting;
    let seen = report.endpoints.values().any(|endpoint| endpoint.reached);
    let told = !waiting.operations.is_empty() || !waiting.unseen.is_empty();
    if report.stopped.is_some() || (!seen && !told) {
        for desired in declared() {
            *counts.entry((desired.id.kind.clone(), "unknown")).or_default() += 1;
        }
        return counts;
    }
    // By address; what is not declared any more is in it too.
    let mut worst: BTreeMap<&str, (&Kind, usize)> = BTreeMap::new();
    for op in report.operations.iter().chain(&waiting.operations) {
        let state = match op.outcome {
            Outcome::Done => continue,
            Outcome::Failed { .. } | Outcome::Conflict(_) | Outcome::InDoubt(_) => FAILING,
            Outcome::Held(ref why) if why.starts_with(FAILED) => FAILING,
            Outcome::Held(_) | Outcome::Refused(_) | Outcome::Pending | Outcome::Skipped(_) => PENDING,
        };
        let known = worst.entry(&op.address).or_insert((&op.kind, state));
        known.1 = known.1.max(state);
    }
    for desired in declared() {
        let address = (!worst.is_empty() || !waiting.unseen.is_empty()).then(|| desired.id.to_string());
        let state = match address.as_deref() {
            None => IN_SYNC,
            Some(address) => match worst.remove(address) {
                Some((_, state)) => state,
                None if waiting.unseen.contains(address) => UNKNOWN,
                None => IN_SYNC,
            },
        };
        *counts.entry((desired.id.kind.clone(), STATES[state])).or_default() += 1;
    }
    for (kind, state) in worst.into_values() {
        *counts.entry((kind.clone(), STATES[state])).or_default() += 1;
    }
    counts
}

/// From the best to the worst.
const STATES: [&str; 4] = ["in_sync", "unknown", "pending", "failing"];
const IN_SYNC: usize = 0;
const UNKNOWN: usize = 1;
const PENDING: usize = 2;
const FAILING: usize = 3;

fn errors(report: &CycleReport) -> Vec<(ErrorType, String)> {
    let mut errors = Vec::new();
    if let Some(stopped) = &report.stopped {
        let error = match stopped.code {
            _ if stopped.locked => ErrorType::Locked,
            code if code.starts_with("record") => ErrorType::Record,
            _ => ErrorType::Other,
        };
        errors.push((error, stopped.why.clone()));
    }
    for (name, endpoint) in &report.endpoints {
        let why = || format!("{name}: {}", endpoint.why.as_deref().unwrap_or("no answer"));
        match endpoint.trouble {
            Some(trouble) if trouble.is_away() => errors.push((ErrorType::Unreachable, why())),
            Some(Trouble::Authentication) => errors.push((ErrorType::Authentication, why())),
            Some(Trouble::Conflict) => errors.push((ErrorType::Conflict, why())),
            Some(_) => errors.push((ErrorType::Invalid, why())),
            None => {}
        }
    }
    for refusal in &report.refusals {
        errors.push((ErrorType::Refused, refusal.message.clone()));
    }
    for op in &report.operations {
        let (error, why) = match &op.outcome {
            Outcome::Failed { why, .. } => (ErrorType::Invalid, why),
            Outcome::Conflict(why) => (ErrorType::Conflict, why),
            Outcome::InDoubt(why) => (ErrorType::InDoubt, why),
            Outcome::Done | Outcome::Held(_) | Outcome::Refused(_) | Outcome::Pending | Outcome::Skipped(_) => continue,
        };
        errors.push((error, format!("{}: {why}", op.address)));
    }
    errors
}

fn seen(board: &Board, report: &CycleReport) -> Seen {
    let before = board.facts().seen.get(&report.target).cloned().unwrap_or_default();
    let version = report.standing.as_ref().map(|version| Applied {
        number: version.number,
        time: version.time,
        commit: version.commit.clone(),
        snapshot: version.snapshot.to_string(),
        result: version.result.clone(),
        took_ms: u64::try_from(version.took.as_millis()).ok(),
        who: version.who.clone(),
    });
    let checksum = report.checksum.or(before.checksum);
    let known = report.operations.iter().chain(&report.waiting.operations);
    let all: Vec<PendingStatus> = known.filter_map(|op| pending(op, &report.refusals, checksum)).collect();
    let doubtful = |op: &&OpReport| matches!(op.outcome, Outcome::InDoubt(_));
    let mut wrong: BTreeMap<_, _> = report
        .operations
        .iter()
        .filter(doubtful)
        .map(|op| {
            let why = match &op.outcome {
                Outcome::InDoubt(why) => format!("{}: {why}", op.address),
                _ => op.address.clone(),
            };
            let help =
                "nobody knows whether it was written: see at the server; the next cycle looks again and settles it"
                    .to_owned();
            (op.endpoint.clone(), Wrong { code: "in-doubt".to_owned(), why, help: Some(help) })
        })
        .collect();
    for (name, endpoint) in &report.endpoints {
        let Some(trouble) = endpoint.trouble else { continue };
        // Said from the wait itself, as long as it lasts.
        if endpoint.not_before.is_some() && trouble != Trouble::Authentication {
            continue;
        }
        let advice = Advice::on(trouble);
        let (code, help) = (
            advice.code,
            format!("{}{}", advice.help, if trouble.is_away() { "; it is probed every 10 s" } else { "" }),
        );
        let why = endpoint.why.clone().unwrap_or_default();
        wrong.entry(name.clone()).or_insert(Wrong { code: code.to_owned(), why, help: Some(help.to_owned()) });
    }
    if let Some(stopped) = &report.stopped {
        for name in report.endpoints.keys() {
            let (code, why) = (stopped.code.to_owned(), stopped.why.clone());
            wrong.entry(name.clone()).or_insert(Wrong { code, why, help: stopped.help.clone() });
        }
    }
    Seen {
        took: report.took,
        checksum,
        deletes_checksum: report.deletes_checksum.or(before.deletes_checksum),
        counts: left(report),
        refusals: report
            .refusals
            .iter()
            .map(|refusal| RefusalStatus {
                gate: refusal.gate.to_owned(),
                endpoint: refusal.endpoint.as_ref().map(ToString::to_string),
                message: refusal.message.clone(),
                help: remedy(refusal, checksum),
                approvable: APPROVABLE.contains(&refusal.gate),
            })
            .collect(),
        pending_total: all.len(),
        pending_at: by_endpoint(&all),
        pending: all.into_iter().take(MAX_PENDING).collect(),
        in_doubt: report.operations.iter().filter(doubtful).map(|op| op.endpoint.clone()).collect(),
        wrong,
        version: version.or(before.version),
    }
}

/// Deletes, creates, updates, adoptions, unchanged, unknown: as it stands after the cycle. What is done is as it should
/// be, and not to be done any more.
fn left(report: &CycleReport) -> [usize; 6] {
    let summary = &report.summary;
    let updates = summary.update + summary.replace;
    let done = || report.operations.iter().filter(|op| op.outcome == Outcome::Done);
    if done().next().is_none() {
        return [summary.delete, summary.create, updates, summary.adopt, summary.unchanged, summary.unknown];
    }
    let open = |actions: &[Action]| {
        report.operations.iter().filter(|op| op.outcome != Outcome::Done && actions.contains(&op.action)).count()
    };
    let stays = done().filter(|op| !matches!(op.action, Action::Delete | Action::Forget)).count();
    [
        open(&[Action::Delete]),
        open(&[Action::Create]),
        open(&[Action::Update, Action::Rename]),
        open(&[Action::Adopt]),
        summary.unchanged + stays,
        summary.unknown,
    ]
}

/// What to do about a refusal where nobody sits at the command line of an `apply`.
fn remedy(refusal: &Refusal, checksum: Option<Digest>) -> String {
    match checksum.filter(|_| APPROVABLE.contains(&refusal.gate)) {
        Some(sum) => format!(
            "look at it with `ctl plan`; if it is meant, `ctl approve {}` lets exactly this through, and if not, another \
             commit takes its place",
            sum.short(12)
        ),
        None => refusal.help.clone(),
    }
}

/// What is not done; `None` for what is.
fn pending(op: &OpReport, refusals: &[Refusal], checksum: Option<Digest>) -> Option<PendingStatus> {
    let (state, why, help) = match &op.outcome {
        Outcome::Done => return None,
        Outcome::Pending => ("waiting", "nothing is written at the moment".to_owned(), None),
        Outcome::Held(why) if why.starts_with(CONTESTED) => {
            let help = "find out who the other one is and end it, then `ctl retry`; or change the manifest";
            ("contested", why.trim_start_matches(CONTESTED).to_owned(), Some(help.to_owned()))
        }
        Outcome::Held(why) if why.starts_with(FAILED) => ("failed", why.trim_start_matches(FAILED).to_owned(), None),
        Outcome::Held(why) => ("held", why.clone(), None),
        Outcome::Refused(why) => {
            let refusal = refusals.iter().find(|refusal| refusal.message == *why);
            ("refused", why.clone(), refusal.map(|refusal| remedy(refusal, checksum)))
        }
        Outcome::Failed { why, help } => ("failed", why.clone(), help.clone()),
        Outcome::Conflict(why) => ("conflict", why.clone(), None),
        Outcome::InDoubt(why) => ("in-doubt", why.clone(), Some("the next cycle looks again".to_owned())),
        Outcome::Skipped(why) => ("waiting", why.clone(), None),
    };
    Some(PendingStatus {
        address: op.address.clone(),
        endpoint: op.endpoint.to_string(),
        action: op.action.as_str().to_owned(),
        cause: op.differs.clone(),
        source: op.source.clone(),
        state: state.to_owned(),
        why,
        help,
        attempts: op.attempts,
        next: None,
    })
}
