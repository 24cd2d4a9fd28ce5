//! What may cross to another process.

use serde::{Serialize, de::DeserializeOwned};

/// What may cross to another process: implemented for every type that is `Serialize + DeserializeOwned + Send + 'static`.
///
/// A type that owns a file or socket becomes one by [`Fd`](crate::Fd) around it, an error by
/// [`RemoteError`](crate::RemoteError).
///
/// # Examples
///
/// ```
/// use proc_core::Message;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Job {
///     id: u64,
///     words: Vec<String>,
/// }
///
/// fn send<M: Message>(_: M) {}
/// send(Job { id: 1, words: vec![] });
/// ```
///
/// ```compile_fail
/// # use proc_core::Message;
/// # fn send<M: Message>(_: M) {}
/// // error: `File` cannot cross to another process
/// send(std::fs::File::open("/dev/null").unwrap());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot cross to another process",
    note = "derive `serde::Serialize` and `serde::Deserialize`; wrap a file or socket in `Fd`; for an error use `RemoteError` or a `try_` method"
)]
pub trait Message: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Message for T {}
