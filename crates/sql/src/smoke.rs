//! What the fuzz targets and the smoke test call: hostile text as SQL, held to what reading it promises. It must not know
//! any fuzzer.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use thalweg_core::{Error, Options};

use crate::compile::{CompileOptions, Connectors, SinkShape, compile};
use crate::server;

/// Every connector has the same two columns and takes everything.
struct Any;

impl Connectors for Any {
    fn infer(&self, _: &str, _: &Options) -> Result<SchemaRef, Error> {
        let columns = [Field::new("k", DataType::Int64, false), Field::new("v", DataType::Utf8View, true)];
        Ok(Arc::new(Schema::new(columns.to_vec())))
    }

    fn writes(&self, _: &str, _: &Options) -> Result<bool, Error> {
        Ok(false)
    }

    fn sink(&self, _: &str, _: &Options) -> Result<SinkShape, Error> {
        Ok(SinkShape { epochs: false, mode: None, single: true, discards: false })
    }
}

/// Parses `bytes` as statements of a session, and plans it as a script: whatever is wrong with it is said, with a place
/// that it has; whatever is right has a printed form.
///
/// # Panics
/// A promise is broken.
pub fn sql(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match server::parse(text) {
        Ok(statements) => {
            assert!(statements.iter().all(|s| text.contains(s.text.as_ref())), "a statement is a part of the text");
        }
        Err(error) => {
            let characters = text.chars().count();
            assert!(error.position.is_none_or(|at| at as usize <= characters + 1), "{error:?} is beyond the text");
        }
    }
    drop(server::masked(text));
    let options = CompileOptions { values: BTreeMap::new(), connectors: &Any };
    match compile(text, &options) {
        Ok(compiled) => drop((thalweg_plan::explain(&compiled.plan), compiled.plan.fingerprint())),
        Err(problems) => assert!(!problems.is_empty(), "it is said what is wrong"),
    }
}
