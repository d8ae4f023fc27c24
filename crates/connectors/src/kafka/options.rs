//! The options of a source, read once. It must not open connections.

use std::collections::BTreeMap;

use thalweg_core::{Error, Options, Result};

use super::client::Client;
use super::layout::Layout;

/// Where a partition begins that was never read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Startup {
    /// At the oldest record that is kept.
    Earliest,
    /// After the newest.
    Latest,
    /// At the first record that is not older than these milliseconds since 1970.
    Timestamp(i64),
    /// At the given offsets; partitions without one at the oldest.
    Offsets(BTreeMap<i32, i64>),
}

/// The options of a source.
#[derive(Clone, Debug)]
pub(super) struct SourceOptions {
    pub(super) client: Client,
    pub(super) topic: String,
    pub(super) startup: Startup,
    pub(super) group_prefix: String,
    /// Records of transactions that have not committed are read too.
    pub(super) uncommitted: bool,
    /// It ends at what is there when it is opened.
    pub(super) bounded: bool,
    pub(super) layout: Layout,
}

impl SourceOptions {
    /// Reads them and refuses unknown ones.
    pub(super) fn parse(mut options: Options) -> Result<Self> {
        let topic = topic(&mut options)?;
        let client = Client::take(&mut options)?;
        let startup = startup(&mut options)?;
        let group_prefix = options.take("group.id.prefix").unwrap_or_else(|| "thalweg".to_owned());
        let uncommitted =
            options.choice("isolation.level", &[("read_committed", false), ("read_uncommitted", true)], false)?;
        let bounded = options.choice(
            "scan.bounded.mode",
            &[("latest", true), ("unbounded", false), ("latest-offset", true)],
            false,
        )?;
        let layout = Layout::take(&mut options, &topic)?;
        options.finish()?;
        Ok(Self { client, topic, startup, group_prefix, uncommitted, bounded, layout })
    }
}

/// Takes the topic and holds it to what a broker takes.
pub(super) fn topic(options: &mut Options) -> Result<String> {
    let topic = options.require("topic", "events")?;
    let sound = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if topic.is_empty() || topic.len() > 249 || !topic.bytes().all(sound) || topic == "." || topic == ".." {
        return Err(Error::invalid_with_hint(
            format!("option topic = '{topic}' cannot be the name of a topic"),
            "A topic has 1 to 249 letters, digits, dots, dashes and underscores.",
        ));
    }
    Ok(topic)
}

fn startup(options: &mut Options) -> Result<Startup> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mode {
        Earliest,
        Latest,
        Timestamp,
        Offset,
    }
    const MODES: &[(&str, Option<Mode>)] = &[
        ("earliest", Some(Mode::Earliest)),
        ("latest", Some(Mode::Latest)),
        ("timestamp", Some(Mode::Timestamp)),
        ("offset", Some(Mode::Offset)),
    ];
    let mode = options.choice("scan.startup.mode", MODES, None)?;
    let millis: Option<i64> = options.parse_opt("scan.startup.timestamp.millis", "milliseconds since 1970")?;
    let offsets = options.take("scan.startup.offsets");
    Ok(match (mode, millis, offsets) {
        (Some(Mode::Earliest) | None, None, None) => Startup::Earliest,
        (Some(Mode::Latest), None, None) => Startup::Latest,
        (Some(Mode::Timestamp) | None, Some(millis), None) if millis >= 0 => Startup::Timestamp(millis),
        (Some(Mode::Offset) | None, None, Some(text)) => Startup::Offsets(parse_offsets(&text)?),
        (Some(Mode::Timestamp), None, _) => {
            options.require("scan.startup.timestamp.millis", "1793491200000")?;
            Startup::Earliest
        }
        (Some(Mode::Offset), _, None) => {
            options.require("scan.startup.offsets", "0:42,1:7")?;
            Startup::Earliest
        }
        _ => {
            return Err(Error::invalid_with_hint(
                "the options scan.startup.* contradict each other",
                "Give scan.startup.timestamp.millis with mode 'timestamp' only, scan.startup.offsets with 'offset' only.",
            ));
        }
    })
}

/// `0:42,1:7`: partition and offset.
fn parse_offsets(text: &str) -> Result<BTreeMap<i32, i64>> {
    let wrong = || {
        Error::invalid_with_hint(
            format!("option scan.startup.offsets = '{text}' is not a list of partitions and offsets"),
            "Write scan.startup.offsets = '0:42,1:7'.",
        )
    };
    let pairs = text.split(',').map(|pair| {
        let (partition, offset) = pair.split_once(':')?;
        let offset: i64 = offset.trim().parse().ok().filter(|o| *o >= 0)?;
        Some((partition.trim().parse().ok().filter(|p| *p >= 0)?, offset))
    });
    pairs.collect::<Option<_>>().ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<SourceOptions> {
        let given = [("topic", "t"), ("properties.bootstrap.server", "127.0.0.1:1")];
        SourceOptions::parse(Options::new(given.iter().chain(pairs).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))))
    }

    #[test]
    fn every_start_mode_is_read() {
        let of = |pairs: &[(&str, &str)]| parse(pairs).expect("valid").startup;
        assert_eq!(of(&[]), Startup::Earliest);
        assert_eq!(of(&[("scan.startup.mode", "latest")]), Startup::Latest);
        assert_eq!(
            of(&[("scan.startup.mode", "timestamp"), ("scan.startup.timestamp.millis", "5")]),
            Startup::Timestamp(5)
        );
        let offsets = of(&[("scan.startup.mode", "offset"), ("scan.startup.offsets", "0:42, 1:7")]);
        assert_eq!(offsets, Startup::Offsets([(0, 42), (1, 7)].into()));
    }

    #[test]
    fn wrong_options_are_refused_with_the_way_out() {
        for (pairs, part) in [
            (&[("scan.startup.mode", "newest")][..], "Choices: earliest"),
            (&[("scan.startup.mode", "timestamp")][..], "scan.startup.timestamp.millis is required"),
            (&[("scan.startup.mode", "offset")][..], "scan.startup.offsets is required"),
            (&[("scan.startup.mode", "latest"), ("scan.startup.offsets", "0:1")][..], "contradict"),
            (&[("scan.startup.offsets", "0")][..], "0:42,1:7"),
            (&[("topic", "a b")][..], "cannot be the name of a topic"),
            (&[("isolation.level", "snapshot")][..], "Choices: read_committed"),
            (&[("scan.bounded.mod", "latest")][..], "Did you mean scan.bounded.mode?"),
        ] {
            let message = parse(pairs).expect_err("wrong").to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
