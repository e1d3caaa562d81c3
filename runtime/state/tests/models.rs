//! The algorithms of this crate under a model checker: every interleaving of a few threads, and what weakly ordered memory may show. The sources are
//! those of the crate, compiled against the checker's atomics.

#![allow(clippy::unwrap_used, dead_code, missing_docs)]

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

    pub(crate) fn pause() {
        loom::thread::yield_now();
    }

    pub(crate) fn step_aside() {
        loom::thread::yield_now();
    }

    // The checker knows no system call that fences for others, so both halves are whole ones.
    pub(crate) fn light_fence() {
        fence(Ordering::SeqCst);
    }

    pub(crate) fn heavy_fence() {
        fence(Ordering::SeqCst);
    }
}

/// The threads of a model that look at maps: one.
mod readers {
    use crate::epoch::{Epoch, Ticket, UNPINNED};
    use crate::sync::{AtomicU64, pause};

    loom::lazy_static! {
        static ref EPOCH: Epoch = Epoch::from(AtomicU64::new(1));
        static ref SLOT: AtomicU64 = AtomicU64::new(UNPINNED);
    }

    pub(crate) fn pinned<R>(body: impl FnOnce() -> R) -> R {
        EPOCH.pin(&SLOT);
        let result = body();
        EPOCH.unpin(&SLOT);
        result
    }

    pub(crate) fn ticket() -> Ticket {
        EPOCH.ticket()
    }

    pub(crate) fn passed() -> Ticket {
        EPOCH.passed([&*SLOT].into_iter())
    }

    /// Of the control plane, which is not pinned.
    pub(crate) fn wait_for(ticket: Ticket) -> bool {
        while passed() < ticket {
            pause();
        }
        true
    }
}

#[path = "../src/bias.rs"]
mod bias;

#[path = "../src/epoch.rs"]
mod epoch;
#[path = "../src/free_list.rs"]
mod free_list;
#[path = "../src/generation.rs"]
mod generation;
#[path = "../src/lock_word.rs"]
mod lock_word;
#[path = "../src/pool.rs"]
mod pool;
#[path = "../src/ring.rs"]
mod ring;

use generation::Generation;
use loom::sync::Arc;
use loom::thread;
use sync::{AtomicU32, AtomicU64, Ordering};

fn check(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

struct Circle(Vec<AtomicU64>);

impl ring::Cells for Circle {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn cell(&self, number: usize) -> &AtomicU64 {
        &self.0[number]
    }
}

fn circle(cells: usize) -> Arc<ring::Ring<Circle>> {
    Arc::new(ring::Ring::new(Circle((0..cells).map(|_| AtomicU64::new(0)).collect())))
}

/// Queues one record of one or two words; whether there was room.
fn produce(ring: &ring::Ring<Circle>, words: &[u64]) -> bool {
    let Some(reserved) = ring.reserve(words.len() * 8) else { return false };
    for (at, word) in words.iter().enumerate() {
        ring::Cells::cell(ring.cells(), reserved.first() + at).store(*word, Ordering::Relaxed);
    }
    ring.commit(reserved, true);
    true
}

fn take(ring: &ring::Ring<Circle>) -> Option<Vec<u64>> {
    ring.consume(|cells, first, size| {
        (first..first + size / 8).map(|at| cells.0[at].load(Ordering::Relaxed)).collect()
    })
}

#[test]
fn a_ring_loses_no_record_and_shows_none_half_written() {
    check(3, || {
        // Room for two records, so that one of three is dropped or comes around the end.
        let ring = circle(8);
        let producers: Vec<_> = [10_u64, 20]
            .into_iter()
            .map(|base| {
                let ring = Arc::clone(&ring);
                thread::spawn(move || u64::from(produce(&ring, &[base, base + 1])))
            })
            .collect();
        let early = take(&ring);
        let queued: u64 = producers.into_iter().map(|producer| producer.join().unwrap()).sum();
        let third = produce(&ring, &[30, 31]);
        let mut taken: Vec<_> = early.into_iter().collect();
        while let Some(record) = take(&ring) {
            taken.push(record);
        }
        assert_eq!(taken.len() as u64, queued + u64::from(third));
        assert_eq!(ring.dropped(), 3 - taken.len() as u64);
        assert_eq!(ring.used(), 0);
        for record in taken {
            assert!([10, 20, 30].contains(&record[0]) && record[1] == record[0] + 1, "{record:?}");
        }
    });
}

#[test]
fn a_ring_gives_the_records_of_a_producer_in_order_around_its_end() {
    check(3, || {
        let ring = circle(4);
        let producer = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || (1..=3_u64).filter(|&n| produce(&ring, &[n])).collect::<Vec<_>>())
        };
        let mut taken: Vec<u64> =
            take(&ring).into_iter().chain(take(&ring)).map(|record| record[0]).collect();
        let queued = producer.join().unwrap();
        while let Some(record) = take(&ring) {
            taken.push(record[0]);
        }
        assert_eq!(taken, queued);
    });
}

