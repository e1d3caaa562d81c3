//! `okoctl events`: what filters tell, line by line as it comes.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use oko_artifact::Schema;
use oko_openflow::oko::Event;
use okoctl::{Address, Client};
use serde_json::json;

use super::entries::parts_json;
use super::schema;
use crate::failure::Failure;
use crate::output::Output;
use crate::typed::{parse, show_parts};

#[derive(Debug, clap::Args)]
pub(crate) struct Command {
    /// The filter; without it, all.
    filter: Option<String>,
    /// End after so many events.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// End after this time, such as 10s.
    #[arg(long = "for", value_name = "DURATION")]
    time: Option<String>,
}

pub(crate) fn run(command: &Command, address: &Address, as_json: bool) -> Result<Output, Failure> {
    let wait = command.time.as_deref().map(duration).transpose()?;
    let mut client = Client::connect(address)?;
    client.subscribe(command.filter.as_deref().unwrap_or_default())?;
    let mut schemas = Schemas { address, known: BTreeMap::new() };
    let end = wait.map(|wait| Instant::now() + wait);
    let mut left = command.count.unwrap_or(u64::MAX);
    while left > 0 {
        let wait = end.map(|end| end.saturating_duration_since(Instant::now()));
        let Some(batch) = client.next_events(wait)? else { break };
        let mut lines = Vec::new();
        if batch.lost > 0 {
            lines.push(if as_json {
                json!({ "lost": batch.lost }).to_string()
            } else {
                format!("{} events were lost: they came faster than they could be told", batch.lost)
            });
        }
        for event in batch.events.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
            left -= 1;
            let age = Duration::from_nanos(batch.now.saturating_sub(event.time));
            lines.push(line(event, age, batch.now, schemas.of(&event.filter_name)?, as_json));
        }
        if !print(&lines)? {
            break;
        }
    }
    Ok(Output::nothing())
}

fn duration(text: &str) -> Result<Duration, Failure> {
    parse(&oko_artifact::ScalarType::Duration, text)
        .map(Duration::from_nanos)
        .map_err(|expected| Failure::BadEntry { what: "--for".to_owned(), found: text.to_owned(), expected })
}

/// The schemas of filters that have told something. They are asked for beside the stream of events, by a connection for each: the switch closes one
/// that nobody reads for long.
struct Schemas<'a> {
    address: &'a Address,
    known: BTreeMap<String, Schema>,
}

impl Schemas<'_> {
    fn of(&mut self, filter: &str) -> Result<&Schema, Failure> {
        if !self.known.contains_key(filter) {
            let found = schema(&mut Client::connect(self.address)?, filter)?;
            self.known.insert(filter.to_owned(), found);
        }
        Ok(&self.known[filter])
    }
}

fn line(event: &Event, age: Duration, now: u64, schema: &Schema, as_json: bool) -> String {
    let fields =
        schema.events.iter().find(|known| known.name == event.name).map(|known| known.fields.as_slice());
    let fields = fields.unwrap_or_default();
    let time = wall_clock(age);
    if as_json {
        let values = parts_json(fields, &event.values, now);
        let json = json!({
            "time": time, "filter": event.filter_name, "event": event.name, "values": values, "age_ns": age.as_nanos() as u64,
        });
        return json.to_string();
    }
    let values = show_parts(fields, "value", &event.values, now);
    let values: Vec<String> =
        values.into_iter().map(|(name, value)| format!("{name}={}", value.text)).collect();
    format!("{time} {} {} {}", event.filter_name, event.name, values.join(" "))
}

/// The time of day so long ago, UTC: `14:03:27.105`.
fn wall_clock(age: Duration) -> String {
    let then = SystemTime::now().checked_sub(age).unwrap_or(UNIX_EPOCH);
    let since = then.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs() % 86_400;
    format!(
        "{:02}:{:02}:{:02}.{:03}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60,
        since.subsec_millis()
    )
}

/// Prints lines at once; says whether somebody still reads them.
fn print(lines: &[String]) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    let written = lines.iter().try_for_each(|line| writeln!(out, "{line}")).and_then(|()| out.flush());
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}
