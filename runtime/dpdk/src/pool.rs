//! Memory pools: where packets come from.
//!
//! With huge pages, mbufs lie in the EAL's memory. Without, the EAL has small pages only, at which packets miss the TLB; mbufs
//! then lie in a mapping of the pool's own, for which the kernel has transparent huge pages if it can.

use std::ffi::{CStr, CString};
use std::mem::ManuallyDrop;
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dpdk_sys::{rte_mbuf, rte_mempool, rte_pktmbuf_pool_private};
use oko_pages::Pages;

use crate::eal::{Eal, LEAKED_POOLS};
use crate::errno::Errno;
use crate::log;
use crate::mbuf::Mbuf;

/// The size of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Number of mbufs. All ports' receive rings, all bursts under way and every cache are filled from it.
    pub mbufs: u32,
    /// Mbufs that each registered thread keeps for itself, to share less; at most 512.
    pub cache: u32,
    /// Bytes for data in one mbuf, with its headroom (128 bytes); longer packets take several mbufs.
    pub data_room: u16,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self { mbufs: 16_384, cache: 256, data_room: dpdk_sys::RTE_MBUF_DEFAULT_BUF_SIZE as u16 }
    }
}

/// Why there is no pool or no mbuf.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The pool could not be created.
    #[error("no pool of {mbufs} packet buffers: {errno}; DPDK says: {log}")]
    Create {
        /// Mbufs asked for.
        mbufs: u32,
        /// DPDK's reason.
        errno: Errno,
        /// What DPDK logged.
        log: String,
    },
    /// All mbufs are in use.
    #[error("the pool has no packet buffer left")]
    Empty,
}

/// A pool of mbufs. Clones are handles to the same pool.
///
/// When the last handle goes while packets of the pool are still about, the memory is leaked rather than freed
/// under them.
#[derive(Clone, Debug)]
pub struct Pool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pool: NonNull<rte_mempool>,
    config: PoolConfig,
    /// What the mbufs lie in, unless that is the EAL's memory; stays mapped when the pool is leaked.
    pages: ManuallyDrop<Option<Pages>>,
    _eal: Eal,
}

