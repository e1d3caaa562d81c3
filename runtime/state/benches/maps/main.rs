//! Look-up and update in a hash table of a million entries, beside `DashMap`, `papaya` and the hash map of the Linux kernel. `cargo xtask bench --only maps`
//! runs it.
//!
//! Every subject counts a random key of the million, all of which are there: it finds the entry and adds one to a 64-bit count so that none is lost. Ours
//! does what generated code does for a state of the language: find, lock, check the generation, write count, expiry and time, unlock; once a packet at a time,
//! and once with the keys of a burst of 32 ahead. The kernel's runs in `BPF_PROG_TEST_RUN`, 64 times in one program, with random numbers of its own, whose
//! cost is in its figure as ours is in ours. The subjects take turns in one run, on one thread and on two; a figure is the median of the turns.
//! After each turn the sum of the counts is compared with the number of updates.
//!
//! ```text
//! maps [--quick] [--json FILE]
//! ```

#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use dashmap::DashMap;
use oko_state::{Found, Header, Kind, Map, Pin, Shape, WhenFull, generation_of, pin, unlock};

#[cfg(target_os = "linux")]
mod kernel;

const KEYS: u64 = 1 << 20;
const BURST: usize = 32;

/// A key for each number: what flows look like, not what counts up.
fn key(number: u64) -> u64 {
    (number & (KEYS - 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 20
    }
}

trait Subject: Sync {
    fn name(&self) -> &'static str;
    /// Counts so many random keys.
    fn run(&self, random: &mut Random, updates: u64) -> Result<u64, String>;
    /// The sum of all counts.
    fn total(&self) -> u64;
}

struct Oko {
    map: Map,
    burst: bool,
}

impl Oko {
    fn new(burst: bool) -> Oko {
        let kind = Kind::Hash(WhenFull::EvictOldest);
        let shape = Shape { kind, capacity: KEYS as u32, key_size: 8, value_size: 32, header: Header::Oko };
        let oko = Oko { map: Map::new(shape).unwrap(), burst };
        let pin = pin();
        (0..KEYS).for_each(|number| oko.count(&pin, oko.map.slot_words(&[key(number)], 1), 0, 1));
        drop(pin);
        oko
    }

    /// What generated code does with a found entry.
    #[inline]
    fn count(&self, pin: &Pin, found: Found, by: u64, now: u64) {
        let Some(entry) = found.get() else { return };
        // SAFETY: a value of this map of 32 bytes, under its lock.
        unsafe {
            pin.lock(found.value.cast());
            if generation_of(entry) == found.generation {
                let word = |offset: usize| AtomicU64::from_ptr(found.value.add(offset).cast());
                word(24).store(word(24).load(Ordering::Relaxed) + by, Ordering::Relaxed);
                word(8).store(u64::MAX, Ordering::Relaxed);
                word(16).store(now, Ordering::Relaxed);
            }
            unlock(found.value.cast());
        }
    }
}

impl Subject for Oko {
    fn name(&self) -> &'static str {
        if self.burst { "oko, bursts of 32" } else { "oko" }
    }

    fn run(&self, random: &mut Random, updates: u64) -> Result<u64, String> {
        if self.burst {
            let mut keys = [0; BURST];
            let mut found = [Found::NONE; BURST];
            for round in 0..updates / BURST as u64 {
                keys.iter_mut().for_each(|slot| *slot = key(random.next()));
                let pin = pin();
                self.map.find_burst(&keys, &mut found);
                found.iter().for_each(|&found| self.count(&pin, found, 1, round));
            }
            return Ok(updates / BURST as u64 * BURST as u64);
        }
        // Pinned for a burst, as workers are.
        for round in 0..updates / BURST as u64 {
            let pin = pin();
            for _ in 0..BURST {
                self.count(&pin, self.map.slot_words(&[key(random.next())], round), 1, round);
            }
        }
        Ok(updates / BURST as u64 * BURST as u64)
    }

    fn total(&self) -> u64 {
        let counts = self.map.snapshot().into_iter();
        counts.map(|entry| u64::from_ne_bytes(entry.value[24..32].try_into().unwrap())).sum()
    }
}

struct Dash(DashMap<u64, [u64; 2]>);

impl Subject for Dash {
    fn name(&self) -> &'static str {
        "DashMap"
    }

    fn run(&self, random: &mut Random, updates: u64) -> Result<u64, String> {
        for round in 0..updates {
            if let Some(mut value) = self.0.get_mut(&key(random.next())) {
                *value = [value[0] + 1, round];
            }
        }
        Ok(updates)
    }

    fn total(&self) -> u64 {
        self.0.iter().map(|entry| entry.value()[0]).sum()
    }
}

/// With atomics in values that stay, the fastest that it can do; `update` would allocate each time.
struct Papaya(papaya::HashMap<u64, [AtomicU64; 2]>);

