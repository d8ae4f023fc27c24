//! What clients ask of the system catalogs, and what they are told: their own queries over a small database, answers
//! compared with golden rows. It must not know how answers come about.

mod sample;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::Query;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::SystemCatalog;
use crate::spelling::as_postgres_reads;

fn parsed(text: &str) -> Result<Query, String> {
    let mut parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(text).map_err(|e| e.to_string())?;
    let mut query = parser.parse_query().map_err(|e| e.to_string())?;
    as_postgres_reads(query.as_mut()).map_err(|e| e.to_string())?;
    Ok(*query)
}

/// The names of the columns and the rows.
async fn answered(catalog: &SystemCatalog, text: &str, given: &[ScalarValue]) -> Result<(String, Vec<String>), String> {
    let query = parsed(text)?;
    let planned = catalog.plan(&query, &|_| None).map_err(|e| format!("{}: {e}", e.state.0))?;
    let names: Vec<String> = planned.schema().fields().iter().map(|field| field.name().clone()).collect();
    let batches = planned.rows(given).await.map_err(|e| format!("{}: {e}", e.state.0))?;
    let rows = batches.iter().flat_map(shown).collect();
    Ok((names.join("|"), rows))
}

fn shown(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::new().with_null("");
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|c| ArrayFormatter::try_new(c, &options).expect("a type that can be shown"))
        .collect();
    let row = |at: usize| {
        let values: Vec<String> = columns.iter().map(|c| c.value(at).to_string().replace('\n', "\\n")).collect();
        values.join("|")
    };
    (0..batch.num_rows()).map(row).collect()
}

/// Runs what `file` asks: `-- name`, a query, `----`, the names of the columns, the rows, an empty line. With
/// `THALWEG_BLESS` set, writes what is answered now into it.
fn golden(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/system/tests").join(file);
    let text = std::fs::read_to_string(&path).expect("the golden file");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let catalog = sample::catalog();
    let (mut now, mut wrong) = (String::new(), String::new());
    for case in text.split("\n\n-- ") {
        let case = case.trim_start_matches("-- ").trim_end();
        let (name, rest) = case.split_once('\n').expect("a name and a query");
        let (query, expected) = rest.split_once("\n----").unwrap_or((rest, ""));
        let answer = match runtime.block_on(answered(&catalog, query, &[])) {
            Ok((names, rows)) => [vec![names], rows].concat().join("\n"),
            Err(error) => format!("ERROR: {error}"),
        };
        if answer.trim_end() != expected.trim() {
            let _ = writeln!(wrong, "-- {name}\n{query}\n---- expected\n{}\n---- got\n{answer}\n", expected.trim());
        }
        let _ = write!(now, "-- {name}\n{query}\n----\n{}\n\n", answer.trim_end());
    }
    if std::env::var_os("THALWEG_BLESS").is_some() {
        std::fs::write(&path, now).expect("the golden file can be written");
    } else {
        assert!(wrong.is_empty(), "{wrong}");
    }
}

#[test]
fn psql() {
    golden("psql.txt");
}

#[test]
fn pgjdbc() {
    golden("pgjdbc.txt");
}

#[test]
fn sqlalchemy() {
    golden("sqlalchemy.txt");
}

#[test]
fn drivers() {
    golden("drivers.txt");
}

#[test]
fn tools() {
    golden("tools.txt");
}

#[test]
fn language() {
    golden("language.txt");
}

#[test]
fn every_system_relation_can_be_read() {
    let catalog = sample::catalog();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    for relation in super::columns::all() {
        let text = format!("SELECT * FROM {}.{}", relation.schema, relation.name);
        let (names, _) = runtime.block_on(answered(&catalog, &text, &[])).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(names.split('|').count(), relation.columns.len(), "{text}");
    }
}

#[test]
fn queries_about_the_system_are_told_from_others() {
    let catalog = sample::catalog();
    let told = |text: &str| {
        let query = parsed(text).expect("a query");
        (catalog.answers(&query), super::concerns(&query))
    };
    assert_eq!(told("SELECT * FROM pg_class"), (true, true));
    assert_eq!(told("SELECT version()"), (true, false));
    assert_eq!(told("SELECT * FROM orders"), (false, false));
    assert_eq!(told("SELECT * FROM tables"), (false, false));
    assert_eq!(told("SELECT * FROM orders, pg_catalog.pg_class"), (false, true));
    assert_eq!(told("WITH orders AS (SELECT oid FROM pg_class) SELECT * FROM orders"), (true, true));
    assert_eq!(told("SELECT 1 FROM pg_class WHERE oid IN (SELECT id FROM orders)"), (false, true));
    assert_eq!(told("SELECT * FROM information_schema.tables, generate_series(1, 2)"), (true, true));
}

#[test]
fn parameters_and_columns_are_described() {
    let catalog = sample::catalog();
    let query =
        parsed("SELECT oid, relname, relkind, reltuples FROM pg_class WHERE relname = $1 AND oid = ANY ($2::oid[])")
            .expect("a query");
    let planned = catalog.plan(&query, &|_| None).expect("a plan");
    let parameters = planned.parameters().expect("parameters");
    assert_eq!(*parameters[0].data_type(), DataType::Utf8View);
    let numbers = DataType::List(Arc::new(Field::new_list_field(DataType::Int32, true)));
    assert_eq!(*parameters[1].data_type(), numbers);
    let schema = planned.schema();
    let named: Vec<_> = schema.fields().iter().map(|f| f.metadata().get(thalweg_core::PG_TYPE).cloned()).collect();
    assert_eq!(
        named,
        ["oid", "name", "char"].map(|n| Some(n.to_owned())).into_iter().chain([None]).collect::<Vec<_>>()
    );
    let oids = ScalarValue::List(ScalarValue::new_list_nullable(
        &[ScalarValue::Int32(Some(sample::ORDERS)), ScalarValue::Int32(Some(1))],
        &DataType::Int32,
    ));
    let given = [ScalarValue::Utf8View(Some("orders".to_owned())), oids];
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let rows = runtime.block_on(planned.rows(&given)).expect("rows");
    assert_eq!(rows.iter().flat_map(shown).collect::<Vec<_>>(), ["16391|orders|r|3.0"]);
}

#[test]
fn catalogs_are_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    fn sent<T: Send>(_: T) {}
    let catalog = sample::catalog();
    shared(&catalog);
    let planned = catalog.plan(&parsed("SELECT 1").expect("a query"), &|_| None).expect("a plan");
    sent(planned.rows(&[]));
}
