//! A view's rows where others can read them: an [`Arrangement`] takes the changes of each epoch and leaves a
//! [`Version`], which readers hold as long as they like without a lock.
//!
//! Rows stand in chunks of Arrow columns that never change. A deletion sets a bit in a copy of the chunk's bitmap, so a
//! scan of any version reads whole chunks and merges nothing. A hash index finds the rows to delete, and the rows of a
//! key; others find rows by what readers ask for. It must not know epochs, workers or queries.

mod arrangement;
mod build;
mod chunk;
mod index;
#[cfg(test)]
mod tests;
mod version;

pub use arrangement::Arrangement;
pub use build::IndexBuild;
pub use version::Version;
