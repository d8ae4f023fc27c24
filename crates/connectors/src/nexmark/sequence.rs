//! The endless sequence of events, cut into blocks that can be made in any order. It must not know Arrow or files.

use nexmark::EventGenerator;
use nexmark::config::NexmarkConfig;
use nexmark::event::{Event, EventType};

/// Events of all tables in one block: whole cycles of 1 person, 3 auctions and 46 bids.
pub(super) const BLOCK_EVENTS: u64 = 100 * CYCLE;

/// Events in one cycle.
const CYCLE: u64 = 50;

/// Events between the starts of two seeds' stretches; a multiple of the cycle, so that every stretch starts alike.
const SEED_STRIDE: u64 = CYCLE * 20_000_003;

/// The parameters that determine every event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sequence {
    /// Events per second of event time, at least 1.
    pub rate: u64,
    /// Milliseconds since 1970-01-01 UTC of event 0.
    pub base_time: u64,
    /// Which stretch is played.
    pub seed: u32,
}

impl Sequence {
    /// The event time of event `number` in milliseconds. Integer arithmetic: exact at any distance.
    pub fn time(&self, number: u64) -> u64 {
        let millis = u128::from(number) * 1000 / u128::from(self.rate);
        self.base_time.saturating_add(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    /// Number of the first event whose time is past `millis` after the base: everything before it is due.
    pub fn due_after(&self, millis: u64) -> u64 {
        let events = u128::from(millis) * u128::from(self.rate) / 1000;
        u64::try_from(events).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// The events of one type in block `block`, with their numbers.
    ///
    /// A generator lives for one block only: its clock is a 32-bit float, precise enough for a block and not for
    /// an endless run.
    pub fn block(&self, block: u64, kind: EventType) -> impl Iterator<Item = (u64, Event)> + Send + use<> {
        let start = block * BLOCK_EVENTS;
        let rate = usize::try_from(self.rate).unwrap_or(usize::MAX);
        let base = self.time(start);
        let config = NexmarkConfig {
            first_event_id: usize::try_from(u64::from(self.seed) * SEED_STRIDE + start).unwrap_or(usize::MAX),
            base_time: base,
            first_rate: rate,
            next_rate: rate,
            ..NexmarkConfig::default()
        };
        let sequence = *self;
        let (lead, width) = place(kind);
        let events = EventGenerator::new(config).with_type_filter(kind);
        (0..BLOCK_EVENTS / CYCLE * width).zip(events).map(move |(row, event)| {
            let number = start + row / width * CYCLE + lead + row % width;
            (number, at(event, sequence.time(number)))
        })
    }
}

/// How many events of a cycle come before those of `kind`, and how many there are.
fn place(kind: EventType) -> (u64, u64) {
    match kind {
        EventType::Person => (0, 1),
        EventType::Auction => (1, 3),
        EventType::Bid => (4, 46),
    }
}

/// The event at its exact time; an auction stays open for as long as the generator drew.
fn at(mut event: Event, time: u64) -> Event {
    match &mut event {
        Event::Person(person) => person.date_time = time,
        Event::Auction(auction) => {
            auction.expires = time + (auction.expires - auction.date_time);
            auction.date_time = time;
        }
        Event::Bid(bid) => bid.date_time = time,
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEQUENCE: Sequence = Sequence { rate: 10_000, base_time: 1_000_000, seed: 0 };

    #[test]
    fn blocks_joined_are_the_crate_s_own_sequence() {
        let config = NexmarkConfig { base_time: 1_000_000, ..NexmarkConfig::default() };
        let expected: Vec<Event> = EventGenerator::new(config).take(12_000).collect();
        let mut got: Vec<(u64, Event)> = [EventType::Person, EventType::Auction, EventType::Bid]
            .into_iter()
            .flat_map(|kind| (0..3).flat_map(move |block| SEQUENCE.block(block, kind)))
            .collect();
        got.sort_by_key(|(number, _)| *number);
        assert_eq!(got.len(), 15_000);
        for ((number, event), expected) in got.iter().zip(&expected) {
            assert_eq!(event.event_type(), expected.event_type(), "event {number}");
            // The crate rounds its clock and we cut ours: within one millisecond.
            assert!(event.timestamp().abs_diff(expected.timestamp()) <= 1, "event {number}");
            match (event, expected) {
                (Event::Bid(a), Event::Bid(b)) => {
                    assert_eq!((a.auction, a.bidder, a.price, &a.url), (b.auction, b.bidder, b.price, &b.url));
                    assert_eq!(a.extra, b.extra);
                }
                (Event::Auction(a), Event::Auction(b)) => {
                    assert_eq!((a.id, a.seller, a.category, &a.item_name), (b.id, b.seller, b.category, &b.item_name));
                }
                (Event::Person(a), Event::Person(b)) => assert_eq!((a.id, &a.extra), (b.id, &b.extra)),
                _ => unreachable!("the types were compared"),
            }
        }
    }

    #[test]
    fn time_is_exact_however_far_and_never_runs_backwards() {
        assert_eq!(SEQUENCE.time(10_000 * 86_400 * 10_000), 1_000_000 + 86_400 * 10_000 * 1000);
        let far = 1_000_000_000_000 / BLOCK_EVENTS;
        let times: Vec<u64> = (far..far + 3)
            .flat_map(|block| SEQUENCE.block(block, EventType::Bid))
            .map(|(_, event)| event.timestamp())
            .collect();
        assert!(times.is_sorted());
        assert_eq!(times[0], SEQUENCE.time(far * BLOCK_EVENTS + 4));
    }

    #[test]
    fn another_seed_plays_another_stretch() {
        let first = |seed| {
            let (_, event) = Sequence { seed, ..SEQUENCE }.block(0, EventType::Bid).next().expect("blocks have bids");
            event
        };
        assert_eq!(first(1), first(1));
        assert_ne!(first(0), first(1));
    }
}
