//! Descriptions of HTTP APIs: YAML in, [`ApiDescription`] and its [`KindTable`](crate::model::KindTable) out.
//!
//! The language is URI templates for requests, JSON Pointers for answers, literal body templates with holes, and a
//! closed set of codecs that run in both directions. Nothing in it computes.

mod after;
mod description;
mod links;
mod nearest;
mod reach;
mod read;
mod reader;
mod rules;
mod template;
#[cfg(test)]
mod tests;
mod waiting;

pub use after::AfterRule;
pub use description::{
    AbsentRule, ApiDescription, ApiOperation, ApiType, AuthRule, Body, Choice, Content, ErrorRule, EtagRule, GetRule,
    IdentityRule, ListRule, LoginRule, Method, PageEnd, PageRule, Place, RetryRule, Revalidate, Shape, SinceRule,
    TokenPlace,
};
pub use nearest::nearest;
pub use template::{BodyTemplate, Codec, Hole, Part, Splat, Template};
pub use waiting::{TaskPlace, TaskRule, TaskState, WaitRule};
