//! Records that end with the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::{OrderBook, RecordName, Store, StoreError, Tip, codec};
use crate::model::{Orders, ProjectName, Record};

/// Records that end with the process: for tests and simulations.
#[derive(Debug, Default)]
pub struct MemoryStore {
    records: Mutex<BTreeMap<RecordName, Vec<(Tip, Record)>>>,
    orders: Mutex<BTreeMap<ProjectName, (u64, Orders)>>,
}

impl MemoryStore {
    /// A store without records.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Store for MemoryStore {
    fn read(&self, name: &RecordName) -> Result<(Option<Tip>, Record), StoreError> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = records.get(name).and_then(|versions| versions.last());
        Ok(newest.map_or_else(Default::default, |(tip, record)| (Some(tip.clone()), record.clone())))
    }

    fn swap(
        &self,
        name: &RecordName,
        expected: Option<&Tip>,
        record: &Record,
        _message: &str,
    ) -> Result<Tip, StoreError> {
        // Through the codec, so that what the others would refuse is refused here too.
        let record = codec::decode(&codec::encode(record)?)?;
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let versions = records.entry(name.clone()).or_default();
        if versions.last().map(|(tip, _)| tip) != expected {
            return Err(StoreError::Moved);
        }
        let tip = Tip(format!("memory-{}", versions.len() + 1));
        versions.push((tip.clone(), record));
        Ok(tip)
    }

    fn names(&self, project: &ProjectName) -> Result<Vec<RecordName>, StoreError> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(records
            .iter()
            .filter(|(name, v)| &name.project == project && !v.is_empty())
            .map(|(n, _)| n.clone())
            .collect())
    }

    fn history(&self, name: &RecordName, limit: usize) -> Result<Vec<(Tip, Record)>, StoreError> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let versions = records.get(name).map(Vec::as_slice).unwrap_or_default();
        let number = |at: usize| versions[at].1.head.as_ref().map(|h| h.number);
        let outcome = |at: &usize| number(*at).is_some() && (*at == 0 || number(*at) != number(*at - 1));
        Ok((0..versions.len()).rev().filter(outcome).take(limit).map(|at| versions[at].clone()).collect())
    }

    fn is_shared(&self) -> bool {
        false
    }
}

impl OrderBook for MemoryStore {
    fn orders(&self, project: &ProjectName) -> Result<(Option<Tip>, Orders), StoreError> {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let found = orders.get(project);
        Ok(found.map_or_else(Default::default, |(number, orders)| (Some(Tip(number.to_string())), orders.clone())))
    }

    fn set_orders(
        &self,
        project: &ProjectName,
        expected: Option<&Tip>,
        after: &Orders,
        _message: &str,
    ) -> Result<Tip, StoreError> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let number = orders.get(project).map_or(0, |(number, _)| *number);
        if (number > 0).then(|| Tip(number.to_string())).as_ref() != expected {
            return Err(StoreError::Moved);
        }
        orders.insert(project.clone(), (number + 1, after.clone()));
        Ok(Tip((number + 1).to_string()))
    }
}