impl Subject for Papaya {
    fn name(&self) -> &'static str {
        "papaya, atomics in values"
    }

    fn run(&self, random: &mut Random, updates: u64) -> Result<u64, String> {
        // Pinned for a burst, as a packet program would.
        for round in 0..updates / BURST as u64 {
            let map = self.0.pin();
            for _ in 0..BURST {
                if let Some(value) = map.get(&key(random.next())) {
                    value[0].fetch_add(1, Ordering::Relaxed);
                    value[1].store(round, Ordering::Relaxed);
                }
            }
        }
        Ok(updates / BURST as u64 * BURST as u64)
    }

    fn total(&self) -> u64 {
        self.0.pin().values().map(|value| value[0].load(Ordering::Relaxed)).sum()
    }
}

/// What the loop costs without any map.
struct Nothing;

impl Subject for Nothing {
    fn name(&self) -> &'static str {
        "random keys alone"
    }

    fn run(&self, random: &mut Random, updates: u64) -> Result<u64, String> {
        for _ in 0..updates {
            black_box(key(random.next()));
        }
        Ok(0)
    }

    fn total(&self) -> u64 {
        0
    }
}

#[cfg(target_os = "linux")]
impl Subject for kernel::Hash {
    fn name(&self) -> &'static str {
        "kernel's hash map, test run"
    }

    fn run(&self, _: &mut Random, updates: u64) -> Result<u64, String> {
        kernel::Hash::run(self, updates)
    }

    fn total(&self) -> u64 {
        kernel::Hash::total(self)
    }
}

/// Nanoseconds that this thread has run, which does not count what the machine does else. Nor does it count waiting asleep, which is to the good of subjects
/// that put threads to sleep.
fn cpu_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock writes the time to where it is told.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Nanoseconds for each update of each thread.
fn turn(subject: &dyn Subject, threads: u64, updates: u64) -> Result<f64, String> {
    let before = subject.total();
    let barrier = Barrier::new(threads as usize);
    let runs: Vec<Result<(u64, f64), String>> = thread::scope(|scope| {
        let runs: Vec<_> = (0..threads)
            .map(|thread| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let mut random = Random(0x1234_5678_9abc_def1 ^ thread << 40);
                    barrier.wait();
                    let begin = cpu_time();
                    let done = subject.run(&mut random, updates)?;
                    Ok((done, (cpu_time() - begin) / updates as f64))
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let runs = runs.into_iter().collect::<Result<Vec<_>, _>>()?;
    let done: u64 = runs.iter().map(|(done, _)| done).sum();
    let counted = subject.total() - before;
    if counted != done {
        return Err(format!("{} counted {counted} of {done} updates", subject.name()));
    }
    Ok(runs.iter().map(|(_, time)| time).sum::<f64>() / runs.len() as f64)
}

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let (turns, updates) = if quick { (3, 200_000) } else { (15, 2_000_000) };
    let dash = Dash(DashMap::with_capacity(KEYS as usize));
    let papaya = Papaya(papaya::HashMap::builder().capacity(KEYS as usize).build());
    for number in 0..KEYS {
        dash.0.insert(key(number), [0, 0]);
        papaya.0.pin().insert(key(number), [AtomicU64::new(0), AtomicU64::new(0)]);
    }
    let mut subjects: Vec<Box<dyn Subject>> = vec![
        Box::new(Oko::new(false)),
        Box::new(Oko::new(true)),
        Box::new(dash),
        Box::new(papaya),
        Box::new(Nothing),
    ];
    #[cfg(target_os = "linux")]
    match kernel::Hash::new(KEYS as u32) {
        Ok(hash) => subjects.push(Box::new(hash)),
        Err(error) => println!("The kernel's hash map is not measured: {error}\n"),
    }
    println!(
        "Look-up and update, {KEYS} entries, ns for each update of each thread (median of {turns} turns)\n"
    );
    println!("| subject | 1 thread | of `oko` | 2 threads | of `oko` |\n|---|---:|---:|---:|---:|");
    let mut figures = vec![[Vec::new(), Vec::new()]; subjects.len()];
    for _ in 0..turns {
        for (subject, figures) in subjects.iter().zip(&mut figures) {
            for (threads, figures) in [1, 2].into_iter().zip(figures) {
                match turn(&**subject, threads, updates) {
                    Ok(time) => figures.push(time),
                    Err(error) => {
                        eprintln!("{error}");
                        std::process::exit(1);
                    }
                }
            }
        }
    }
    let median = |figures: &Vec<f64>| {
        let mut sorted = figures.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    };
    let ours = [median(&figures[0][0]), median(&figures[0][1])];
    let mut json = Vec::new();
    for (subject, [one, two]) in subjects.iter().zip(&figures) {
        let (one, two) = (median(one), median(two));
        let (name, a, b) = (subject.name(), one / ours[0], two / ours[1]);
        println!("| {name} | {one:.1} | {a:.2}× | {two:.1} | {b:.2}× |");
        json.push(format!(
            "{{ \"subject\": \"{name}\", \"ns_one_thread\": {one}, \"ns_two_threads\": {two} }}"
        ));
    }
    let mut args = std::env::args().skip_while(|arg| arg != "--json").skip(1);
    if let Some(file) = args.next() {
        std::fs::write(file, format!("[{}]\n", json.join(", "))).unwrap();
    }
}
