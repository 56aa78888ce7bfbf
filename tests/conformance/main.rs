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

#[path = "../support/proxy.rs"]
mod proxy;
#[path = "../cli/sandbox.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod sandbox;

mod client;
mod kinto;
mod powerdns;
mod rabbitmq;
mod reference;
mod scene;
mod states;

/// These states as one test each, for one server.
macro_rules! states {
    ($server:ident: $($state:ident),* $(,)?) => {
        mod $server {
            $(
                #[test]
                fn $state() {
                    if let Some(scene) = crate::scene::Scene::of(crate::$server::subject()) {
                        crate::states::$state(&scene);
                    }
                }
            )*
        }
    };
}

/// The list, for one server, with what not every server has a state for.
macro_rules! all_states {
    ($server:ident $(, $more:ident)*) => {
        states! {
            $server:
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
            $($more,)*
        }
    };
}

mod on {
    all_states!(reference, replaces_what_cannot_be_changed);
    // Nothing of these two has to be replaced to be changed.
    all_states!(powerdns);
    all_states!(kinto);
    all_states!(rabbitmq, replaces_what_cannot_be_changed);
}
