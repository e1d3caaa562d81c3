//! Properties of random modules, and of texts that are almost modules.

use oko_ir::cfg::Cfg;
use oko_ir::cost::longest_section;
use oko_ir::interp::{RunError, StateDump, Store, run, run_observed};
use oko_ir::passes::{PASSES, apply, optimize};
use oko_ir::ranges::Ranges;
use oko_ir::testing::generate::{self, Arrival, Options, numbers};
use oko_ir::verify::Problem;
use oko_ir::{Block, Checked, Module, Value, cost, text, verify};
use proptest::collection::vec;
use proptest::prelude::*;

fn check(module: Module) -> Result<Checked, TestCaseError> {
    let text = module.to_string();
    verify(module).map_err(|errors| {
        let list: Vec<_> = errors.iter().map(ToString::to_string).collect();
        TestCaseError::fail(format!("{}\n{text}", list.join("\n")))
    })
}

/// A store whose tables have entries, the same for the same module.
fn store(checked: &Checked) -> Store {
    let mut store = Store::new(checked);
    store.set_seed(0x0123_4567_89ab_cdef);
    generate::fill(&mut store, &generate::table_entries(checked.module(), &numbers(7, 200)));
    store
}

/// Runs all filters on all packets and gives what can be seen.
fn observe(checked: &Checked, arrivals: &[Arrival]) -> Result<(Vec<u32>, Store), RunError> {
    let mut store = store(checked);
    let costs = cost(checked);
    let sections: Vec<u64> = (checked.module().filters.iter())
        .map(|filter| {
            longest_section(filter, &Cfg::of(filter).expect("verified")).map_or(0, |section| section.steps)
        })
        .collect();
    let mut classes = Vec::new();
    for arrival in arrivals {
        let packet = arrival.packet();
        for (filter, cost) in costs.iter().enumerate() {
            let outcome = run(checked, filter, &mut store, packet, arrival.now)?;
            assert!(outcome.steps <= cost.steps, "{} steps, but at most {} cost", outcome.steps, cost.steps);
            assert!(
                outcome.locked <= sections[filter],
                "{} steps, at most {}",
                outcome.locked,
                sections[filter]
            );
            classes.push(outcome.class);
        }
    }
    Ok((classes, store))
}

proptest! {
    #[test]
    fn generated_modules_verify_and_come_back_from_text(choices in vec(any::<u32>(), 0..600)) {
        let module = generate::module(&choices, Options::ALL);
        let printed = module.to_string();
        prop_assert_eq!(text::read(&printed), Ok(module.clone()));
        check(module)?;
    }

    #[test]
    fn generated_modules_run(choices in vec(any::<u32>(), 0..600), traffic in vec(any::<u32>(), 0..600)) {
        let module = check(generate::module(&choices, Options::ALL))?;
        if let Err(error) = observe(&module, &generate::traffic(&traffic)) {
            return Err(TestCaseError::fail(format!("{error}\n{}", module.module())));
        }
    }

    #[test]
    fn values_are_in_their_ranges(choices in vec(any::<u32>(), 0..600), traffic in vec(any::<u32>(), 0..300)) {
        let checked = check(generate::module(&choices, Options::ALL))?;
        let mut store = store(&checked);
        for arrival in generate::traffic(&traffic) {
            let packet = arrival.packet();
            for (index, filter) in checked.module().filters.iter().enumerate() {
                let ranges = Ranges::of(checked.module(), filter);
                let mut wrong = None;
                let mut observe = |block: Block, values: oko_ir::interp::Values<'_>| {
                    for value in (0..filter.values.len()).map(Value::from_index) {
                        if let Some(found) = values.get(value) {
                            let range = ranges.at(block, value);
                            if !range.contains(found) || !ranges.of_value(value).contains(found) {
                                wrong = Some(format!("{block}: {value} is {found}, not in {range:?}\n{filter}"));
                            }
                        }
                    }
                };
                let outcome = run_observed(&checked, index, &mut store, packet, arrival.now, &mut observe);
                prop_assert!(outcome.is_ok());
                if let Some(wrong) = wrong {
                    return Err(TestCaseError::fail(wrong));
                }
            }
        }
    }

    /// No pass, nor all of them together, changes what a filter answers or remembers.
    #[test]
    fn passes_keep_the_meaning(choices in vec(any::<u32>(), 0..600), traffic in vec(any::<u32>(), 0..400)) {
        let original = check(generate::module(&choices, Options::ALL))?;
        let arrivals = generate::traffic(&traffic);
        let now = arrivals.last().map_or(1, |last| last.now);
        let expected = observe(&original, &arrivals);
        let seen = |outcome: Result<(Vec<u32>, Store), RunError>| {
            outcome.map(|(classes, mut store)| {
                let live: Vec<StateDump> = store.dump().into_iter().map(|dump| dump.live(now)).collect();
                (classes, live, store.take_events(), store.dropped_events())
            })
        };
        let expected = seen(expected);
        prop_assert!(expected.is_ok());
        for (name, pass) in PASSES {
            let changed = match apply(*pass, original.clone()) {
                Ok(changed) => changed,
                Err(errors) if errors.iter().all(|error| matches!(error.problem, Problem::ClassOutOfRange { .. })) => continue,
                Err(errors) => {
                    let list: Vec<_> = errors.iter().map(ToString::to_string).collect();
                    return Err(TestCaseError::fail(format!("{name}: {}\n{}", list.join("\n"), original.module())));
                }
            };
            let found = seen(observe(&changed, &arrivals));
            prop_assert_eq!(&expected, &found, "{}: {}\n{}", name, original.module(), changed.module());
        }
        let optimized = optimize(original.clone());
        let found = seen(observe(&optimized, &arrivals));
        prop_assert_eq!(&expected, &found, "{}\n{}", original.module(), optimized.module());
    }

    /// The reader and the verifier survive any damage, and what the verifier still accepts runs without a bug.
    #[test]
    fn damaged_text_is_refused_or_runs(
        choices in vec(any::<u32>(), 0..300),
        traffic in vec(any::<u32>(), 0..300),
        damage in vec((any::<u32>(), any::<u32>(), 0u8..5), 1..4),
    ) {
        let mut tokens = split(&generate::module(&choices, Options::ALL).to_string());
        for (at, from, kind) in damage {
            let (at, from) = (at as usize % tokens.len(), from as usize % tokens.len());
            match kind {
                0 => tokens.swap(at, from),
                1 => drop(tokens.remove(at)),
                2 => tokens.insert(at, tokens[from].clone()),
                3 => tokens[at] = tokens[from].clone(),
                // Off by one.
                _ => {
                    let digits = tokens[at].trim_end_matches(|c: char| c.is_ascii_digit()).len();
                    let (prefix, number) = tokens[at].split_at(digits);
                    let number: u64 = number.parse().unwrap_or(0);
                    let changed = if from % 2 == 0 { number.wrapping_add(1) } else { number.wrapping_sub(1) };
                    tokens[at] = format!("{prefix}{changed}");
                }
            }
            if tokens.is_empty() {
                break;
            }
        }
        let Ok(module) = text::read(&tokens.concat()) else { return Ok(()) };
        prop_assert_eq!(text::read(&module.to_string()), Ok(module.clone()));
        let Ok(checked) = verify(module) else { return Ok(()) };
        if let Err(error) = observe(&checked, &generate::traffic(&traffic)) {
            return Err(TestCaseError::fail(format!("{error}\n{}", checked.module())));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(oko\\.ir 1)?[ -~\\n\u{e9}]{0,200}") {
        drop(text::read(&text));
    }
}

