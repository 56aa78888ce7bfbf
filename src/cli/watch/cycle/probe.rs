//! Whether an endpoint that was away answers again.

use super::GREETING;
use super::order::Basis;
use super::warm::Warm;
use crate::cli::{Context, Stop};
use crate::model::EndpointName;
use crate::reconcile::{Silence, Trouble};
use crate::target::Target as _;

/// Asks an endpoint whether it is well and who it is, and nothing else.
pub(in crate::cli) async fn probe(
    ctx: &Context,
    warm: &mut Warm,
    basis: &Basis,
    endpoint: &EndpointName,
) -> Result<(), Silence> {
    let redactor = basis.operator.redactor();
    let words = |stop: Stop| stop.diagnostics.first().map(|d| d.message.clone()).unwrap_or_default();
    let silent = |why: &str| Silence { why: redactor.hide(why), until: None };
    let fleet = warm.muster(ctx, basis).await.map_err(|stop| silent(&words(stop)))?;
    let place = (warm.target.clone(), endpoint.clone());
    let greeted = match fleet.peers.get(&place) {
        Some(peer) => match tokio::time::timeout(GREETING, peer.driver.greet()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                peer.heard(&error, ctx.clock.boot(), &ctx.entropy);
                if Trouble::of(&error) == Trouble::Authentication {
                    warm.denied.insert(endpoint.clone());
                }
                let until = peer.closed(ctx.clock.boot()).map(|(until, _)| until);
                Err(Silence { until, ..silent(&error.to_string()) })
            }
            Err(_) => Err(silent(&format!("no answer within {} s", GREETING.as_secs()))),
        },
        None => {
            let refusal = fleet.refusals.iter().find(|r| r.endpoint.as_ref().is_none_or(|e| e == endpoint));
            Err(silent(refusal.map_or("there is no such endpoint", |r| &r.message)))
        }
    };
    warm.fleet = Some(fleet);
    greeted
}
