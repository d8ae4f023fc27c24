//! The day of flights, replayed without end: when in the present each of them leaves. Pure: the same origin and speed
//! give the same flights. It must not know clocks and tables.

/// The file's day begins then: 05:00 in New York, as minutes since 1970.
const BEGIN: i64 = 22_821_660;
/// Minutes of a day.
const DAY: i64 = 24 * 60;
/// Where in the day the replay is at the origin, in minutes: 17:00, as the thunderstorms close in.
const AT_ORIGIN: i64 = 12 * 60;

/// A flight, as the file has it. Times are minutes since 1970 in UTC.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flight {
    pub date_time: i64,
    pub scheduled: i64,
    pub origin: &'static str,
    pub dest: &'static str,
    pub carrier: &'static str,
    pub flight: i64,
    pub tailnum: Option<&'static str>,
    pub dep_delay: Option<i64>,
    pub arr_delay: Option<i64>,
    pub air_time: Option<i64>,
    pub distance: i64,
    pub cancelled: bool,
}

/// A flight that leaves in the present. Times are milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Departure<'a> {
    pub ts: i64,
    /// When the hour of the replay began.
    pub hour_ts: i64,
    pub flight: &'a Flight,
}

#[derive(Clone, Debug)]
pub(super) struct Airport {
    pub faa: &'static str,
    pub name: &'static str,
    pub lat: f64,
    pub lon: f64,
}

#[derive(Clone, Debug)]
pub(super) struct Replay {
    flights: Vec<Flight>,
    /// When a day begins, in milliseconds of the present.
    begin: i64,
    /// Minutes of the day that go by in a second.
    speed: i64,
}

impl Replay {
    /// Of flights that are sorted by `date_time`.
    pub(super) fn new(flights: Vec<Flight>, origin: i64, speed: u32) -> Self {
        let speed = i64::from(speed.max(1));
        Self { flights, begin: origin - AT_ORIGIN * 1000 / speed, speed }
    }

    /// How long the day takes, in milliseconds.
    pub(super) fn day(&self) -> i64 {
        DAY * 1000 / self.speed
    }

    /// The flights after `after`, up to `until`, by time.
    pub(super) fn between(&self, after: i64, until: i64) -> impl Iterator<Item = Departure<'_>> {
        let day_of = |at: i64| (at - self.begin).div_euclid(self.day());
        let days = day_of(after)..=day_of(until);
        days.flat_map(move |day| {
            let first = self.flights.partition_point(|f| self.at(day, f.date_time - BEGIN) <= after);
            let rest = self.flights[first..].iter().map(move |flight| self.departure(day, flight));
            rest.take_while(move |departure| departure.ts <= until)
        })
    }

    fn departure<'a>(&self, day: i64, flight: &'a Flight) -> Departure<'a> {
        let minute = flight.date_time - BEGIN;
        Departure { ts: self.at(day, minute), hour_ts: self.at(day, minute - minute.rem_euclid(60)), flight }
    }

    /// When that minute of that day is, in the present.
    fn at(&self, day: i64, minute: i64) -> i64 {
        self.begin + day * self.day() + minute * 1000 / self.speed
    }
}

/// The flights of the file that the binary carries.
///
/// # Errors
/// The line that is not a flight.
pub(super) fn flights(text: &'static str) -> Result<Vec<Flight>, String> {
    lines(text, |cells: [&'static str; 12]| {
        let [
            date_time,
            scheduled,
            origin,
            dest,
            carrier,
            flight,
            tailnum,
            dep_delay,
            arr_delay,
            air_time,
            distance,
            cancelled,
        ] = cells;
        let number = |cell: &str| cell.parse().ok();
        // Outside: whether it is right. Inside: whether it is there.
        let perhaps = |cell: &str| if cell.is_empty() { Some(None) } else { number(cell).map(Some) };
        Some(Flight {
            date_time: minutes(date_time).filter(|at| (BEGIN..BEGIN + DAY).contains(at))?,
            scheduled: minutes(scheduled)?,
            origin,
            dest,
            carrier,
            flight: number(flight)?,
            tailnum: Some(tailnum).filter(|t| !t.is_empty()),
            dep_delay: perhaps(dep_delay)?,
            arr_delay: perhaps(arr_delay)?,
            air_time: perhaps(air_time)?,
            distance: number(distance)?,
            cancelled: cancelled.parse().ok()?,
        })
    })
}

