//! What must happen to the instances of the alert, by times that are known within bounds. It must not know the server.

use std::collections::BTreeMap;

/// `FOR '2 minutes'`.
pub const HOLD_MICROS: i64 = 120_000_000;
/// How much later than it was asked for something may happen (micros): at the end of an epoch, not in the middle.
const SLACK: i64 = 5_000_000;

/// What is to be told: instance, transition, value of the row, and between which times it happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub instance: String,
    pub transition: &'static str,
    pub t: f64,
    pub from: i64,
    pub to: i64,
}

#[derive(Debug)]
struct Instance {
    t: f64,
    /// It appeared between these.
    since: (i64, i64),
    fires: bool,
}

/// Instances and what has happened to them.
#[derive(Debug, Default)]
pub struct Model {
    hot: BTreeMap<i64, Instance>,
    events: Vec<Event>,
}

impl Model {
    pub fn is_hot(&self, device: i64) -> bool {
        self.hot.contains_key(&device)
    }

    /// Nobody can say whether it fires already.
    pub fn is_in_doubt(&self, device: i64, clock: i64) -> bool {
        let doubtful = |i: &Instance| !i.fires && i.since.0 + HOLD_MICROS <= clock && clock < i.since.1 + HOLD_MICROS;
        self.hot.get(&device).is_some_and(doubtful)
    }

    pub fn anyone_in_doubt(&mut self, clock: i64) -> bool {
        self.pass(clock);
        self.hot.keys().any(|device| self.is_in_doubt(*device, clock))
    }

    /// It is `clock`: who has stood for long enough fires.
    pub fn pass(&mut self, clock: i64) {
        for (device, instance) in &mut self.hot {
            if !instance.fires && instance.since.1 + HOLD_MICROS <= clock {
                instance.fires = true;
                // It fires when the time is over, or at the first epoch after, which may wait for a restart.
                let (from, to) = (instance.since.0 + HOLD_MICROS, clock + SLACK);
                self.events.push(Event { instance: device.to_string(), transition: "firing", t: instance.t, from, to });
            }
        }
    }

    /// The row of a device appeared or went, at some time between `from` and `to`.
    pub fn change(&mut self, device: i64, t: Option<f64>, from: i64, to: i64) {
        let (instance, clock) = (device.to_string(), to);
        let to = to + SLACK;
        match t {
            Some(t) => {
                self.hot.insert(device, Instance { t, since: (from, to), fires: false });
                self.events.push(Event { instance, transition: "pending", t, from, to });
            }
            None => {
                let gone = self.hot.remove(&device).expect("it was hot");
                let transition = if gone.fires { "resolved" } else { "cleared" };
                self.events.push(Event { instance, transition, t: gone.t, from, to });
            }
        }
        self.pass(clock);
    }

    /// All that has happened, by instance in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }
}
