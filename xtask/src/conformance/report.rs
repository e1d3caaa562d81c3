//! What the app says, read and summed up.
//!
//! Cases whose expectation contradicts a specification are named in [`CONTRADICTORY`]; the book argues each. They count as failed in
//! `N/991`, and it is an error when one of them passes.

use super::FOLDERS;

/// One judged case.
pub(crate) struct Outcome {
    folder: &'static str,
    /// The heading of its file.
    file: String,
    /// What it is about.
    case: String,
    passed: bool,
    /// Why it did not.
    reason: String,
}

/// Headings of files all of whose cases contradict a specification.
///
/// SCTP: the expected checksum is no CRC32c of the packet (RFC 9260, section 6.8) but one of the text that Python prints for its
/// bytes.
const CONTRADICTORY: [&str; 4] = [
    "action: set_field: 17_SCTP_SRC (IPv4)",
    "action: set_field: 17_SCTP_SRC (IPv6)",
    "action: set_field: 18_SCTP_DST (IPv4)",
    "action: set_field: 18_SCTP_DST (IPv6)",
];

impl Outcome {
    /// Whether it is of the file with this heading.
    pub(crate) fn is_of(&self, heading: &str) -> bool {
        self.file == heading
    }

    /// Takes the place of the same case's earlier outcome, if that was worse.
    pub(crate) fn replace_in(self, outcomes: &mut [Outcome]) {
        let same = |other: &&mut Outcome| other.file == self.file && other.case == self.case;
        if let Some(earlier) = outcomes.iter_mut().find(same)
            && !earlier.is_as_argued()
        {
            *earlier = self;
        }
    }

    pub(crate) fn is_as_argued(&self) -> bool {
        self.passed != CONTRADICTORY.contains(&self.file.as_str())
    }
}

/// Reads a log: headings, below each the cases with `OK` or `ERROR` at the end of the line, below an `ERROR` the reason.
pub(crate) fn parse(folder: &'static str, log: &str) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut file = String::new();
    let mut pending = String::new();
    for line in log.lines() {
        // What follows sums up what was said.
        if line.starts_with("---") && line.contains("Test end") {
            break;
        }
        let is_heading = line.starts_with(&format!("{folder}:"));
        if is_heading {
            file = line.trim().to_owned();
            pending.clear();
            continue;
        }
        let Some(text) = line.strip_prefix("    ") else {
            continue;
        };
        if let Some(reason) = text.strip_prefix("    ") {
            if let Some(last) = outcomes.last_mut().filter(|last| !last.passed && last.reason.is_empty()) {
                last.reason = reason.trim().to_owned();
            }
            continue;
        }
        let ended = [(" OK", true), (" ERROR", false)]
            .into_iter()
            .find_map(|(word, passed)| Some((text.trim_end().strip_suffix(word)?, passed)));
        match ended {
            Some((case, passed)) => {
                let case = format!("{pending}{}", case.trim());
                pending.clear();
                outcomes.push(Outcome { folder, file: file.clone(), case, passed, reason: String::new() });
            }
            None => pending = text.trim().to_owned(),
        }
    }
    outcomes
}

/// Prints the summary, and says how many cases went otherwise than the book says.
pub(crate) fn print(outcomes: &[Outcome], verbose: bool) -> usize {
    for outcome in outcomes.iter().filter(|outcome| verbose || !outcome.passed) {
        let word = match (outcome.passed, outcome.is_as_argued()) {
            (true, true) => "passed",
            (true, false) => "passed, against the book",
            (false, true) => "contradicts the specification",
            (false, false) => "FAILED",
        };
        println!("{word}: {}: {}", outcome.file, outcome.case);
        if !outcome.reason.is_empty() {
            println!("    {}", outcome.reason);
        }
    }
    println!();
    for (folder, cases) in FOLDERS {
        let judged: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.folder == folder).collect();
        let passed = judged.iter().filter(|outcome| outcome.passed).count();
        let argued = judged.iter().filter(|outcome| !outcome.passed && outcome.is_as_argued()).count();
        match judged.len() {
            0 => println!("{folder:<8} not run ({cases} cases)"),
            n if n == cases => {
                println!("{folder:<8} {passed:>3}/{cases}, {argued} contradict the specification");
            }
            n => println!("{folder:<8} {passed:>3} of the {n} that were run (it has {cases})"),
        }
    }
    let passed = outcomes.iter().filter(|outcome| outcome.passed).count();
    let all: usize = FOLDERS.iter().map(|(_, cases)| cases).sum();
    println!("{passed}/{all}");
    outcomes.iter().filter(|outcome| !outcome.is_as_argued()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
loading app tester.py
target_dpid=0000000000000001
--- Test start ---
action: 00_OUTPUT
    ethernet/ipv4/tcp-->'actions=output:2'                                                               OK
    ethernet/ipv6/tcp-->'actions=output:2'                                                               ERROR
        Received incorrect packet: ipv6(nxt=7)
action: set_field: 17_SCTP_SRC (IPv4)
    ethernet/ipv4/sctp(src_port=11111)-->'sctp_src=11111,actions=set_field:12345->sctp_src,output:2'     ERROR
        Received incorrect packet: sctp(csum=509045565)
---  Test end  ---

--- Test report ---
Received incorrect packet(2)
    action: 00_OUTPUT                        ethernet/ipv6/tcp-->'actions=output:2'

OK(1) / ERROR(2)
";

    #[test]
    fn a_log_is_read_to_the_end_of_the_cases() {
        let outcomes = parse("action", LOG);
        let seen: Vec<_> = outcomes.iter().map(|o| (o.file.as_str(), o.passed, o.is_as_argued())).collect();
        assert_eq!(
            seen,
            [
                ("action: 00_OUTPUT", true, true),
                ("action: 00_OUTPUT", false, false),
                ("action: set_field: 17_SCTP_SRC (IPv4)", false, true)
            ]
        );
        assert_eq!(outcomes[1].reason, "Received incorrect packet: ipv6(nxt=7)");
        assert_eq!(outcomes[1].case, "ethernet/ipv6/tcp-->'actions=output:2'");
    }
}