/// The airports of the file that the binary carries.
///
/// # Errors
/// The line that is not an airport.
pub(super) fn airports(text: &'static str) -> Result<Vec<Airport>, String> {
    lines(text, |[faa, name, lat, lon]: [&'static str; 4]| {
        Some(Airport { faa, name, lat: lat.parse().ok()?, lon: lon.parse().ok()? })
    })
}

/// The lines below the head. Nothing in our files is quoted.
fn lines<const N: usize, T>(
    text: &'static str,
    parse: impl Fn([&'static str; N]) -> Option<T>,
) -> Result<Vec<T>, String> {
    let cells = |line: &'static str| <[&str; N]>::try_from(line.split(',').collect::<Vec<_>>()).ok();
    let numbered = text.lines().enumerate().skip(1);
    numbered.map(|(i, line)| cells(line).and_then(&parse).ok_or_else(|| format!("line {}: {line}", i + 1))).collect()
}

/// `2013-05-23 09:12` as minutes since 1970.
fn minutes(text: &str) -> Option<i64> {
    let parts: Vec<i64> = text.split(['-', ' ', ':']).map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [year, month, day, hour, minute] = parts[..] else { return None };
    // Days of the civil calendar, years from March on.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + day;
    Some((days - 719_469) * DAY + hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: i64 = 1_800_000_000_123;

    fn replay(speed: u32) -> Replay {
        Replay::new(flights(include_str!("../../../demo/flights.csv")).expect("the file"), ORIGIN, speed)
    }

    #[test]
    fn the_files_are_right() {
        let flights = flights(include_str!("../../../demo/flights.csv")).expect("the file");
        assert!(flights.is_sorted_by_key(|f| f.date_time));
        assert_eq!((flights.len(), flights.iter().filter(|f| f.cancelled).count()), (988, 221));
        let airports = airports(include_str!("../../../demo/airports.csv")).expect("the file");
        let known = |faa: &str| airports.iter().any(|a| a.faa == faa && a.lat.abs() < 90.0 && a.lon.abs() < 180.0);
        assert!(flights.iter().all(|f| known(f.origin) && known(f.dest)));
        assert_eq!(minutes("2013-05-23 09:00"), Some(BEGIN));
        assert_eq!(minutes("1970-01-01 00:01"), Some(1));
        assert_eq!(minutes("2024-02-29 00:00"), Some(19_782 * DAY));
    }

    #[test]
    fn a_day_comes_whole_and_then_once_more() {
        for speed in [1, 7, 10, 1000] {
            let replay = replay(speed);
            let two: Vec<Departure> = replay.between(replay.begin - 1, replay.begin + 2 * replay.day() - 1).collect();
            assert_eq!(two.len(), 2 * 988);
            assert!(two.is_sorted_by_key(|d| d.ts), "speed {speed}");
            assert!(two.iter().all(|d| d.hour_ts <= d.ts));
            assert_eq!(two[0].flight, two[988].flight);
            assert_eq!(two[0].ts + replay.day(), two[988].ts);
        }
    }

    #[test]
    fn however_the_time_is_cut_each_flight_comes_once() {
        let replay = replay(10);
        let whole: Vec<Departure> = replay.between(ORIGIN - 300_000, ORIGIN).collect();
        let cuts: Vec<i64> = (0..=3000).map(|i| ORIGIN - 300_000 + i * 100).collect();
        let parts: Vec<Departure> = cuts.windows(2).flat_map(|cut| replay.between(cut[0], cut[1])).collect();
        assert_eq!(whole, parts);
        assert!(whole.len() > 1_500);
        // Something happens at once.
        assert!(replay.between(ORIGIN, ORIGIN + 3_000).count() > 5);
    }
}
