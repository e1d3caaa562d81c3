//! Ports over capture files, unprivileged: what goes in comes out, what cannot work says why.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use std::fs::File;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use oko_dpdk::{
    Burst, Count, Eal, EalConfig, EalError, Mbuf, Pool, PoolConfig, Port, PortConfig, PortError, Queues,
};
use pcap_file::pcap::{PcapPacket, PcapReader, PcapWriter};
use tempfile::TempDir;

/// The EAL, which all tests of this process share.
fn eal() -> &'static Eal {
    static EAL: OnceLock<Eal> = OnceLock::new();
    EAL.get_or_init(|| Eal::init(&EalConfig::default()).expect("DPDK starts without privileges"))
}

fn pool() -> Pool {
    Pool::create(eal(), PoolConfig { mbufs: 2047, cache: 0, ..PoolConfig::default() }).unwrap()
}

fn write_pcap(path: &Path, frames: &[Vec<u8>]) {
    let mut writer = PcapWriter::new(File::create(path).unwrap()).unwrap();
    for (i, frame) in frames.iter().enumerate() {
        let at = Duration::from_millis(i as u64);
        writer.write_packet(&PcapPacket::new(at, frame.len() as u32, frame)).unwrap();
    }
}

fn read_pcap(path: &Path) -> Vec<Vec<u8>> {
    let mut reader = PcapReader::new(File::open(path).unwrap()).unwrap();
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        frames.push(packet.unwrap().data.into_owned());
    }
    frames
}

fn frame(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + seed * 7) as u8).collect()
}

/// 100 frames of all sizes, among them some that take several mbufs.
fn frames() -> Vec<Vec<u8>> {
    (0..100).map(|i| frame([14, 60, 61, 128, 1514, 2048, 2049, 9000][i % 8], i)).collect()
}

fn open(device: &str, pool: &Pool) -> Result<Port<oko_dpdk::Configured>, PortError> {
    Port::open(eal(), device, pool, &PortConfig::default())
}

fn receive_all(queues: &mut Queues, mut each: impl FnMut(&mut Burst)) {
    let mut burst = Burst::new();
    while queues.rx[0].receive(&mut burst) > 0 {
        each(&mut burst);
        burst.clear();
    }
}

#[test]
fn what_a_capture_port_receives_and_sends_is_byte_identical() {
    let dir = TempDir::new().unwrap();
    let (input, output) = (dir.path().join("in.pcap"), dir.path().join("out.pcap"));
    write_pcap(&input, &frames());
    let pool = pool();
    let device = format!("net_pcap0,rx_pcap={},tx_pcap={}", input.display(), output.display());
    let (port, mut queues) = open(&device, &pool).unwrap().start().unwrap();
    assert_eq!(port.driver(), "net_pcap");
    assert!(port.link().up);

    let Queues { rx, tx } = &mut queues;
    let mut burst = Burst::new();
    while rx[0].receive(&mut burst) > 0 {
        let n = burst.len();
        assert_eq!(tx[0].send(&mut burst), n);
        assert!(burst.is_empty());
    }

    let stats = port.stats();
    let bytes = frames().iter().map(|frame| frame.len() as u64).sum();
    assert_eq!((stats.rx_packets, stats.tx_packets), (100, 100));
    assert_eq!((stats.rx_bytes, stats.tx_bytes), (bytes, bytes));
    drop(port.stop(queues).unwrap());
    assert!(read_pcap(&output) == frames());
    assert_eq!(pool.available(), 2047, "every mbuf is back in its pool");
}

#[test]
fn a_packet_of_several_segments_is_seen_whole() {
    let dir = TempDir::new().unwrap();
    let input = dir.path().join("in.pcap");
    write_pcap(&input, &frames());
    let pool = pool();
    let (port, mut queues) =
        open(&format!("net_pcap1,rx_pcap={}", input.display()), &pool).unwrap().start().unwrap();
    let mut seen = Vec::new();
    let mut scratch = vec![0; 65_536];
    let mut small = [0; 100];
    receive_all(&mut queues, |burst| {
        for mbuf in burst.as_slice() {
            let whole = mbuf.frame(&mut scratch).to_vec();
            assert_eq!(whole.len(), mbuf.len());
            assert_eq!(mbuf.contiguous().is_some(), mbuf.segments() == 1);
            if mbuf.segments() > 1 {
                assert_eq!(mbuf.frame(&mut small), &whole[..100], "a short view is the start of the packet");
            }
            let copy = mbuf.duplicate(&pool).unwrap();
            assert_eq!(copy.frame(&mut scratch), whole);
            seen.push((whole, mbuf.segments()));
        }
    });
    assert!(seen.iter().any(|(_, segments)| *segments > 1), "some frames are longer than an mbuf");
    assert!(seen.into_iter().map(|(bytes, _)| bytes).collect::<Vec<_>>() == frames());
    drop((port, queues));
    assert_eq!(pool.available(), 2047);
}

