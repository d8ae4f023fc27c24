//! Tests of the CSV decoder: records, quotes, rejects.

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};

use super::*;

type Row = (Option<i64>, Option<String>);

fn decoder(multiline: bool) -> CsvDecoder {
    let schema =
        Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true), Field::new("t", DataType::Utf8View, true)]));
    let layout = CsvLayout { style: CsvStyle::default(), fields: 3, positions: vec![0, 2], multiline };
    CsvDecoder::new(schema, layout).expect("known types")
}

fn decode(decoder: &mut CsvDecoder, text: &[u8], last: bool) -> (Vec<Row>, Vec<(u64, String)>, usize) {
    let origin: Arc<str> = "test".into();
    let decoded = decoder.decode(Input { bytes: text, origin: &origin, offset: 0, last }, 1000).expect("never fails");
    let numbers = decoded.rows.column(0).as_primitive::<Int64Type>().iter();
    let texts = decoded.rows.column(1).as_string_view().iter().map(|t| t.map(str::to_owned));
    let dead = decoded.dead.into_iter().map(|d| (d.offset, d.reason)).collect();
    (numbers.zip(texts).collect(), dead, decoded.consumed)
}

fn row(n: impl Into<Option<i64>>, t: &str) -> Row {
    (n.into(), Some(t.to_owned()))
}

#[test]
fn quotes_nulls_and_line_ends() {
    let text = b"1,x,one\r\n2,\"a,b\",\"say \"\"hi\"\"\"\r\n,,\n3,,\"\"\n\n 4 ,,last";
    for multiline in [false, true] {
        let (rows, dead, consumed) = decode(&mut decoder(multiline), text, true);
        assert_eq!(rows, [row(1, "one"), row(2, "say \"hi\""), (None, None), row(3, ""), row(4, "last")]);
        assert_eq!((dead, consumed), (Vec::new(), text.len()));
    }
}

#[test]
fn line_ends_in_quotes() {
    let text = b"1,,\"a\nb\"\n2,,c\n";
    let (rows, dead, _) = decode(&mut decoder(true), text, true);
    assert_eq!((rows, dead), (vec![row(1, "a\nb"), row(2, "c")], Vec::new()));
    let (rows, dead, _) = decode(&mut decoder(false), text, true);
    assert_eq!(rows, [row(2, "c")]);
    assert_eq!(dead.len(), 2);
    for cut in 0..9 {
        assert_eq!(decode(&mut decoder(true), &text[..cut], false).2, 0, "a record that is not all there waits");
    }
}

#[test]
fn bad_records_do_not_take_good_ones_with_them() {
    for multiline in [false, true] {
        for (bad, reason) in [
            (&b"x,,t"[..], "column n: not an integer"),
            (b"9223372036854775808,,t", "column n: number out of range"),
            (b"1,2", "too few fields"),
            (b"1,2,3,4", "too many fields"),
            (b"1,\"a\"b,c", "text after a closing quote"),
            (b"1,\xff,c", "not valid UTF-8"),
            (b"1,b,\xff", "not valid UTF-8"),
        ] {
            let text = [b"1,,a\n", bad, b"\n2,,b\n"].concat();
            let (rows, dead, _) = decode(&mut decoder(multiline), &text, true);
            assert_eq!(rows, [row(1, "a"), row(2, "b")], "{}", String::from_utf8_lossy(bad));
            assert_eq!(dead, [(5, reason.to_owned())]);
        }
        let (rows, dead, _) = decode(&mut decoder(multiline), b"1,,a\n7,\"open,c\n2,,b\n", true);
        assert_eq!(rows, [row(1, "a"), row(2, "b")]);
        assert_eq!(dead, [(5, "a quote is not closed".to_owned())]);
    }
}

/// Found by the fuzz target: with invalid UTF-8 elsewhere in the input such a quote was taken for an opening one.
#[test]
fn a_quote_within_a_field_opens_nothing_whatever_else_is_in_the_input() {
    for multiline in [false, true] {
        let text = b"1,,a\n\xff\n2,,x\"y\n3,,\"z\"\n4,,:\"";
        let (rows, dead, _) = decode(&mut decoder(multiline), text, true);
        assert_eq!(rows, [row(1, "a"), row(2, "x\"y"), row(3, "z"), row(4, ":\"")]);
        assert_eq!(dead, [(5, "not valid UTF-8".to_owned())]);
    }
}

#[test]
fn a_header_is_read_like_a_record() {
    let fields = csv_fields(b"a,\"b \"\"c\"\"\",,d\r\n", &CsvStyle::default());
    assert_eq!(fields, [Some("a".to_owned()), Some("b \"c\"".to_owned()), None, Some("d".to_owned())]);
}
