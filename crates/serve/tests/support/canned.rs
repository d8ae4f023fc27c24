//! Statements that the fake backend knows: words, not SQL.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::*;
use futures_util::StreamExt;
use futures_util::stream;
use thalweg_core::{DeadLetter, PG_TYPE, SqlError, SqlState};
use thalweg_serve::backend::*;

/// A session that answers canned statements:
/// `types`, `rows N`, `echo TYPE` (returns `$1`), `fail`, `late N` (an error after N rows), `wait` (until cancelled),
/// `stuck` (for ever), `panic`, `begin`, `commit`, `set NAME VALUE`, `notice TEXT`, `login`, `copy in|out LAYOUT`,
/// `done TAG`, `drip` (a row, then nothing), `params`.
pub struct Canned {
    login: Login,
    status: TransactionStatus,
    changes: Vec<(String, String)>,
    notices: Vec<SqlError>,
    copying: Vec<RecordBatch>,
    copied: Arc<Mutex<Vec<RecordBatch>>>,
}

impl Canned {
    pub fn new(login: Login, copied: Arc<Mutex<Vec<RecordBatch>>>) -> Self {
        let changes = [("server_version", "16.0"), ("client_encoding", "UTF8")];
        let changes = changes.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
        Self { login, status: TransactionStatus::Idle, changes, notices: vec![], copying: vec![], copied }
    }
}

pub fn field(name: &str, data_type: DataType, pg: &str) -> Field {
    let field = Field::new(name, data_type, true);
    if pg.is_empty() { field } else { field.with_metadata(HashMap::from([(PG_TYPE.to_owned(), pg.to_owned())])) }
}

fn error(state: SqlState, message: &str) -> SqlError {
    SqlError::new(state, message)
}

/// One row of every type, then one of nulls.
pub fn every_type() -> RecordBatch {
    let micros = 1_704_164_645_123_000; // 2024-01-02 03:04:05.123
    let item = Arc::new(Field::new_list_field(DataType::Int32, true));
    let mut ints = ListBuilder::new(Int32Builder::new()).with_field(item);
    ints.append_value([Some(1), None, Some(3)]);
    let mut oids = ListBuilder::new(Int64Builder::new());
    oids.append_value([Some(23), Some(25)]);
    let mut texts = ListBuilder::new(StringBuilder::new());
    texts.append_value([Some("a b"), None, Some("NULL"), Some("q\"\\")]);
    let member = (Arc::new(Field::new("a", DataType::Int32, true)), Arc::new(Int32Array::from(vec![1])) as ArrayRef);
    let columns: Vec<(&str, &str, ArrayRef)> = vec![
        ("bool", "", Arc::new(BooleanArray::from(vec![true]))),
        ("int2", "", Arc::new(Int16Array::from(vec![-2]))),
        ("int4", "", Arc::new(Int32Array::from(vec![-4]))),
        ("int8", "", Arc::new(Int64Array::from(vec![-8]))),
        ("float4", "", Arc::new(Float32Array::from(vec![1.5]))),
        ("float8", "", Arc::new(Float64Array::from(vec![f64::NEG_INFINITY]))),
        (
            "numeric",
            "",
            Arc::new(Decimal128Array::from(vec![-12_345_678]).with_precision_and_scale(12, 3).expect("fits")),
        ),
        ("text", "", Arc::new(StringViewArray::from(vec!["grün"]))),
        ("varchar", "varchar", Arc::new(StringArray::from(vec!["v"]))),
        ("bytea", "", Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]]))),
        ("date", "", Arc::new(Date32Array::from(vec![19_724]))),
        ("time", "", Arc::new(Time64MicrosecondArray::from(vec![11_045_120_000]))),
        ("timestamp", "", Arc::new(TimestampMicrosecondArray::from(vec![micros]))),
        ("timestamptz", "", Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("+00:00"))),
        (
            "interval",
            "",
            Arc::new(IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(1, 2, 11_045_000_000_000)])),
        ),
        ("uuid", "", Arc::new(FixedSizeBinaryArray::try_from_iter([[0x11_u8; 16]].iter()).expect("16 bytes"))),
        ("int4s", "", Arc::new(ints.finish())),
        ("texts", "", Arc::new(texts.finish())),
        ("struct", "", Arc::new(StructArray::from(vec![member]))),
        ("jsonb", "jsonb", Arc::new(StringViewArray::from(vec!["{\"a\": 1}"]))),
        ("oid", "oid", Arc::new(Int64Array::from(vec![4_000_000_000]))),
        ("name", "name", Arc::new(StringViewArray::from(vec!["n"]))),
        ("char", "char", Arc::new(StringViewArray::from(vec!["r"]))),
        ("regclass", "regclass", Arc::new(Int32Array::from(vec![1259]))),
        ("uuidtext", "uuid", Arc::new(StringViewArray::from(vec!["11111111-1111-1111-1111-111111111111"]))),
        ("int2vector", "int2vector", Arc::new(StringViewArray::from(vec!["1 -2"]))),
        ("oidvector", "oidvector", Arc::new(oids.finish())),
        ("regtype", "regtype", Arc::new(StringViewArray::from(vec!["integer"]))),
        ("void", "void", Arc::new(StringViewArray::from(vec![""]))),
        ("u32", "", Arc::new(UInt32Array::from(vec![u32::MAX]))),
        ("u64", "", Arc::new(UInt64Array::from(vec![u64::MAX]))),
    ];
    let fields: Vec<Field> = columns.iter().map(|(name, pg, a)| field(name, a.data_type().clone(), pg)).collect();
    let arrays = columns.iter().map(|(_, _, a)| {
        let null = new_null_array(a.data_type(), 1);
        arrow::compute::concat(&[a.as_ref(), null.as_ref()]).expect("same types")
    });
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays.collect()).expect("fits")
}

