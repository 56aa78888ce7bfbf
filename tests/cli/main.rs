//! The program from outside: a real repository, a state folder of its own, the real binary.

mod apply;
mod sandbox;
