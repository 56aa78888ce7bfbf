//! Servers that die and lines that break in the middle of a request, again and again.
//!
//! `CTL_KILLS=200 cargo test --test cli chaos` goes on longer than every day.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::proxy::{Fault, Proxy};
use super::record::{Chance, World, declare, kills, tail};

#[test]
fn a_server_that_is_killed_in_the_middle_of_a_request_has_everything_once_in_the_end() {
    const SLOW: &str = "slow=4ms";
    let mut world = World::local(SLOW);
    let mut chance = Chance(20_261_128);
    let (rounds, mut cut_short) = (kills(3), 0);
    let begun = Instant::now();
    declare(&world, 0);
    world.until_done();
    let whole = begun.elapsed();
    for round in 1..=rounds {
        let declared = declare(&world, round);
        let mut command = world.sandbox.command(&["apply", "--yes"]);
        let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(chance.below(u64::try_from(whole.as_micros()).unwrap())));
        let away = Duration::from_millis(chance.below(300));
        world.kill_server(away, SLOW);
        let output = run.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 1 | 3 | 8)), "round {round}: exit {code:?}\n{}", tail(&said));
        cut_short += usize::from(code != Some(0));
        for ran in world.until_done() {
            assert!(matches!(ran.code, Some(3 | 5)), "round {round}: exit {:?}\n{}", ran.code, tail(&ran.stderr));
        }
        world.assert_converged(&declared);
    }
    let idle = world.server.writes();
    world.sandbox.run(["apply", "--yes"]).exits(0);
    assert_eq!(world.server.writes(), idle, "nothing was left to do");
    println!("{rounds} times a server was killed, {cut_short} runs could not end; nothing twice, nothing lost");
}

#[test]
fn lines_that_break_after_the_server_has_acted_make_nothing_twice() {
    let world = World::local("");
    let cut = Arc::new(AtomicUsize::new(0));
    let (counted, writes) = (Arc::clone(&cut), AtomicUsize::new(0));
    // The answer to one write in nine is lost, whatever it is a write of.
    let proxy = Proxy::with_rule(&world.server.url, move |seen| {
        if seen.writes() && writes.fetch_add(1, Ordering::SeqCst) % 9 == 4 {
            counted.fetch_add(1, Ordering::SeqCst);
            return Fault::DropAnswer;
        }
        Fault::None
    });
    let file = std::fs::read_to_string(world.sandbox.repo().join("ctl.yaml")).unwrap();
    world.sandbox.write("ctl.yaml", &file.replace(&world.server.url, &proxy.url()));
    let (mut rounds, wanted) = (0, kills(3) * 10);
    while cut.load(Ordering::SeqCst) < wanted {
        let declared = declare(&world, rounds);
        rounds += 1;
        for ran in world.until_done() {
            assert!(matches!(ran.code, Some(3 | 5)), "round {rounds}: exit {:?}\n{}", ran.code, tail(&ran.stderr));
        }
        world.assert_converged(&declared);
    }
    proxy.heal();
    let idle = world.server.writes();
    world.sandbox.run(["apply", "--yes"]).exits(0);
    assert_eq!(world.server.writes(), idle, "nothing was left to do");
    println!("{} answers lost in {rounds} rounds; nothing twice, nothing lost", cut.load(Ordering::SeqCst));
}
