//! What `email` hands to a server, and what the server's answers do.

use thalweg_core::{Epoch, EpochSink, Incarnation};
use thalweg_disk::SimDisk;

use super::smtp::{Smtp, Tls, Turn, certificate};
use super::{again, deliver, fatal, opened, request, rows, transition};
use crate::registry::EpochSinkRequest;

const ADDRESSES: [(&str, &str); 3] =
    [("smtp.host", "localhost"), ("from", "Thalweg <watch@example.com>"), ("to", "a@example.com, B <b@example.com>")];

fn mailing(smtp: &Smtp, pairs: &[(&str, &str)]) -> EpochSinkRequest {
    let own = [("smtp.port", smtp.port.as_str())];
    // The first of two options of one name would be lost: a test gives its own host.
    let rest = ADDRESSES.iter().filter(|(name, _)| !pairs.iter().any(|(given, _)| given == name)).copied();
    request("email", &own.into_iter().chain(rest).chain(pairs.iter().copied()).collect::<Vec<_>>(), &SimDisk::new())
}

fn plain(smtp: &Smtp, pairs: &[(&str, &str)]) -> Box<dyn EpochSink> {
    opened(mailing(smtp, &[&[("smtp.tls", "none")], pairs].concat()))
}

#[test]
fn a_row_is_a_mail() {
    let smtp = Smtp::start(Tls::None, |_| Turn::Go);
    let mut sink = plain(&smtp, &[("username", "u"), ("password", "p")]);
    deliver(sink.as_mut(), &[rows(5, &[(1, Some(".x\n..y"), 1), (2, None, 1)])]).expect("taken");
    let taken = smtp.taken();
    assert_eq!(taken.len(), 2);
    let first = &taken[0];
    let envelope = ["MAIL FROM:<watch@example.com>", "RCPT TO:<a@example.com>", "RCPT TO:<b@example.com>"];
    assert_eq!(first.envelope, envelope);
    assert_eq!(first.header("Message-ID"), "<c0ffee-7-told-5-0@example.com>");
    assert_eq!(taken[1].header("Message-ID"), "<c0ffee-7-told-5-1@example.com>");
    assert_eq!(first.header("From"), "Thalweg <watch@example.com>");
    assert_eq!(first.header("To"), "a@example.com, B <b@example.com>");
    assert_eq!((first.header("Subject").as_str(), first.header("Auto-Submitted").as_str()), ("told", "auto-generated"));
    assert_eq!(first.body().trim_end(), "id: 1\r\nname: .x\r\n..y");
    assert_eq!(taken[1].body().trim_end(), "id: 2\r\nname: NULL");
    // SASL PLAIN (RFC 4616): NUL u NUL p.
    assert_eq!(first.login.as_deref(), Some("AUTH PLAIN AHUAcA=="));
}

#[test]
fn an_alert_is_in_the_subject() {
    let smtp = Smtp::start(Tls::None, |_| Turn::Go);
    let pairs = [("smtp.tls", "none"), ("alert.name", "hot"), ("alert.severity", "critical")];
    let epoch = transition(5, "firing", "s7", 9.5);
    let schema = epoch.deltas[0].schema();
    let mut sink = opened(EpochSinkRequest { schema: schema.clone(), ..mailing(&smtp, &pairs) });
    deliver(sink.as_mut(), std::slice::from_ref(&epoch)).expect("taken");
    let own = [("subject", "{{alert.name}} {{transition}}"), ("body", "{{value}} at {{alert_instance}}")];
    let mut sink = opened(EpochSinkRequest { schema, ..mailing(&smtp, &[&pairs[..], &own].concat()) });
    deliver(sink.as_mut(), &[epoch]).expect("taken");
    let taken = smtp.taken();
    assert_eq!(taken[0].header("Subject"), "[critical] hot: firing");
    assert_eq!(taken[0].body().trim_end(), "instance: s7\r\nat: 2026-01-02 03:04:05\r\nvalue: 9.5");
    assert_eq!((taken[1].header("Subject").as_str(), taken[1].body().trim_end()), ("hot firing", "9.5 at s7"));
}

#[test]
fn no_value_can_add_a_header_or_end_the_mail() {
    let smtp = Smtp::start(Tls::None, |_| Turn::Go);
    let mut sink = plain(&smtp, &[("subject", "{{name}}"), ("body", "{{name}}")]);
    let tries = [
        "x\r\nBcc: evil@example.com",
        "x\nBcc: evil@example.com",
        "x\rBcc: evil@example.com",
        "x\r\n\r\nanother body",
        "x\r\n.\r\nMAIL FROM:<evil@example.com>\r\nRCPT TO:<c@example.com>\r\nDATA\r\nx",
        "\u{85}Bcc: evil@example.com\u{2028}Bcc: evil@example.com",
        "é\r\nBcc: evil@example.com",
        "=?utf-8?q?x=0D=0ABcc:_evil@example.com?=",
        "\0\u{7f}\u{1b}[31m",
        "\r\n",
        "",
        " ",
    ];
    let told: Vec<(i64, Option<&str>, i64)> = tries.iter().map(|text| (1, Some(*text), 1)).collect();
    let long = "Bcc: evil@example.com ".repeat(100);
    let told: Vec<_> = told.into_iter().chain([(1, Some(long.as_str()), 1)]).collect();
    deliver(sink.as_mut(), &[rows(5, &told)]).expect("taken");
    let taken = smtp.taken();
    assert_eq!(taken.len(), tries.len() + 1, "each is one mail");
    let names = |mail: &super::smtp::Mail| {
        let mut names: Vec<String> =
            mail.head().iter().map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect();
        names.sort();
        names
    };
    let expected =
        ["Auto-Submitted", "Content-Transfer-Encoding", "Content-Type", "Date", "From", "Message-ID", "Subject", "To"];
    for mail in taken.iter() {
        assert_eq!(names(mail), expected, "{}", mail.content);
        assert_eq!(mail.envelope.len(), 3, "{:?}", mail.envelope);
        assert!(mail.content.chars().all(|c| !c.is_control() || "\r\n\t".contains(c)), "{:?}", mail.content);
        assert!(mail.content.split("\r\n").all(|line| !line.contains(['\r', '\n']) && line.len() < 998));
    }
}

