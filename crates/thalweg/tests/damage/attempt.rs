//! A damaged copy is opened, and what it answers compared with what is expected. It must not know how it was damaged.

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use thalweg::Thalweg;
use thalweg_disk::Rng;

use super::directory::files;
use super::golden::{Golden, lake_lines, lines, open, runtime};
use super::harm::Harm;
use super::model::Expected;

/// Long enough for anything that is to happen at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It opens, and all is right.
    Harmless,
    /// It opens with an older checkpoint, and all rows are right.
    FellBack,
    /// It opens, all rows are right, and the sink says what is wrong.
    SinkRefused,
    /// It does not open, and the error names the file.
    Refused,
}

/// Damages a copy and opens it; an error is what must not be.
pub fn attempt(golden: &Golden, seed: u64) -> (Harm, Result<Outcome, String>) {
    let mut rng = Rng::new(seed);
    let data = golden.place();
    golden.put(rng.one_in(2), &data);
    let names: Vec<String> = files(&data);
    let harm = Harm::random(&data, &golden.older, &mut rng);
    let twice = rng.one_in(8);
    // A hang is seen from outside.
    let (tell, told) = sync_channel(1);
    let (place, expected) = (data.clone(), golden.expected.clone());
    let lake = golden.lake();
    let thread = std::thread::spawn(move || {
        let outcome = runtime().block_on(async {
            let first = look(&place, &expected, &names).await?;
            // What it has made of it opens again.
            if twice && first != Outcome::Refused { look(&place, &expected, &names).await } else { Ok(first) }
        });
        let _ = tell.send(outcome);
    });
    let outcome = match told.recv_timeout(PATIENCE) {
        Ok(outcome) => outcome,
        Err(_) if thread.is_finished() => Err("it has panicked".to_owned()),
        Err(_) => panic!("seed {seed}: {harm}: it hangs"),
    };
    let outcome = outcome.and_then(|outcome| {
        let found = lake_lines(&lake);
        let twice = found.windows(2).find(|pair| pair[0] == pair[1]);
        let stray = found.iter().find(|line| !golden.delivered.contains(line));
        match (twice, stray) {
            (Some(pair), _) => Err(format!("the target has {} twice", pair[0])),
            (_, Some(stray)) => Err(format!("the target has {stray}")),
            _ => Ok(outcome),
        }
    });
    (harm, outcome)
}

async fn look(data: &Path, expected: &Expected, names: &[String]) -> Result<Outcome, String> {
    let db = match open(data).await {
        Ok(db) => db,
        Err(error) => {
            let text = error.to_string();
            let names = names.iter().filter_map(|name| name.rsplit('/').next());
            // What is missing is named by its folder, or by the first of its kind.
            let is_named = names.chain(["checkpoints:", "hub/manifest-"]).any(|name| text.contains(name));
            return if is_named { Ok(Outcome::Refused) } else { Err(format!("refused without a file: {text}")) };
        }
    };
    let newest = |names: &[String]| names.iter().filter(|n| n.ends_with(".manifest")).max().cloned();
    let fell_back = newest(&files(data)) < newest(names);
    let outcome = compare(&db, expected).await;
    db.close().await;
    // The sink may say that its target is ahead.
    outcome.map(|outcome| if fell_back { Outcome::FellBack } else { outcome })
}

async fn compare(db: &Thalweg, expected: &Expected) -> Result<Outcome, String> {
    for (sql, wanted) in expected {
        let found = lines(db, sql).await.map_err(|e| format!("{sql}: {e}"))?;
        if found != *wanted {
            return Err(format!("{sql}\n  expected {wanted:?}\n  found    {found:?}"));
        }
    }
    let sinks = lines(db, "SHOW JOBS").await.map_err(|e| e.to_string())?;
    Ok(if sinks.iter().any(|line| line.contains("SINK_")) { Outcome::SinkRefused } else { Outcome::Harmless })
}
