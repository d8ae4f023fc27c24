//! Tests of objects as files, over a store in memory: which are taken up, and each once through kills.

use std::path::Path;

use arrow::datatypes::{DataType, Field, Schema};
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use thalweg_bucket::Place;
use thalweg_core::{Offset, Options, Source};

use super::super::watch_tests::{Engine, Life, csv, gzip, lines, parquet};
use super::super::{FileOptions, whole_files};
use super::*;
use crate::registry::SourceRequest;

type Store = Arc<InMemory>;

fn put(store: &Store, key: &str, bytes: &[u8]) {
    let (store, key, bytes) = (Arc::clone(store), Key::from(key), bytes.to_vec());
    block_on(async move { store.put(&key, bytes.into()).await }).expect("answered").expect("put");
}

fn delete(store: &Store, key: &str) {
    let (store, key) = (Arc::clone(store), Key::from(key));
    block_on(async move { store.delete(&key).await }).expect("answered").expect("deleted");
}

fn pause() {
    block_on(async { tokio::time::sleep(Duration::from_millis(5)).await }).expect("answered");
}

fn folder(store: &Store, options: &FileOptions) -> BucketFolder {
    let of = options.bucket.as_ref().expect("paths of a bucket");
    let of = InBucket { list_interval: Duration::from_millis(3), ..of.clone() };
    let store = Arc::clone(store) as Arc<dyn ObjectStore>;
    BucketFolder::over(Arc::new(Objects { store, bucket: "b".to_owned(), secrets: Vec::new() }), options, &of)
}

fn source(store: &Store, pairs: &[(&str, &str)]) -> Result<Arc<dyn Source>> {
    let options = Options::new(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    let request = SourceRequest {
        name: "events".to_owned(),
        connector: "file".to_owned(),
        options: options.clone(),
        declared: Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)])),
        projection: vec![0],
        event_time: None,
        workers: 2,
    };
    let options = FileOptions::parse(options)?;
    whole_files(request, options, &|options| Ok(Arc::new(folder(store, options))))
}

/// Reads until there are `rows` more.
fn read(life: &mut Life, rows: usize) -> Vec<i64> {
    let before = life.engine.seen.len();
    for _ in 0..2_000 {
        life.step(1_000).expect("read");
        if life.engine.seen.len() >= before + rows {
            break;
        }
        pause();
    }
    let mut rows = life.engine.seen[before..].to_vec();
    rows.sort_unstable();
    rows
}

/// Reads until that fails.
fn failure(life: &mut Life) -> String {
    for _ in 0..2_000 {
        if let Err(error) = life.step(1_000) {
            return error.to_string();
        }
        pause();
    }
    panic!("nothing failed");
}

