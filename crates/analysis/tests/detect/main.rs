//! What holds of every anomaly function, and each against its formula written out plainly.

mod forest;
mod formulas;
mod laws;
mod planted;
mod series;
