//! What a user sees of a configuration: defaults, and errors with their places.

use super::*;

const PORTS: &str = r#"
[[port]]
number = 1
name = "p1"
device = "net_pcap0,rx_pcap=in.pcap,tx_pcap=out.pcap"
"#;

/// The text that a finding marks, and its message.
fn findings(text: &str) -> Vec<(String, String)> {
    let error = Config::parse("okod.toml", text).expect_err("the text is wrong");
    error.findings().iter().map(|finding| (text[finding.place()].to_owned(), finding.to_string())).collect()
}

#[test]
fn a_port_is_all_that_a_file_needs() {
    let config = Config::parse("okod.toml", PORTS).unwrap();
    assert_eq!(config.eal.memory, Memory::NoHuge { mebibytes: 256 });
    assert_eq!(config.openflow.datapath_id, 1);
    assert_eq!(config.ports.len(), 1);
    assert!(config.ports[0].up && config.ports[0].number == PortNo(1));
    assert!(Config::parse("okod.toml", "").unwrap().ports.is_empty());
}

#[test]
fn one_port_may_be_the_local_one() {
    let local = PORTS.replace("number = 1", "number = \"local\"");
    assert_eq!(Config::parse("okod.toml", &local).unwrap().ports[0].number, PortNo::LOCAL);
    let other = PORTS.replace("number = 1", "number = \"controller\"");
    let found = findings(&other);
    assert_eq!(found[0].0, "\"controller\"");
    assert!(found[0].1.contains("is no port number"), "{}", found[0].1);
}

#[test]
fn every_key_has_its_effect() {
    let text = r#"
        log = "debug"
        [dpdk]
        huge_pages = true
        memory = 1024
        packet_buffers = 65535
        pci = ["0000:03:00.0"]
        telemetry = true
        extra = ["--legacy-mem"]
        [worker]
        cpu = 1
        busy_poll = true
        clock = "capture"
        [openflow]
        datapath_id = "00:00:00:00:00:00:00:2a"
        socket = "okod.sock"
        listen = "[::1]:6653"
        table_capacity = 10
        probe_interval = 0
        [[port]]
        number = 7
        name = "seven"
        device = "net_null0"
        up = false
    "#;
    let config = Config::parse("okod.toml", text).unwrap();
    assert_eq!(config.log, LogLevel::Debug);
    assert_eq!(config.eal.memory, Memory::HugePages { mebibytes: 1024 });
    assert_eq!(config.eal.pci_devices, ["0000:03:00.0"]);
    assert_eq!(config.eal.extra, ["--legacy-mem"]);
    assert!(config.eal.telemetry);
    assert_eq!(config.pool.mbufs, 65535);
    assert!(config.openflow.probe_interval > Duration::from_secs(1_000_000_000));
    assert_eq!(
        config.worker,
        WorkerConfig {
            cpus: vec![Some(1)],
            busy_poll: true,
            clock: FilterClock::Capture,
            ..WorkerConfig::default()
        }
    );
    assert_eq!(config.openflow.datapath_id, 42);
    assert_eq!(config.openflow.socket, Some(PathBuf::from("okod.sock")));
    assert_eq!(config.openflow.listen, Some("[::1]:6653".parse().unwrap()));
    assert_eq!(config.openflow.table_capacity, 10);
    assert!(!config.ports[0].up);
}

#[test]
fn there_are_as_many_workers_as_cpus_or_as_said() {
    let cpus = |text: &str| Config::parse("okod.toml", text).unwrap().worker.cpus;
    assert_eq!(cpus(""), [None]);
    assert_eq!(cpus("[worker]\ncpu = 3"), [Some(3)]);
    assert_eq!(cpus("[worker]\ncpus = [2, 5]"), [Some(2), Some(5)]);
    assert_eq!(cpus("[worker]\ncount = 3"), [None; 3]);
}