#[test]
fn objects_that_paths_name() {
    let store = Store::default();
    for key in ["a/1.csv", "a/2.csv", "a/sub/3.csv", "a/.x/4.csv", "a/_SUCCESS", "a/5.json", "ab/6.csv", "7.csv"] {
        put(&store, key, b"n\n1\n");
    }
    // As some tools make for a folder.
    put(&store, "a/empty", b"");
    let listed = |path: &str, more: &[(&str, &str)]| -> Result<String> {
        let pairs = [("path", path)].into_iter().chain(more.iter().copied());
        let options = FileOptions::parse(Options::new(pairs.map(|(k, v)| (k.to_owned(), v.to_owned()))))?;
        let keys = folder(&store, &options).list_now()?;
        let keys = keys.iter().map(|v| v.path.display().to_string().replace("s3://b/", ""));
        Ok(keys.collect::<Vec<_>>().join(" "))
    };
    let csv = &[("format", "csv")][..];
    for (path, more, expected) in [
        ("s3://b/a/1.csv", &[][..], "a/1.csv"),
        ("s3://b/a", &[], "a/1.csv a/2.csv a/5.json a/sub/3.csv"),
        ("s3://b/a/", csv, "a/1.csv a/2.csv a/sub/3.csv"),
        ("s3://b", csv, "7.csv a/1.csv a/2.csv a/sub/3.csv ab/6.csv"),
        ("s3://b/a*/*.csv", &[], "a/1.csv a/2.csv ab/6.csv"),
        ("s3://b/**/[36].csv", &[], "a/sub/3.csv ab/6.csv"),
        ("s3://b/7.csv, s3://b/ab, s3://b/7.csv", &[], "7.csv ab/6.csv"),
        ("s3://b/none", &[("mode", "watch")], ""),
        // Twice the same are no more.
        (
            "s3://b/a, s3://b/a, s3://b/ab",
            &[("mode", "watch"), ("files.max", "5")],
            "a/1.csv a/2.csv a/5.json a/sub/3.csv ab/6.csv",
        ),
    ] {
        assert_eq!(listed(path, more).expect(path), expected, "{path}");
    }
    for (path, more, part) in [
        ("s3://b/none", &[][..], "s3://b/none names no object"),
        ("s3://b/a, elsewhere", &[], "all of one bucket"),
        ("s3://b/a, s3://c/a", &[], "all of one bucket"),
        ("s3://b/a", &[("mode", "follow")], "an object does not grow"),
        ("s3://b/a", &[("fetch.max.bytes", "x")], "a number of bytes"),
        ("s3://k:canary@b/a", &[], "has no user"),
        ("a.csv", &[("region", "x")], "unknown option region"),
        ("s3://key:canary/more@b/a", &[], "is not the name of a bucket"),
        ("-", &[("mode", "watch"), ("format", "csv")], "standard input cannot be followed"),
        ("s3://b/a, s3://b/ab", &[("mode", "watch"), ("files.max", "4")], "more than 4 objects"),
    ] {
        let error = listed(path, more).expect_err(path).to_string();
        assert!(error.contains(part) && !error.contains("canary"), "{error}");
    }
    assert_eq!(Place::parse("s3://b/a/").expect("valid").prefix, "a");
}

#[test]
fn objects_are_read_to_their_end_or_as_they_come() {
    let store = Store::default();
    put(&store, "in/a.csv", &csv(0..3));
    put(&store, "in/b.csv.gz", &gzip(&csv(3..5)));
    put(&store, "in/c.csv", b"");
    let once = source(&store, &[("path", "s3://b/in")]).expect("valid");
    assert!(once.bounded() && !once.forgets());
    let mut life = Life::begin(once, &Engine::default()).expect("begins");
    assert_eq!(read(&mut life, 5), [0, 1, 2, 3, 4]);

    let watched = source(&store, &[("path", "s3://b/in"), ("mode", "watch")]).expect("valid");
    assert!(!watched.bounded());
    let mut life = Life::begin(watched, &Engine::default()).expect("begins");
    assert_eq!(read(&mut life, 5), [0, 1, 2, 3, 4]);
    put(&store, "in/d.csv", &csv(5..9));
    assert_eq!(read(&mut life, 4), [5, 6, 7, 8]);
    // What was read may be taken away.
    delete(&store, "in/a.csv");
    put(&store, "in/e.csv", &csv(9..10));
    assert_eq!(read(&mut life, 1), [9]);
    // Written again with bytes of the same length: which rows are new is not known.
    put(&store, "in/e.csv", &csv(8..9));
    let error = failure(&mut life);
    assert!(error.contains("s3://b/in/e.csv was written again"), "{error}");
}

#[test]
fn what_is_fetched_is_what_was_listed() {
    let store = Store::default();
    put(&store, "a.ndjson", &lines(0..3));
    put(&store, "b.ndjson", &lines(0..3));
    let source = || source(&store, &[("path", "s3://b")]).expect("valid");
    let (changed, gone) = (source(), source());
    let (mut changed, mut gone) = (
        Life::begin(changed, &Engine::default()).expect("begins"),
        Life::begin(gone, &Engine::default()).expect("begins"),
    );
    put(&store, "a.ndjson", &lines(0..2));
    let error = failure(&mut changed);
    assert!(error.contains("s3://b/a.ndjson has shrunk"), "{error}");
    let mut emptied = Life::begin(source(), &Engine::default()).expect("begins");
    put(&store, "a.ndjson", b"");
    let error = failure(&mut emptied);
    assert!(error.contains("s3://b/a.ndjson has shrunk"), "{error}");
    delete(&store, "a.ndjson");
    let error = failure(&mut gone);
    assert!(error.contains("s3://b/a.ndjson is gone"), "{error}");
}

