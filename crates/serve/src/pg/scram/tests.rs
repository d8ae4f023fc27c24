//! SCRAM against the standard's own example, and against clients that cheat.

use proptest::prelude::*;

use super::*;

const CLIENT_FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                            p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

fn pencil() -> ScramVerifier {
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
    ScramVerifier::derive("pencil", salt, 4096)
}

fn begun() -> Exchange {
    Exchange::begin_with(pencil(), CLIENT_FIRST, SERVER_NONCE).expect("a good first message").0
}

fn refused(last: &str) -> Refusal {
    begun().finish(last.as_bytes()).expect_err("refused")
}

/// RFC 7677, section 3.
#[test]
fn the_example_of_the_standard() {
    let (exchange, answer) = Exchange::begin_with(pencil(), CLIENT_FIRST, SERVER_NONCE).expect("good");
    assert_eq!(answer, "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
    let last = exchange.finish(CLIENT_FINAL.as_bytes()).expect("the right password");
    assert_eq!(last, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

#[test]
fn a_final_message_cannot_be_replayed() {
    let (exchange, _) = Exchange::begin(pencil(), CLIENT_FIRST).expect("good");
    let replayed = exchange.finish(CLIENT_FINAL.as_bytes());
    assert_eq!(replayed, Err(Refusal::Malformed("nonce does not match")));
}

#[test]
fn a_wrong_password_is_told_from_a_malformed_proof() {
    let with = |proof: &str| CLIENT_FINAL.replace("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", proof);
    assert_eq!(refused(&with(&STANDARD.encode([7; 32]))), Refusal::WrongPassword);
    for length in [0, 31, 33] {
        assert_eq!(refused(&with(&STANDARD.encode(vec![7; length]))), Refusal::Malformed("malformed proof"));
    }
    assert_eq!(refused(&with("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ")), Refusal::Malformed("malformed proof"));
    assert_eq!(refused("c=biws"), Refusal::Malformed("no proof"));
}

#[test]
fn nonce_and_binding_must_be_repeated_as_they_were() {
    assert_eq!(refused(&CLIENT_FINAL.replace("r=rOpr", "r=xOpr")), Refusal::Malformed("nonce does not match"));
    assert_eq!(refused(&CLIENT_FINAL.replace("$k0,", ",")), Refusal::Malformed("nonce does not match"));
    // `eSws` is `y,,`: somebody between has changed the flag.
    assert_eq!(refused(&CLIENT_FINAL.replace("biws", "eSws")), Refusal::Malformed("channel binding does not match"));
}

#[test]
fn first_messages() {
    let refusal = |first: &str| Exchange::begin(pencil(), first.as_bytes()).err();
    assert_eq!(refusal("y,,n=,r=abc"), None);
    let bound = Some(Refusal::Malformed("channel binding is not offered"));
    assert_eq!(refusal("p=tls-unique,,n=,r=abc"), bound);
    assert_eq!(refusal("p=tls-server-end-point,,n=,r=abc"), bound);
    for wrong in
        ["", "n", "n,,", "n,,n=", "n,,n=,", "n,,n=,r=", "n,,r=abc", "x,,n=,r=a", "n,a=b,n=,r=a", "n,,m=1,n=,r=a"]
    {
        assert!(refusal(wrong).is_some(), "{wrong}");
    }
}

#[test]
fn a_stranger_always_meets_the_same_salt_and_never_gets_in() {
    let strangers = Strangers::new();
    let (one, again, other) = (strangers.verifier("a"), strangers.verifier("a"), strangers.verifier("b"));
    assert_eq!(one.salt, again.salt);
    assert_ne!(one.salt, other.salt);
    assert_eq!((one.salt.len(), one.iterations), (16, ITERATIONS));
    assert!(!one.matches("") && !one.matches("a"));
}

proptest! {
    #[test]
    fn no_message_panics(first in proptest::collection::vec(any::<u8>(), 0..48), last in ".{0,64}") {
        let _ = Exchange::begin(pencil(), &first);
        prop_assert!(begun().finish(last.as_bytes()).is_err());
    }
}
