//! Filter operations: requests and replies survive the wire, in however many parts.
#![allow(clippy::unwrap_used)]

use oko_openflow::oko::*;
use oko_openflow::{FilterId, Message};
use proptest::collection::vec;
use proptest::prelude::*;

fn request() -> impl Strategy<Value = Request> {
    let text = || "[a-zA-Z_ü0-9]{0,20}";
    let abi = || prop_oneof![Just(Abi::Linux), Just(Abi::Original)];
    prop_oneof![
        (text(), abi(), vec(any::<u8>(), 0..200_000)).prop_map(|(name, abi, artifact)| Request::Load {
            name,
            abi,
            artifact
        }),
        (text(), abi(), vec(any::<u8>(), 0..200_000)).prop_map(|(name, abi, artifact)| Request::Replace {
            name,
            abi,
            artifact
        }),
        text().prop_map(|name| Request::Unload { name }),
        Just(Request::List),
        text().prop_map(|name| Request::Schema { name }),
        text().prop_map(|filter| Request::StateList { filter }),
        (store(), text(), text()).prop_map(|(store, filter, name)| Request::Read { store, filter, name }),
        (store(), text(), text()).prop_map(|(store, filter, name)| Request::Clear { store, filter, name }),
        (store(), text(), text(), keys()).prop_map(|(store, filter, name, keys)| Request::Get {
            store,
            filter,
            name,
            keys
        }),
        (store(), text(), text(), keys()).prop_map(|(store, filter, name, keys)| Request::Delete {
            store,
            filter,
            name,
            keys
        }),
        (store(), text(), text(), vec(state_entry(), 0..9))
            .prop_map(|(store, filter, name, entries)| Request::Write { store, filter, name, entries }),
        text().prop_map(|filter| Request::EventSubscribe { filter }),
        text().prop_map(|filter| Request::EventUnsubscribe { filter }),
        text().prop_map(|filter| Request::ParamGet { filter }),
        (any::<u32>(), any::<bool>(), text(), text())
            .prop_map(|(number, up, name, device)| Request::PortAdd { number, up, name, device }),
        any::<u32>().prop_map(|number| Request::PortRemove { number }),
        (text(), vec((text(), any::<u64>()), 0..5))
            .prop_map(|(filter, values)| Request::ParamSet { filter, values }),
    ]
}

fn store() -> impl Strategy<Value = Store> {
    prop::sample::select(vec![Store::State, Store::Table])
}

fn keys() -> impl Strategy<Value = Vec<Vec<u64>>> {
    vec(vec(any::<u64>(), 0..5), 0..9)
}

fn filter_info() -> impl Strategy<Value = FilterInfo> {
    let class = (any::<u32>(), "[a-z]{0,9}", any::<u64>()).prop_map(|(number, name, packets)| ClassInfo {
        number,
        name,
        packets,
    });
    (any::<u32>(), "[a-z]{0,9}", any::<bool>(), vec(class, 0..4), any::<[u64; 3]>(), any::<u32>()).prop_map(
        |v| FilterInfo {
            id: FilterId(v.0),
            name: v.1,
            boolean: v.2,
            classes: v.3,
            packets: v.4[0],
            state_bytes: v.4[1],
            age: v.4[2],
            flows: v.5,
        },
    )
}

fn state_entry() -> impl Strategy<Value = StateEntry> {
    (any::<u64>(), proptest::option::of(0..u64::MAX), vec(any::<u64>(), 0..5), vec(any::<u64>(), 0..5))
        .prop_map(|(age, expires_in, key, value)| StateEntry { age, expires_in, key, value })
}

