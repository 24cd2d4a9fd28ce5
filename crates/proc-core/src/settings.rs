//! What a process is given beside its code: plain data, applied in the child by every start method alike.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The highest CPU number plus one that an affinity set holds.
const MAX_CPUS: usize = 1024;

/// Settings without descriptors. They cross to a zygote as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "functions", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Settings {
    pub(crate) session: bool,
    /// 0: a group of its own.
    pub(crate) group: Option<i32>,
    pub(crate) current_dir: Option<CString>,
    pub(crate) umask: Option<u32>,
    pub(crate) nice: Option<i32>,
    /// CPU numbers; empty: as the parent.
    pub(crate) affinity: Vec<usize>,
    pub(crate) limits: Vec<Limit>,
    pub(crate) groups: Option<Vec<u32>>,
    pub(crate) gid: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) no_new_privs: bool,
    pub(crate) parent_death_signal: Option<i32>,
}

/// One resource limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "functions", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Limit {
    pub(crate) resource: u32,
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

impl Settings {
    /// What is wrong with them, before a child is made that could only fail.
    pub(crate) fn fault(&self) -> Option<String> {
        if self.current_dir.as_ref().is_some_and(|dir| dir.is_empty()) {
            return Some("the path of the working directory is empty or has a NUL byte in it".into());
        }
        let cpu = self.affinity.iter().find(|cpu| **cpu >= MAX_CPUS)?;
        Some(format!("CPU {cpu} is above {}", MAX_CPUS - 1))
    }

    /// Whether they change who the process is: a child on the parent's memory must not, or the parent would lose its
    /// dumpable flag.
    pub(crate) fn change_credentials(&self) -> bool {
        self.groups.is_some() || self.gid.is_some() || self.uid.is_some()
    }
}

/// A builder method can't fail, so a path that no C string can hold is kept as one that [`Settings::fault`] finds: the
/// empty one.
pub(crate) fn path_or_poison(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

/// What is wrong with a change to the environment: a name that no variable can have, or a value that none can hold.
pub(crate) fn fault_of_variable(name: &OsStr, value: Option<&OsStr>) -> Option<String> {
    if name.is_empty() || name.as_bytes().iter().any(|b| matches!(b, b'=' | 0)) {
        return Some(format!("{name:?} can't be the name of a variable"));
    }
    let value = value.filter(|value| value.as_bytes().contains(&0))?;
    Some(format!("variable {name:?}: {value:?} has a NUL byte in it"))
}
