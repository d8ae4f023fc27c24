//! The server simulated: seeds of a whole world, in one process, that repeat exactly.
//!
//! What runs is what a server runs: the hub, the checkpoints, the engine with its workers, intake and deliveries. Around
//! it the world is simulated: the disk forgets what is not synced and fails ([`weather`]), workers step one at a time in an
//! order that the seed says ([`turnstile`]), time passes when it is told to, targets commit and nobody hears of it
//! ([`target`]), the power goes, the process is killed, and another with as many workers as it likes goes on
//! ([`world`]). Readers check at every turn that what they see was written, together and once ([`oracle`]). In the end
//! nothing happens any more, and everything must arrive.
//!
//! `THALWEG_SIM_SEED=17 cargo test -p thalweg simulation` runs one seed, `THALWEG_SIM_SEEDS=1000` more of them.

mod life;
mod objects;
mod oracle;
#[cfg(debug_assertions)]
mod planted;
mod target;
mod tests;
mod trace;
mod turnstile;
mod weather;
mod world;
