//! Messages in any order and of any content: a session answers in whole messages and never panics.

mod support;

use proptest::prelude::*;
use proptest::test_runner::Config;
use support::open;
use support::raw::{self, Raw};
use tokio::runtime::Runtime;

fn message() -> impl Strategy<Value = Vec<u8>> {
    let name = || prop_oneof![Just(""), Just("a"), Just("b")];
    let text = || {
        prop_oneof![
            Just(""),
            Just("rows 3"),
            Just("rows 3; rows 2"),
            Just("types"),
            Just("echo int4"),
            Just("fail"),
            Just("late 2"),
            Just("bad"),
            Just("begin"),
            Just("commit"),
            Just("done X"),
            Just("set a b"),
            Just("notice n"),
            Just("changed"),
            Just("copy in text"),
            Just("copy in binary"),
            Just("copy out csv"),
        ]
    };
    let target = || prop_oneof![Just(b'S'), Just(b'P')];
    prop_oneof![
        (name(), text()).prop_map(|(name, text)| raw::parse(name, text)),
        (name(), name()).prop_map(|(portal, statement)| raw::bind(portal, statement)),
        (name(), 0_u32..4).prop_map(|(portal, rows)| raw::execute(portal, rows)),
        (target(), name()).prop_map(|(t, name)| raw::message(b'D', &[&[t], name.as_bytes(), &[0]].concat())),
        (target(), name()).prop_map(|(t, name)| raw::message(b'C', &[&[t], name.as_bytes(), &[0]].concat())),
        text().prop_map(raw::query),
        Just(raw::sync()),
        Just(raw::message(b'H', b"")),
        Just(raw::message(b'c', b"")),
        Just(raw::message(b'f', b"no\0")),
        prop::sample::select(vec![&b"1\ta\t\\N\n"[..], b"x", b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"])
            .prop_map(|data| raw::message(b'd', data)),
        (prop::sample::select(b"QPBDCEHSdcfpF".to_vec()), prop::collection::vec(any::<u8>(), 0..24))
            .prop_map(|(kind, body)| raw::message(kind, &body)),
    ]
}

/// Sends everything, then reads to the end.
async fn storm(messages: &[Vec<u8>]) -> String {
    let door = open().await;
    let mut raw = Raw::dev(door.address).await;
    let end =
        [raw::message(b'f', b"end\0"), raw::sync(), raw::query("rollback; done END"), raw::message(b'X', b"")].concat();
    raw.send(&[messages.concat(), end].concat()).await;
    let mut kinds = String::new();
    while let Some(reply) = raw.reply().await {
        assert!("123CDEGHINRSTZcdnst".contains(reply.kind), "{reply:?}");
        if reply.kind == 'E' {
            assert_ne!(reply.field('C'), "XX000", "{reply:?}");
            kinds.push_str(if reply.field('S') == "FATAL" { "FATAL" } else { "" });
        }
        kinds.push(reply.kind);
    }
    kinds
}

proptest! {
    #![proptest_config(Config { cases: 300, failure_persistence: None, ..Config::default() })]

    #[test]
    fn any_sequence_is_answered_in_whole_messages(messages in prop::collection::vec(message(), 0..25)) {
        let kinds = Runtime::new().expect("a runtime").block_on(storm(&messages));
        // Whatever came before, the last query is answered, or the session was ended with a reason.
        prop_assert!(kinds.ends_with("CCZ") || kinds.ends_with("FATALE"), "{kinds}");
    }
}