fn part(message: &Message) -> OkoPart {
    let bytes = message.encode(5).unwrap();
    match Message::decode(&bytes).unwrap() {
        Message::Oko(part) => part,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_request_is_put_together_from_its_parts(request in request()) {
        let mut assembler = Assembler::new(1 << 20);
        let mut parts = request.to_messages().into_iter().map(|m| part(&m)).peekable();
        while let Some(next) = parts.next() {
            let result = assembler.push(5, &next).unwrap();
            prop_assert_eq!(result.is_some(), parts.peek().is_none());
            if let Some(read) = result {
                prop_assert_eq!(&read, &request);
            }
        }
    }

    #[test]
    fn each_part_of_a_state_can_be_read_by_itself(
        now: u64,
        entries in vec(state_entry(), 0..2_000),
    ) {
        let operation = Operation::TableRead;
        let messages = Reply::Entries { operation, now, entries: entries.clone() }.to_messages();
        let last = messages.len() - 1;
        let mut read = Vec::new();
        for (i, message) in messages.into_iter().enumerate() {
            let part = part(&message);
            prop_assert!(part.reply);
            prop_assert_eq!(part.more, i != last);
            let Ok(Reply::Entries { now: then, entries, .. }) = Reply::decode(&part) else { panic!("no state") };
            prop_assert_eq!(then, now);
            read.extend(entries);
        }
        prop_assert_eq!(read, entries);
    }

    #[test]
    fn each_message_of_events_is_whole(
        now: u64,
        lost: u64,
        events in vec((any::<u64>(), any::<u32>(), "[a-z]{0,9}", "[a-z]{0,2000}", vec(any::<u64>(), 0..9)), 0..200),
    ) {
        let event = |(time, filter, filter_name, name, values)| Event { time, filter: FilterId(filter), filter_name, name, values };
        let events: Vec<Event> = events.into_iter().map(event).collect();
        let messages = Reply::Events { now, lost, events: events.clone() }.to_messages();
        let (mut all_lost, mut read) = (0, Vec::new());
        for message in messages {
            let part = part(&message);
            prop_assert!(part.reply && !part.more);
            let Ok(Reply::Events { lost, events, .. }) = Reply::decode(&part) else { panic!("no events") };
            all_lost += lost;
            read.extend(events);
        }
        prop_assert_eq!((all_lost, read), (lost, events));
    }

    #[test]
    fn what_became_of_states_and_params_survives(
        all in vec((0..Fate::ALL.len(), "[a-z]{0,9}", "[a-z ]{0,40}"), 0..9),
    ) {
        let all = all.into_iter().map(|(fate, name, why)| Replaced { fate: Fate::ALL[fate], name, why });
        let reply = Reply::Replaced(all.collect());
        let messages = reply.to_messages();
        prop_assert_eq!(Reply::decode(&part(&messages[0])), Ok(reply));
    }

    #[test]
    fn lists_of_filters_and_params_survive(
        filters in vec(filter_info(), 0..5),
        params in vec(("[a-z]{0,9}", any::<u64>()), 0..5),
        states in vec((store(), "[a-z]{0,9}", any::<[u32; 2]>(), any::<[u64; 3]>()), 0..5),
    ) {
        let state = |(store, name, [capacity, entries], [refused, evicted, bytes]): (_, _, [u32; 2], [u64; 3])| StateInfo {
            store, name, capacity, entries, refused, evicted, bytes,
        };
        let states = states.into_iter().map(state).collect();
        let params = params.into_iter().map(|(name, value)| ParamValue { name, value }).collect();
        for reply in [
            Reply::Filters { operation: Operation::FilterList, filters: filters.clone() },
            Reply::Filters { operation: Operation::FilterLoad, filters },
            Reply::Params { operation: Operation::ParamGet, params },
            Reply::Done { operation: Operation::FilterUnload },
            Reply::Done { operation: Operation::TableClear },
            Reply::States(states),
            Reply::Written { store: Store::Table, written: 3, refused: 1 },
            Reply::Deleted { store: Store::State, deleted: 7 },
        ] {
            let messages = reply.to_messages();
            prop_assert_eq!(messages.len(), 1);
            let part = part(&messages[0]);
            prop_assert_eq!(Reply::decode(&part), Ok(reply));
        }
    }

    #[test]
    fn no_body_makes_a_reader_panic(index in 0..Operation::ALL.len(), body in vec(any::<u8>(), 0..300)) {
        let operation = Operation::ALL[index];
        let _ = Request::decode(operation, &body);
        let _ = Reply::decode(&OkoPart { operation, reply: true, more: false, body });
    }
}

#[test]
fn the_longest_schema_survives_in_parts() {
    let json: Vec<u8> = (0..200_000_u32).map(|i| b'a' + (i % 26) as u8).collect();
    let mut read = Vec::new();
    for message in Reply::Schema(json.clone()).to_messages() {
        let Ok(Reply::Schema(part)) = Reply::decode(&part(&message)) else { panic!("no schema") };
        read.extend(part);
    }
    assert_eq!(read, json);
}

#[test]
fn a_request_beyond_the_limit_is_refused_when_it_gets_there() {
    let mut assembler = Assembler::new(100_000);
    let mut results = Request::Load { name: "a".to_owned(), abi: Abi::Linux, artifact: vec![0; 150_000] }
        .to_messages()
        .into_iter()
        .map(|m| assembler.push(1, &part(&m)));
    assert_eq!(results.next(), Some(Ok(None)));
    assert_eq!(results.next().unwrap().unwrap_err().code, OkoErrorCode::TooLong);
}

#[test]
fn parts_of_two_requests_do_not_mix() {
    let mut assembler = Assembler::new(1 << 20);
    let load = Request::Load { name: "a".to_owned(), abi: Abi::Linux, artifact: vec![0; 150_000] };
    assert_eq!(assembler.push(1, &part(&load.to_messages()[0])), Ok(None));
    let list = part(&Request::List.to_messages()[0]);
    assert_eq!(assembler.push(2, &list).unwrap_err().code, OkoErrorCode::BadRequest);
    assert_eq!(assembler.push(2, &list), Ok(Some(Request::List)), "the connection goes on");
}

#[test]
fn what_only_the_switch_sends_is_no_request() {
    let e = Request::decode(Operation::Event, &[]).unwrap_err();
    assert_eq!(e.code, OkoErrorCode::Unsupported);
    assert_eq!(e.text, "EVENT is for the switch to send");
}

#[test]
fn an_error_brings_its_text_whole_up_to_the_longest_message() {
    let report = "R1 may be null at instruction 7\n".repeat(10);
    let error = OkoError::new(OkoErrorCode::VerifierRefused, report);
    let bytes = Message::Error(error.to_message()).encode(3).unwrap();
    let Ok(Message::Error(read)) = Message::decode(&bytes) else { panic!("no error") };
    assert_eq!(OkoError::from_message(&read), Some(error));

    let endless = OkoError::new(OkoErrorCode::VerifierRefused, "ü".repeat(60_000));
    let bytes = Message::Error(endless.to_message()).encode(3).unwrap();
    assert!(bytes.len() <= 65_535);
    let Ok(Message::Error(read)) = Message::decode(&bytes) else { panic!("no error") };
    assert!(OkoError::from_message(&read).unwrap().text.chars().all(|c| c == 'ü'));
}

#[test]
fn numbers_and_layout_are_as_documented() {
    let message = Request::Unload { name: "ab".to_owned() }.to_messages().remove(0);
    let bytes = message.encode(0x0102_0304).unwrap();
    assert_eq!(
        bytes,
        [
            4, 4, 0, 24, 1, 2, 3, 4, // header
            0x4f, 0x4b, 0x4f, 0x00, 0, 0, 0, 3, // experimenter, FILTER_UNLOAD
            0, 0, 0, 0, // flags
            0, 2, b'a', b'b',
        ]
    );
    let message = Reply::Done { operation: Operation::FilterUnload }.to_messages().remove(0);
    assert_eq!(message.encode(0).unwrap()[12..16], [0x80, 0, 0, 3]);
}
