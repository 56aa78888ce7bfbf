//! The shipped descriptions and the HTTP driver, over answers as real servers gave them.
#![cfg(test)]

mod listed;
mod logins;
mod nested;
mod others;
mod secrets;
mod tape;
mod tasks;
mod written;
