//! Which objects of a bucket are read, and how it is reached. It must not open anything.

use std::time::Duration;

use thalweg_bucket::{BucketOptions, Place};
use thalweg_core::{Error, Options, Result, Secret};

/// How paths of a bucket begin.
const SCHEME: &str = "s3://";
/// Seconds between two looks for new objects, unless the options say otherwise.
const LIST_SECONDS: u64 = 5;
/// Bytes of the largest object that is read, unless the options say otherwise: it is brought to this machine as a whole.
const FETCH_MAX_BYTES: u64 = 4 << 30;

/// The objects that paths name.
#[derive(Clone, Debug)]
pub(crate) struct InBucket {
    pub(super) reach: BucketOptions,
    /// All of one bucket; the prefix of each is an object, what objects are below, or a pattern.
    pub(super) places: Vec<Place>,
    pub(super) list_interval: Duration,
    pub(super) fetch_max_bytes: u64,
}

impl InBucket {
    /// Takes the options of a bucket if `paths` are of one.
    pub(crate) fn take(paths: &[String], options: &mut Options) -> Result<Option<Self>> {
        let count = paths.iter().filter(|path| path.starts_with(SCHEME)).count();
        if count == 0 {
            return Ok(None);
        }
        let places = paths.iter().filter(|path| path.starts_with(SCHEME)).map(|path| Place::parse(path));
        let places = places.collect::<Result<Vec<_>>>()?;
        if count < paths.len() || places.iter().any(|place| place.bucket != places[0].bucket) {
            return Err(Error::invalid_with_hint(
                "the paths of a source are all of one bucket, or all of this machine",
                "Create a source for each, and put them together with UNION ALL.",
            ));
        }
        let seconds = options.parse("list.seconds", LIST_SECONDS, "a number of seconds")?;
        let mut secret = |key: &str| options.take(key).map(Secret::new);
        let (access_key, secret_key) = (secret("access_key"), secret("secret_key"));
        let session_token = secret("session_token");
        let reach = BucketOptions {
            endpoint: options.take("endpoint"),
            region: options.take("region"),
            access_key,
            secret_key,
            session_token,
            virtual_host: options.parse("virtual_host", false, "true or false")?,
            allow_http: options.parse("allow_http", false, "true or false")?,
        };
        let fetch_max_bytes = options.parse("fetch.max.bytes", FETCH_MAX_BYTES, "a number of bytes")?;
        Ok(Some(Self { reach, places, list_interval: Duration::from_secs(seconds.max(1)), fetch_max_bytes }))
    }
}