/// Cuts a text into words and what is between them.
fn split(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    for c in text.chars() {
        match tokens.last_mut() {
            Some(last) if is_word(c) && last.ends_with(is_word) => last.push(c),
            _ => tokens.push(c.to_string()),
        }
    }
    tokens
}

/// The properties would say little if the modules had not everything in them, or nothing happened when they run.
#[test]
fn generated_modules_do_everything() {
    let mut text = String::new();
    let (mut evicted, mut refused, mut written, mut events) = (0, 0, 0, 0);
    let mut classes = [0; 8];
    let mut worked = vec![0; PASSES.len()];
    for seed in 0..200 {
        let module = generate::module(&numbers(seed, 1500), Options::ALL);
        text.push_str(&module.to_string());
        let checked = verify(module).expect("the module verifies");
        let mut filters = checked.module().filters.clone();
        for (pass, worked) in PASSES.iter().map(|(_, pass)| pass).zip(&mut worked) {
            for filter in &mut filters {
                let before = filter.clone();
                pass(checked.module(), filter);
                *worked += u32::from(*filter != before);
            }
        }
        let (seen, mut store) =
            observe(&checked, &generate::traffic(&numbers(!seed, 2000))).expect("the module runs");
        seen.iter().for_each(|class| classes[*class as usize] += 1);
        events += store.take_events().len();
        for state in store.dump() {
            evicted += state.evicted;
            refused += state.refused;
            written += state.entries.iter().filter(|entry| entry.written > 0).count();
        }
    }
    let mnemonics = "add sub mul udiv urem and or xor shl ushr sshr umin umax eq ne ult ule slt sle and_b or_b xor_b not \
        select int load.be8 load.be16 load.be32 load.be64 pkt.len pkt.in_port now param lock get set unlock.keep \
        unlock.touch unlock.clear jump branch window find slot return true false const repeat get.at set.at word.get \
        word.add word.or word.cas emit seed event per_core words table";
    for mnemonic in mnemonics.split_whitespace() {
        assert!(text.contains(&format!(" {mnemonic}")), "{mnemonic} is never used");
    }
    println!(
        "evicted {evicted}, refused {refused}, written {written}, events {events}, classes {classes:?}, {} lines",
        text.lines().count()
    );
    assert!(evicted > 0 && refused > 0 && written > 0, "states fill up");
    assert!(events > 0, "events are reported");
    let worked: Vec<_> = PASSES.iter().map(|(name, _)| *name).zip(worked).collect();
    println!("filters that passes change: {worked:?}");
    // No two random loads are put together, random filters know no common frames and choose nothing twice by the clock, and no random way knows two parts of a
    // key; each pass numbers anew itself.
    let idle = |name: &str| {
        ["merge_loads", "go_straight", "branch_choices", "duplicate_tails", "renumber"].contains(&name)
    };
    assert!(worked.iter().all(|(name, count)| *count > 0 || idle(name)), "passes have work: {worked:?}");
    assert!(classes[..7].iter().all(|count| *count > 0), "every class is given: {classes:?}");
}
