//! A packet that outlives its pool stays valid and keeps DPDK alive.

use oko_dpdk::{Eal, EalConfig, EalError, Pool, PoolConfig};

#[test]
fn a_packet_may_outlive_its_pool() {
    let eal = Eal::init(&EalConfig::default()).unwrap();
    let pool = Pool::create(&eal, PoolConfig { mbufs: 255, cache: 0, ..PoolConfig::default() }).unwrap();
    let packet = pool.packet(b"still here").unwrap();
    drop(pool);
    assert_eq!(packet.contiguous(), Some(&b"still here"[..]));
    assert!(matches!(eal.cleanup(), Err(EalError::InUse)));
}
