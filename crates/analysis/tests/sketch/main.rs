//! Tests of sketches from outside: what SQL sees, however rows are split, saved, merged or damaged.

mod damage;
mod errors;
mod scalars;
mod states;
mod support;
