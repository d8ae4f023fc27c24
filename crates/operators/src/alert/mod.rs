//! Alerts: which rows of a query have stood long enough to be told of, and what has happened to them. They must not know
//! who is told.

mod history;
mod standing;

#[cfg(test)]
mod tests;

pub use history::AlertHistory;
pub use standing::Alert;