// SAFETY: mempools are made for concurrent use; all other fields are immutable.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Pool {
    /// Creates a pool, with memory from any NUMA node.
    ///
    /// # Errors
    /// [`PoolError::Create`], mostly for lack of memory.
    pub fn create(eal: &Eal, config: PoolConfig) -> Result<Self, PoolError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name =
            CString::new(format!("oko-pool-{}", NEXT.fetch_add(1, Ordering::Relaxed))).expect("no zero byte");
        let mark = log::mark();
        // SAFETY: the EAL is initialised.
        let made = if unsafe { dpdk_sys::rte_eal_has_hugepages() } != 0 {
            in_memory_of_the_eal(&name, config).map(|pool| (pool, None))
        } else {
            in_own_pages(&name, config).map(|(pool, pages)| (pool, Some(pages)))
        };
        let (pool, pages) =
            made.map_err(|errno| PoolError::Create { mbufs: config.mbufs, errno, log: log::since(mark) })?;
        let inner = Inner { pool, config, pages: ManuallyDrop::new(pages), _eal: eal.clone() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// An mbuf with no data in it.
    ///
    /// # Errors
    /// [`PoolError::Empty`].
    pub fn alloc(&self) -> Result<Mbuf, PoolError> {
        // SAFETY: the pool is alive as long as `self`.
        let raw = unsafe { dpdk_sys::shim_rte_pktmbuf_alloc(self.as_ptr()) };
        // SAFETY: a fresh mbuf, which nobody else refers to.
        NonNull::new(raw).map(|raw| unsafe { Mbuf::from_raw(raw) }).ok_or(PoolError::Empty)
    }

    /// A packet with the given bytes, in as many segments as it takes.
    ///
    /// # Errors
    /// [`PoolError::Empty`].
    pub fn packet(&self, bytes: &[u8]) -> Result<Mbuf, PoolError> {
        let mut head = self.alloc()?;
        let mut rest = &bytes[head.append_prefix(bytes)..];
        while !rest.is_empty() {
            let mut segment = self.alloc()?;
            let stored = segment.append_prefix(rest);
            if stored == 0 || head.chain(segment).is_err() {
                return Err(PoolError::Empty);
            }
            rest = &rest[stored..];
        }
        Ok(head)
    }

    /// How many mbufs are free now, counting those in the threads' caches. Walks all caches: not for the fast path.
    #[must_use]
    pub fn available(&self) -> u32 {
        // SAFETY: the pool is alive as long as `self`.
        unsafe { dpdk_sys::rte_mempool_avail_count(self.as_ptr()) }
    }

    /// The sizes it was created with.
    #[must_use]
    pub fn config(&self) -> PoolConfig {
        self.inner.config
    }

    pub(crate) fn as_ptr(&self) -> *mut rte_mempool {
        self.inner.pool.as_ptr()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: the last handle is going, so nothing can be allocated any more. If all mbufs are in the pool, no
        // `Mbuf` and no device queue (which hold handles) refers to it.
        unsafe {
            if dpdk_sys::rte_mempool_avail_count(self.pool.as_ptr()) == self.config.mbufs {
                dpdk_sys::rte_mempool_free(self.pool.as_ptr());
                ManuallyDrop::drop(&mut self.pages);
            } else {
                LEAKED_POOLS.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}

/// SOCKET_ID_ANY: memory from any NUMA node.
const ANY_NODE: i32 = -1;

/// What `rte_pktmbuf_pool_create` makes, whose parts [`in_own_pages`] takes one by one. The EAL must be initialised.
fn in_memory_of_the_eal(name: &CStr, config: PoolConfig) -> Result<NonNull<rte_mempool>, Errno> {
    let PoolConfig { mbufs, cache, data_room } = config;
    // SAFETY: the EAL is initialised and the name is copied.
    let pool =
        unsafe { dpdk_sys::rte_pktmbuf_pool_create(name.as_ptr(), mbufs, cache, 0, data_room, ANY_NODE) };
    NonNull::new(pool).ok_or_else(Errno::last)
}

/// A pool whose mbufs, next to each other, take the whole of a mapping. The EAL must be initialised.
fn in_own_pages(name: &CStr, config: PoolConfig) -> Result<(NonNull<rte_mempool>, Pages), Errno> {
    let PoolConfig { mbufs, cache, data_room } = config;
    let element = (size_of::<rte_mbuf>() + usize::from(data_room)) as u32;
    let private = size_of::<rte_pktmbuf_pool_private>() as u32;
    let checked = |result: i32| if result < 0 { Err(Errno::from_return(result)) } else { Ok(result) };

    // Declared first so that it goes last: the end of a pool looks at its mbufs.
    let pages: Pages;
    // No device reads these mbufs by physical address, for which each would have to lie in one small page.
    let flags = dpdk_sys::RTE_MEMPOOL_F_NO_IOVA_CONTIG;
    // SAFETY: the EAL is initialised and the name is copied.
    let pool = unsafe {
        dpdk_sys::rte_mempool_create_empty(name.as_ptr(), mbufs, element, cache, private, ANY_NODE, flags)
    };
    let unfinished = Unfinished(NonNull::new(pool).ok_or_else(Errno::last)?);
    // SAFETY: the pool was just made and is empty; without an argument, mbufs have no private area and all else is for data.
    let needed = unsafe {
        let ops = dpdk_sys::rte_mbuf_best_mempool_ops();
        checked(dpdk_sys::rte_mempool_set_ops_byname(pool, ops, null_mut()))?;
        dpdk_sys::rte_pktmbuf_pool_init(pool, null_mut());
        let (mut smallest, mut align) = (0, 0);
        dpdk_sys::rte_mempool_op_calc_mem_size_helper(pool, mbufs, 0, 0, &raw mut smallest, &raw mut align)
    };
    let needed = usize::try_from(needed).map_err(|_| Errno::from_return(needed as i32))?;
    pages = Pages::map(needed)
        .map_err(|error| Errno::from_return(error.raw_os_error().unwrap_or(libc::ENOMEM)))?;
    let start = pages.base().as_ptr();
    // SAFETY: the mapping is as long as the mbufs take, begins at more than a cache line's boundary and outlives the pool.
    let made = checked(unsafe {
        dpdk_sys::rte_mempool_populate_iova(pool, start.cast(), start as u64, needed, None, null_mut())
    })?;
    if made as u32 != mbufs {
        return Err(Errno::from_return(-libc::ENOMEM));
    }
    // SAFETY: every element is as long as an mbuf with its data.
    unsafe { dpdk_sys::rte_mempool_obj_iter(pool, Some(dpdk_sys::rte_pktmbuf_init), null_mut()) };
    Ok((unfinished.finish(), pages))
}

/// A pool that goes unless it is finished.
struct Unfinished(NonNull<rte_mempool>);

impl Unfinished {
    fn finish(self) -> NonNull<rte_mempool> {
        ManuallyDrop::new(self).0
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // SAFETY: nobody else knows the pool.
        unsafe { dpdk_sys::rte_mempool_free(self.0.as_ptr()) };
    }
}
