//! How the call is sent that an API wants once after writes.

use bytes::Bytes;

use crate::manifest::api::Body;
use crate::model::AfterCall;
use crate::net::Transport;
use crate::target::{Fence, TargetError};

use super::driver::{Call, HttpTarget};
use super::fill::Scene;
use super::wire::{self, Resolved};

impl<X: Transport> HttpTarget<X> {
    pub(super) async fn call(&self, call: &AfterCall, fence: Option<Fence>) -> Result<(), TargetError> {
        let refused = |why: String| TargetError::refused(format!("{}: {why}", call.call));
        let operation = call.kinds.iter().find_map(|kind| self.api.after_apply(kind));
        let operation = operation.ok_or_else(|| refused("the description has no such call".to_owned()))?;
        let scene = Scene { params: Some(&self.params), ..Scene::default() };
        let mut headers = self.queries(&scene, &[&self.api.headers, &operation.headers])?;
        if let (Some(header), Some(fence)) = (&self.api.fence, fence) {
            headers.push((header.clone(), fence.0.to_string()));
        }
        let content = operation.content.clone().unwrap_or_default();
        let body = match &operation.body {
            Body::Template(template) => {
                let filled = scene.body(template).map_err(refused)?;
                let mut out = Vec::new();
                wire::write_as(&content, &filled, &Resolved::new(), &mut out).map_err(refused)?;
                Some(Bytes::from(out))
            }
            Body::None | Body::All | Body::Merged | Body::Changes | Body::Fields => None,
        };
        let (method, path) = (operation.method.as_str(), self.address(&scene, &operation.path)?);
        let query = self.queries(&scene, &[&self.api.query, &operation.query])?;
        let answer = self.send(&Call { method, path, query, headers, body, content, ..Call::default() }).await?;
        if !answer.is_success() {
            return Err(self.refusal(&answer));
        }
        match answer.not_ok(&operation.ok) {
            None => Ok(()),
            Some(why) => {
                let (request, status) = (answer.request.clone(), answer.status);
                let excerpt = format!("{why}: {}", answer.reason(self.api.errors.as_ref()));
                Err(TargetError::Invalid { request, status, pointer: None, excerpt })
            }
        }
    }
}
