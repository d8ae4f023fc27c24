//! Text and CSV, cut at every byte, well formed and not.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use proptest::prelude::*;
use thalweg_core::SqlState;

use super::*;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("a", DataType::Int32, true), Field::new("b", DataType::Utf8, true)]))
}

fn text() -> CopyLayout {
    CopyLayout::Text { delimiter: b'\t', null: "\\N".into(), header: false }
}

fn csv(header: bool) -> CopyLayout {
    CopyLayout::Csv { delimiter: b',', null: String::new(), header, quote: b'"', escape: b'"' }
}

type Row = (Option<i32>, Option<String>);

/// Reads `data` in two pieces, cut at `at`.
fn read(layout: &CopyLayout, data: &[u8], at: usize) -> Result<Vec<Row>, SqlError> {
    let mut reader = TextReader::new(schema(), layout, 1000);
    let mut rows = Vec::new();
    let mut take =
        |reader: &mut TextReader, last| -> Result<(), SqlError> {
            while let Some(batch) = reader.next(last)? {
                let (a, b) = (batch.column(0).as_primitive::<Int32Type>(), batch.column(1).as_string::<i32>());
                rows.extend((0..batch.num_rows()).map(|row| {
                    (a.is_valid(row).then(|| a.value(row)), b.is_valid(row).then(|| b.value(row).to_owned()))
                }));
            }
            Ok(())
        };
    reader.push(&data[..at]);
    take(&mut reader, false)?;
    reader.push(&data[at..]);
    take(&mut reader, true)?;
    Ok(rows)
}

fn row(a: Option<i32>, b: Option<&str>) -> Row {
    (a, b.map(str::to_owned))
}

#[test]
fn the_text_format_at_every_cut() {
    let data = b"1\ta\\tb\\\\\\x41\\101\r\n\\N\t\\N\n3\tline\\\nend\n4\t\n\\.\nnot looked at";
    let expected =
        [row(Some(1), Some("a\tb\\AA")), row(None, None), row(Some(3), Some("line\nend")), row(Some(4), Some(""))];
    for at in 0..=data.len() {
        assert_eq!(read(&text(), data, at).as_deref(), Ok(&expected[..]), "{at}");
    }
}

#[test]
fn csv_at_every_cut() {
    let data = b"a,b\n1,\"x,\"\"y\"\"\nz\"\n,\n3,\"\"\n4,un\"quo\"ted";
    let expected =
        [row(Some(1), Some("x,\"y\"\nz")), row(None, None), row(Some(3), Some("")), row(Some(4), Some("unquoted"))];
    for at in 0..=data.len() {
        assert_eq!(read(&csv(true), data, at).as_deref(), Ok(&expected[..]), "{at}");
    }
}

#[test]
fn errors_name_the_line_and_column() {
    let refused = |layout: &CopyLayout, data: &[u8]| {
        let error = read(layout, data, 0).expect_err("refused");
        (error.state, error.detail.unwrap_or_default())
    };
    let (format, value) = (SqlState::BAD_COPY_FILE_FORMAT, SqlState::INVALID_TEXT_REPRESENTATION);
    assert_eq!(refused(&text(), b"1\ta\nx\tb\n"), (value, "COPY, line 2, column a".into()));
    assert_eq!(refused(&csv(false), b"1,\"a\nb\"\nx,c\n"), (value, "COPY, line 3, column a".into()));
    assert_eq!(refused(&text(), b"1\ta\n2\n"), (format, "COPY, line 2".into()));
    assert_eq!(refused(&text(), b"1\ta\tc\n"), (format, "COPY, line 1".into()));
    assert_eq!(refused(&csv(false), b"1,\"a"), (format, "COPY, line 1".into()));
    assert_eq!(refused(&text(), &[b'1'; 2000]), (format, "COPY, line 1".into()));
    let bad = refused(&text(), b"1\t\xff\n");
    assert_eq!(bad, (SqlState::CHARACTER_NOT_IN_REPERTOIRE, "COPY, line 1".into()));
}

#[test]
fn many_rows_come_in_batches() {
    let data: String = (0..BATCH_ROWS + 10).map(|n| format!("{n}\tx\n")).collect();
    let mut reader = TextReader::new(schema(), &text(), 1000);
    reader.push(data.as_bytes());
    assert_eq!(reader.next(false).expect("good").map(|b| b.num_rows()), Some(BATCH_ROWS));
    assert_eq!(reader.next(false).expect("good").map(|b| b.num_rows()), None);
    assert_eq!(reader.next(true).expect("good").map(|b| b.num_rows()), Some(10));
    assert_eq!(reader.next(true).expect("good").map(|b| b.num_rows()), None);
}

proptest! {
    #[test]
    fn no_bytes_panic(data in proptest::collection::vec(prop_oneof![
        Just(b'\n'), Just(b'\\'), Just(b'"'), Just(b','), Just(b'\t'), Just(b'1'), any::<u8>()
    ], 0..60), cut in any::<prop::sample::Index>()) {
        let at = cut.index(data.len() + 1);
        for layout in [text(), csv(false)] {
            prop_assert_eq!(read(&layout, &data, at), read(&layout, &data, 0));
        }
    }
}
