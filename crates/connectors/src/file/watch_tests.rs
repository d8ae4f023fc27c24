//! Tests of watched folders: files that come, are renamed in, are taken away, and are not what they were.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;
use thalweg_core::{Offset, Options, Polled, Result, Source, SplitReader};

use super::source;
use crate::registry::SourceRequest;

fn watch(dir: &TempDir, more: &[(&str, &str)]) -> Arc<dyn Source> {
    let path = dir.path().display().to_string();
    let pairs = [("path", path.as_str()), ("mode", "watch")].into_iter().chain(more.iter().copied());
    source(SourceRequest {
        name: "events".to_owned(),
        connector: "file".to_owned(),
        options: Options::new(pairs.map(|(k, v)| (k.to_owned(), v.to_owned()))),
        declared: Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)])),
        projection: vec![0],
        event_time: None,
        workers: 2,
    })
    .expect("valid")
}

/// An engine that can be killed: what it has counted, and the offsets beside it.
#[derive(Clone, Default)]
pub(super) struct Engine {
    pub(super) offsets: BTreeMap<Arc<str>, Offset>,
    pub(super) seen: Vec<i64>,
}

/// One life of an engine.
pub(super) struct Life {
    source: Arc<dyn Source>,
    known: BTreeSet<Arc<str>>,
    readers: Vec<(Arc<str>, Box<dyn SplitReader>)>,
    pub(super) engine: Engine,
}

impl Life {
    pub(super) fn begin(source: Arc<dyn Source>, engine: &Engine) -> Result<Self> {
        source.resume(&engine.offsets)?;
        Ok(Self { source, known: BTreeSet::new(), readers: Vec::new(), engine: engine.clone() })
    }

    /// Opens what is new, and reads up to `rows` rows of each reader.
    pub(super) fn step(&mut self, rows: usize) -> Result<()> {
        for split in self.source.splits()? {
            if self.known.insert(Arc::clone(&split.id)) {
                let from = self.engine.offsets.get(&split.id).copied().unwrap_or_default();
                self.readers.push((Arc::clone(&split.id), self.source.open(&split, from)?));
            }
        }
        for (id, reader) in &mut self.readers {
            if let Polled::Rows { rows, dead, .. } = reader.poll(rows)? {
                assert!(dead.is_empty(), "{dead:?}");
                self.engine.seen.extend(rows.column(0).as_primitive::<Int64Type>().values());
                self.engine.offsets.insert(Arc::clone(id), reader.offset());
            }
        }
        Ok(())
    }

    fn read_all(&mut self) -> Result<Vec<i64>> {
        let before = self.engine.seen.len();
        loop {
            let offsets = self.engine.offsets.clone();
            self.step(1_000)?;
            if self.engine.offsets == offsets {
                return Ok(self.engine.seen[before..].to_vec());
            }
        }
    }
}

fn at(dir: &TempDir, name: &str) -> PathBuf {
    dir.path().join(name)
}

/// A file that nobody has written to for a minute.
fn write_old(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("written");
    let file = fs::File::options().write(true).open(path).expect("opened");
    file.set_modified(SystemTime::now() - Duration::from_secs(60)).expect("a time");
}

pub(super) fn lines(numbers: impl Iterator<Item = i64>) -> Vec<u8> {
    numbers.map(|n| format!("{{\"n\":{n}}}\n")).collect::<String>().into_bytes()
}

pub(super) fn parquet(numbers: std::ops::Range<i64>) -> Vec<u8> {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers));
    let batch = RecordBatch::try_from_iter([("n", column)]).expect("one column");
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(7)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).expect("a writer");
    writer.write(&batch).expect("written");
    writer.into_inner().expect("closed")
}

