//! Options that are refused, each with what is wrong and how to mend it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use thalweg_disk::SimDisk;

use super::{request, transition};
use crate::registry::{EpochSinkRequest, epoch_sink};

const URL: (&str, &str) = ("url", "https://example.com/hook");
const MAIL: [(&str, &str); 3] = [("smtp.host", "localhost"), ("from", "a@example.com"), ("to", "b@example.com")];

fn refused(request: EpochSinkRequest) -> String {
    epoch_sink(request).err().expect("refused").to_string()
}

#[test]
fn wrong_options_are_refused_with_what_would_be_right() {
    let long = "x".repeat(9_000);
    let alert = ("alert.name", "a");
    let webhook: &[(&[(&str, &str)], &str)] = &[
        (&[], "option url is required"),
        (&[("url", "example.com")], "option url is no address"),
        (&[("url", "ftp://example.com/")], "is not of http or https"),
        (&[("url", "https://me:secret@example.com/")], "has a login in it"),
        (&[("url", "https://me@example.com/")], "header.authorization"),
        (&[("url", "https://example.com/#a")], "fragment"),
        (&[URL, ("method", "get")], "option method = 'get' is not known"),
        (&[URL, ("methd", "put")], "Did you mean method?"),
        (&[URL, ("changes", "al")], "Did you mean 'all'?"),
        (&[URL, ("on_refusal", "ignore")], "Choices: stop, skip"),
        (&[URL, ("timeout.millis", "99")], "is not from 100 to 300000"),
        (&[URL, ("timeout.millis", "300001")], "is not from 100 to 300000"),
        (&[URL, ("timeout.millis", "soon")], "is not a number of milliseconds"),
        (&[URL, ("header.host", "x")], "option header.host is set by the sink"),
        (&[URL, ("header.Content-Type", "x")], "option header.content-type is set by the sink"),
        (&[URL, ("header.a b", "x")], "is not the name of a header"),
        (&[URL, ("header.x", "a\r\nb: c")], "has a value that no header can have"),
        (&[URL, ("header.x", &long)], "more than 8192 bytes"),
        (&[URL, ("signature.secret", "short")], "fewer than 16 bytes"),
        (&[URL, ("ssl.ca.pem", "")], "option ssl.ca.pem: there is no certificate"),
        (&[URL, ("content_type", "text/plain")], "needs a body of that type"),
        (&[URL, ("content_type", "a/b\r\nx: y"), ("body", "x")], "is no type"),
        (&[URL, ("body", "{\"a\": {{nam}}}")], "Did you mean {{name}}?"),
        (&[URL, ("body", "{\"a\": {{name}")], "has {{ without }}"),
        (&[URL, ("body", "{\"a\": }")], "option body is not JSON"),
        (&[URL, ("body", "{\"a\": {{id}}{{id}}}")], "option body is not JSON"),
        (&[URL, ("body", "{\"a\": 1{{id}}}")], "option body is not JSON"),
        (&[URL, ("body", "{\"a\": \"\\{{name}}\"}")], "option body is not JSON"),
        (&[URL, ("body", "{\"a\": {{message.op}}}")], "names column message.op, which there is not"),
        (&[URL, alert], "given together"),
        (&[URL, alert, ("alert.severity", "info")], "there is no column transition"),
        (&[URL, ("text", "x")], "unknown option text"),
    ];
    let slack: &[(&[(&str, &str)], &str)] = &[
        (&[], "option url is required"),
        (&[URL, ("text", "{{nme}}")], "Did you mean {{name}}?"),
        (&[URL, ("body", "x")], "unknown option body"),
    ];
    let log: &[(&[(&str, &str)], &str)] =
        &[(&[("level", "warning")], "Did you mean 'warn'?"), (&[URL], "unknown option url")];
    for (connector, cases) in [("webhook", webhook), ("slack", slack), ("log", log)] {
        for (pairs, part) in cases {
            let message = refused(request(connector, pairs, &SimDisk::new()));
            assert!(message.contains("sink told") && message.contains(part), "{connector} {pairs:?}: {message}");
            assert!(!message.contains("secret@"), "{message}");
        }
    }
    let many: Vec<(String, String)> = (0..33).map(|n| (format!("header.x{n}"), "v".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(k, v)| (k.as_str(), v.as_str())).chain([URL]).collect();
    assert!(refused(request("webhook", &many, &SimDisk::new())).contains("no more than 32"));
}

#[test]
fn wrong_options_of_a_mail_are_refused() {
    let crowd = (0..51).map(|n| format!("u{n}@example.com")).collect::<Vec<_>>().join(", ");
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("smtp.host", "")], "option smtp.host is not the name of a host"),
        (&[("smtp.host", "me@mail")], "option smtp.host is not the name of a host"),
        (&[("smtp.port", "70000")], "is not the number of a port"),
        (&[("smtp.tls", "yes")], "Choices: starttls, implicit, none"),
        (&[("smtp.host", "mail.example.com"), ("smtp.tls", "none")], "for all to read"),
        (&[("smtp.host", "10.0.0.1"), ("smtp.tls", "none")], "for all to read"),
        (&[("smtp.host", "127.0.0.1.example.com"), ("smtp.tls", "none")], "for all to read"),
        (&[("smtp.tls", "none"), ("ssl.ca.pem", "x")], "means nothing"),
        (&[("ssl.ca.pem", "x")], "option ssl.ca.pem"),
        (&[("username", "u")], "given together"),
        (&[("password", "p")], "given together"),
        (&[("from", "nobody")], "option from = 'nobody'"),
        (&[("from", "a@example.com\r\nBcc: c@example.com")], "option from"),
        (&[("to", "")], "option to"),
        (&[("to", "a@example.com, nobody")], "option to"),
        (&[("to", "a@example.com\r\nBcc: c@example.com")], "option to"),
        (&[("to", &crowd)], "51 addresses, and no more than 50 are told"),
        (&[("subject", "{{nam}}")], "option subject names column nam"),
        (&[("body", "{{nam}}")], "Did you mean {{name}}?"),
        (&[("timeout.millis", "1")], "is not from 100 to 300000"),
        (&[("url", "x")], "unknown option url"),
    ];
    for (pairs, part) in cases {
        let rest = MAIL.iter().filter(|(name, _)| !pairs.iter().any(|(given, _)| given == name)).copied();
        let all: Vec<(&str, &str)> = pairs.iter().copied().chain(rest).collect();
        let message = refused(request("email", &all, &SimDisk::new()));
        assert!(message.contains("sink told") && message.contains(part), "{pairs:?}: {message}");
    }
    for missing in ["smtp.host", "from", "to"] {
        let rest: Vec<(&str, &str)> = MAIL.iter().filter(|(name, _)| *name != missing).copied().collect();
        let message = refused(request("email", &rest, &SimDisk::new()));
        assert!(message.contains(&format!("option {missing} is required")), "{message}");
    }
    for pairs in [[("smtp.tls", "none")], [("smtp.tls", "implicit")], [("smtp.tls", "starttls")]] {
        let all: Vec<(&str, &str)> = MAIL.iter().chain(&pairs).copied().collect();
        assert!(epoch_sink(request("email", &all, &SimDisk::new())).is_ok(), "{pairs:?}");
    }
}

#[test]
fn what_a_sink_needs_besides_options() {
    let valid = || request("webhook", &[URL], &SimDisk::new());
    let message = refused(EpochSinkRequest { disk: None, ..valid() });
    assert!(message.contains("data directory") && message.contains("--data DIR"), "{message}");
    assert!(refused(EpochSinkRequest { id: "../x".to_owned(), ..valid() }).contains("cannot stand in a key"));
    assert!(refused(EpochSinkRequest { cluster: String::new(), ..valid() }).contains("cannot stand in a key"));
    let odd = Field::new("m", DataType::ListView(Arc::new(Field::new_list_field(DataType::Int64, true))), true);
    let message = refused(EpochSinkRequest { schema: Arc::new(Schema::new(vec![odd])), ..valid() });
    assert!(message.contains("cast it first"), "{message}");
    let alert = [URL, ("alert.name", "a"), ("alert.severity", "info")];
    let schema = transition(1, "firing", "x", 1.0).deltas[0].schema();
    let of_alert = EpochSinkRequest { schema, ..request("webhook", &alert, &SimDisk::new()) };
    assert!(epoch_sink(of_alert).is_ok());
}