#[test]
fn a_stopped_port_starts_again_and_reads_its_capture_again() {
    let dir = TempDir::new().unwrap();
    let input = dir.path().join("in.pcap");
    write_pcap(&input, &frames());
    let pool = pool();
    let mut port = open(&format!("net_pcap2,rx_pcap={}", input.display()), &pool).unwrap();
    for _ in 0..3 {
        let (started, mut queues) = port.start().unwrap();
        let mut n = 0;
        receive_all(&mut queues, |burst| n += burst.len());
        assert_eq!(n, 100);
        assert_eq!(queues.rx[0].receive(&mut Burst::new()), 0, "a capture that has run dry stays so");
        port = started.stop(queues).unwrap();
    }
}

#[test]
fn a_port_stops_only_with_its_own_queues() {
    let pool = pool();
    let (one, one_queues) = open("net_null1", &pool).unwrap().start().unwrap();
    let (two, two_queues) = open("net_null2", &pool).unwrap().start().unwrap();
    assert!(matches!(one.stop(two_queues), Err(PortError::QueuesElsewhere { .. })));
    assert!(matches!(
        two.stop(Queues { rx: Vec::new(), tx: Vec::new() }),
        Err(PortError::QueuesElsewhere { .. })
    ));
    drop(one_queues);
}

#[test]
fn a_port_that_cannot_be_opened_says_which_and_why() {
    let dir = TempDir::new().unwrap();
    let pool = pool();
    let missing = dir.path().join("missing.pcap");
    let unwritable = dir.path().join("no/such/folder/out.pcap");
    let cases = [
        (String::new(), "no device"),
        (String::from("net_nonsense0"), "net_nonsense0"),
        (format!("net_pcap3,rx_pcap={}", missing.display()), "missing.pcap: No such file"),
        (format!("net_pcap3,tx_pcap={}", unwritable.display()), "out.pcap"),
        (String::from("net_pcap3,rx_pcap_typo=x"), "rx_pcap_typo"),
        (String::from("net_af_packet3,iface=oko-no-such"), "oko-no-such"),
    ];
    for (device, expected) in cases {
        let error = open(&device, &pool).unwrap_err().to_string();
        assert!(error.contains(expected), "{device}: {error}");
    }
    let _open = open("net_null3", &pool).unwrap();
    assert!(
        matches!(open("net_null3", &pool), Err(PortError::Duplicate { name, .. }) if name == "net_null3")
    );
    let config = PortConfig { rx_queues: Count::Exactly(4000), ..PortConfig::default() };
    let error = Port::open(eal(), "net_null4", &pool, &config).unwrap_err();
    assert!(matches!(error, PortError::Queues { wanted: 4000, .. }), "{error}");
    open("net_null4", &pool).expect("a failed open leaves nothing behind");
}

#[test]
fn a_port_has_as_many_queues_as_asked_for_or_as_the_device_has() {
    let pool = pool();
    let open = |device: &str, count| {
        let config = PortConfig { rx_queues: count, tx_queues: count, ..PortConfig::default() };
        let (port, queues) = Port::open(eal(), device, &pool, &config).unwrap().start().unwrap();
        let counts = (queues.rx.len(), queues.tx.len());
        port.stop(queues).unwrap();
        counts
    };
    assert_eq!(open("net_null5", Count::Exactly(3)), (3, 3));
    assert_eq!(open("net_null5", Count::UpTo(4)), (4, 4));
    let dir = TempDir::new().unwrap();
    let (input, output) = (dir.path().join("in.pcap"), dir.path().join("out.pcap"));
    write_pcap(&input, &frames());
    let device = format!("net_pcap5,rx_pcap={},tx_pcap={}", input.display(), output.display());
    assert_eq!(open(&device, Count::UpTo(4)), (1, 1), "a capture is one queue");
}

#[test]
fn packets_are_made_grown_and_cut() {
    let pool = pool();
    let mut packet = pool.packet(&frame(100, 1)).unwrap();
    packet.prepend(4).unwrap().copy_from_slice(b"vlan");
    packet.append(b"tail").unwrap();
    assert_eq!(packet.len(), 108);
    assert_eq!(&packet.first_segment()[..4], b"vlan");
    packet.adjust(4).unwrap();
    packet.trim(4).unwrap();
    assert_eq!(packet.contiguous().unwrap(), frame(100, 1));
    assert!(packet.prepend(2000).is_err() && packet.append(&[0; 3000]).is_err());
    assert!(packet.adjust(101).is_err() && packet.trim(101).is_err());
    assert_eq!(packet.contiguous().unwrap(), frame(100, 1), "what is refused changes nothing");

    let mut long = pool.packet(&frame(5000, 2)).unwrap();
    assert!(long.segments() > 1);
    assert_eq!(long.frame(&mut [0; 65_536]), frame(5000, 2));
    assert!(long.linearize().is_err(), "5000 bytes do not fit into one buffer");
    let mut short = pool.packet(&frame(40, 3)).unwrap();
    short.chain(pool.packet(&frame(20, 4)).unwrap()).unwrap();
    assert_eq!((short.segments(), short.len()), (2, 60));
    short.linearize().unwrap();
    assert_eq!(short.contiguous().unwrap(), [frame(40, 3), frame(20, 4)].concat());
}

