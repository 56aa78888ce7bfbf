//! Tasks behind writes: an answer names one, and it is looked at until it says how it ended.

use std::time::Duration;

use crate::manifest::api::{TaskPlace, TaskRule, TaskState};
use crate::model::{FieldPath, Value, parse_json};
use crate::net::Transport;
use crate::target::{TargetError, Write};

use super::driver::{Call, HttpTarget};
use super::fill::Scene;
use super::observe::key_fields;
use super::pages::on_origin;
use super::response::{Answer, first_text};
use super::shape::Shape;
use super::write::{FIRST_LOOK, LONGEST_PAUSE};

impl<X: Transport> HttpTarget<X> {
    /// Looks at the task that `answer` names until it has ended, or patience has; false if it names none. An error if it
    /// failed; whether it did what was asked for is seen at the object.
    pub(super) async fn task(
        &self,
        shape: &Shape<'_>,
        write: &Write<'_>,
        rule: &TaskRule,
        answer: &Answer,
        patience: Duration,
    ) -> Result<bool, TargetError> {
        let Some(call) = self.task_call(shape, write, rule, answer)? else { return Ok(false) };
        let (begun, mut pause) = (self.clock.boot(), FIRST_LOOK);
        loop {
            // One that nobody can see, or that is forgotten by now, says nothing of how it ended.
            let Ok(seen) = self.send(&call).await else { return Ok(true) };
            let task = parse_json(&seen.body).unwrap_or(Value::Null);
            match rule.state(&task) {
                _ if seen.status != 200 => return Ok(true),
                TaskState::Done => return Ok(true),
                TaskState::Failed => {
                    let hider = &answer.hider;
                    let why = match first_text(&task, &rule.message) {
                        Some(said) => hider.excerpt(said.as_bytes()),
                        None => hider.clean(&seen.reason(self.api.errors.as_ref())),
                    };
                    return Err(TargetError::Invalid {
                        request: answer.request.clone(),
                        status: answer.status,
                        pointer: None,
                        excerpt: format!("the task behind it failed: {why}"),
                    });
                }
                TaskState::Running => {}
            }
            if self.clock.boot().saturating_sub(begun) + pause > patience {
                return Ok(true);
            }
            self.clock.sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// How the task is asked for; `None` if the answer names none and does not say either that anything goes on.
    fn task_call(
        &self,
        shape: &Shape<'_>,
        write: &Write<'_>,
        rule: &TaskRule,
        answer: &Answer,
    ) -> Result<Option<Call>, TargetError> {
        let unnamed = |what: String| match answer.status {
            202 => Err(answer.unreadable(format!("it was accepted, and {what} names the task behind it"))),
            _ => Ok(None),
        };
        let body = parse_json(&answer.body).unwrap_or(Value::Null);
        let scene = Scene {
            rules: Some(shape.rules),
            base: Some(&body),
            key: key_fields(shape.rules, &write.id().key),
            params: Some(&self.params),
            ..Scene::default()
        };
        let path = match &rule.place {
            TaskPlace::Path(template) => {
                let missing = template.holes().find(|hole| is_missing(&scene, &body, &hole.path()));
                if let Some(hole) = missing {
                    return unnamed(format!("nothing at `{}`", hole.name));
                }
                self.address(&scene, template)?
            }
            TaskPlace::Header(name) => {
                let Some(url) = answer.header(name).filter(|url| !url.is_empty()) else {
                    return unnamed(format!("no header `{name}`"));
                };
                on_origin(url, &self.origin).ok_or_else(|| {
                    answer.unreadable(format!("the task in `{name}` is not on {}, or no whole address", self.origin))
                })?
            }
        };
        let query = match rule.place {
            TaskPlace::Path(_) => self.queries(&scene, &[&self.api.query, &shape.ty.query])?,
            TaskPlace::Header(_) => Vec::new(),
        };
        let headers = self.queries(&scene, &[&self.api.headers, &shape.ty.headers])?;
        Ok(Some(Call { method: "GET", path, query, headers, ..Call::default() }))
    }
}

/// True if neither the key, nor the parameters, nor the answer has a value for a hole.
fn is_missing(scene: &Scene<'_>, body: &Value, at: &FieldPath) -> bool {
    let known = scene.key.contains_key(at)
        || scene.params.is_some_and(|params| at.segments().first().is_some_and(|name| params.contains_key(name)));
    !known && body.get(at).is_none_or(|value| matches!(value, Value::Null) || value.as_str() == Some(""))
}