#[test]
fn an_error_marks_its_place() {
    let cases = [
        ("[dpdk]\nhugepages = true", "hugepages", "unknown key `hugepages`"),
        ("[dpdk]\nmemory = 1", "1", "1 MiB is too little memory"),
        ("[dpdk]\npacket_buffers = 12", "12", "12 packet buffers"),
        ("[openflow]\ndatapath_id = \"zebra\"", "\"zebra\"", "\"zebra\" is no datapath id"),
        ("[openflow]\ndatapath_id = \"0\"", "\"0\"", "\"0\" is no datapath id"),
        ("[openflow]\nlisten = \"0.0.0.0:6653\"", "\"0.0.0.0:6653\"", "0.0.0.0 is not a loopback address"),
        ("[openflow]\nlisten = \"localhost\"", "\"localhost\"", "\"localhost\" is no address to listen on"),
        ("[worker]\ncpus = [1, 1]", "[1, 1]", "CPU 1 is named twice"),
        ("[worker]\ncpus = []", "[]", "0 workers"),
        ("[worker]\ncount = 65", "65", "65 workers"),
        ("[worker]\ncount = 2\ncpus = [1, 2]", "2", "`count` beside `cpus`"),
        ("[worker]\ncpu = 1\ncpus = [1, 2]", "1", "`cpu` beside `cpus` or `count`"),
        ("[worker]\nflow_cache = 99999999", "99999999", "99999999 keys"),
        ("[[port]]\nnumber = 1\nname = \"a\"\ndevice = \"net_null0\"\nqueues = 0", "0", "0 receive queues"),
        ("[[port]]\nnumber = 0\nname = \"a\"\ndevice = \"net_null0\"", "0", "0 is no port number"),
        (
            "[[port]]\nnumber = 4294967295\nname = \"a\"\ndevice = \"net_null0\"",
            "4294967295",
            "4294967295 is no port number",
        ),
        ("[[port]]\nnumber = 1\nname = \"\"\ndevice = \"net_null0\"", "\"\"", "\"\" is no port name"),
        ("[[port]]\nnumber = 1\nname = \"a\"\ndevice = \",x\"", "\",x\"", "\",x\" is no device"),
    ];
    for (text, place, message) in cases {
        assert_eq!(findings(text), [(place.to_owned(), message.to_owned())], "{text}");
    }
    for (text, place) in [
        ("log = \"loud\"", "\"loud\""),
        ("[worker]\ncpu = \"one\"", "\"one\""),
        ("[[port]]\nnumber = -1\nname = \"a\"\ndevice = \"net_null0\"", "-1"),
    ] {
        assert_eq!(findings(text)[0].0, place, "{text}");
    }
    assert!(findings("[[port]]\nnumber = 1\nname = \"a\"")[0].1.contains("missing field `device`"));
    assert_eq!(findings("[dpdk\n").len(), 1);
}

#[test]
fn two_ports_share_neither_number_nor_name_nor_device() {
    let text = format!("{PORTS}{PORTS}");
    let messages: Vec<String> = findings(&text).into_iter().map(|(_, message)| message).collect();
    assert_eq!(
        messages,
        ["port number 1 is used twice", "port name \"p1\" is used twice", "device net_pcap0 is used twice"]
    );
}

#[test]
fn messages_show_the_line_and_what_to_do() {
    let render = |text: &str| {
        let error = Config::parse("okod.toml", text).expect_err("the text is wrong");
        let mut out = String::new();
        let theme = miette::GraphicalTheme::unicode_nocolor();
        miette::GraphicalReportHandler::new_themed(theme)
            .with_width(100)
            .render_report(&mut out, &error)
            .expect("a string takes everything");
        out
    };
    insta::assert_snapshot!(
        "unknown_key",
        render("[[port]]\nnumber = 1\nnmae = \"p1\"\ndevice = \"net_null0\"\n")
    );
    insta::assert_snapshot!("duplicate_ports", render(&format!("{PORTS}{PORTS}")));
    insta::assert_snapshot!("open_listener", render("[openflow]\nlisten = \"0.0.0.0:6653\"\n"));
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::read(Path::new("no/such/okod.toml")).unwrap_err();
    assert!(error.to_string().contains("no/such/okod.toml"), "{error}");
}
