//! The order of execution: delete, create, update, unless an edge says otherwise.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::change::{Action, After, OpId, Plan, Refusal, Stage};
use super::draft::Draft;
use super::edges::{Edge, Facts, edges};
use super::split;
use crate::model::{Diagnostic, EndpointName, Key, Kind, KindTable, TargetName};

/// Sorts the drafts into the order in which they run, and numbers them.
///
/// ```text
/// visit by (stage, target, endpoint, kind, key):  delete ... | create ... | update ...
///                                                    ^ whatever has to come first is emitted here, not in its turn
/// ```
pub(super) fn order(mut drafts: Vec<Draft>, tables: &BTreeMap<TargetName, &KindTable>, plan: &mut Plan) {
    split::reattach(&mut drafts, tables);
    let mut dropped: HashSet<(usize, usize)> = HashSet::new();
    let preds = loop {
        let facts = Facts::of(&drafts, tables);
        let mut preds = edges(&drafts, &facts, tables);
        for (to, edges) in preds.iter_mut().enumerate() {
            edges.retain(|e| !dropped.contains(&(e.from, to)));
        }
        let knots = knots(&preds);
        if knots.is_empty() {
            break preds;
        }
        let ranks = visit_order(&drafts);
        let mut untied = false;
        let mut stuck = Vec::new();
        for knot in &knots {
            let members: HashSet<usize> = knot.iter().copied().collect();
            let soft: Vec<(usize, usize)> =
                inner(&preds, &members).filter(|(e, _)| e.soft).map(|(e, to)| (e.from, to)).collect();
            if !soft.is_empty() {
                dropped.extend(soft);
                untied = true;
                continue;
            }
            let turn: Vec<usize> = ranks.iter().copied().filter(|i| members.contains(i)).collect();
            if split::untie(&mut drafts, &turn, &members, &preds, &facts, tables) {
                untied = true;
            } else {
                stuck.push(members);
            }
        }
        if !untied {
            for members in &stuck {
                report_cycle(&drafts, &preds, members, &ranks, plan);
            }
            break preds;
        }
    };
    emit(drafts, preds, plan);
}

fn visit_order(drafts: &[Draft]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..drafts.len()).collect();
    order.sort_by(|a, b| rank(&drafts[*a]).cmp(&rank(&drafts[*b])));
    order
}

fn rank(draft: &Draft) -> (Stage, &TargetName, &EndpointName, &Kind, &Key, Action, bool) {
    let op = &draft.op;
    let id = &op.resource;
    (op.change.stage(), &id.target, &op.endpoint, &id.kind, &id.key, op.change.action(), !draft.detaches)
}

fn inner<'a>(preds: &'a [Vec<Edge>], members: &'a HashSet<usize>) -> impl Iterator<Item = (&'a Edge, usize)> {
    let mut sorted: Vec<usize> = members.iter().copied().collect();
    sorted.sort_unstable();
    sorted.into_iter().flat_map(move |to| preds[to].iter().filter(|e| members.contains(&e.from)).map(move |e| (e, to)))
}

