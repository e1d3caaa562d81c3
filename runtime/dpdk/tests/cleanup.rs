//! The end of DPDK in a process: refused while something is in use, and the log stays out of stderr.

use oko_dpdk::{Eal, EalConfig, EalError, Pool, PoolConfig};

#[test]
fn dpdk_ends_only_when_nothing_uses_it() {
    let eal = Eal::init(&EalConfig::default()).unwrap();
    let pool = Pool::create(&eal, PoolConfig { mbufs: 255, cache: 0, ..PoolConfig::default() }).unwrap();
    assert!(matches!(eal.clone().cleanup(), Err(EalError::InUse)), "a pool is there");
    drop(pool);
    eal.cleanup().unwrap();
    assert!(matches!(Eal::init(&EalConfig::default()), Err(EalError::AlreadyInitialised)));
}
