//! Sketches, Bloom filters and counts of distinct values are as accurate as they were declared. All on the checking interpreter, with
//! seeds that are fixed, so a test that passes keeps passing.

mod support;

use std::collections::HashMap;

use oko_artifact::{Container, sketch};
use oko_ir::Width;
use proptest::prelude::*;
use support::numbers::Numbers;
use support::{Fast, SECOND};

/// A stream of numbers in which few keys are frequent and many are rare: key `k` comes in proportion to `1 / (k + 1)`.
fn zipf(keys: u64, length: usize, seed: u64) -> Vec<u64> {
    let mut numbers = Numbers(seed);
    let weights: Vec<f64> = (0..keys).map(|key| 1.0 / (key + 1) as f64).collect();
    let total: f64 = weights.iter().sum();
    (0..length)
        .map(|_| {
            let mut rest = (numbers.next() >> 11) as f64 / (1u64 << 53) as f64 * total;
            let found = weights.iter().position(|weight| {
                rest -= weight;
                rest < 0.0
            });
            found.unwrap_or(0) as u64
        })
        .collect()
}

const SKETCH: &str = "
    param key: u32 = 0; param amount: u32 = 0; param bound: u64 = 0;
    state volume: sketch[(u32, u16)] { error: ERROR, confidence: CONFIDENCE WINDOW };
    filter f -> bool { if amount == 0 { volume[(key, 7)].estimate > bound } else { volume[(key, 7)].add(amount) > bound } }";

fn sketch_source(error: &str, confidence: &str, window: &str) -> String {
    SKETCH.replace("ERROR", error).replace("CONFIDENCE", confidence).replace("WINDOW", window)
}

/// What the declaration promises: never too low, and with the confidence not more than `error` of all that was added too high.
#[test]
fn a_sketch_is_within_its_error_as_often_as_it_says() {
    let (mut wrong, mut above, mut asked) = (0, 0, 0);
    for seed in [1, 0x5eed_5eed, u64::MAX - 3] {
        let text = sketch_source("1%", "99%", "");
        let mut filter = Fast::new(&text, seed);
        let output = support::compile("test.oko", &text).output.expect("it compiles");
        let Container::Sketch(schema) = output.schema.states[0].container else { panic!("a sketch") };
        let mut truth: HashMap<u64, u64> = HashMap::new();
        let stream = zipf(3_000, 12_000, seed | 1);
        for key in &stream {
            *truth.entry(*key).or_default() += 100;
            filter.class(&[*key, 100, 0], SECOND);
        }
        let total = stream.len() as u64 * 100;
        let words = filter.words(0);
        for (key, count) in &truth {
            let hash = sketch::hash(seed, "volume", &[(*key, Width::W32), (7, Width::W16)]);
            let estimate = schema.estimate(hash, SECOND, |at| words.get(&at).copied().unwrap_or(0));
            assert!(estimate >= *count, "{key}: {estimate} is less than {count}");
            above += u32::from(estimate > *count);
            wrong += u32::from(estimate > count + total / 100);
            asked += 1;
        }
        // What the filter says is what the control plane computes.
        for key in [0, 1, 50, 2_999, 1_000_000] {
            let hash = sketch::hash(seed, "volume", &[(key, Width::W32), (7, Width::W16)]);
            let estimate = schema.estimate(hash, SECOND, |at| words.get(&at).copied().unwrap_or(0));
            assert_eq!(filter.class(&[key, 0, estimate], SECOND), 0, "{key}");
            assert_eq!(
                filter.class(&[key, 0, estimate.wrapping_sub(1)], SECOND),
                u32::from(estimate > 0),
                "{key}"
            );
        }
    }
    assert!(above > 0, "no key shares a counter in all rows: the sketch is larger than it need be");
    assert!(f64::from(wrong) <= 0.01 * f64::from(asked), "{wrong} of {asked} are off by more than 1%");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    /// With one key there is nothing to confuse it with: the count is that of a sliding window.
    #[test]
    fn a_sketch_with_a_window_forgets_as_a_window_does(
        seed: u64,
        steps in prop::collection::vec((0u64..2_500_000_000, 1u64..1_000), 1..30),
    ) {
        let mut filter = Fast::new(&sketch_source("10%", "99%", ", window: 1s"), seed);
        let mut now = SECOND;
        let mut counts: HashMap<u64, u64> = HashMap::new();
        for (wait, amount) in steps {
            now += wait;
            let number = now / SECOND;
            *counts.entry(number).or_default() += amount;
            let previous = counts.get(&(number - 1)).copied().unwrap_or(0);
            let part = ((SECOND - now % SECOND) << 16) / SECOND;
            let total = counts[&number] + ((previous * part) >> 16);
            prop_assert_eq!(filter.class(&[5, amount, total - 1], now), 1, "at least {} at {}", total, now);
            prop_assert_eq!(filter.class(&[5, 0, total], now), 0, "at most {} at {}", total, now);
        }
    }
}

