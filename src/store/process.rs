//! Which process holds an intent, and whether it is certainly gone.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::model::{Digest, Intent, Process};

/// This process, as an intent names it. What the system does not say stays empty or zero, and then proves nothing.
pub fn current_process(user: &str) -> Process {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let who = format!("{user}@{host}");
    let pid = u32::try_from(rustix::process::getpid().as_raw_nonzero().get()).unwrap_or_default();
    Process {
        who,
        host,
        machine: machine(),
        boot_id: boot_id(),
        pid_namespace: fs::metadata("/proc/self/ns/pid").map_or(0, |m| m.ino()),
        pid,
        started: started("self").unwrap_or_default(),
    }
}

/// True if both are known to run on one machine. Two machines may have one host name, so that the name alone says nothing.
pub fn same_machine(a: &Process, b: &Process) -> bool {
    a.host == b.host && !a.machine.is_empty() && a.machine == b.machine
}

/// True only if it is certain that `process` runs no more: the host and boot are this one's, its PID namespace is ours
/// and no process has its id and start time; or the machine is ours and has booted since.
pub fn is_gone(process: &Process, me: &Process) -> bool {
    if process.host != me.host || process.boot_id.is_empty() || me.boot_id.is_empty() {
        return false;
    }
    if process.boot_id != me.boot_id {
        return same_machine(process, me);
    }
    if process.pid_namespace == 0 || process.pid_namespace != me.pid_namespace || process.started == 0 {
        return false;
    }
    match fs::read_to_string(format!("/proc/{}/stat", process.pid)) {
        Ok(stat) => start_of(&stat).is_some_and(|started| started != process.started || has_ended(&stat)),
        // A /proc without ourselves is none that could tell, and one that hides the processes of other users (`hidepid`,
        // as hardened services have it) does not list what runs: the system itself has the last word.
        Err(error) => {
            error.kind() == std::io::ErrorKind::NotFound && started("self").is_some() && nobody_has(process.pid)
        }
    }
}

/// True if no process of this PID namespace has this id, whoever owns it and whatever `/proc` shows. Zero is no id.
fn nobody_has(pid: u32) -> bool {
    let Ok(pid) = i32::try_from(pid) else { return true };
    let asked = rustix::process::Pid::from_raw(pid).map(rustix::process::test_kill_process);
    asked == Some(Err(rustix::io::Errno::SRCH))
}

/// How long after its `until` an intent still stands, for clocks that differ.
const GRACE: i64 = 60;

/// True if an intent locks no more at wall-clock second `now`: its time is long over, or its holder is certainly gone.
pub fn is_expired(intent: &Intent, me: &Process, now: i64) -> bool {
    intent.until.is_some_and(|until| now > until.saturating_add(GRACE)) || is_gone(&intent.holder, me)
}

/// The system's own id is not to be shown to others, so that a digest of it stands for it.
fn machine() -> String {
    let id = ["/etc/machine-id", "/var/lib/dbus/machine-id"].iter().find_map(|path| fs::read_to_string(path).ok());
    match id.as_deref().map(str::trim) {
        // A system that is being set up says `uninitialized`.
        Some(id) if id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Digest::of(format!("ctl machine {id}").as_bytes()).short(16)
        }
        Some(_) | None => String::new(),
    }
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|t| t.trim().to_owned()).unwrap_or_default()
}

fn started(process: &str) -> Option<u64> {
    start_of(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// A process that ended stays listed until its parent asks; in a container that may be never.
fn has_ended(stat: &str) -> bool {
    stat.rsplit_once(')').is_some_and(|(_, rest)| matches!(rest.trim_start().bytes().next(), Some(b'Z' | b'X')))
}

/// The 22nd field. The 2nd is the program's name in brackets, and may hold spaces and brackets itself.
fn start_of(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_is_not_gone_and_one_that_ended_is() {
        let me = current_process("ann");
        assert!(me.who.starts_with("ann@") && me.pid > 0 && me.started > 0, "{me:?}");
        assert!(!is_gone(&me, &me));
        assert!(is_gone(&Process { started: me.started + 1, ..me.clone() }, &me), "its pid was given to another");
        assert!(is_gone(&Process { pid: u32::MAX, ..me.clone() }, &me));
        let me = Process { machine: "m".to_owned(), ..me };
        assert!(is_gone(&Process { boot_id: "before".to_owned(), ..me.clone() }, &me));
    }

    #[test]
    fn an_id_is_free_only_if_the_system_says_so() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        // The first process belongs to root, here or outside: whether a signal may be sent makes no difference.
        for runs in [1, std::process::id(), child.id()] {
            assert!(!nobody_has(runs), "{runs}");
        }
        child.kill().unwrap();
        assert!(!nobody_has(child.id()), "it ended and its parent has not asked: its id is taken");
        child.wait().unwrap();
        assert!(nobody_has(child.id()) && nobody_has(u32::MAX) && !nobody_has(0));
    }

    #[test]
    fn another_machine_of_the_same_name_is_not_ours_started_again() {
        let me = Process { machine: "m".to_owned(), ..current_process("ann") };
        let before = Process { boot_id: "before".to_owned(), ..me.clone() };
        assert!(!is_gone(&Process { machine: "n".to_owned(), ..before.clone() }, &me));
        // An older record, or a system without an id.
        assert!(!is_gone(&Process { machine: String::new(), ..before.clone() }, &me));
        assert!(!is_gone(&before, &Process { machine: String::new(), ..me.clone() }));
    }

    #[test]
    fn what_cannot_be_known_is_not_gone() {
        let me = current_process("ann");
        assert!(!is_gone(&Process { host: "elsewhere".to_owned(), boot_id: "b".to_owned(), ..me.clone() }, &me));
        assert!(!is_gone(&Process { pid_namespace: 1, pid: u32::MAX, ..me.clone() }, &me));
        assert!(!is_gone(&Process { boot_id: String::new(), ..me.clone() }, &me));
    }

    #[test]
    fn an_intent_stands_until_a_minute_after_its_time() {
        let me = current_process("ann");
        let intent = |until, holder: &Process| Intent {
            run: "r".to_owned(),
            holder: holder.clone(),
            until,
            token: None,
            commit: String::new(),
            checksum: String::new(),
            operations: Vec::new(),
        };
        assert!(!is_expired(&intent(Some(1000), &me), &me, 1060));
        assert!(is_expired(&intent(Some(1000), &me), &me, 1061));
        assert!(!is_expired(&intent(None, &me), &me, i64::MAX));
        assert!(is_expired(&intent(Some(1000), &Process { pid: u32::MAX, ..me.clone() }), &me, 0));
    }

    #[test]
    fn a_programs_name_with_brackets_does_not_mislead() {
        let stat = "7 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20 21";
        assert_eq!(start_of(stat), Some(4242));
        assert!(!has_ended(stat) && has_ended(&stat.replace(" S ", " Z ")));
    }
}
