//! Memory pools: where packets come from.

use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dpdk_sys::rte_mempool;

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
        // SAFETY: the EAL is initialised and the name is copied; −1 is SOCKET_ID_ANY.
        let pool = unsafe {
            dpdk_sys::rte_pktmbuf_pool_create(
                name.as_ptr(),
                config.mbufs,
                config.cache,
                0,
                config.data_room,
                -1,
            )
        };
        let pool = NonNull::new(pool).ok_or_else(|| PoolError::Create {
            mbufs: config.mbufs,
            errno: Errno::last(),
            log: log::since(mark),
        })?;
        Ok(Self { inner: Arc::new(Inner { pool, config, _eal: eal.clone() }) })
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
            } else {
                LEAKED_POOLS.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}