#[test]
fn what_a_pinned_reader_found_is_not_used_again() {
    const OLD: u64 = 1;
    const NEW: u64 = 2;
    check(3, || {
        // A structure that leads to place 0 or 1, whose contents the writer may use again when the ticket has passed.
        let root = Arc::new(AtomicU32::new(0));
        let places = Arc::new([AtomicU64::new(OLD), AtomicU64::new(NEW)]);
        let epoch = Arc::new(epoch::Epoch::from(AtomicU64::new(1)));
        let slot = Arc::new(AtomicU64::new(epoch::UNPINNED));
        let reader = {
            let (root, places) = (Arc::clone(&root), Arc::clone(&places));
            let (epoch, slot) = (Arc::clone(&epoch), Arc::clone(&slot));
            thread::spawn(move || {
                for _ in 0..2 {
                    epoch.pin(&slot);
                    let place = &places[root.load(Ordering::Acquire) as usize];
                    let (first, second) = (place.load(Ordering::Relaxed), place.load(Ordering::Relaxed));
                    assert!([OLD, NEW].contains(&first), "found what is used again: {first}");
                    assert_eq!(first, second, "it changed while the reader was pinned");
                    epoch.unpin(&slot);
                }
            })
        };
        root.store(1, Ordering::Release);
        let ticket = epoch.ticket();
        if epoch.passed([&*slot].into_iter()) >= ticket {
            places[0].store(99, Ordering::Relaxed);
        }
        reader.join().unwrap();
        assert!(epoch.passed([&*slot].into_iter()) >= ticket, "it passes in the end");
    });
}

/// A table of one entry and one record to spare, as `Exact` writes it and look-ups read it.
struct Table {
    /// The only place of its index.
    place: AtomicU32,
    generations: [Generation; 2],
    values: [[AtomicU64; 2]; 2],
}

impl Table {
    fn find(&self) -> Option<&[AtomicU64; 2]> {
        let record = self.place.load(Ordering::Acquire) as usize;
        self.generations[record].of(|| true).map(|_| &self.values[record])
    }

    fn update(&self, pool: &mut pool::Pool, value: u64) {
        let record = pool.take(|record| self.generations[record as usize].end());
        let record = record.unwrap();
        self.values[record as usize].iter().for_each(|half| half.store(value, Ordering::Relaxed));
        self.generations[record as usize].begin(0);
        let old = self.place.load(Ordering::Relaxed);
        self.place.store(record, Ordering::Release);
        pool.retire(old);
    }
}

#[test]
fn an_entry_of_a_table_stays_as_it_is_while_its_finder_is_pinned() {
    check(3, || {
        let mut pool = pool::Pool::new((0..2).step_by(1));
        let first = pool.take(|_| {}).unwrap();
        let table = Arc::new(Table {
            place: AtomicU32::new(first),
            generations: [Generation::default(), Generation::default()],
            values: [1, 0].map(|value| [AtomicU64::new(value), AtomicU64::new(value)]),
        });
        table.generations[first as usize].begin(0);
        let reader = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                readers::pinned(|| {
                    let [first, second] = table.find().expect("the entry is never away");
                    let (before, after) = (first.load(Ordering::Relaxed), second.load(Ordering::Relaxed));
                    assert!((1..=3).contains(&before), "{before} was never the entry's");
                    assert_eq!((before, before), (after, first.load(Ordering::Relaxed)), "it changed");
                });
            })
        };
        // The second one has to use the first one's record again.
        table.update(&mut pool, 2);
        table.update(&mut pool, 3);
        reader.join().unwrap();
        let [first, second] = table.find().unwrap();
        assert_eq!((first.load(Ordering::Relaxed), second.load(Ordering::Relaxed)), (3, 3));
    });
}

