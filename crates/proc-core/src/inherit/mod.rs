//! What a forked child does not inherit.
//!
//! A fork copies memory and descriptors, so the child has a copy of every handle of its parent: a copy that its
//! destructor would use, and descriptors that keep a pipe open whose end somebody waits for. Handles of this family of
//! crates therefore belong to the process that made them. [`Lineage`] tells whether this still is that process, and
//! [`LocalFd`] is a descriptor that no forked child has. A handle that a child is to use is named when it is started.
//!
//! # Hidden state
//!
//! The first use registers one handler with `pthread_atfork`, for the life of the process. It runs in each child of
//! `fork`, neither allocates nor locks, closes the descriptors of every [`LocalFd`] and counts the generation up. It does
//! not run in children that a raw `clone` or `vfork` makes. A fork in one thread while another is just opening or
//! closing a [`LocalFd`] may leave the child a copy of that one descriptor, as with any close-on-exec flag that is set
//! late; it never closes a foreign one.

mod lineage;
mod local_fd;
mod table;

pub use self::{
    lineage::{Lineage, NotInherited},
    local_fd::LocalFd,
};
