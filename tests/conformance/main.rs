//! The same states, one after the other, on every server that `ctl` is meant for.
//!
//! ```text
//! states.rs ──ctl plan / ctl apply──> Proxy (counts, spoils) ──> server <── Http (looks for itself, plays the rival)
//! ```
//!
//! `states.rs` knows no server; each of the other files says, for one server, what its manifests are and what the
//! server itself must hold afterwards. The reference server runs in this process. The others are found by the
//! variables that `tests/servers/start` prints; without them a test says that it was skipped, or fails with
//! `CTL_TEST_ALL=1`.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "helpers of a test have nobody else to tell; where servers are comes from outside"
)]

#[path = "../support/proxy.rs"]
mod proxy;
#[path = "../cli/sandbox.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod sandbox;

mod client;
mod kinto;
mod powerdns;
mod rabbitmq;
mod reference;
mod scene;
mod states;

/// These states as one test each, for one server: of `states.rs`, and of the server's own file.
macro_rules! tests {
    ($server:ident: $($from:ident [$($state:ident),* $(,)?])*) => {
        mod $server {
            $($(
                #[test]
                fn $state() {
                    if let Some(scene) = crate::scene::Scene::of(crate::$server::subject()) {
                        crate::$from::$state(&scene);
                    }
                }
            )*)*
        }
    };
}

/// The list for every server, and what is there for this one only.
macro_rules! all_states {
    ($server:ident $($more:tt)*) => {
        tests! {
            $server:
            states [
                creates_all,
                writes_nothing_when_nothing_changed,
                reads_pages_and_nothing_else,
                changes_only_what_changed,
                deletes_what_is_gone_from_git,
                deletes_all_only_when_told_so,
                adopts_what_is_there_and_equal,
                adopts_what_is_there_and_different,
                leaves_foreign_objects_alone,
                never_deletes_a_container_with_foreign_objects,
                puts_back_what_drifted,
                does_not_overwrite_a_rival,
                a_lost_answer_makes_nothing_twice,
                a_failed_page_deletes_nothing,
                a_failed_write_is_told_with_the_reason,
                killed_in_the_middle_and_again,
                interrupted_in_the_middle_and_again,
            ]
            $($more)*
        }
    };
}

mod on {
    all_states!(reference states [replaces_what_cannot_be_changed]);
    // Nothing of these two has to be replaced to be changed.
    all_states!(powerdns powerdns [
        another_order_is_no_difference,
        comments_of_people_survive,
        keeps_the_name_servers_of_the_apex,
    ]);
    all_states!(kinto);
    all_states!(rabbitmq
        states [replaces_what_cannot_be_changed]
        rabbitmq [a_password_is_sent_and_never_shown]
    );
}
