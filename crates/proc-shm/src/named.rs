//! Shared memory that is found by a name.

use std::{
    fmt, io,
    path::PathBuf,
    ptr::NonNull,
    sync::Arc,
    sync::atomic::{AtomicU8, Ordering::Relaxed},
};

use memmap2::MmapRaw;
use proc_core::inherit::Lineage;

use crate::{
    LockFree,
    sys::{memory, names},
};

/// Bytes that unrelated processes share by a name (those of `shm_open`, in `/dev/shm`).
///
/// For processes that start one another, the other types are better: they need no name, and the kernel frees them. This
/// is for those who know nothing of each other but a name.
///
/// The bytes are copied in and out, byte by byte: of a read and a write at the same time each byte is the old or the new
/// one. What processes agree on by is an [`atomic`](SharedMemory::atomic) in it.
///
/// # Whose the name is
///
/// The name is its creator's: it goes when the creator's handle is dropped, or by [`unlink`](SharedMemory::unlink), and
/// never because somebody else closed or ended. (In Python a process that merely attached destroys the memory when it
/// ends.) Who has the memory mapped keeps it. There is no process that watches over names: if the creator is killed, the
/// name stays until somebody unlinks it, [`create_or_replace`](SharedMemory::create_or_replace) being one way.
///
/// # Trust
///
/// Unlike anonymous memory a named one can't be sealed: whoever may open it (the same user; the mode is 0600) could
/// truncate it, which ends those who touch it by SIGBUS.
///
/// # Hidden state
///
/// One mapping, shared by all clones in a process; no descriptor. Forked children have the mapping, and may use it; the
/// name is not theirs. The memory is allocated when it is made, and the name appears when it is ready, by one step.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
/// use proc_shm::SharedMemory;
///
/// let name = format!("proc-shm-example-{}", std::process::id());
/// let ours = SharedMemory::create(&name, 4096)?;
/// let theirs = SharedMemory::open(&name)?;
///
/// ours.write_at(100, b"hello");
/// let mut text = [0; 5];
/// theirs.read_at(100, &mut text);
/// assert_eq!(&text, b"hello");
///
/// ours.atomic::<AtomicU64>(0).fetch_add(1, Relaxed);
/// assert_eq!(theirs.atomic::<AtomicU64>(0).load(Relaxed), 1);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct SharedMemory {
    inner: Arc<Inner>,
}

struct Inner {
    map: MmapRaw,
    name: String,
    /// The inode of the file that this handle made, for whom the name is.
    made: Option<(Lineage, u64)>,
}

impl SharedMemory {
    /// Makes `len` zero bytes under a name that is not taken. A slash in front of it means nothing.
    ///
    /// # Errors
    ///
    /// - the name is taken (`AlreadyExists`);
    /// - the name is empty, or has a slash or NUL inside, or is longer than 255 bytes, or `len` is 0 (`InvalidInput`);
    /// - there is no room: RLIMIT_FSIZE (`EFBIG`), a full `/dev/shm` (`ENOSPC`), memory or address space (`ENOMEM`).
    pub fn create(name: &str, len: usize) -> io::Result<SharedMemory> {
        SharedMemory::make(name, len, false)
    }

