//! `FaultStore`: a store in memory that fails, loses answers, dies or overwrites, by the numbers of a seed.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use thalweg_disk::Rng;

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    /// One request in so many; 0 for none.
    pub(super) one_in: usize,
    /// After so many requests all fail.
    pub(super) dies_after: Option<usize>,
    /// Every put takes effect and says that it failed.
    pub(super) loses_answers: bool,
    /// `If-None-Match` is not understood.
    pub(super) overwrites: bool,
    /// Puts and removals are well.
    pub(super) only_reads: bool,
}

#[derive(Debug)]
pub(super) struct FaultStore {
    inner: Arc<InMemory>,
    faults: Faults,
    state: Mutex<(Rng, usize)>,
}

/// What becomes of one request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Well,
    Fails,
    AnswerLost,
    /// The client's own retry finds what its first try did.
    RetriedAfterAll,
}

impl FaultStore {
    pub(super) fn new(inner: Arc<InMemory>, seed: u64, faults: Faults) -> Self {
        Self { inner, faults, state: Mutex::new((Rng::new(seed), 0)) }
    }

    fn fate(&self) -> Fate {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 += 1;
        if self.faults.dies_after.is_some_and(|after| state.1 > after) {
            return Fate::Fails;
        }
        if self.faults.one_in == 0 || !state.0.one_in(self.faults.one_in) {
            return Fate::Well;
        }
        [Fate::Fails, Fate::AnswerLost, Fate::RetriedAfterAll][state.0.below(3)]
    }

    fn read_fails(&self) -> Result<()> {
        if self.fate() == Fate::Well { Ok(()) } else { Err(fault()) }
    }
}

fn fault() -> Error {
    Error::Generic { store: "faults", source: "simulated: the connection was reset".into() }
}

impl fmt::Display for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faults")
    }
}

#[async_trait::async_trait]
impl ObjectStore for FaultStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        if self.faults.overwrites {
            options.mode = PutMode::Overwrite;
        }
        let fate = if self.faults.only_reads { Fate::Well } else { self.fate() };
        if fate == Fate::Fails {
            return Err(fault());
        }
        let done = self.inner.put_opts(location, payload, options).await?;
        match fate {
            Fate::RetriedAfterAll => {
                Err(Error::AlreadyExists { path: location.to_string(), source: "simulated: a retry".into() })
            }
            Fate::AnswerLost => Err(fault()),
            _ if self.faults.loses_answers => Err(fault()),
            _ => Ok(done),
        }
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(Error::NotImplemented { operation: "multipart uploads".to_owned(), implementer: self.to_string() })
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.read_fails()?;
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match if self.faults.only_reads { Fate::Well } else { self.fate() } {
            Fate::Well => self.inner.delete_stream(locations),
            Fate::Fails => futures_util::stream::once(async { Err(fault()) }).boxed(),
            _ => self.inner.delete_stream(locations).map(|_| Err(fault())).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.read_fails()?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
