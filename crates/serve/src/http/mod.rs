//! The HTTP door: ingest, SQL, subscriptions, metrics, health, documentation, the status page and the console.
//!
//! Owns HTTP/1.1, HTTP/2, server-sent events and WebSocket, and who may use them. It must not know SQL, plans or
//! dataflows: whatever answers implements [`crate::backend::Backend`].
//!
//! The way of a request: [`serve`] accepts and drives a connection (`listener`); every request passes the checks of
//! `routes` in order — counted, allowed host and origin (`places`), authenticated (`gate`) — and reaches its handler in
//! `ingest`, `sql`, `subscribe` or `pages`. What is refused leaves as a `Failure`.

mod body;
mod config;
mod console;
mod door;
mod failure;
mod failures;
mod gate;
pub(crate) mod ingest;
mod lanes;
mod listener;
mod media;
mod meters;
mod openapi;
mod pages;
mod passwords;
mod places;
mod routes;
mod rows;
mod sql;
mod stall;
mod subscribe;
mod tokens;

pub use config::HttpConfig;
pub use console::Console;
pub use listener::serve;
pub use openapi::openapi_json;
