//! `Keyed`: one method and its state for every key. It must not know which method.

use arrow::array::{Array, BinaryArray, BinaryBuilder, Float64Array, Float64Builder};
use thalweg_core::hash_bytes;

use super::bytes::{Fault, Reader, Writer};
use super::detector::{DetectError, Detector};

/// Larger inputs count as this, so that squares and sums of them stay finite.
const MAX_INPUT: f64 = 1e100;

/// What a method does with the rows of one key.
pub(super) trait Method: Send {
    /// What it remembers of a key.
    type State: Send;

    /// The state before the first row.
    fn fresh(&self) -> Self::State;

    /// Scores a row (all inputs finite and at most 1e100 in magnitude, `time` in µs), then learns from it.
    fn score(&self, state: &mut Self::State, time: i64, inputs: &[f64]) -> Option<f64>;

    /// Writes what `read` reads.
    fn write(&self, state: &Self::State, to: &mut Writer);

    /// Reads a state. What is returned can be scored with without a panic, whatever the bytes were.
    fn read(&self, from: &mut Reader<'_>) -> Result<Self::State, Fault>;

    /// Bytes that a state holds outside itself.
    fn heap(_state: &Self::State) -> usize {
        0
    }

    /// Bytes that all keys share.
    fn shared(&self) -> usize {
        0
    }
}

/// A method for all keys.
pub(super) struct Keyed<M: Method> {
    function: &'static str,
    fingerprint: u32,
    columns: usize,
    method: M,
    states: Vec<Option<M::State>>,
    heap: usize,
}

impl<M: Method> Keyed<M> {
    /// `function` and `parameters` say whose the saved states are.
    pub(super) fn new(function: &'static str, columns: usize, parameters: &[f64], method: M) -> Self {
        let mut identity = function.as_bytes().to_vec();
        identity.extend_from_slice(&(columns as u64).to_le_bytes());
        identity.extend(parameters.iter().flat_map(|p| p.to_le_bytes()));
        let fingerprint = hash_bytes(&identity) as u32;
        Self { function, fingerprint, columns, method, states: Vec::new(), heap: 0 }
    }

    fn set(&mut self, key: u32, state: Option<M::State>) {
        let key = key as usize;
        if key >= self.states.len() {
            if state.is_none() {
                return;
            }
            self.states.resize_with(key + 1, || None);
        }
        self.heap += state.as_ref().map_or(0, M::heap);
        let old = std::mem::replace(&mut self.states[key], state);
        self.heap -= old.as_ref().map_or(0, M::heap);
    }

    fn read(&self, bytes: &[u8]) -> Result<M::State, Fault> {
        let mut reader = Reader::open(bytes, self.fingerprint)?;
        let state = self.method.read(&mut reader)?;
        reader.close()?;
        Ok(state)
    }

    /// One row whose inputs are finite.
    fn step(&mut self, key: u32, time: i64, inputs: &[f64]) -> Option<f64> {
        let key = key as usize;
        if key >= self.states.len() {
            self.states.resize_with(key + 1, || None);
        }
        let state = self.states[key].get_or_insert_with(|| self.method.fresh());
        let before = M::heap(state);
        let score = self.method.score(state, time, inputs);
        self.heap = self.heap - before + M::heap(state);
        score
    }
}

impl<M: Method> Detector for Keyed<M> {
    fn score(&mut self, keys: &[u32], times: &[i64], inputs: &[Float64Array], out: &mut Float64Builder) {
        assert_eq!(inputs.len(), self.columns, "{}: columns", self.function);
        assert_eq!(times.len(), keys.len(), "{}: times", self.function);
        for column in inputs {
            assert_eq!(column.len(), keys.len(), "{}: rows of a column", self.function);
        }
        let mut row = vec![0.0; inputs.len()];
        for (i, (key, time)) in keys.iter().zip(times).enumerate() {
            let mut usable = true;
            for (value, column) in row.iter_mut().zip(inputs) {
                let given = column.value(i);
                usable &= given.is_finite() && column.is_valid(i);
                // Adding 0 makes one zero of both.
                *value = given.clamp(-MAX_INPUT, MAX_INPUT) + 0.0;
            }
            let score = if usable { self.step(*key, *time, &row) } else { None };
            out.append_option(score);
        }
    }

