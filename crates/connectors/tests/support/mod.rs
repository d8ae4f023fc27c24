//! What the tests against real servers share: the servers, a proxy that can be cut, a sink driven as an engine would, and
//! ways to write and read that do not go through our own code.
#![allow(dead_code, reason = "each test file uses some of it")]

#[cfg(feature = "kafka")]
pub mod broker;
pub mod drive;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod proxy;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "kafka")]
pub mod registry;
#[cfg(feature = "kafka")]
pub mod sink;
#[cfg(feature = "kafka")]
pub mod source;
#[cfg(feature = "kafka")]
pub mod topic;