pub(super) fn csv(numbers: std::ops::Range<i64>) -> Vec<u8> {
    format!("x,N\n{}", numbers.map(|n| format!("\"a\nb\",{n}\n")).collect::<String>()).into_bytes()
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

#[test]
fn files_are_read_once_as_they_come() {
    let dir = tempfile::tempdir().expect("a directory");
    write_old(&at(&dir, "a.ndjson"), &lines(0..3));
    let source = watch(&dir, &[]);
    assert!(!source.bounded());
    let mut life = Life::begin(source, &Engine::default()).expect("begins");
    assert_eq!(life.read_all().expect("read"), [0, 1, 2]);
    // Still being written, hidden, of another format: not yet, or never.
    fs::write(at(&dir, "b.ndjson"), lines(3..5)).expect("written");
    write_old(&at(&dir, ".c.ndjson"), &lines(5..7));
    write_old(&at(&dir, "d.csv"), b"n\n99\n");
    assert!(life.read_all().expect("read").is_empty());
    // Renamed in: at once, for it was complete before.
    fs::rename(at(&dir, ".c.ndjson"), at(&dir, "c.ndjson")).expect("renamed");
    assert_eq!(life.read_all().expect("read"), [5, 6]);
    write_old(&at(&dir, "b.ndjson"), &lines(3..5));
    fs::create_dir(at(&dir, "sub")).expect("made");
    write_old(&at(&dir, "sub/e.ndjson"), b"");
    write_old(&at(&dir, "sub/f.ndjson"), b"{\"n\":8}\n\n{\"n\":9}\n\n\n");
    let mut rows = life.read_all().expect("read");
    // Several files take turns.
    rows.sort_unstable();
    assert_eq!(rows, [3, 4, 8, 9]);
    assert!(life.engine.offsets.values().all(|at| *at == Offset::END), "{:?}", life.engine.offsets);
    // What was read may be taken away, and its name used again.
    fs::remove_file(at(&dir, "a.ndjson")).expect("removed");
    assert!(life.read_all().expect("read").is_empty());
    write_old(&at(&dir, "a.ndjson"), &lines(10..12));
    assert_eq!(life.read_all().expect("read"), [10, 11]);
}

#[test]
fn a_file_that_is_not_what_it_was_is_an_error_and_counts_nothing_twice() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 4] = [
        ("has grown", |path| fs::write(path, lines(0..30)).expect("written")),
        ("has shrunk", |path| fs::write(path, lines(0..5)).expect("written")),
        ("was written again", |path| fs::write(path, lines((0..10).rev())).expect("written")),
        ("was written again", |path| {
            let other = path.with_extension("other");
            fs::write(&other, lines(0..10)).expect("written");
            fs::rename(&other, path).expect("renamed");
        }),
    ];
    for (what, harm) in harms {
        // Before it is opened, in the midst of it, behind its end; at once, or while nobody looks.
        for (rows, restart) in [(0, false), (3, false), (3, true), (10, false), (10, true)] {
            let dir = tempfile::tempdir().expect("a directory");
            let path = at(&dir, "a.ndjson");
            write_old(&path, &lines((0..10).map(|n| n % 10)));
            let mut life = Life::begin(watch(&dir, &[]), &Engine::default()).expect("begins");
            let splits = life.source.splits().expect("listed");
            if rows > 0 {
                life.step(rows).expect("read");
            }
            harm(&path);
            let again = Engine { offsets: life.engine.offsets.clone(), ..Engine::default() };
            let error = if restart {
                Life::begin(watch(&dir, &[]), &again).and_then(|mut life| life.read_all().map(drop))
            } else if rows == 0 {
                life.source.open(&splits[0], Offset(0)).map(drop)
            } else {
                life.read_all().map(drop)
            };
            let error = error.expect_err("it has changed").to_string();
            assert!(error.contains("a.ndjson") && error.contains(what) && error.contains("renamed"), "{error}");
        }
    }
    // A reader that is at work notices it too, before it says that it has come to the end.
    let dir = tempfile::tempdir().expect("a directory");
    let path = at(&dir, "a.ndjson");
    write_old(&path, &lines(0..10));
    let source = watch(&dir, &[]);
    let mut reader = source.open(&source.splits().expect("listed")[0], Offset(0)).expect("opens");
    assert!(matches!(reader.poll(3), Ok(Polled::Rows { .. })));
    fs::write(&path, lines(0..20)).expect("written");
    // What it has read already are rows of the version that it began with.
    let error = loop {
        match reader.poll(100) {
            Ok(Polled::Rows { .. }) => {}
            Ok(other) => panic!("it has changed: {other:?}"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("has grown"), "{error}");
}

#[test]
fn what_is_gone_before_it_is_read_is_missed() {
    let dir = tempfile::tempdir().expect("a directory");
    write_old(&at(&dir, "a.ndjson"), &lines(0..10));
    let mut life = Life::begin(watch(&dir, &[]), &Engine::default()).expect("begins");
    let splits = life.source.splits().expect("listed");
    life.step(3).expect("read");
    fs::rename(at(&dir, "a.ndjson"), at(&dir, ".away")).expect("renamed");
    let error = life.source.open(&splits[0], Offset(0)).err().expect("gone").to_string();
    assert!(error.contains("a.ndjson is gone"), "{error}");
    let error = Life::begin(watch(&dir, &[("format", "ndjson")]), &life.engine).err().expect("gone").to_string();
    assert!(error.contains("a.ndjson is gone, and has not been read to its end"), "{error}");
    // Whoever has it open reads it to its end; then it may be gone.
    assert_eq!(life.read_all().expect("read"), (3..10).collect::<Vec<_>>());
    assert!(Life::begin(watch(&dir, &[("format", "ndjson")]), &life.engine).is_ok());
}

#[test]
fn what_comes_back_has_been_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let folder = at(&dir, "folder");
    let other = at(&dir, "elsewhere");
    fs::create_dir(&folder).expect("made");
    for n in 0..3 {
        write_old(&folder.join(format!("{n}.ndjson")), &lines(n..n + 1));
    }
    let again = |engine: &Engine| Life::begin(watch(&dir, &[("format", "ndjson"), ("files.max", "4")]), engine);
    let mut life = again(&Engine::default()).expect("begins");
    assert_eq!(life.read_all().expect("read"), [0, 1, 2]);
    // A volume that is not mounted for a while, or the folder of a mount point.
    for empty in [false, true] {
        fs::rename(&folder, dir.path().with_extension("unmounted")).expect("renamed");
        if empty {
            fs::create_dir(&folder).expect("made");
        }
        assert!(life.read_all().expect("read").is_empty());
        let mut meanwhile = again(&life.engine).expect("begins");
        assert!(meanwhile.read_all().expect("read").is_empty());
        if empty {
            fs::remove_dir(&folder).expect("removed");
        }
        fs::rename(dir.path().with_extension("unmounted"), &folder).expect("renamed");
        assert!(life.read_all().expect("read").is_empty());
        assert!(meanwhile.read_all().expect("read").is_empty());
    }
    // There is room for four: the longest gone is forgotten first.
    fs::create_dir(&other).expect("made");
    let take_away = |n: i64| {
        fs::rename(folder.join(format!("{n}.ndjson")), dir.path().with_extension(n.to_string())).expect("renamed");
    };
    take_away(1);
    assert!(life.read_all().expect("read").is_empty());
    take_away(0);
    for n in 3..5 {
        write_old(&other.join(format!("{n}.ndjson")), &lines(n..n + 1));
    }
    assert_eq!(life.read_all().expect("read"), [3, 4]);
    let named =
        |life: &Life| life.source.splits().expect("listed").iter().map(|s| s.id.to_string()).collect::<Vec<_>>();
    assert_eq!(named(&life).len(), 4);
    fs::rename(dir.path().with_extension("0"), folder.join("0.ndjson")).expect("renamed");
    assert!(life.read_all().expect("read").is_empty(), "it is remembered");
    fs::remove_file(dir.path().with_extension("1")).expect("removed");
}

