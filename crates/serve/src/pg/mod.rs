//! The PostgreSQL door: version 3 of the wire protocol, on top of [`crate::backend`]. It must not know SQL, catalogs
//! or where rows come from.
//!
//! The way of a connection: `listener` accepts, `hello` reads the first bytes and turns TLS on, `login` lets the user
//! in, `session` takes messages one by one and gives them to `simple` or `extended`; answers leave through `rows` and
//! `copy`, everything through one `wire`.

mod cancel;
mod config;
mod copy;
mod decode;
mod encode;
mod extended;
mod failure;
mod frontend;
mod guard;
mod hello;
mod listener;
mod login;
mod numeric;
mod portal;
mod reply;
mod rows;
mod scram;
mod session;
mod simple;
pub(crate) mod smoke;
mod startup;
mod types;
mod uuid;
mod wire;

pub use config::{PgConfig, PgLimits};
pub use listener::serve;