#[test]
fn a_copy_under_a_lock_word_is_never_torn() {
    check(3, || {
        let word = Arc::new(AtomicU32::new(0));
        let value = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let writer = {
            let (word, value) = (Arc::clone(&word), Arc::clone(&value));
            thread::spawn(move || {
                for n in 1..=2 {
                    lock_word::lock_word(&word);
                    value.iter().for_each(|half| half.store(n, Ordering::Relaxed));
                    lock_word::unlock_word(&word);
                }
            })
        };
        let seen = lock_word::begin_copy(&word);
        let copy = [value[0].load(Ordering::Relaxed), value[1].load(Ordering::Relaxed)];
        if seen.is_some_and(|seen| lock_word::end_copy(&word, seen)) {
            assert_eq!(copy[0], copy[1], "half of one and half of the other");
        }
        writer.join().unwrap();
    });
}

#[test]
fn two_workers_under_a_lock_word_lose_no_update() {
    check(3, || {
        let word = Arc::new(AtomicU32::new(0));
        let count = Arc::new(AtomicU64::new(0));
        let add = |word: &AtomicU32, count: &AtomicU64| {
            lock_word::lock_word(word);
            let old = count.load(Ordering::Relaxed);
            count.store(old + 1, Ordering::Relaxed);
            lock_word::unlock_word(word);
        };
        let other = {
            let (word, count) = (Arc::clone(&word), Arc::clone(&count));
            thread::spawn(move || add(&word, &count))
        };
        add(&word, &count);
        other.join().unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 2);
        assert_eq!(word.load(Ordering::Relaxed), 4, "each release adds one, each taking too");
    });
}

/// The slots of threads, each with its burst while it is in one.
struct Bursts([AtomicU64; 2]);

impl bias::Slots for Bursts {
    fn others_pinned(&self, number: u32) -> bool {
        self.burst(1 - number) != 0
    }

    fn burst(&self, number: u32) -> u64 {
        self.0[number as usize].load(Ordering::Acquire)
    }
}

#[test]
fn who_is_alone_loses_no_update_by_plain_stores() {
    use bias::{Bias, Holder, Mode};

    struct Shared {
        bias: Bias,
        bursts: Bursts,
        word: AtomicU32,
        count: AtomicU64,
    }

    /// A burst: one update under the lock word, which is taken by plain stores if this thread is alone. `claims` says whether it asks to be, `alone` whether
    /// it was in its last burst: then one look at the bias is all.
    fn burst(shared: &Shared, number: u32, burst: u64, claims: bool, alone: &mut bool) {
        let slot = &shared.bursts.0[number as usize];
        slot.store(burst, Ordering::Relaxed);
        sync::light_fence();
        if !*alone || !shared.bias.is_held_by(Holder::of(number)) {
            let free = shared.bias.is_free();
            let mode = match (free, claims) {
                (true, false) => Mode::Shared,
                (true, true) => shared.bias.claim(number, &shared.bursts),
                (false, _) => shared.bias.enter(number, &shared.bursts),
            };
            if free && claims && mode == Mode::Shared {
                assert_eq!(shared.bias.enter(number, &shared.bursts), Mode::Shared);
            }
            *alone = mode == Mode::Alone;
        }
        let word = &shared.word;
        if *alone {
            let seen = word.load(Ordering::Relaxed);
            assert_eq!(seen & 1, 0, "held by another one");
            word.store(seen | 1, Ordering::Relaxed);
        } else {
            lock_word::lock_word(word);
        }
        let old = shared.count.load(Ordering::Relaxed);
        shared.count.store(old + 1, Ordering::Relaxed);
        lock_word::unlock_word(word);
        slot.store(0, Ordering::Release);
    }

    let run = |claims: [bool; 2]| {
        check(2, move || {
            let shared = Arc::new(Shared {
                bias: Bias::from(AtomicU64::new(0)),
                bursts: Bursts([AtomicU64::new(0), AtomicU64::new(0)]),
                word: AtomicU32::new(0),
                count: AtomicU64::new(0),
            });
            let other = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let mut alone = false;
                    (1..=2).for_each(|number| burst(&shared, 1, number, claims[1], &mut alone));
                })
            };
            let mut alone = false;
            (1..=2).for_each(|number| burst(&shared, 0, number, claims[0], &mut alone));
            other.join().unwrap();
            assert_eq!(shared.count.load(Ordering::Relaxed), 4);
            assert_eq!(shared.word.load(Ordering::Relaxed), 8);
        });
    };
    run([true, false]);
    run([true, true]);
}

