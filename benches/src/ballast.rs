//! Memory that a parent holds, to see who pays for it.

use std::ptr;

/// Touched private memory in small pages, freed when dropped.
///
/// Small pages on purpose: whether a machine gives huge pages to a plain allocation depends on its settings, and a fork
/// of huge pages copies 512 times fewer entries.
#[derive(Debug)]
pub struct Ballast {
    start: *mut libc::c_void,
    length: usize,
}

impl Ballast {
    /// Takes and touches this many MiB.
    pub fn mib(mib: usize) -> Self {
        let length = mib << 20;
        if length == 0 {
            return Ballast { start: ptr::null_mut(), length };
        }
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches nothing that exists.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(start, libc::MAP_FAILED, "{mib} MiB: {}", std::io::Error::last_os_error());
        // SAFETY: the whole mapping is ours; the advice changes no content.
        unsafe { libc::madvise(start, length, libc::MADV_NOHUGEPAGE) };
        for page in (0..length).step_by(4096) {
            // SAFETY: inside the mapping, which is writable.
            unsafe { start.cast::<u8>().add(page).write_volatile(1) };
        }
        Ballast { start, length }
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: our mapping, of which no reference was ever given out.
            unsafe { libc::munmap(self.start, self.length) };
        }
    }
}