/// `(n bigint, t text)`, a thousand rows a batch.
fn counted(rows: usize) -> (SchemaRef, RowStream) {
    let schema = Arc::new(Schema::new(vec![field("n", DataType::Int64, ""), field("t", DataType::Utf8View, "")]));
    let own = Arc::clone(&schema);
    let batches = stream::iter((0..rows).step_by(1000)).map(move |start| {
        let numbers = start..rows.min(start + 1000);
        let texts = StringViewArray::from_iter_values(numbers.clone().map(|n| format!("row {n}")));
        let numbers = Int64Array::from_iter_values(numbers.map(|n| n as i64));
        Ok(RecordBatch::try_new(Arc::clone(&own), vec![Arc::new(numbers), Arc::new(texts)]).expect("fits"))
    });
    (schema, batches.boxed())
}

fn one_row(batch: RecordBatch, tag: &'static str) -> Answer {
    Answer::Rows { schema: batch.schema(), rows: stream::iter([Ok(batch)]).boxed(), tag }
}

fn echoed(name: &str) -> Field {
    let data_type = match name {
        "bool" => DataType::Boolean,
        "int2" => DataType::Int16,
        "int4" => DataType::Int32,
        "int8" => DataType::Int64,
        "float4" => DataType::Float32,
        "float8" => DataType::Float64,
        "numeric" => DataType::Decimal128(20, 4),
        "bytea" => DataType::Binary,
        "date" => DataType::Date32,
        "time" => DataType::Time64(TimeUnit::Microsecond),
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        "interval" => DataType::Interval(IntervalUnit::MonthDayNano),
        "int4s" => DataType::List(Arc::new(Field::new_list_field(DataType::Int32, true))),
        "texts" => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8View, true))),
        "oid" => return field("echo", DataType::Int64, "oid"),
        "jsonb" => return field("echo", DataType::Utf8View, "jsonb"),
        _ => DataType::Utf8View,
    };
    field("echo", data_type, "")
}

