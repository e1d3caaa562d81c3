//! Finds DPDK with pkg-config, compiles the shim of its inline functions and generates the bindings.
//!
//! What is missing on the machine ends the build with one message that names the Debian packages to install.

use std::env;
use std::path::{Path, PathBuf};
use std::process::exit;

const PACKAGES: &str = "dpdk-dev libdpdk-dev dpdk libclang-dev clang pkg-config";
const HEADER: &str = "csrc/bindings.h";

/// The functions bound; the types follow from their signatures.
const FUNCTIONS: &[&str] = &[
    "rte_eal_init",
    "rte_eal_cleanup",
    "rte_eal_has_hugepages",
    "rte_strerror",
    "rte_version",
    "rte_openlog_stream",
    "rte_log_cur_msg_loglevel",
    "rte_thread_(un)?register",
    "rte_dev_(probe|remove)",
    "rte_pktmbuf_(pool_create|pool_init|init|free_bulk|copy)",
    "rte_mbuf_best_mempool_ops",
    "rte_mbuf_dyn(field|flag)_lookup",
    "rte_mempool_(create_empty|set_ops_byname|op_calc_mem_size_helper|populate_iova|obj_iter|free|avail_count)",
    "rte_eth_dev_get_port_by_name",
    "rte_eth_dev_(info_get|configure|start|stop|close|socket_id|get_mtu|adjust_nb_rx_tx_desc)",
    "rte_eth_(rx|tx)_queue_setup",
    "rte_eth_stats_(get|reset)",
    "rte_eth_link_get_nowait",
    "rte_eth_macaddr_get",
    "rte_eth_promiscuous_enable",
    "shim_.*",
];

/// Types that no signature names.
const TYPES: &[&str] = &["rte_pktmbuf_pool_private"];

const VARIABLES: &[&str] = &[
    "RTE_LOG_.*",
    "RTE_MBUF_DEFAULT_BUF_SIZE",
    "RTE_MEMPOOL_F_NO_IOVA_CONTIG",
    "RTE_PKTMBUF_HEADROOM",
    "RTE_MAX_LCORE",
    "RTE_ETH_LINK_UP",
];

fn main() {
    println!("cargo:rerun-if-changed=csrc");
    println!("cargo:rerun-if-changed=build.rs");

    let dpdk = pkg_config::Config::new()
        .range_version("22.11".."22.12")
        .probe("libdpdk")
        .unwrap_or_else(|error| give_up("DPDK 22.11 was not found by pkg-config", &error.to_string()));
    // `-march=…` and `-include rte_config.h` are neither include paths nor definitions for the pkg-config crate.
    let flags = dpdk_cflags();

    let mut shim = cc::Build::new();
    shim.file("csrc/shim.c").includes(&dpdk.include_paths).warnings(true);
    for flag in &flags {
        shim.flag(flag);
    }
    if let Err(error) = shim.try_compile("dpdk_shim") {
        give_up("the shim over DPDK's inline functions does not compile", &error.to_string());
    }

    use_matching_libclang();
    // bindgen panics when libclang cannot be loaded; asked for first, so that the message can say what to do.
    std::panic::set_hook(Box::new(|_| {}));
    let clang = std::panic::catch_unwind(bindgen::clang_version);
    drop(std::panic::take_hook());
    if clang.is_err() {
        give_up("libclang was not found", "bindgen needs it to read DPDK's headers");
    }

    let mut builder = bindgen::Builder::default()
        .header(HEADER)
        .clang_args(dpdk.include_paths.iter().map(|path| format!("-I{}", path.display())))
        .clang_args(&flags)
        .formatter(bindgen::Formatter::None)
        .use_core()
        .generate_comments(false)
        .layout_tests(true)
        .derive_default(true)
        .prepend_enum_name(false)
        // Packed and aligned at once, which Rust cannot say; reached only by pointer or not at all.
        .opaque_type(
            "rte_(arp|l2tpv2|gtp|ipv4|ipv6|ether|ecpri|macsec|geneve|pppoe|ppp|tcp|udp|vxlan|gre)_.*",
        )
        .blocklist_type("rte_ether_addr")
        .raw_line(ETHER_ADDR);
    for function in FUNCTIONS {
        builder = builder.allowlist_function(function);
    }
    for name in TYPES {
        builder = builder.allowlist_type(name);
    }
    for variable in VARIABLES {
        builder = builder.allowlist_var(variable);
    }
    let bindings = builder.generate().unwrap_or_else(|error| {
        give_up("DPDK's headers could not be read by libclang", &error.to_string());
    });

    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("bindings.rs");
    if let Err(error) = bindings.write_to_file(&out) {
        give_up("the bindings could not be written", &format!("{}: {error}", Path::display(&out)));
    }
}

const ETHER_ADDR: &str = "
/// A MAC address, in transmission order.
#[repr(C, align(2))]
#[derive(Debug, Default, Copy, Clone)]
pub struct rte_ether_addr { pub addr_bytes: [u8; 6] }
";

/// The compiler flags of DPDK besides include paths.
fn dpdk_cflags() -> Vec<String> {
    let output = std::process::Command::new(env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into()))
        .args(["--cflags-only-other", "libdpdk"])
        .output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect()
        }
        Ok(output) => give_up("pkg-config failed", &String::from_utf8_lossy(&output.stderr)),
        Err(error) => give_up("pkg-config could not be run", &error.to_string()),
    }
}

/// Makes bindgen load the libclang that belongs to the `clang` in `PATH`, unless the user has chosen one.
///
/// With several LLVM versions installed it would take the newest library, but the built-in headers of the default
/// `clang`, and these two do not fit each other.
fn use_matching_libclang() {
    println!("cargo:rerun-if-env-changed=LIBCLANG_PATH");
    if env::var_os("LIBCLANG_PATH").is_some() {
        return;
    }
    let Ok(output) = std::process::Command::new("clang").arg("-print-resource-dir").output() else { return };
    // <prefix>/lib/clang/<version> -> <prefix>/lib
    let resources = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let Some(lib) = resources.parent().and_then(Path::parent) else { return };
    let has_libclang = std::fs::read_dir(lib).is_ok_and(|mut files| {
        files.any(|file| file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with("libclang.so")))
    });
    if has_libclang {
        // SAFETY: a build script has one thread here.
        unsafe { env::set_var("LIBCLANG_PATH", lib) };
    }
}

/// Ends the build. `cargo:warning` lines are what cargo shows of a failed build script in colour and first.
fn give_up(what: &str, detail: &str) -> ! {
    println!("cargo:warning={what}.");
    println!("cargo:warning=On Debian or Ubuntu: sudo apt-get install {PACKAGES}");
    println!("cargo:warning=or let `cargo xtask setup` do it.");
    eprintln!("{what}: {detail}\n\nOn Debian or Ubuntu: sudo apt-get install {PACKAGES}");
    exit(1)
}