    /// Makes `len` zero bytes under a name, and takes the name from whatever has it, such as what a killed process left.
    /// Who has the old memory mapped keeps that. Of several who do this at once each succeeds, and the last one has the
    /// name. For an instant there is none, between the old one and the new.
    ///
    /// # Errors
    ///
    /// As for [`create`](SharedMemory::create), but for `AlreadyExists`; the name is that of something of another user
    /// (`PermissionDenied`), or of a folder.
    ///
    /// # Examples
    ///
    /// ```
    /// use proc_shm::SharedMemory;
    ///
    /// let name = format!("proc-shm-replace-{}", std::process::id());
    /// let old = SharedMemory::create(&name, 10)?;
    /// let new = SharedMemory::create_or_replace(&name, 20)?;
    /// assert_eq!(SharedMemory::open(&name)?.len(), 20);
    /// // It is there for those who have it.
    /// assert_eq!(old.len(), 10);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn create_or_replace(name: &str, len: usize) -> io::Result<SharedMemory> {
        SharedMemory::make(name, len, true)
    }

    /// Opens what another process made under a name.
    ///
    /// # Errors
    ///
    /// - there is none of this name (`NotFound`);
    /// - it is another user's (`PermissionDenied`);
    /// - it is empty, or not a file (`InvalidData`);
    /// - the name is not one (`InvalidInput`).
    pub fn open(name: &str) -> io::Result<SharedMemory> {
        let name = check(name)?;
        let fd = names::open(&path(name))?;
        let len = usize::try_from(memory::size(std::os::fd::AsFd::as_fd(&fd))?).unwrap_or(0);
        if len == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the named memory is empty"));
        }
        let map = memory::map(std::os::fd::AsFd::as_fd(&fd), len)?;
        Ok(SharedMemory { inner: Arc::new(Inner { map, name: name.to_owned(), made: None }) })
    }

    fn make(name: &str, len: usize, replace: bool) -> io::Result<SharedMemory> {
        let name = check(name)?;
        if len == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        memory::check_limits(len as u64, len as u64)?;
        let path = path(name);
        let fd = names::unnamed(&path)?;
        let file = std::os::fd::AsFd::as_fd(&fd);
        memory::set_size(file, len as u64)?;
        memory::allocate(file, 0, len as u64)?;
        let map = memory::map(file, len)?;
        let made = Some((Lineage::current(), names::inode(file)?));
        while let Err(e) = names::give(file, &path) {
            if !replace || e.kind() != io::ErrorKind::AlreadyExists {
                return Err(e);
            }
            // Others may do the same at the same time: whoever took the old name away, one of us gets it next. A rename would
            // do this in one step, but it needs a second name, which a kill in between would leave behind.
            if let Err(e) = names::remove(&path) {
                if e.kind() != io::ErrorKind::NotFound {
                    return Err(e);
                }
            }
        }
        Ok(SharedMemory { inner: Arc::new(Inner { map, name: name.to_owned(), made }) })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.inner.map.len()
    }

    /// False: it has a byte at least.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first byte, for what the other methods can't do. The memory is mapped while a clone of `self` lives, and other
    /// processes may change it at any time.
    pub fn as_ptr(&self) -> NonNull<u8> {
        // SAFETY: a mapping is not null.
        unsafe { NonNull::new_unchecked(self.inner.map.as_mut_ptr()) }
    }

    /// Copies bytes out, from `offset` on.
    ///
    /// # Panics
    ///
    /// They do not all lie inside.
    pub fn read_at(&self, offset: usize, into: &mut [u8]) {
        let bytes = self.bytes(offset, into.len());
        for (to, from) in into.iter_mut().zip(bytes) {
            *to = from.load(Relaxed);
        }
    }

    /// Copies bytes in, from `offset` on.
    ///
    /// # Panics
    ///
    /// They do not all lie inside.
    pub fn write_at(&self, offset: usize, from: &[u8]) {
        let bytes = self.bytes(offset, from.len());
        for (to, from) in bytes.iter().zip(from) {
            to.store(*from, Relaxed);
        }
    }

    /// The atomic, or array of atomics, at `offset`: of any kind of which any bytes are one
    /// ([`Shared::ANY_BYTES`](crate::Shared::ANY_BYTES)). An `AtomicBool` is none, as others can leave a 2 there; this does
    /// not compile:
    ///
    /// ```compile_fail
    /// let memory = proc_shm::SharedMemory::create("flags", 1).unwrap();
    /// let flag = memory.atomic::<std::sync::atomic::AtomicBool>(0);
    /// ```
    ///
    /// Whoever uses the same bytes should use them as the same type. Where sizes differ (an `AtomicU64` here, an
    /// `AtomicU32` or a [`write_at`](SharedMemory::write_at) there), Rust's memory model promises nothing for accesses at
    /// the same time; processors keep each of them whole by itself, and no more.
    ///
    /// # Panics
    ///
    /// It does not lie inside, or `offset` is not a multiple of its alignment.
    pub fn atomic<T: LockFree>(&self, offset: usize) -> &T {
        const {
            assert!(T::ANY_BYTES, "any bytes can lie in named memory, and not all are a value of this type");
        }
        let first: &[AtomicU8] = self.bytes(offset, size_of::<T>());
        let at = first.as_ptr().cast::<T>();
        assert!(at.is_aligned(), "what lies at {offset} is not aligned");
        // SAFETY: in bounds and aligned, mapped while `self` is, and any bytes are a `T`, as asserted. That all use them as
        // the same type is said above.
        unsafe { &*at }
    }

    /// Takes the name away, now: nobody opens the memory by it any more.
    ///
    /// # Errors
    ///
    /// - it is not this name's any more, or was unlinked before (`NotFound`);
    /// - this handle did not create it, or is a copy in a forked child (`PermissionDenied`).
    pub fn unlink(&self) -> io::Result<()> {
        match self.inner.made {
            Some((lineage, inode)) if lineage.is_current() => self.inner.unlink(inode),
            _ => {
                Err(io::Error::new(io::ErrorKind::PermissionDenied, "only the creator unlinks named memory"))
            }
        }
    }

    fn bytes(&self, offset: usize, len: usize) -> &[AtomicU8] {
        let end = offset.checked_add(len);
        assert!(
            end.is_some_and(|end| end <= self.len()),
            "{len} bytes from {offset} on are outside of {}",
            self.len()
        );
        // SAFETY: in bounds, mapped while `self` is, and atomic bytes are fit for shared references.
        unsafe { std::slice::from_raw_parts(self.as_ptr().as_ptr().add(offset).cast(), len) }
    }
}

impl Inner {
    fn unlink(&self, inode: u64) -> io::Result<()> {
        let path = path(&self.name);
        if names::inode_at(&path)? != inode {
            return Err(io::ErrorKind::NotFound.into());
        }
        names::remove(&path)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some((lineage, inode)) = self.made {
            if lineage.is_current() {
                // Somebody may have been faster.
                let _ = self.unlink(inode);
            }
        }
    }
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMemory").field("name", &self.name()).field("len", &self.len()).finish()
    }
}

fn check(name: &str) -> io::Result<&str> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    if bare.is_empty() || bare.len() > 255 || bare.contains(['/', '\0']) || bare == "." || bare == ".." {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a name for shared memory"));
    }
    Ok(bare)
}

fn path(name: &str) -> PathBuf {
    PathBuf::from("/dev/shm").join(name)
}