    fn save(&self, keys: &[u32]) -> BinaryArray {
        let mut out = BinaryBuilder::with_capacity(keys.len(), 0);
        let mut writer = Writer::default();
        for key in keys {
            match self.states.get(*key as usize).and_then(Option::as_ref) {
                None => out.append_null(),
                Some(state) => {
                    writer.open(self.fingerprint);
                    self.method.write(state, &mut writer);
                    out.append_value(writer.seal());
                }
            }
        }
        out.finish()
    }

    fn load(&mut self, keys: &[u32], states: &BinaryArray) -> Result<(), DetectError> {
        if keys.len() != states.len() {
            return Err(DetectError::Lengths { function: self.function, keys: keys.len(), states: states.len() });
        }
        let read = |(row, bytes): (usize, Option<&[u8]>)| {
            let state = bytes.map(|bytes| self.read(bytes)).transpose();
            state.map_err(|fault| DetectError::State { function: self.function, row, fault })
        };
        let states = states.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
        for (key, state) in keys.iter().zip(states) {
            self.set(*key, state);
        }
        Ok(())
    }

    fn forget(&mut self, keys: &[u32]) {
        for key in keys {
            self.set(*key, None);
        }
    }

    fn bytes(&self) -> usize {
        self.states.capacity() * size_of::<Option<M::State>>() + self.heap + self.method.shared()
    }
}

#[cfg(test)]
pub(super) mod tests {
    //! Saved states that were damaged and then sealed again: the checksum does not save the method's own `read`.

    use proptest::prelude::*;

    use super::super::{build, signatures};
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn resealed_damage_is_an_error_or_a_state_that_can_go_on(
            rows in 1usize..700, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            for signature in signatures() {
                let columns = *signature.columns.start();
                let parameters: Vec<Option<f64>> =
                    signature.parameters.iter().map(|p| p.default.is_none().then_some(4.0)).collect();
                let fresh = || build(signature.name, columns, &parameters).expect("defaults are allowed");
                let column = |from: usize| Float64Array::from_iter_values((from..from + rows).map(|i| {
                    (i as f64 * 0.7).sin() + if i % 97 == 5 { 40.0 } else { 0.0 } + (i / 300) as f64 * 9.0
                }));
                let inputs = |from| vec![column(from); columns];
                let times: Vec<i64> = (0..rows as i64).collect();
                let mut out = Float64Builder::new();
                let mut detector = fresh();
                detector.score(&vec![0; rows], &times, &inputs(0), &mut out);
                let saved = detector.save(&[0]);
                let mut bytes = saved.value(0).to_vec();
                bytes.truncate(bytes.len() - 4);
                if let Some(cut) = &cut {
                    bytes.truncate(5 + cut.index(bytes.len() - 5));
                }
                for (place, with) in &damage {
                    if bytes.len() > 5 {
                        let at = 5 + place.index(bytes.len() - 5);
                        bytes[at] ^= with;
                    }
                }
                let sum = (hash_bytes(&bytes) as u32).to_le_bytes();
                bytes.extend_from_slice(&sum);
                let mut other = fresh();
                if other.load(&[3], &BinaryArray::from_vec(vec![bytes.as_slice()])).is_ok() {
                    let mut out = Float64Builder::new();
                    other.score(&vec![3; rows], &times, &inputs(rows), &mut out);
                    let scores = out.finish();
                    prop_assert!(scores.iter().flatten().all(f64::is_finite), "{}", signature.name);
                    other.save(&[3]);
                }
            }
        }
    }
}
