//! What the relations of a golden directory hold, computed here and not by the engine. It must not know files.

use std::collections::BTreeMap;

use thalweg_disk::Rng;

/// Rows of the tables and sources.
#[derive(Clone, Default)]
pub struct Model {
    /// By id: owner and balance.
    pub accounts: BTreeMap<i64, (String, i64)>,
    /// Account, amount, note.
    pub orders: Vec<(i64, i64, String)>,
    /// Page and milliseconds.
    pub clicks: Vec<(String, i64)>,
    /// How many of them there were when the view `later` was made.
    pub clicks_before: usize,
    /// Two tables with as many rows each.
    pub twins: Vec<i64>,
    /// What was handed to a table that expects positive numbers.
    pub readings: Vec<i64>,
}

/// A query, and its answer as lines of cells.
pub type Expected = Vec<(&'static str, Vec<String>)>;

impl Model {
    /// A few statements, and how many of the clicks are to be handed in after them.
    pub fn change(&mut self, rng: &mut Rng) -> (String, usize) {
        let mut sql = String::new();
        for _ in 0..1 + rng.below(3) {
            let (id, balance) = (rng.below(9) as i64, rng.below(1_000) as i64);
            let owner = format!("owner {id} {}", "x".repeat(rng.below(20)));
            sql += &format!(
                "INSERT INTO accounts VALUES ({id}, '{owner}', {balance}) ON CONFLICT (id) DO UPDATE SET \
                 owner = EXCLUDED.owner, balance = EXCLUDED.balance;"
            );
            self.accounts.insert(id, (owner, balance));
        }
        if rng.one_in(3) {
            let id = rng.below(9) as i64;
            sql += &format!("DELETE FROM accounts WHERE id = {id};");
            self.accounts.remove(&id);
        }
        for _ in 0..2 + rng.below(4) {
            let row = (rng.below(9) as i64, self.orders.len() as i64, "n".repeat(rng.below(40)));
            sql += &format!("INSERT INTO orders VALUES ({}, {}, '{}');", row.0, row.1, row.2);
            self.orders.push(row);
        }
        for _ in 0..2 {
            self.clicks.push((format!("/{}", rng.below(4)), self.clicks.len() as i64));
        }
        let twin = self.twins.len() as i64;
        sql +=
            &format!("INSERT INTO left_twin VALUES ({twin}, 'left'); INSERT INTO right_twin VALUES ({twin}, 'right');");
        self.twins.push(twin);
        let reading = self.readings.len() as i64 * if rng.one_in(3) { -1 } else { 1 };
        sql += &format!("INSERT INTO readings VALUES ({reading});");
        self.readings.push(reading);
        (sql, 2)
    }

    /// What is to be answered.
    pub fn expected(&self) -> Expected {
        let mut totals: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        for (account, amount, _) in &self.orders {
            let (n, total) = totals.entry(*account).or_default();
            (*n, *total) = (*n + 1, *total + amount);
        }
        let pages = |clicks: &[(String, i64)]| {
            let mut pages: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
            for (page, ms) in clicks {
                let (n, total) = pages.entry(page).or_default();
                (*n, *total) = (*n + 1, *total + ms);
            }
            pages.iter().map(|(page, (n, total))| format!("{page} {n} {total}")).collect::<Vec<_>>()
        };
        let joined = self.orders.iter().filter_map(|(account, amount, _)| {
            self.accounts.get(account).map(|(owner, _)| format!("{amount} {}", owner.trim()))
        });
        let twins = |word: &str| self.twins.iter().map(|id| format!("{id} {word}")).collect::<Vec<_>>();
        let mut large: Vec<_> =
            totals.iter().filter(|(_, (_, total))| *total > 40).map(|(a, (_, t))| (*a, *t)).collect();
        large.sort_unstable();
        let rich = self.accounts.values().filter(|(_, balance)| *balance > 500).count();
        let aside = |set_aside: bool| {
            let mut readings: Vec<_> = self.readings.iter().filter(|r| (**r < 0) == set_aside).collect();
            readings.sort_unstable();
            readings.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        vec![
            (
                "SELECT id, owner, balance FROM accounts ORDER BY id",
                self.accounts.iter().map(|(id, (owner, balance))| format!("{id} {} {balance}", owner.trim())).collect(),
            ),
            (
                "SELECT amount, account, length(note) FROM orders ORDER BY amount",
                self.orders
                    .iter()
                    .map(|(account, amount, note)| format!("{amount} {account} {}", note.len()))
                    .collect(),
            ),
            (
                "SELECT account, n, total FROM totals ORDER BY account",
                totals.iter().map(|(account, (n, total))| format!("{account} {n} {total}")).collect(),
            ),
            ("SELECT n FROM totals WHERE account = 3", totals.get(&3).iter().map(|(n, _)| n.to_string()).collect()),
            (
                "SELECT account, total FROM large ORDER BY account",
                large.iter().map(|(account, total)| format!("{account} {total}")).collect(),
            ),
            ("SELECT amount, owner FROM joined ORDER BY amount", joined.collect()),
            (
                "SELECT amount FROM top ORDER BY amount",
                self.orders.iter().skip(self.orders.len().saturating_sub(3)).map(|(_, a, _)| a.to_string()).collect(),
            ),
            ("SELECT page, n, total FROM pages ORDER BY page", pages(&self.clicks)),
            ("SELECT page, n, total FROM later ORDER BY page", pages(&self.clicks[self.clicks_before..])),
            ("SELECT id, word FROM left_twin ORDER BY id", twins("left")),
            ("SELECT id, word FROM right_twin ORDER BY id", twins("right")),
            ("SELECT count(*) FROM rich", vec![rich.to_string()]),
            ("SELECT n FROM readings ORDER BY n", aside(false)),
            ("SELECT n FROM readings$quarantine ORDER BY n", aside(true)),
        ]
    }

    /// What the sink is to hold, each once.
    pub fn delivered(&self) -> Vec<String> {
        self.clicks.iter().map(|(page, ms)| format!("{{\"page\":\"{page}\",\"ms\":{ms}}}")).collect()
    }
}