#[test]
fn a_look_up_never_takes_words_of_two_keys_for_one() {
    check(3, || {
        // A record that belongs to a key of two equal words, then to others. Its lock word is what its keys' words were.
        let generation = Arc::new(Generation::default());
        let key = Arc::new([AtomicU64::new(1), AtomicU64::new(1)]);
        generation.begin(1);
        let finder = {
            let (generation, key) = (Arc::clone(&generation), Arc::clone(&key));
            thread::spawn(move || {
                let mut seen = [0, 0];
                let read = || {
                    seen = [key[0].load(Ordering::Relaxed), key[1].load(Ordering::Relaxed)];
                    true
                };
                if let Some(word) = generation.of(read) {
                    assert_eq!(seen[0], seen[1], "a word of each of two keys");
                    assert_eq!(
                        seen[0],
                        u64::from(generation::first_lock(word)),
                        "one key under the generation of another"
                    );
                }
            })
        };
        for next in 2..=3 {
            generation.end();
            key.iter().for_each(|word| word.store(next, Ordering::Relaxed));
            generation.begin(next as u32);
        }
        finder.join().unwrap();
        assert_eq!(generation.load(Ordering::Relaxed), 3 << 32 | 5, "it moves twice with each key");
    });
}

#[test]
fn an_evicted_place_is_not_written_by_who_comes_late() {
    check(3, || {
        // A place of a table: lock word, generation, and whose value it has.
        let word = Arc::new(AtomicU32::new(0));
        let generation = Arc::new(Generation::default());
        let value = Arc::new(AtomicU64::new(1));
        generation.begin(word.load(Ordering::Relaxed));
        let found = generation.load(Ordering::Relaxed);
        // The worker found the first key's entry before, with its generation.
        let late = {
            let (word, generation, value) = (Arc::clone(&word), Arc::clone(&generation), Arc::clone(&value));
            thread::spawn(move || {
                lock_word::lock_word(&word);
                let mine = generation.load(Ordering::Acquire) == found;
                if mine {
                    assert_eq!(
                        value.load(Ordering::Relaxed),
                        1,
                        "another key's value under the old generation"
                    );
                    value.store(1, Ordering::Relaxed);
                }
                lock_word::unlock_word(&word);
            })
        };
        // The evicting thread takes the place for the second key.
        if lock_word::try_lock_word(&word) {
            generation.end();
            lock_word::unlock_word(&word);
            value.store(2, Ordering::Relaxed);
            // The late worker may hold the lock of what is not its entry any more.
            generation.begin(word.load(Ordering::Relaxed));
            late.join().unwrap();
            assert_eq!(value.load(Ordering::Relaxed), 2, "the late worker wrote into the second key's value");
        } else {
            late.join().unwrap();
        }
    });
}

#[test]
fn a_free_list_gives_each_place_to_one() {
    check(3, || {
        let list = Arc::new(free_list::FreeList::new());
        let links = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        list.push(1, |place, next| links[place as usize - 1].store(next, Ordering::Relaxed));
        list.push(2, |place, next| links[place as usize - 1].store(next, Ordering::Relaxed));
        let take = |list: &free_list::FreeList, links: &[AtomicU32; 2]| {
            list.pop(|place| links[place as usize - 1].load(Ordering::Relaxed))
        };
        let other = {
            let (list, links) = (Arc::clone(&list), Arc::clone(&links));
            thread::spawn(move || {
                // Takes two and gives one back: the list's head is what it was, and what follows it is not.
                let first = take(&list, &links);
                let second = take(&list, &links);
                if let (Some(first), Some(second)) = (first, second) {
                    list.push(first, |place, next| links[place as usize - 1].store(next, Ordering::Relaxed));
                    vec![second]
                } else {
                    first.into_iter().chain(second).collect()
                }
            })
        };
        let mine = take(&list, &links);
        let mut all = other.join().unwrap();
        all.extend(mine);
        while let Some(place) = take(&list, &links) {
            all.push(place);
        }
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
    });
}
