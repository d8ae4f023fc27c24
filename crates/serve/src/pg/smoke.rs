//! Hostile bytes as the messages of a client. It must not know any fuzzer.

use bytes::{Buf, Bytes};
use postgres_types::Type;

use super::decode::read_binary;
use super::frontend::{Bind, Frontend, may_be_long};
use super::scram::Exchange;
use super::startup::Startup;
use crate::auth::ITERATIONS;
use crate::backend::ScramVerifier;

/// Types that parameters have.
const TYPES: [Type; 16] = [
    Type::BOOL,
    Type::INT2,
    Type::INT4,
    Type::INT8,
    Type::FLOAT4,
    Type::FLOAT8,
    Type::NUMERIC,
    Type::TEXT,
    Type::BYTEA,
    Type::DATE,
    Type::TIME,
    Type::TIMESTAMP,
    Type::TIMESTAMPTZ,
    Type::INTERVAL,
    Type::UUID,
    Type::INT4_ARRAY,
];

pub(crate) fn startup(bytes: &[u8]) {
    if let Ok(startup) = Startup::decode(bytes) {
        assert!(!startup.user.is_empty() && !startup.user.contains('\0'));
        assert!(startup.settings.iter().all(|(name, value)| !name.contains('\0') && !value.contains('\0')));
    }
    let verifier =
        ScramVerifier { iterations: ITERATIONS, salt: vec![7; 16], stored_key: [1; 32], server_key: [2; 32] };
    let (first, last) = bytes.split_at(bytes.len() / 2);
    for (first, last) in [(first, last), (b"n,,n=,r=abc", bytes)] {
        if let Ok((exchange, answer)) = Exchange::begin(verifier.clone(), first) {
            assert!(answer.starts_with("r="));
            assert!(exchange.finish(last).is_err(), "nobody guesses a key");
        }
    }
}

pub(crate) fn messages(bytes: &[u8]) {
    let mut rest = Bytes::copy_from_slice(bytes);
    while rest.len() >= 5 && may_be_long(rest[0]).is_some() {
        let kind = rest.get_u8();
        let length = usize::try_from(rest.get_i32()).ok().and_then(|length| length.checked_sub(4));
        let Some(length) = length.filter(|length| *length <= rest.len()) else { break };
        if let Ok(Frontend::Bind(Bind { parameters, .. })) = Frontend::decode(kind, rest.split_to(length)) {
            for (value, own) in parameters.iter().flatten().flat_map(|v| TYPES.iter().map(move |t| (v, t))) {
                if let Ok(read) = read_binary(own, value) {
                    assert_eq!(read.len(), 1);
                    read.to_data().validate_full().expect("a value is sound");
                }
            }
        }
    }
    // As the body of each kind.
    for kind in *b"QPBDCEHSdcfXF" {
        drop(Frontend::decode(kind, Bytes::copy_from_slice(bytes)));
    }
}
