//! The world at Thalweg's doors: one folder and one registry line a connector.
//!
//! Owns how rows enter and results leave. It must not know SQL, plans, operators or Timely: the binary hands it a
//! [`SourceRequest`], a [`SinkRequest`] or an [`EpochSinkRequest`] and gets back a [`thalweg_core::Source`], a
//! [`thalweg_core::Sink`] or a [`thalweg_core::EpochSink`].

mod blackhole;
#[cfg(any(feature = "kafka", feature = "notify", feature = "postgres", feature = "s3"))]
mod block;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod changes;
mod datagen;
mod file;
#[cfg(feature = "kafka")]
mod kafka;
mod lake;
pub mod memory;
pub mod nexmark;
#[cfg(feature = "notify")]
mod notify;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod registry;
mod rows;
mod stdout;
#[cfg(any(feature = "kafka", feature = "postgres", feature = "redis"))]
mod target_key;
#[cfg(any(feature = "notify", feature = "redis"))]
mod template;

pub use registry::{
    EpochSinkRequest, SinkLayout, SinkMode, SinkRequest, SourceRequest, epoch_sink, has_epoch_sink, infer, is_notifier,
    sink, sink_layout, source, writes,
};
