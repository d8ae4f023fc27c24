//! The binary formats, out and in, against bytes that PostgreSQL would send.

mod support;

use std::error::Error;

use bytes::{BufMut, BytesMut};
use postgres_types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use support::{open, told};

/// A value's bytes as they are on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wire(Vec<u8>);

impl<'a> FromSql<'a> for Wire {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for Wire {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn hex(text: &str) -> Wire {
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b' ').collect();
    let (pairs, _) = digits.as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex");
    Wire(pairs.iter().map(byte).collect())
}

/// Name, type, and the bytes that PostgreSQL 16 sends for the value.
const EXPECTED: &[(&str, &str, &str)] = &[
    ("bool", "bool", "01"),
    ("int2", "int2", "fffe"),
    ("int4", "int4", "fffffffc"),
    ("int8", "int8", "fffffffffffffff8"),
    ("float4", "float4", "3fc00000"),
    ("float8", "float8", "fff0000000000000"),
    ("numeric", "numeric", "0003 0001 4000 0003 0001 0929 1a7c"),
    ("text", "text", "67 72 c3bc 6e"),
    ("varchar", "varchar", "76"),
    ("bytea", "bytea", "00ff"),
    ("date", "date", "0000223f"),
    ("time", "time", "0000000292572800"),
    ("timestamp", "timestamp", "0002b0ec8517d3b8"),
    ("timestamptz", "timestamptz", "0002b0ec8517d3b8"),
    ("interval", "interval", "0000000292555340 00000002 00000001"),
    ("uuid", "uuid", "11111111111111111111111111111111"),
    ("int4s", "_int4", "00000001 00000001 00000017 00000003 00000001 00000004 00000001 ffffffff 00000004 00000003"),
    (
        "texts",
        "_text",
        "00000001 00000001 00000019 00000004 00000001 00000003 612062 ffffffff 00000004 4e554c4c 00000003 71225c",
    ),
    ("struct", "jsonb", "01 7b2261223a317d"),
    ("jsonb", "jsonb", "01 7b2261223a20317d"),
    ("oid", "oid", "ee6b2800"),
    ("name", "name", "6e"),
    ("char", "char", "72"),
    ("regclass", "regclass", "000004eb"),
    ("uuidtext", "uuid", "11111111111111111111111111111111"),
    ("int2vector", "int2vector", "00000001 00000000 00000015 00000002 00000000 00000002 0001 00000002 fffe"),
    ("oidvector", "oidvector", "00000001 00000000 0000001a 00000002 00000000 00000004 00000017 00000004 00000019"),
    ("regtype", "text", "696e7465676572"),
    ("void", "void", ""),
    ("u32", "int8", "00000000ffffffff"),
    ("u64", "numeric", "0005 0004 0000 0000 0734 1a58 02e1 03bb 064f"),
];

#[tokio::test]
async fn every_type_leaves_in_its_binary_form() {
    let door = open().await;
    let rows = door.client().await.query("types", &[]).await.expect("rows");
    for (n, (name, own, bytes)) in EXPECTED.iter().enumerate() {
        let column = &rows[0].columns()[n];
        assert_eq!((column.name(), column.type_().name()), (*name, *own));
        assert_eq!(rows[0].get::<_, Option<Wire>>(n), Some(hex(bytes)), "{name}");
        assert_eq!(rows[1].get::<_, Option<Wire>>(n), None, "{name}");
    }
    assert_eq!(rows[0].columns().len(), EXPECTED.len());
}

#[tokio::test]
async fn binary_parameters_come_back_the_same() {
    let door = open().await;
    let client = door.client().await;
    for (name, _, bytes) in EXPECTED {
        let own = ["bool", "int2", "int4", "int8", "float4", "float8", "text", "bytea", "date", "time", "timestamp"];
        if !own.contains(name) && !["timestamptz", "interval", "int4s", "texts", "jsonb", "oid"].contains(name) {
            continue;
        }
        let row = client.query_one(&format!("echo {name}"), &[&hex(bytes)]).await.expect("echoed");
        assert_eq!(row.get::<_, Wire>(0), hex(bytes), "{name}");
        let none = client.query_one(&format!("echo {name}"), &[&None::<Wire>]).await.expect("echoed");
        assert_eq!(none.get::<_, Option<Wire>>(0), None, "{name}");
    }
    // The scale is the column's: numeric(20, 4).
    let row = client.query_one("echo numeric", &[&hex("0002 0000 4000 0001 0001 1388")]).await.expect("echoed");
    assert_eq!(row.get::<_, Wire>(0), hex("0002 0000 4000 0004 0001 1388"));
}

#[tokio::test]
async fn parameters_of_a_named_type_are_read_as_that_type() {
    let door = open().await;
    let client = door.client().await;
    let statement = client.prepare_typed("echo text", &[Type::UUID]).await.expect("prepared");
    assert_eq!(statement.params(), [Type::UUID]);
    let row = client.query_one(&statement, &[&Wire(vec![0x11; 16])]).await.expect("echoed");
    assert_eq!(row.get::<_, Wire>(0), Wire(b"11111111-1111-1111-1111-111111111111".to_vec()));
    let statement = client.prepare_typed("echo text", &[Type::INT2]).await.expect("prepared");
    assert_eq!(statement.columns()[0].type_(), &Type::INT2);
    assert_eq!(client.query_one(&statement, &[&7_i16]).await.expect("echoed").get::<_, i16>(0), 7);
}

#[tokio::test]
async fn binary_nonsense_is_refused_and_the_session_goes_on() {
    let door = open().await;
    let client = door.client().await;
    for (name, bytes) in [
        ("int4", "00"),
        ("int8", "0000"),
        ("bool", ""),
        ("interval", "00000000"),
        ("numeric", "0001 0000 0000 0000"),
        ("jsonb", "02 7b7d"),
        ("int4s", "00000001"),
        ("int4s", "00000001 00000000 00000017 7fffffff 00000001"),
        ("int4s", "00000002 00000000 00000017 00000001 00000001 00000001 00000001"),
        ("int4s", "00000001 00000000 00000017 00000001 00000001 00000008 00000001"),
    ] {
        let error = client.query_one(&format!("echo {name}"), &[&hex(bytes)]).await.expect_err("refused");
        assert_eq!(told(&error).0, "22P03", "{name} {bytes}");
    }
    for (name, bytes) in [("date", "7fffffff"), ("timestamp", "7ffffffffffffffe"), ("time", "7fffffffffffffff")] {
        let error = client.query_one(&format!("echo {name}"), &[&hex(bytes)]).await.expect_err("refused");
        assert_eq!(told(&error).0, "22003", "{name}");
    }
    let error = client.query_one("echo text", &[&Wire(vec![0xff])]).await.expect_err("refused");
    assert_eq!(told(&error).0, "22021");
    assert_eq!(client.query_one("echo int4", &[&7_i32]).await.expect("echoed").get::<_, i32>(0), 7);
}

#[tokio::test]
async fn a_long_array_comes_back_whole() {
    let door = open().await;
    let client = door.client().await;
    let numbers: Vec<Option<i32>> = (0..10_000).map(|n| (n % 7 != 0).then_some(n)).collect();
    let row = client.query_one("echo int4s", &[&numbers]).await.expect("echoed");
    assert_eq!(row.get::<_, Vec<Option<i32>>>(0), numbers);
}
