//! A start of DPDK that fails says why.

use oko_dpdk::{Eal, EalConfig, EalError, Memory};

#[test]
fn more_memory_than_there_is_is_an_error_with_dpdks_words() {
    let config = EalConfig { memory: Memory::HugePages { mebibytes: 500_000_000 }, ..EalConfig::default() };
    let error = Eal::init(&config).unwrap_err();
    assert!(matches!(error, EalError::Init { .. }), "{error}");
    assert!(error.to_string().contains("hugepage"), "{error}");
}