/// What COPY takes and gives.
pub fn copy_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        field("a", DataType::Int32, ""),
        field("b", DataType::Utf8View, ""),
        field("c", DataType::Timestamp(TimeUnit::Microsecond, None), ""),
    ]))
}

fn copy_rows() -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![Some(1), None, Some(3)])),
        Arc::new(StringViewArray::from(vec![Some("tab\there"), Some(""), None])),
        Arc::new(TimestampMicrosecondArray::from(vec![Some(1_704_164_645_123_000), None, Some(0)])),
    ];
    RecordBatch::try_new(copy_schema(), columns).expect("fits")
}

fn layout(name: &str) -> CopyLayout {
    let header = name.ends_with("header");
    match name.split('-').next() {
        Some("text") => CopyLayout::Text { delimiter: b'\t', null: "\\N".into(), header },
        Some("csv") => CopyLayout::Csv { delimiter: b',', null: String::new(), header, quote: b'"', escape: b'"' },
        _ => CopyLayout::Binary,
    }
}

impl Session for Canned {
    type Statement = String;

    fn parse(&mut self, text: &str) -> Result<Vec<String>, SqlError> {
        let statements: Vec<String> = text.split(';').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect();
        if statements.iter().any(|s| s == "bad") {
            return Err(error(SqlState::SYNTAX_ERROR, "syntax error at or near \"bad\"").at(1));
        }
        Ok(statements)
    }

    async fn describe(&mut self, statement: &String, given: &[Option<DataType>]) -> Result<Description, SqlError> {
        let words: Vec<&str> = statement.split(' ').collect();
        let mut parameters = Vec::new();
        let columns = match words[0] {
            "echo" => {
                let mut echo = echoed(words[1]);
                if let Some(Some(given)) = given.first() {
                    echo = echo.with_data_type(given.clone());
                }
                parameters.push(Arc::new(echo.clone()));
                Some(Arc::new(Schema::new(vec![echo])))
            }
            "types" => Some(every_type().schema()),
            "rows" | "late" | "drip" | "changed" => Some(counted(0).0),
            "undescribable" => return Err(error(SqlState::UNDEFINED_TABLE, "relation \"x\" does not exist")),
            _ => None,
        };
        Ok(Description { parameters, columns })
    }

