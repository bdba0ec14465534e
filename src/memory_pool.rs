//! A global allocator that can serve a whole process from one block of memory taken at its start.
//!
//! Until [`MemoryPool::take`] it passes every call on to the system and counts. After it, whatever is allocated comes from
//! the pool, in constant time (TLSF, <https://doi.org/10.1109/EMRTS.2004.1311009>), and the system is asked for nothing
//! more; what was allocated before goes back to where it came from.
//!
//! Not in the pool: the program itself, the stacks of threads, and the little that the C library keeps for itself.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt;
use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rlsf::Tlsf;

use crate::memory_ceiling;
use crate::opening::file_being_opened;

/// Sizes are told apart in classes of a thirty-second.
type Blocks = Tlsf<'static, u32, u32, 26, 32>;

const PAGE: usize = 4096;

/// What the smallest block costs: sizes are multiples of it.
const GRANULE: usize = rlsf::GRANULARITY;

/// What a block needs beside its content.
const HEADER: usize = GRANULE / 2;

static BLOCKS: Mutex<Blocks> = Mutex::new(Blocks::new());
static TAKEN: OnceLock<Taken> = OnceLock::new();
static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static NEEDED: AtomicUsize = AtomicUsize::new(0);

/// The allocator, for `#[global_allocator]`. Its figures are 0 in a program that does not use it.
///
/// ```no_run
/// use scenescribe::MemoryPool;
///
/// #[global_allocator]
/// static POOL: MemoryPool = MemoryPool;
///
/// fn main() -> std::io::Result<()> {
///     MemoryPool::take(32 << 20, |exhaustion| eprintln!("{exhaustion}"))?;
///     let buffer = vec![0; 1000];
///     assert!(MemoryPool::used() >= buffer.len());
///     Ok(())
/// }
/// ```
pub struct MemoryPool;

struct Taken {
    start: usize,
    size: usize,
    on_exhaustion: fn(Exhaustion),
}

/// An allocation that the pool cannot serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhaustion {
    /// Bytes asked for.
    pub asked: usize,
    /// Bytes in use by then.
    pub used: usize,
    /// Bytes of the pool.
    pub size: usize,
    /// Bytes that the model needs, once one has been opened; 0 before.
    pub needed: usize,
}

impl fmt::Display for Exhaustion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, used, size, needed } = self;
        write!(f, "out of memory: {asked} bytes asked for with {used} of {size} in use")?;
        if *needed > 0 {
            write!(f, "; the model needs about {:.1} MB, larger pictures more", *needed as f64 / 1e6)?;
        }
        match file_being_opened() {
            Some(file) => write!(f, "; while opening {file}"),
            None => Ok(()),
        }
    }
}

impl MemoryPool {
    /// Takes `size` bytes from the system, from which all later allocations are served.
    ///
    /// `on_exhaustion` is called, on whatever thread, when one cannot be; it must not allocate. If it returns, the
    /// allocation fails, which ends most programs.
    ///
    /// # Errors
    /// If the system does not give as much, or a pool has been taken before.
    pub fn take(size: usize, on_exhaustion: fn(Exhaustion)) -> io::Result<()> {
        let layout = Layout::from_size_align(size, PAGE).map_err(|_| io::ErrorKind::InvalidInput)?;
        if size < PAGE || TAKEN.get().is_some() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: the layout has a size.
        let start = NonNull::new(unsafe { System.alloc(layout) }).ok_or(io::ErrorKind::OutOfMemory)?;
        let block = NonNull::slice_from_raw_parts(start, size);
        // SAFETY: the block was allocated just now for the pool alone, and is never given back.
        let inserted = unsafe { blocks().insert_free_block_ptr(block) };
        inserted.ok_or(io::ErrorKind::InvalidInput)?;
        TAKEN
            .set(Taken { start: start.addr().get(), size, on_exhaustion })
            .map_err(|_| io::ErrorKind::AlreadyExists.into())
    }