#[test]
fn counters_of_a_sketch_that_are_full_stay() {
    let mut filter = Fast::new(&sketch_source("50%", "1%", ", window: 30h"), 9);
    let least = 1u64 << 43;
    for _ in 0..2_049 {
        filter.class(&[5, u64::from(u32::MAX), 0], SECOND);
    }
    assert_eq!(filter.class(&[5, u64::from(u32::MAX), least - 1], SECOND), 1);
    let before = filter.words(0);
    filter.class(&[5, u64::from(u32::MAX), 0], SECOND);
    assert_eq!(filter.words(0), before);
}

const BLOOM: &str = "
    param key: u64 = 0; param insert: u8 = 0;
    state seen: bloom[u64] { capacity: 2_000, error: 1%, expire: EXPIRE };
    filter f -> bool { if insert == 1 { seen.insert(key) } else { key in seen } }";

fn false_positives(filter: &mut Fast, now: u64) -> f64 {
    let found: u32 = (0..10_000).map(|key| filter.class(&[1 << 40 | key, 0], now)).sum();
    f64::from(found) / 10_000.0
}

#[test]
fn a_bloom_filter_errs_as_often_as_it_says() {
    let mut filter = Fast::new(&BLOOM.replace("EXPIRE", "never"), 77);
    let new: u32 = (0..2_000).map(|key| filter.class(&[key, 1], SECOND)).sum();
    assert!((1_960..=2_000).contains(&new), "{new} of 2,000 keys were new");
    for key in 0..2_000 {
        assert_eq!(filter.class(&[key, 0], 100 * SECOND), 1, "no key is forgotten");
        assert_eq!(filter.class(&[key, 1], 100 * SECOND), 0, "no key is new twice");
    }
    let rate = false_positives(&mut filter, SECOND);
    assert!((0.004..=0.014).contains(&rate), "{rate}");
}

/// With both generations full, which is the worst case.
#[test]
fn a_bloom_filter_that_forgets_errs_as_often_as_it_says() {
    let mut filter = Fast::new(&BLOOM.replace("EXPIRE", "10s"), 78);
    for key in 0..2_000 {
        filter.class(&[key, 1], 15 * SECOND);
        filter.class(&[10_000 + key, 1], 25 * SECOND);
    }
    for key in 0..2_000 {
        assert_eq!(filter.class(&[key, 0], 29 * SECOND), 1);
        assert_eq!(filter.class(&[10_000 + key, 0], 29 * SECOND), 1);
    }
    let rate = false_positives(&mut filter, 29 * SECOND);
    assert!((0.003..=0.014).contains(&rate), "{rate}");
    let later = false_positives(&mut filter, 30 * SECOND);
    assert!(later < rate, "one generation is gone");
}

#[test]
fn a_bloom_filter_remembers_for_one_to_two_generations() {
    let mut filter = Fast::new(&BLOOM.replace("EXPIRE", "10s"), 79);
    let at = |seconds: u64| seconds * SECOND;
    assert_eq!(filter.class(&[5, 1], at(12)), 1, "new");
    assert_eq!(filter.class(&[5, 1], at(13)), 0, "known");
    assert_eq!(filter.class(&[5, 0], at(30) - 1), 1);
    assert_eq!(filter.class(&[5, 0], at(30)), 0, "gone with the generation after its own");
    assert_eq!(filter.class(&[5, 1], at(41)), 1, "the place of an old generation is used anew");
    assert_eq!(filter.class(&[5, 1], at(51)), 0, "known from the generation before");
    assert_eq!(filter.class(&[5, 0], at(69)), 1, "and now of this one");
    assert_eq!(filter.class(&[6, 0], at(69)), 0);
}

#[test]
fn the_control_plane_asks_a_bloom_filter_as_filters_do() {
    for expire in ["never", "10s"] {
        let text = BLOOM.replace("EXPIRE", expire);
        let output = support::compile("test.oko", &text).output.expect("it compiles");
        let Container::Bloom(schema) = output.schema.states[0].container else { panic!("a Bloom filter") };
        let mut filter = Fast::new(&text, 80);
        for key in 0..1_500 {
            filter.class(&[key * 3, 1], if key < 700 { 15 * SECOND } else { 25 * SECOND });
        }
        let words = filter.words(0);
        for now in [25, 31].map(|seconds| seconds * SECOND) {
            for key in 0..4_500 {
                let hash = sketch::hash(80, "seen", &[(key, Width::W64)]);
                let found = schema.contains(hash, now, |at| words.get(&at).copied().unwrap_or(0));
                assert_eq!(filter.class(&[key, 0], now), u32::from(found), "{key} with {expire}");
            }
        }
    }
}

const DISTINCT: &str = "
    param value: u64 = 0; param more: u64 = 0;
    state tried: distinct[(u64, bool)] { error: ERROR };
    filter f -> bool { tried.insert((value, true)) > more }";