    async fn execute(&mut self, statement: &String, parameters: &[ArrayRef]) -> Result<Answer, SqlError> {
        if self.status == TransactionStatus::Failed && !statement.eq_ignore_ascii_case("rollback") {
            return Err(error(SqlState::FAILED_TRANSACTION, "current transaction is aborted"));
        }
        let (word, rest) = statement.split_once(' ').unwrap_or((statement, ""));
        let number = || rest.parse().expect("a number");
        match word {
            "types" => Ok(one_row(every_type(), "SELECT")),
            "rows" => {
                let (schema, rows) = counted(number());
                Ok(Answer::Rows { schema, rows, tag: "SELECT" })
            }
            "changed" => Ok(one_row(every_type(), "SELECT")),
            "late" => {
                let (schema, rows) = counted(number());
                let end = stream::iter([Err(error(SqlState::DIVISION_BY_ZERO, "division by zero"))]);
                Ok(Answer::Rows { schema, rows: rows.chain(end).boxed(), tag: "SELECT" })
            }
            "drip" => {
                let (schema, rows) = counted(1);
                Ok(Answer::Rows { schema, rows: rows.chain(stream::pending()).boxed(), tag: "SELECT" })
            }
            "echo" => {
                let echo = echoed(rest);
                let no_parameter = || error(SqlState::UNDEFINED_PARAMETER, "there is no parameter $1");
                let value = parameters.first().ok_or_else(no_parameter)?;
                let value = match value.data_type() {
                    DataType::Utf8 => cast(value, echo.data_type())
                        .map_err(|e| error(SqlState::INVALID_TEXT_REPRESENTATION, &e.to_string()))?,
                    _ => Arc::clone(value),
                };
                let echo = echo.with_data_type(value.data_type().clone());
                let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![echo])), vec![value]).expect("fits");
                Ok(one_row(batch, "SELECT"))
            }
            "show" => {
                let value = Arc::new(StringArray::from(vec!["v"])) as ArrayRef;
                Ok(one_row(RecordBatch::try_from_iter([("x", value)]).expect("fits"), "SHOW"))
            }
            "login" => {
                let login = format!("{}@{} {:?}", self.login.user, self.login.database, self.login.settings);
                let value = Arc::new(StringArray::from(vec![login])) as ArrayRef;
                Ok(one_row(RecordBatch::try_from_iter([("login", value)]).expect("fits"), "SHOW"))
            }
            "fail" => Err(error(SqlState::DIVISION_BY_ZERO, "division by zero").detail("d").hint("h").at(3)),
            "wait" => {
                self.login.cancel.cancelled().await;
                Err(error(SqlState::QUERY_CANCELED, "canceling statement due to user request"))
            }
            "stuck" => std::future::pending().await,
            "panic" => panic!("a canned panic"),
            "begin" | "START" => {
                self.status = TransactionStatus::InBlock;
                Ok(Answer::Done("BEGIN".into()))
            }
            "commit" | "rollback" | "COMMIT" | "ROLLBACK" => {
                self.status = TransactionStatus::Idle;
                Ok(Answer::Done(word.to_uppercase()))
            }
            "set" => {
                let (name, value) = rest.split_once(' ').expect("name and value");
                self.changes.push((name.to_owned(), value.to_owned()));
                Ok(Answer::Done("SET".into()))
            }
            "notice" => {
                self.notices.push(error(SqlState::SUCCESS, rest));
                Ok(Answer::Done("NOTICE".into()))
            }
            "copy" => {
                let (way, how) = rest.split_once(' ').expect("a way and a layout");
                let (schema, layout) = (copy_schema(), layout(how));
                let rows = stream::iter([Ok(copy_rows())]).boxed();
                Ok(match way {
                    "in" => Answer::CopyIn { schema, layout },
                    _ => Answer::CopyOut { schema, rows, layout },
                })
            }
            "done" => Ok(Answer::Done(rest.to_owned())),
            other => Err(error(SqlState::UNDEFINED_OBJECT, &format!("no canned statement {other}"))),
        }
    }

    async fn copy_rows(&mut self, rows: RecordBatch) -> Result<(), SqlError> {
        self.copying.push(rows);
        Ok(())
    }

    async fn copy_done(&mut self) -> Result<u64, SqlError> {
        let batches = std::mem::take(&mut self.copying);
        let rows = batches.iter().map(|b| b.num_rows() as u64).sum();
        *self.copied.lock().expect("not poisoned") = batches;
        Ok(rows)
    }

    fn copy_fail(&mut self) {
        self.copying.clear();
    }

    fn ingest_target(&mut self, _: &str) -> Result<IngestTarget, SqlError> {
        Err(error(SqlState::UNDEFINED_TABLE, "no such relation"))
    }

    async fn ingest(
        &mut self,
        _: &IngestTarget,
        _: Vec<RecordBatch>,
        _: Vec<DeadLetter>,
    ) -> Result<Ingested, IngestError> {
        Ok(Ingested::default())
    }

    async fn subscribe(&mut self, _: &str, _: Option<u64>) -> Result<Subscription, SqlError> {
        Err(error(SqlState::FEATURE_NOT_SUPPORTED, "not here"))
    }

    fn status(&self) -> TransactionStatus {
        self.status
    }

    fn abort(&mut self) {
        if self.status == TransactionStatus::InBlock {
            self.status = TransactionStatus::Failed;
        }
    }

    fn sync(&mut self) {}

    fn parameter_changes(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.changes)
    }

    fn notices(&mut self) -> Vec<SqlError> {
        std::mem::take(&mut self.notices)
    }
}