#[test]
fn more_files_than_allowed_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    for n in 0..4 {
        write_old(&at(&dir, &format!("{n}.ndjson")), &lines(n..n + 1));
    }
    assert_eq!(watch(&dir, &[("files.max", "4")]).splits().expect("listed").len(), 4);
    let error = watch(&dir, &[("files.max", "3")]).splits().expect_err("too many").to_string();
    assert!(error.contains("more than 3 files") && error.contains("files.max"), "{error}");
}

#[test]
fn a_broken_file_is_named() {
    for (name, bytes, part) in [
        ("a.parquet", &b"PAR1 no"[..], "not a readable Parquet file"),
        ("a.csv", b"x,y\n1,2\n", "the header has no column n"),
        ("a.ndjson.gz", b"\x1f\x8b\x08 no", ""),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        write_old(&at(&dir, name), bytes);
        let mut life = Life::begin(watch(&dir, &[]), &Engine::default()).expect("begins");
        let error = life.read_all().expect_err("broken").to_string();
        assert!(error.contains(name) && error.contains(part), "{error}");
    }
}

/// Lives of an engine that is killed at any moment while files come in: each row is counted once.
#[test]
fn every_row_is_counted_once_through_kills() {
    let seed = std::env::var("THALWEG_WATCH_SEED").ok().map_or(0, |s| s.parse().expect("a number"));
    for seed in seed..seed + 12 {
        println!("THALWEG_WATCH_SEED={seed}");
        let mut random = SmallRng::seed_from_u64(seed);
        let format = ["ndjson", "csv", "parquet", "ndjson.gz"][seed as usize % 4];
        let dir = tempfile::tempdir().expect("a directory");
        let mut engine = Engine::default();
        let (mut written, mut files) = (0, 0);
        for life in 0..15 {
            let name = [("format", format.split('.').next().expect("a name"))];
            let mut life_of = Life::begin(watch(&dir, &name), &engine).expect("begins");
            for _ in 0..random.random_range(1..8) {
                if random.random_bool(0.6) && life < 12 {
                    let next = written + random.random_range(0..40);
                    let bytes = match format {
                        "csv" => csv(written..next),
                        "parquet" => parquet(written..next),
                        "ndjson" => lines(written..next),
                        _ => gzip(&lines(written..next)),
                    };
                    written = next;
                    // Renamed in from beside.
                    let beside = at(&dir, ".new");
                    write_old(&beside, &bytes);
                    fs::rename(&beside, at(&dir, &format!("{files:03}.{format}"))).expect("renamed");
                    files += 1;
                }
                life_of.step(random.random_range(1..12)).expect("read");
                if random.random_bool(0.5) {
                    // A checkpoint: what comes after it is lost with the engine.
                    engine = life_of.engine.clone();
                }
            }
            if life == 14 {
                life_of.read_all().expect("read");
                engine = life_of.engine;
            }
        }
        engine.seen.sort_unstable();
        assert_eq!(engine.seen, (0..written).collect::<Vec<_>>(), "{format}");
        assert_eq!(engine.offsets.len(), files, "{format}");
        assert!(engine.offsets.values().all(|at| *at == Offset::END), "{format}");
    }
}
