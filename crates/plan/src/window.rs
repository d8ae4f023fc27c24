//! Windows as data: hopping panes and when a window closes. It must not know how panes are combined.

use crate::Bound;

/// Expands one pane (a slide-wide bin) into the windows that contain it. Sizes in microseconds;
/// `size` is a multiple of `slide`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HopSpec {
    /// Input column that holds the pane's start; in the output it holds the window's start.
    pub pane: usize,
    /// Distance between window starts.
    pub slide: i64,
    /// Width of a window.
    pub size: i64,
}

/// `EMIT ON WINDOW CLOSE`: a group is emitted once, when `group[column] + delay <= bound`, and forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WindowClose {
    /// Position in the node's *group keys* of the time column that closes.
    pub key: usize,
    /// Microseconds from that column's value to the window's end (0 when it is the end).
    pub delay: i64,
    /// The event-time bound of the input rows.
    pub bound: Bound,
}
