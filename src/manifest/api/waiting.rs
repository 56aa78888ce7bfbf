//! What is waited for behind the answer to a write, where the API goes on behind it.

use super::Template;
use crate::model::{FieldPath, Value};

/// When a write that was accepted is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WaitRule {
    /// The object is not there any more.
    Gone,
    /// The object is there, with these values.
    Until(Vec<(FieldPath, Value)>),
    /// The task that the answer names has ended.
    Task(TaskRule),
}

/// How a task is looked at, and what it says when it has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskRule {
    /// Where it is.
    pub place: TaskPlace,
    /// One of these values, at each of these places: it is done.
    pub done: Vec<(FieldPath, Vec<Value>)>,
    /// One of these values, at one of these places: it failed.
    pub failed: Vec<(FieldPath, Vec<Value>)>,
    /// Why: the first of these that is a text. Without any, where errors say so.
    pub message: Vec<FieldPath>,
}

/// Where a task is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TaskPlace {
    /// At this path; its holes are fields of the answer, key fields and parameters.
    Path(Template),
    /// At the address in this header of the answer.
    Header(String),
}

/// What a task says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TaskState {
    /// It goes on.
    Running,
    /// It is done.
    Done,
    /// It failed.
    Failed,
}

impl TaskRule {
    /// Reads what a task says of itself. One that is said to be both has failed.
    ///
    /// ```
    /// use ctl::manifest::api::{TaskPlace, TaskRule, TaskState};
    /// use ctl::model::{FieldPath, parse_json};
    /// let status = |word: &str| vec![(FieldPath::parse("/status"), vec![word.into()])];
    /// let place = TaskPlace::Header("Location".into());
    /// let rule = TaskRule { place, done: status("ok"), failed: status("bad"), message: Vec::new() };
    /// let state = |text: &[u8]| rule.state(&parse_json(text).unwrap());
    /// assert_eq!(state(br#"{"status": "ok"}"#), TaskState::Done);
    /// assert_eq!(state(br#"{"status": "bad"}"#), TaskState::Failed);
    /// assert_eq!(state(br#"{}"#), TaskState::Running);
    /// ```
    pub fn state(&self, task: &Value) -> TaskState {
        let has = |(at, values): &(FieldPath, Vec<Value>)| task.get(at).is_some_and(|seen| values.contains(seen));
        if self.failed.iter().any(has) {
            TaskState::Failed
        } else if self.done.iter().all(has) {
            TaskState::Done
        } else {
            TaskState::Running
        }
    }
}