#[test]
fn what_is_wrong_with_an_object_names_it() {
    for (key, bytes, more, part) in [
        ("a.parquet", &b"PAR1 no"[..], &[][..], "not a readable Parquet file"),
        ("a.csv", b"x,y\n1,2\n", &[], "the header has no column n"),
        ("a.ndjson", b"{\"n\":1}\n", &[("fetch.max.bytes", "7")], "has 8 bytes, and fetch.max.bytes = 7"),
    ] {
        let store = Store::default();
        put(&store, key, bytes);
        let pairs: Vec<_> = [("path", "s3://b")].into_iter().chain(more.iter().copied()).collect();
        let mut life = Life::begin(source(&store, &pairs).expect("valid"), &Engine::default()).expect("begins");
        let error = failure(&mut life);
        assert!(error.contains(&format!("s3://b/{key}")) && error.contains(part), "{error}");
        assert!(!error.contains("/proc/") && !error.contains("thalweg-object-"), "{error}");
    }
}

#[test]
fn columns_are_found_by_looking() {
    let store = Store::default();
    put(&store, "a.csv.gz", &gzip(&csv(0..3)));
    let options = Options::new([("path".to_owned(), "s3://b".to_owned())]);
    let options = FileOptions::parse(options).expect("valid");
    let schema = folder(&store, &options).infer(&options).expect("found");
    let fields: Vec<_> = schema.fields().iter().map(|f| (f.name().as_str(), f.data_type().clone())).collect();
    assert_eq!(fields, [("x", DataType::Utf8View), ("N", DataType::Int64)]);
}

/// Lives of an engine that is killed at any moment while objects come: each row is counted once.
#[test]
fn every_row_is_counted_once_through_kills() {
    let seed = std::env::var("THALWEG_BUCKET_SEED").ok().map_or(0, |s| s.parse().expect("a number"));
    for seed in seed..seed + 8 {
        println!("THALWEG_BUCKET_SEED={seed}");
        let mut random = SmallRng::seed_from_u64(seed);
        let format = ["ndjson", "csv", "parquet", "ndjson.gz"][seed as usize % 4];
        let store = Store::default();
        let mut engine = Engine::default();
        let (mut written, mut objects) = (0, 0);
        let pairs = [("path", "s3://b/in"), ("mode", "watch"), ("format", format.split('.').next().expect("a name"))];
        for _ in 0..12 {
            let mut life = Life::begin(source(&store, &pairs).expect("valid"), &engine).expect("begins");
            for _ in 0..random.random_range(1..8) {
                if random.random_bool(0.6) {
                    let next = written + random.random_range(1..40);
                    let bytes = match format {
                        "csv" => csv(written..next),
                        "parquet" => parquet(written..next),
                        "ndjson" => lines(written..next),
                        _ => gzip(&lines(written..next)),
                    };
                    written = next;
                    put(&store, &format!("in/{objects:03}.{format}"), &bytes);
                    objects += 1;
                }
                life.step(random.random_range(1..12)).expect("read");
                if random.random_bool(0.5) {
                    pause();
                }
                if random.random_bool(0.5) {
                    // A checkpoint: what comes after it is lost with the engine.
                    engine = life.engine.clone();
                }
            }
        }
        let mut life = Life::begin(source(&store, &pairs).expect("valid"), &engine).expect("begins");
        let is_read = |life: &Life| life.engine.offsets.values().filter(|at| **at == Offset::END).count() == objects;
        for _ in 0..2_000 {
            if is_read(&life) {
                break;
            }
            life.step(1_000).expect("read");
            pause();
        }
        life.engine.seen.sort_unstable();
        assert_eq!(life.engine.seen, (0..written).collect::<Vec<_>>(), "{format}");
        assert!(is_read(&life), "{format}: {:?}", life.engine.offsets);
    }
    assert!(!Path::new("s3:").exists());
}
