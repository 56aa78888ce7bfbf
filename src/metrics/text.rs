//! All that is counted, as the text that Prometheus reads.

use std::collections::BTreeMap;

use prometheus_client::encoding::text::encode_registry;

use super::Metrics;
use super::registry::{Shown, family_name};

/// What [`Metrics::text`] is, for the `Content-Type` of an answer.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Metrics {
    /// Everything, in Prometheus' text format (see [`CONTENT_TYPE`]), in an order that stays the same. A metric that has
    /// no value yet is named and explained all the same.
    pub fn text(&self) -> String {
        // Held so that no sum is shown half done.
        let sums = self.sums();
        self.show(&sums);
        let mut raw = String::new();
        // Writing into a string does not fail.
        let _ = encode_registry(&mut raw, &self.registry);
        drop(sums);
        let mut samples: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut family = "";
        for line in raw.lines() {
            match line.strip_prefix("# HELP ").and_then(|rest| rest.split(' ').next()) {
                Some(name) => family = name,
                None if line.starts_with('#') => {}
                None => samples.entry(family).or_default().push(line),
            }
        }
        let mut text = String::with_capacity(raw.len() + 512);
        for Shown { name, kind, help } in &self.shown {
            text.push_str(&format!("# HELP {name} {help}.\n# TYPE {name} {kind}\n"));
            let lines = samples.remove(family_name(name, kind)).unwrap_or_default();
            let mut series: Vec<&[&str]> = match *kind {
                // One series is its sum and what follows it; the buckets stay in their order.
                "histogram" => lines.chunk_by(|_, next| !next.starts_with(&format!("{name}_sum"))).collect(),
                _ => lines.chunks(1).collect(),
            };
            series.sort_unstable();
            for line in series.into_iter().flatten() {
                // A family of one series without labels is an empty pair of braces, which is legal and ugly.
                match line.strip_prefix(name).and_then(|rest| rest.strip_prefix("{}")) {
                    Some(value) => text.extend([name, value]),
                    None => text.push_str(line),
                }
                text.push('\n');
            }
        }
        text
    }
}