#[test]
fn a_lost_answer_repeats_the_mail_under_its_name() {
    let mut ends = 0;
    let smtp = Smtp::start(Tls::None, move |verb| {
        ends += u32::from(verb == ".");
        if verb == "." && ends == 2 { Turn::Cut } else { Turn::Go }
    });
    let mut sink = plain(&smtp, &[]);
    let epochs = [rows(5, &[(1, None, 1), (2, None, 1), (3, None, 1)])];
    again(deliver(sink.as_mut(), &epochs));
    assert_eq!(sink.open(Incarnation(1)).expect("as before"), None);
    deliver(sink.as_mut(), &epochs).expect("taken");
    let ids: Vec<String> = smtp.taken().iter().map(|mail| mail.header("Message-ID")).collect();
    let id = |n: u32| format!("<c0ffee-7-told-5-{n}@example.com>");
    assert_eq!(ids, [id(0), id(1), id(1), id(2)]);
    assert_eq!(sink.open(Incarnation(1)).expect("as before"), Some(Epoch(5)));
}

/// A server that says `answer` at the first `verb`.
fn answering(verb: &'static str, answer: &'static str) -> Smtp {
    let mut said = false;
    Smtp::start(Tls::None, move |word| match word == verb && !std::mem::replace(&mut said, true) {
        true => Turn::Say(answer),
        false => Turn::Go,
    })
}

#[test]
fn an_answer_of_4_comes_again_and_one_of_5_is_a_refusal() {
    let epochs = [rows(5, &[(1, None, 1), (2, None, 1)])];
    for verb in ["EHLO", "MAIL", "RCPT", "DATA", "."] {
        let smtp = answering(verb, "451 greylisted");
        let mut sink = plain(&smtp, &[]);
        let message = again(deliver(sink.as_mut(), &epochs));
        assert!(message.contains("451") && message.contains("greylisted"), "{verb}: {message}");
        assert_eq!(sink.open(Incarnation(1)).expect("as before"), None);
        deliver(sink.as_mut(), &epochs).expect("taken");
        assert_eq!(smtp.taken().len(), 2);
    }
    for verb in ["MAIL", "RCPT", "DATA", "."] {
        let smtp = answering(verb, "550 nobody of that name");
        let message = fatal(deliver(plain(&smtp, &[]).as_mut(), &epochs));
        assert!(message.contains("550") && message.contains("nobody of that name"), "{verb}: {message}");
        let smtp = answering(verb, "550 nobody of that name");
        deliver(plain(&smtp, &[("on_refusal", "skip")]).as_mut(), &epochs).expect("one is left out");
        assert_eq!(smtp.taken().len(), 1, "{verb}");
    }
}

#[test]
fn a_login_that_is_refused_leaves_out_no_mail() {
    let smtp = answering("AUTH", "535 wrong password");
    let mut sink = plain(&smtp, &[("username", "u"), ("password", "p"), ("on_refusal", "skip")]);
    let message = fatal(deliver(sink.as_mut(), &[rows(5, &[(1, None, 1)])]));
    assert!(message.contains("the login is refused") && message.contains("535"), "{message}");
    assert!(smtp.taken().is_empty());
}

#[test]
fn mails_are_encrypted_for_the_one_that_is_trusted() {
    let (pem, config) = certificate("localhost");
    let (other, _) = certificate("localhost");
    let epochs = [rows(5, &[(1, None, 1)])];
    for (name, tls) in [("starttls", Tls::Starttls(config.clone())), ("implicit", Tls::Implicit(config))] {
        let smtp = Smtp::start(tls, |_| Turn::Go);
        let sink =
            |pem: &str, host| opened(mailing(&smtp, &[("smtp.tls", name), ("ssl.ca.pem", pem), ("smtp.host", host)]));
        for mut wrong in [sink(&other, "localhost"), sink(&pem, "127.0.0.1")] {
            again(deliver(wrong.as_mut(), &epochs));
        }
        assert!(smtp.taken().is_empty(), "{name}");
        deliver(sink(&pem, "localhost").as_mut(), &epochs).expect("taken");
        assert!(smtp.taken()[0].encrypted, "{name}");
    }
    // Whoever takes STARTTLS out of the answer gets nothing to read.
    let smtp = Smtp::start(Tls::None, |_| Turn::Go);
    let message = again(deliver(opened(mailing(&smtp, &[("smtp.tls", "starttls")])).as_mut(), &epochs));
    assert!(message.contains("STARTTLS") && smtp.taken().is_empty(), "{message}");
}
