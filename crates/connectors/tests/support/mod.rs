//! What the tests against a real broker share: the broker, a proxy that can be cut, and ways to write and read topics
//! that do not go through our own code.
#![allow(dead_code, reason = "each test file uses some of it")]

pub mod broker;
pub mod proxy;
pub mod registry;
pub mod sink;
pub mod source;
pub mod topic;