fn emit(drafts: Vec<Draft>, preds: Vec<Vec<Edge>>, plan: &mut Plan) {
    let visit = visit_order(&drafts);
    let mut turn = vec![0_usize; drafts.len()];
    visit.iter().enumerate().for_each(|(n, i)| turn[*i] = n);
    let mut preds = preds;
    preds.iter_mut().for_each(|edges| edges.sort_by(|a, b| (turn[a.from], &a.reason).cmp(&(turn[b.from], &b.reason))));

    let mut emitted: Vec<usize> = Vec::with_capacity(drafts.len());
    let mut state = vec![0_u8; drafts.len()];
    let mut moved = vec![false; drafts.len()];
    for root in visit {
        if state[root] != 0 {
            continue;
        }
        // A stack of (operation, next predecessor to look at): recursion without the call stack.
        let mut stack = vec![(root, 0_usize)];
        state[root] = 1;
        while let Some((here, next)) = stack.last_mut() {
            let here = *here;
            match preds[here].get(*next) {
                Some(edge) => {
                    *next += 1;
                    // One that is on the stack already closes a cycle, which was reported: it stays where it is.
                    if state[edge.from] == 0 {
                        state[edge.from] = 1;
                        moved[edge.from] = true;
                        stack.push((edge.from, 0));
                    }
                }
                None => {
                    state[here] = 2;
                    emitted.push(here);
                    stack.pop();
                }
            }
        }
    }

    let mut number = vec![OpId(0); drafts.len()];
    for (n, i) in emitted.iter().enumerate() {
        number[*i] = OpId(u32::try_from(n + 1).unwrap_or(u32::MAX));
    }
    let mut phase: Vec<Stage> = drafts.iter().map(|d| d.op.change.stage()).collect();
    for here in emitted.iter().rev() {
        for edge in &preds[*here] {
            phase[edge.from] = phase[edge.from].min(phase[*here]);
        }
    }
    let mut drafts: Vec<Option<Draft>> = drafts.into_iter().map(Some).collect();
    for here in emitted {
        let Some(draft) = drafts[here].take() else { continue };
        let mut op = draft.op;
        op.id = number[here];
        op.replaces = draft.other_half.map(|half| number[half]);
        op.moved = moved[here];
        op.phase = phase[here];
        op.after = preds[here].iter().map(|e| After { op: number[e.from], reason: e.reason.clone() }).collect();
        op.after.sort();
        op.after.dedup_by(|a, b| a.op == b.op);
        plan.operations.push(op);
    }
}

fn report_cycle(drafts: &[Draft], preds: &[Vec<Edge>], members: &HashSet<usize>, visit: &[usize], plan: &mut Plan) {
    let name = |i: usize| format!("{} {}", drafts[i].op.change.action().as_str(), drafts[i].op.resource);
    let mut lines = Vec::new();
    for to in visit.iter().filter(|i| members.contains(i)) {
        for edge in preds[*to].iter().filter(|e| members.contains(&e.from)) {
            lines.push(format!("{} comes before {}: it {}", name(edge.from), name(*to), edge.reason));
        }
    }
    let message = format!("these operations wait for each other: {}", lines.join("; "));
    let help = "change one of them in a commit of its own, or make the reference optional in the API description";
    plan.diagnostics.push(Diagnostic::error("cycle", message.clone()).help(help));
    let places: BTreeSet<(&TargetName, &EndpointName)> =
        members.iter().map(|i| (&drafts[*i].op.resource.target, &drafts[*i].op.endpoint)).collect();
    for (target, endpoint) in places {
        plan.refusals.push(Refusal {
            gate: "cycle",
            target: target.clone(),
            endpoint: Some(endpoint.clone()),
            kind: None,
            message: message.clone(),
            help: help.to_owned(),
        });
    }
}

/// The sets of operations that wait for each other (strongly connected, two or more), by Tarjan, without recursion.
fn knots(preds: &[Vec<Edge>]) -> Vec<Vec<usize>> {
    const NEW: usize = usize::MAX;
    let n = preds.len();
    let (mut index, mut low, mut on_stack) = (vec![NEW; n], vec![0_usize; n], vec![false; n]);
    let (mut stack, mut count, mut out) = (Vec::new(), 0_usize, Vec::new());
    for root in 0..n {
        if index[root] != NEW {
            continue;
        }
        let mut work = vec![(root, 0_usize)];
        while let Some((here, next)) = work.last_mut() {
            let here = *here;
            if *next == 0 {
                (index[here], low[here], on_stack[here]) = (count, count, true);
                count += 1;
                stack.push(here);
            }
            match preds[here].get(*next) {
                Some(edge) => {
                    *next += 1;
                    if index[edge.from] == NEW {
                        work.push((edge.from, 0));
                    } else if on_stack[edge.from] {
                        low[here] = low[here].min(index[edge.from]);
                    }
                }
                None => {
                    work.pop();
                    if let Some((above, _)) = work.last() {
                        low[*above] = low[*above].min(low[here]);
                    }
                    if low[here] == index[here] {
                        let mut knot = Vec::new();
                        while let Some(member) = stack.pop() {
                            on_stack[member] = false;
                            knot.push(member);
                            if member == here {
                                break;
                            }
                        }
                        if knot.len() > 1 {
                            knot.sort_unstable();
                            out.push(knot);
                        }
                    }
                }
            }
        }
    }
    out
}
