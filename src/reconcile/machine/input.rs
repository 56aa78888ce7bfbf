//! What the machine is told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::{Digest, EndpointName, TargetName};
use crate::reconcile::peer::Place;

/// What the machine is told.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// Time passed.
    Tick,
    /// The repository may have moved.
    Hint,
    /// A look at the source ended.
    Looked(Looked),
    /// A cycle ended.
    Cycled(TargetName, Box<Ended>),
    /// A probe ended: the endpoint answers, or not.
    Probed(Place, Result<(), Silence>),
    /// This watcher leads at a target.
    Won(TargetName, u64),
    /// It does not lead there any more.
    Lost(TargetName),
    /// Write nothing there until then (for ever without).
    Suspend(TargetName, Option<Duration>),
    /// Go on there, with the newest commit.
    Resume(TargetName),
    /// Another commit than the newest is wanted there: the loop has it at hand.
    Pin(TargetName),
    /// Try everything again there, now.
    Retry(TargetName),
    /// An operator lets a plan through: see at once.
    Approved,
    /// Begin nothing new, finish what is in flight.
    Stop,
}

/// Why a probe came to nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Silence {
    /// What went wrong.
    pub why: String,
    /// The endpoint asks that nothing is sent before then.
    pub until: Option<Duration>,
}

/// How a look at the source ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Looked {
    /// Nothing moved.
    Same,
    /// Another commit is in force. `wanted` is what each target is to be, as a digest.
    Moved {
        /// By target.
        wanted: BTreeMap<TargetName, Digest>,
    },
    /// The source is away or cannot be read: what was known last stays in force.
    Away {
        /// What went wrong.
        why: String,
    },
}

/// How a cycle ended.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Ended {
    /// Everything was read and nothing is left to do.
    pub clean: bool,
    /// Endpoints where everything was read and nothing is left to do, however the others are.
    pub well: BTreeSet<EndpointName>,
    /// How each endpoint that took part answered.
    pub endpoints: BTreeMap<EndpointName, Reach>,
    /// Operations that were tried.
    pub operations: Vec<Tried>,
    /// What kept the whole target from being reconciled, if anything: another run's lock, a record that cannot be read.
    pub blocked: Option<Blocked>,
}

/// How an endpoint answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reach {
    /// All that was asked was answered.
    Whole,
    /// It cannot be reached: probed every ten seconds.
    Away(String),
    /// It did not answer as soon as it usually does, and the others did not wait: probed at once, and waited for the next
    /// time that it answers.
    Late(String),
    /// It answers, and not with what was asked for: tried again after a growing time.
    Troubled(String),
    /// It asks that nothing is sent before then.
    AsksToWait {
        /// Time since boot.
        until: Duration,
        /// Its words.
        why: String,
    },
}

/// What kept a target from being reconciled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Blocked {
    /// Another run holds it: asked again soon.
    Locked(String),
    /// Something else: asked again after a growing time.
    Trouble(String),
}

/// One operation that was tried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tried {
    /// The resource's address.
    pub address: String,
    /// What it is to be; another manifest is tried at once.
    pub wanted: Option<Digest>,
    /// True if it went through.
    pub done: bool,
    /// Why not.
    pub why: String,
    /// The fields that were set back although nobody changed the manifest.
    pub corrected: Vec<String>,
}