    /// Touches every page of the pool and keeps it from being swapped out.
    ///
    /// # Errors
    /// If the system does not allow as much locked memory; if no pool has been taken.
    #[cfg(unix)]
    pub fn lock() -> io::Result<()> {
        let taken = TAKEN.get().ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: the range is that of the pool, which is never unmapped; locking changes no content.
        match unsafe { libc::mlock(ptr::without_provenance(taken.start), taken.size) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Whether the system gets back at once what is freed, as far as no pool is taken and the C library is glibc.
    ///
    /// That costs time, and is meant for the opening of a model, whose big pieces would otherwise leave holes behind.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    pub fn set_thrifty(is_thrifty: bool) {
        let (own_mapping, trim) = if is_thrifty { (64 << 10, 128 << 10) } else { (32 << 20, 64 << 20) };
        // SAFETY: these calls are allowed at any time; they change where later allocations are served from.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, own_mapping);
            libc::mallopt(libc::M_TRIM_THRESHOLD, trim);
            libc::malloc_trim(0);
        }
    }

    /// Does nothing with this C library.
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    pub fn set_thrifty(_: bool) {}

    /// Bytes of the pool, if it has been taken.
    pub fn size() -> Option<usize> {
        TAKEN.get().map(|taken| taken.size)
    }

    /// Bytes in use, each allocation with what it costs beside its content.
    pub fn used() -> usize {
        USED.load(Relaxed)
    }

    /// The most bytes that have been in use at once since the start or the last [`MemoryPool::reset_peak`].
    pub fn peak() -> usize {
        PEAK.load(Relaxed)
    }

    /// What the model needs; 0 before one has been opened.
    pub(crate) fn needed() -> usize {
        NEEDED.load(Relaxed)
    }

    /// Lets the peak start anew from what is in use.
    pub fn reset_peak() {
        PEAK.store(Self::used(), Relaxed);
    }
}

/// Counts what was given for `layout`, unless it is null.
fn counted(pointer: *mut u8, layout: Layout) -> *mut u8 {
    if !pointer.is_null() {
        let cost = cost(layout);
        PEAK.fetch_max(USED.fetch_add(cost, Relaxed) + cost, Relaxed);
    }
    pointer
}

fn discount(layout: Layout) {
    USED.fetch_sub(cost(layout), Relaxed);
}

/// Counts that a block has become another; both were there at once if it has moved.
fn recounted(old: (*mut u8, Layout), new: *mut u8, layout: Layout) -> *mut u8 {
    let has_moved = new != old.0;
    if !has_moved {
        discount(old.1);
    }
    counted(new, layout);
    if has_moved && !new.is_null() {
        discount(old.1);
    }
    new
}

fn owns(pointer: *mut u8) -> bool {
    TAKEN.get().is_some_and(|taken| (taken.start..taken.start + taken.size).contains(&pointer.addr()))
}

/// Allocates by `allocate`, or tells what was asked for in vain.
fn serve(taken: &Taken, layout: Layout, allocate: impl FnOnce(&mut Blocks) -> Option<NonNull<u8>>) -> *mut u8 {
    let served = allocate(&mut blocks());
    if served.is_none() {
        let (asked, used, needed) = (layout.size(), MemoryPool::used(), MemoryPool::needed());
        (taken.on_exhaustion)(Exhaustion { asked, used, size: taken.size, needed });
    }
    served.map_or(ptr::null_mut(), NonNull::as_ptr)
}

fn blocks() -> MutexGuard<'static, Blocks> {
    BLOCKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes that an allocation takes from a pool, at most.
fn cost(layout: Layout) -> usize {
    (layout.size() + layout.align().max(HEADER)).next_multiple_of(GRANULE)
}