/// The estimate, which is the first field, in 65,536ths.
fn distinct(filter: &Fast) -> f64 {
    filter.entries(0, SECOND).first().map_or(0.0, |(_, fields)| fields[0] as f64 / 65_536.0)
}

/// The root of the mean square of the relative error, and the mean of the relative error.
fn spread(error: &str, values: u64, runs: u64) -> (f64, f64) {
    let (mut squares, mut sum) = (0.0, 0.0);
    for run in 0..runs {
        let mut filter =
            Fast::new(&DISTINCT.replace("ERROR", error), run.wrapping_mul(0x0123_4567_89ab_cdef));
        for value in 0..values {
            filter.class(&[value], SECOND);
        }
        let off = distinct(&filter) / values as f64 - 1.0;
        squares += off * off;
        sum += off;
    }
    ((squares / runs as f64).sqrt(), sum / runs as f64)
}

#[test]
fn distinct_values_are_counted_within_the_standard_error() {
    // 16 registers, whose standard error is 20.8%; over 80 runs it varies by a 12th or so, and the mean by 2.3%.
    let (error, mean) = spread("22%", 400, 80);
    assert!((0.12..=0.24).contains(&error), "{error}");
    assert!(mean.abs() < 0.08, "{mean}");
    // 128 registers, 7.4%.
    let (error, mean) = spread("10%", 1_000, 30);
    assert!((0.04..=0.1).contains(&error), "{error}");
    assert!(mean.abs() < 0.05, "{mean}");
}

#[test]
fn few_distinct_values_are_counted_all_but_exactly() {
    let mut filter = Fast::new(&DISTINCT.replace("ERROR", "2%"), 5);
    assert_eq!(distinct(&filter), 0.0);
    for value in 0..40u64 {
        for _ in 0..3 {
            filter.class(&[value], SECOND);
        }
        let off = distinct(&filter) - (value + 1) as f64;
        assert!(off.abs() < 1.5, "{} values are {}", value + 1, distinct(&filter));
    }
    assert_eq!(
        Fast::new(&DISTINCT.replace("ERROR", "2%"), 5).class(&[1, 0], SECOND),
        1,
        "the first is counted"
    );
    assert_eq!(Fast::new(&DISTINCT.replace("ERROR", "2%"), 5).class(&[1, 1], SECOND), 0, "as one");
}

#[test]
fn distinct_values_are_counted_for_each_key_and_forgotten_with_it() {
    let text = "
        param source: u32 = 0; param value: u64 = 0; param expected: u64 = 0;
        state tried: map[u32, distinct[u64]] { capacity: 4, when_full: evict_oldest, expire: 10s, error: 10% };
        filter f -> bool { if value == 0 { tried[source].total == expected } else { tried[source].insert(value) == expected } }";
    let mut filter = Fast::new(text, 3);
    for (source, value, expected, now) in
        [(1, 7, 1, 1), (1, 8, 2, 2), (2, 7, 1, 2), (1, 7, 2, 3), (1, 0, 2, 12), (1, 0, 0, 13), (1, 9, 1, 14)]
    {
        assert_eq!(
            filter.class(&[source, value, expected], now * SECOND),
            1,
            "{source} and {value} at {now}"
        );
    }
}

/// What the control plane makes of an average's fields is what filters say, within half a percent.
#[test]
fn the_control_plane_reads_averages_as_filters_do() {
    let text = "
        param sample: u32 = 0; param low: u64 = 0; param high: u64 = 0; param least: rate = 0pps; param most: rate = 0pps;
        state load: ewma { time_constant: 2s };
        filter f -> bool {
            if sample > 0 { load.add(sample); }
            let rate = load.rate;
            let average = load.average;
            average in low..=high and rate in least..=most
        }";
    let output = support::compile("test.oko", text).output.expect("it compiles");
    let oko_artifact::ScalarType::Ewma(ewma) = output.schema.states[0].value[0].ty else {
        panic!("an average")
    };
    let mut filter = Fast::new(text, 1);
    let whole = [0, u64::MAX, 0, u64::MAX];
    for at in 0..50u64 {
        filter.class(&[&[1_000 + 700 * (at % 7)], whole.as_slice()].concat(), SECOND + at * SECOND / 9);
    }
    for now in [7, 8, 10].map(|seconds| seconds * SECOND) {
        let fields = filter.entries(0, now).swap_remove(0).1;
        let (average, rate) = ewma.read(fields[0], fields[1], fields[2], now);
        assert!(average > 1_000.0 && rate > 100.0);
        let bounds = |value: f64| [(value * 0.995).floor() as u64, (value * 1.005).ceil() as u64];
        let params = [[0].as_slice(), &bounds(average), &bounds(rate)].concat();
        assert_eq!(filter.class(&params, now), 1, "{average} and {rate} at {now}");
    }
}
