//! Orders as a file beside the folders of the project's records.

use std::fs;

use rustix::fs::{FlockOperation, flock};

use super::{FileStore, write_whole};
use crate::model::{Digest, Orders, ProjectName};
use crate::store::lock::{io_error, open_private, private_folder};
use crate::store::orders::{FILE, decode, encode};
use crate::store::{OrderBook, StoreError, Tip};

impl OrderBook for FileStore {
    fn orders(&self, project: &ProjectName) -> Result<(Option<Tip>, Orders), StoreError> {
        let path = self.dir.join(project.as_str()).join(FILE);
        match fs::read(&path) {
            Ok(bytes) => {
                let orders = decode(&path.display().to_string(), &bytes)?;
                Ok((Some(Tip(Digest::of(&bytes).to_string())), orders))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok((None, Orders::default())),
            Err(error) => Err(io_error(&path, &error)),
        }
    }

    fn set_orders(
        &self,
        project: &ProjectName,
        expected: Option<&Tip>,
        orders: &Orders,
        _message: &str,
    ) -> Result<Tip, StoreError> {
        let folder = self.dir.join(project.as_str());
        let bytes = encode(&folder.join(FILE).display().to_string(), orders)?;
        private_folder(&folder).map_err(|e| io_error(&folder, &e))?;
        let lock = open_private(&folder.join("orders.lock")).map_err(|e| io_error(&folder, &e))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|e| io_error(&folder, &e.into()))?;
        if self.orders(project)?.0.as_ref() != expected {
            return Err(StoreError::Moved);
        }
        write_whole(&folder, FILE, &bytes).map_err(|e| io_error(&folder, &e))?;
        Ok(Tip(Digest::of(&bytes).to_string()))
    }
}