// SAFETY: memory comes from the system or from the pool's blocks, both of which keep the contract; a pointer goes back to
// the one whose address range it is in. Nothing here allocates or panics.
unsafe impl GlobalAlloc for MemoryPool {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let pointer = match TAKEN.get() {
            Some(taken) => serve(taken, layout, |blocks| blocks.allocate(layout)),
            // SAFETY: the caller's promise is passed on.
            None if memory_ceiling::admits(layout) => unsafe { System.alloc(layout) },
            None => ptr::null_mut(),
        };
        counted(pointer, layout)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if TAKEN.get().is_none() {
            if !memory_ceiling::admits(layout) {
                return ptr::null_mut();
            }
            // SAFETY: the caller's promise is passed on.
            return counted(unsafe { System.alloc_zeroed(layout) }, layout);
        }
        // SAFETY: the caller's promise is passed on.
        let pointer = unsafe { self.alloc(layout) };
        if !pointer.is_null() {
            // SAFETY: `alloc` gave as many bytes.
            unsafe { pointer.write_bytes(0, layout.size()) };
        }
        pointer
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        discount(layout);
        match NonNull::new(pointer).filter(|_| owns(pointer)) {
            // SAFETY: the pointer lies in the pool, so that it came from its blocks, with the alignment of `layout`.
            Some(pointer) => unsafe { blocks().deallocate(pointer, layout.align()) },
            // SAFETY: what is not the pool's is the system's.
            None => unsafe { System.dealloc(pointer, layout) },
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size does not overflow with this alignment.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        let Some(taken) = TAKEN.get() else {
            if size > layout.size() && !memory_ceiling::admits(new) {
                return ptr::null_mut();
            }
            // SAFETY: the caller's promise is passed on.
            let moved = unsafe { System.realloc(pointer, layout, size) };
            return recounted((pointer, layout), moved, new);
        };
        if let Some(old) = NonNull::new(pointer).filter(|_| owns(pointer)) {
            // SAFETY: the pointer lies in the pool, so that it came from its blocks, with the alignment of `layout`.
            let moved = serve(taken, new, |blocks| unsafe { blocks.reallocate(old, new) });
            return recounted((pointer, layout), moved, new);
        }
        // SAFETY: the new block is apart from the old one, and both are as long as what is copied.
        unsafe {
            let moved = self.alloc(new);
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(pointer, layout.size().min(size));
                self.dealloc(pointer, layout);
            }
            moved
        }
    }
}

/// Keeps what the model needs for [`Exhaustion`].
pub(crate) fn note_need(bytes: usize) {
    NEEDED.store(bytes, Relaxed);
}

/// Bytes that are left of the pool; none if none is taken.
pub(crate) fn left() -> Option<usize> {
    MemoryPool::size().map(|size| size.saturating_sub(MemoryPool::used()))
}

/// Ends the process without running what others have registered for its end, which may allocate or wait for a lock that
/// the caller holds: the way out of a handler of [`Exhaustion`].
#[cfg(unix)]
pub fn exit_at_once(code: u8) -> ! {
    // SAFETY: `_exit` has no requirements.
    unsafe { libc::_exit(code.into()) }
}

/// Lets go of the memory that holds pages of `bytes`, which are a part of the program's file: they are read again from
/// there if they are needed.
pub(crate) fn release_pages(bytes: &'static [u8]) {
    let start = bytes.as_ptr().addr().next_multiple_of(PAGE);
    let end = (bytes.as_ptr().addr() + bytes.len()) / PAGE * PAGE;
    #[cfg(target_os = "linux")]
    if start < end {
        // SAFETY: the pages are wholly those of a static that is never written, so the file has their content.
        unsafe { libc::madvise(ptr::without_provenance_mut(start), end - start, libc::MADV_DONTNEED) };
    }
}

/// Lets go of the memory that holds the program's code, as most of it only opens models; what is still needed is read
/// again from the program's file, or found in the system's cache. Does nothing where there is no `/proc`, or in a program
/// that has another allocator.
pub fn release_code() {
    if MemoryPool::used() == 0 {
        return;
    }
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let here = (release_code as fn() as *const ()).addr();
    let code = maps.lines().filter_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let address = |text| usize::from_str_radix(text, 16).ok();
        rest.starts_with("r-xp").then_some(address(start)?..address(end)?)
    });
    #[cfg(target_os = "linux")]
    if let Some(code) = code.into_iter().find(|code| code.contains(&here)) {
        // SAFETY: this is the mapping of code that is never written, so the file has its content.
        unsafe { libc::madvise(ptr::without_provenance_mut(code.start), code.len(), libc::MADV_DONTNEED) };
    }
}