#[test]
fn a_burst_owns_its_packets() {
    let pool = pool();
    let full: Vec<Mbuf> = (0..33).map(|i| pool.packet(&frame(60, i)).unwrap()).collect();
    assert_eq!(pool.available(), 2047 - 33);
    let mut burst = Burst::new();
    for (i, mbuf) in full.into_iter().enumerate() {
        assert_eq!(burst.push(mbuf).is_err(), i == 32);
    }
    assert_eq!((burst.len(), pool.available()), (32, 2047 - 32));
    let mut taking = burst.take_out();
    let fifth = taking.take(5).unwrap();
    assert_eq!(fifth.contiguous().unwrap(), frame(60, 5));
    assert!(taking.take(5).is_none() && taking.get(5).is_none() && taking.get(32).is_none());
    assert_eq!(taking.get(6).unwrap().contiguous().unwrap(), frame(60, 6));
    let mut others = Burst::new();
    for i in 0..3 {
        others.push(pool.packet(&frame(60, 100 + i)).unwrap()).unwrap();
    }
    // All but the one fit, and the last two of them do not.
    taking.take_some(u32::MAX, &mut others);
    assert_eq!(others.len(), 32);
    assert_eq!(others.as_slice()[3].contiguous().unwrap(), frame(60, 0));
    assert_eq!(others.as_slice()[8].contiguous().unwrap(), frame(60, 6));
    assert!(taking.get(29).is_none() && taking.get(30).is_some());
    drop(taking);
    assert!(burst.is_empty());
    assert_eq!(pool.available(), 2047 - 33, "only those taken are left");
    let mut all = Burst::new();
    others.take_out().take_some(u32::MAX, &mut all);
    assert_eq!((others.len(), all.len()), (0, 32));
    let mut taking = all.take_out();
    taking.take_some(1 << 3 | 1 << 8, &mut others);
    assert!(taking.get(3).is_none() && taking.get(4).is_some());
    drop(taking);
    assert_eq!(others.as_slice()[0].contiguous().unwrap(), frame(60, 0));
    assert_eq!(others.as_slice()[1].contiguous().unwrap(), frame(60, 6));
    assert_eq!((others.len(), all.len(), pool.available()), (2, 0, 2047 - 3));
    drop(others);
    burst.push(fifth).unwrap();
    drop(burst);
    assert_eq!(pool.available(), 2047);
}

#[test]
fn an_empty_pool_is_an_error() {
    let pool = Pool::create(eal(), PoolConfig { mbufs: 31, cache: 0, ..PoolConfig::default() }).unwrap();
    let all: Vec<Mbuf> = std::iter::from_fn(|| pool.alloc().ok()).collect();
    assert_eq!(all.len(), 31);
    assert!(pool.packet(b"x").is_err() && all[0].duplicate(&pool).is_err());
    drop(all);
    assert!(pool.packet(&frame(9000, 0)).is_ok());
}

#[test]
fn a_ring_port_carries_packets_between_threads() {
    let pool = pool();
    let (port, Queues { mut rx, mut tx }) = open("net_ring0", &pool).unwrap().start().unwrap();
    let sender_pool = pool.clone();
    let sender = std::thread::spawn(move || {
        let thread = eal().register_thread().unwrap();
        assert_ne!(thread.lcore(), 0);
        let mut burst = Burst::new();
        for i in 0..1000 {
            burst.push(sender_pool.packet(&frame(64, i)).unwrap()).unwrap();
            while tx[0].send(&mut burst) == 0 {
                std::thread::yield_now();
            }
        }
        tx
    });
    let mut burst = Burst::new();
    let mut seen = 0;
    while seen < 1000 {
        rx[0].receive(&mut burst);
        for mbuf in burst.as_slice() {
            assert_eq!(mbuf.contiguous().unwrap(), frame(64, seen));
            seen += 1;
        }
        burst.clear();
    }
    let tx = sender.join().unwrap();
    port.stop(Queues { rx, tx }).unwrap();
}

#[test]
fn a_thread_has_one_lcore_and_gives_it_back() {
    std::thread::spawn(|| {
        let first = eal().register_thread().unwrap();
        let lcore = first.lcore();
        drop(first);
        assert_eq!(eal().register_thread().unwrap().lcore(), lcore);
    })
    .join()
    .unwrap();
}

#[test]
fn dpdk_starts_once_per_process() {
    eal();
    assert!(matches!(Eal::init(&EalConfig::default()), Err(EalError::AlreadyInitialised)));
}
