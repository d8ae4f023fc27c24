//! `IndexBuild`: what stood when an index was asked for, on its way into the index. It must not know threads, nor what
//! changes meanwhile: that the arrangement puts in itself.

use std::sync::Arc;

use thalweg_core::Result;

use super::chunk::Chunk;
use super::index::Index;

/// The work of putting rows that stand into a new index. Dropped unfinished, the index is never used.
#[derive(Debug)]
pub struct IndexBuild {
    index: Arc<Index>,
    chunks: Vec<Arc<Chunk>>,
}

impl IndexBuild {
    pub(super) fn new(index: Arc<Index>, chunks: Vec<Arc<Chunk>>) -> Self {
        Self { index, chunks }
    }

    /// Rows to put in.
    pub fn num_rows(&self) -> usize {
        self.chunks.iter().map(|c| c.live_rows()).sum()
    }

    /// Puts them in; readers use the index from then on. The index is locked for one chunk at a time.
    ///
    /// # Errors
    /// A column cannot be hashed.
    pub fn run(self) -> Result<()> {
        // The arrangement has let go: nobody will ask.
        let wanted = || Arc::strong_count(&self.index) > 1;
        for chunk in self.chunks.iter().take_while(|_| wanted()) {
            let hashes = self.index.hashes(&chunk.live()?)?;
            self.index.insert(&hashes, chunk.live_numbers());
        }
        self.index.finish();
        Ok(())
    }
}
