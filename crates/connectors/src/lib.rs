//! The world at Thalweg's doors: one folder and one registry line a connector.
//!
//! Owns how rows enter and results leave. It must not know SQL, plans, operators or Timely: the binary hands it a
//! [`SourceRequest`] or a [`SinkRequest`] and gets back a [`thalweg_core::Source`] or a [`thalweg_core::Sink`].

mod blackhole;
mod datagen;
mod file;
pub mod memory;
pub mod nexmark;
mod registry;
mod rows;
mod stdout;

pub use registry::{SinkLayout, SinkMode, SinkRequest, SourceRequest, infer, sink, sink_layout, source};
