//! Why there is no value, as it goes up.

use super::work::Failure;
use crate::error::TaskError;
use proc_core::{Panic, transfer};
use serde::{Deserialize, Serialize};

/// Why an item gave no value.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Panicked(Panic),
    Failure(Failure),
}

impl Answer {
    pub(crate) fn pack(&self) -> Vec<u8> {
        transfer::pack(self).map(|packed| packed.bytes).unwrap_or_default()
    }

    pub(crate) fn unpack(bytes: &[u8]) -> Option<Answer> {
        transfer::unpack(bytes, Vec::new()).ok()
    }

    pub(crate) fn into_error(self) -> TaskError {
        match self {
            Answer::Panicked(panic) => TaskError::Panicked(panic),
            Answer::Failure(Failure::Failed(error)) => TaskError::Failed(error),
            Answer::Failure(Failure::Encode(why)) => TaskError::Encode(why),
            Answer::Failure(Failure::Decode(why)) => TaskError::Decode(why),
        }
    }
}
