//! Elections under simulation.

mod claims;
mod gates;
mod simulation;

use super::candidate::{Answer, Ask, Candidate, ElectionEvent, LEASE, Lane, Next};
use super::{Candidacy, Elected, Elections};
