//! The running program's own image: where it lies, who it is, and functions as offsets in it.
//!
//! A child runs the same executable, loaded at another address. What stays the same is a function's offset from the
//! image's base. Both sides check that it is the same image and that the offset is in its code.

use serde::{Deserialize, Serialize};
use std::any::TypeId;
use std::ffi::{c_int, c_void};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

/// A function of the main image, as its offset from the image's base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Code(u64);

/// Who an image is: its build id, or, where the linker left none, its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ImageId {
    Build(Vec<u8>),
    File { device: u64, inode: u64, size: u64, mtime: (i64, i64) },
}

/// Why a function can't be named to another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ImageError {
    /// It lies in a shared library or in memory that was made at run time.
    Foreign,
    /// `/proc/self/exe` is not the program: it was started through the loader, or by an emulator.
    Loader,
    /// The offset is not in the image's code.
    NotCode,
    /// The other side runs another image.
    Other,
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ImageError::Foreign => {
                "the function lies outside the program's own executable (in a shared library or plugin), \
                 where a new process would not find it"
            }
            ImageError::Loader => {
                "/proc/self/exe is not this program (it was started through the loader or an emulator), \
                 so a new process would not run it"
            }
            ImageError::NotCode => "the function's offset is not in the program's code",
            ImageError::Other => "the other process runs another build of the program",
        })
    }
}

struct Image {
    base: usize,
    code: Vec<Range<usize>>,
    build_id: Option<Vec<u8>>,
}

fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let mut image = Image { base: 0, code: Vec::new(), build_id: None };
        // SAFETY: the callback gets the pointer to `image`, which outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(first_object), (&raw mut image).cast()) };
        image
    })
}

/// The first object that the loader reports is the main program; returning 1 ends the walk there.
extern "C" fn first_object(info: *mut libc::dl_phdr_info, _size: usize, image: *mut c_void) -> c_int {
    // SAFETY: the loader passes a live record, and `image()` its own structure.
    let (info, image) = unsafe { (&*info, &mut *image.cast::<Image>()) };
    image.base = info.dlpi_addr as usize;
    // SAFETY: the loader's record gives the table and its length.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    for header in headers {
        let start = image.base.wrapping_add(header.p_vaddr as usize);
        if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0 {
            image.code.push(start..start.wrapping_add(header.p_memsz as usize));
        }
        if header.p_type == libc::PT_NOTE && image.build_id.is_none() {
            // SAFETY: a note segment is part of the loaded image.
            let notes = unsafe { std::slice::from_raw_parts(start as *const u8, header.p_memsz as usize) };
            image.build_id = build_id(notes);
        }
    }
    1
}

/// The GNU build id among the notes of a segment: name size, content size, type, name, content, each padded to 4.
fn build_id(mut notes: &[u8]) -> Option<Vec<u8>> {
    const NT_GNU_BUILD_ID: u32 = 3;
    let word = |bytes: &[u8], at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let padded = |n: u32| (n as usize).div_ceil(4) * 4;
    loop {
        let (name_size, size, kind) = (word(notes, 0)?, word(notes, 4)?, word(notes, 8)?);
        let content = 12 + padded(name_size);
        if kind == NT_GNU_BUILD_ID && notes.get(12..16) == Some(b"GNU\0") {
            return notes.get(content..content + size as usize).map(<[u8]>::to_vec);
        }
        notes = notes.get(content + padded(size)..)?;
    }
}

/// Who this image is, for a message to a new process: an error if an exec of `/proc/self/exe` would run another.
pub(crate) fn id() -> Result<&'static ImageId, ImageError> {
    static CHECKED: OnceLock<Result<(), ImageError>> = OnceLock::new();
    let checked = CHECKED.get_or_init(|| {
        let file = std::fs::metadata("/proc/self/exe").map_err(|_| ImageError::Loader)?;
        // The program's text must be a mapping of that file.
        match mapped_inode(id as *const () as usize) {
            Some(inode) if inode == file.ino() => Ok(()),
            _ => Err(ImageError::Loader),
        }
    });
    checked.clone().and_then(|()| own_id())
}

/// Who this image is, to hold against what came from another process: no system call where there is a build id.
pub(crate) fn own_id() -> Result<&'static ImageId, ImageError> {
    static ID: OnceLock<Result<ImageId, ImageError>> = OnceLock::new();
    let id = ID.get_or_init(|| {
        if let Some(id) = &image().build_id {
            return Ok(ImageId::Build(id.clone()));
        }
        let file = std::fs::metadata("/proc/self/exe").map_err(|_| ImageError::Loader)?;
        Ok(ImageId::File {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            mtime: (file.mtime(), file.mtime_nsec()),
        })
    });
    id.as_ref().map_err(Clone::clone)
}

/// The inode of the file that is mapped at `address`, from `/proc/self/maps`. The program comes first there, and the
/// kernel writes no more than is read: the whole list would cost twenty times as much.
fn mapped_inode(address: usize) -> Option<u64> {
    let maps = std::fs::File::open("/proc/self/maps").ok()?;
    BufReader::with_capacity(512, maps).lines().map_while(Result::ok).find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
        if !range.contains(&address) {
            return None;
        }
        fields.nth(3)?.parse().ok()
    })
}

impl Code {
    pub(crate) fn offset(self) -> u64 {
        self.0
    }

    /// The offset of the function at `address`.
    pub(crate) fn of(address: *const ()) -> Result<Code, ImageError> {
        let image = image();
        let address = address as usize;
        if !image.code.iter().any(|range| range.contains(&address)) {
            return Err(ImageError::Foreign);
        }
        Ok(Code((address - image.base) as u64))
    }

    /// The address in this process, if the offset is in the image's code.
    pub(crate) fn address(self) -> Result<*const (), ImageError> {
        let image = image();
        let address = usize::try_from(self.0).ok().and_then(|offset| image.base.checked_add(offset));
        match address {
            Some(address) if image.code.iter().any(|range| range.contains(&address)) => {
                Ok(address as *const ())
            }
            _ => Err(ImageError::NotCode),
        }
    }
}

/// A hash of two types. Equal offsets in equal images mean equal functions, and this says so once more where build ids
/// are missing. A type's id is the compiler's, and the same in each process of one image; its name would not tell apart
/// two types that are declared under one name in two blocks of a function.
pub(crate) fn types_hash<A: 'static, R: 'static>() -> u64 {
    let mut hasher = DefaultHasher::new();
    TypeId::of::<A>().hash(&mut hasher);
    TypeId::of::<R>().hash(&mut hasher);
    hasher.finish()
}
