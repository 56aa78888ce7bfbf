//! What one endpoint is approached with, once its origin was checked.

use std::collections::BTreeMap;

use crate::model::{Diagnostic, Kind, Secret, SecretRef, TargetName};

/// What one endpoint is approached with. Made by the operator's file alone, after the origin was checked against it.
#[derive(Clone, Debug)]
pub struct Access {
    /// The credential.
    pub auth: Auth,
    /// Certificates (PEM) of a private authority that signs this endpoint, besides the system's.
    pub ca: Option<Vec<u8>>,
    /// A client certificate and its key (PEM).
    pub identity: Option<Secret>,
}

impl Access {
    /// Nothing but the request itself.
    pub fn anonymous() -> Self {
        Self { auth: Auth::None, ca: None, identity: None }
    }
}

/// How a request proves who sends it.
#[derive(Clone, Debug)]
pub enum Auth {
    /// Not at all.
    None,
    /// HTTP basic.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// `Authorization: Bearer …`
    Bearer(Secret),
    /// A named header.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: Secret,
    },
    /// The description says how to log in; these are the values for its holes.
    Login(BTreeMap<String, Secret>),
}

/// Resolves `{$secret: NAME}` when a request is built.
pub trait SecretSource: Send + Sync {
    /// The value, if the operator's file lets this target and kind have it.
    fn resolve(&self, name: &SecretRef, target: &TargetName, kind: &Kind) -> Result<Secret, Box<Diagnostic>>;
}
