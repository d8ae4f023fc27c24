//! One Parquet file: its footer, checked against the declared columns, and its row groups. It must not know splits.

use std::any::Any;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Type as PhysicalType;
use thalweg_core::{Error, Result, Watermark};

use super::convert::{self, Conversion, sql_name};

/// How one wanted column comes out of the file.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// Position among the columns that the reader yields.
    pub(crate) position: usize,
    /// What then happens to it.
    pub(crate) conversion: Conversion,
}

/// A file whose footer was read and whose columns fit.
#[derive(Clone, Debug)]
pub(crate) struct ParquetFile {
    /// Where it is.
    pub(crate) path: Arc<Path>,
    /// What its rejected rows are said to be from.
    pub(crate) name: Arc<Path>,
    metadata: ArrowReaderMetadata,
    mask: ProjectionMask,
    /// One per wanted column.
    pub(crate) columns: Vec<Column>,
}

impl ParquetFile {
    /// Reads the footer of the file at `path` and checks the columns of `wanted` against it.
    pub(crate) fn open(path: &Path, wanted: &Schema) -> Result<Self> {
        let metadata = footer(path)?;
        let schema = Arc::clone(metadata.schema());
        let mut roots = Vec::with_capacity(wanted.fields().len());
        let mut conversions = Vec::with_capacity(wanted.fields().len());
        for field in wanted.fields() {
            let index = find(&schema, field.name()).ok_or_else(|| missing(path, field.name(), &schema))?;
            let found = schema.field(index).data_type();
            let conversion = convert::plan(found, field.data_type()).ok_or_else(|| mismatch(path, field, found))?;
            roots.push(index);
            conversions.push(conversion);
        }
        let mut ascending = roots.clone();
        ascending.sort_unstable();
        ascending.dedup();
        let columns = roots
            .iter()
            .zip(conversions)
            .map(|(root, conversion)| Column { position: ascending.partition_point(|r| r < root), conversion })
            .collect();
        let mask = ProjectionMask::roots(metadata.parquet_schema(), ascending);
        let path: Arc<Path> = Arc::from(path);
        Ok(Self { name: Arc::clone(&path), path, metadata, mask, columns })
    }

    /// The same file, called `name`.
    pub(crate) fn named(self, name: &Path) -> Self {
        Self { name: Arc::from(name), ..self }
    }

    /// How many row groups it has.
    pub(crate) fn row_groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// How many rows row group `index` has, and how many come before it in the file.
    pub(crate) fn rows_of(&self, index: usize) -> (u64, u64) {
        let groups = self.metadata.metadata().row_groups();
        let rows = |g: &parquet::file::metadata::RowGroupMetaData| u64::try_from(g.num_rows()).unwrap_or(0);
        (rows(&groups[index]), groups[..index].iter().map(rows).sum())
    }

    /// Bytes of row group `index` on disk, wanted columns or not.
    pub(crate) fn bytes_of(&self, index: usize) -> u64 {
        u64::try_from(self.metadata.metadata().row_group(index).compressed_size()).unwrap_or(0)
    }

    /// The least event time in each row group, where its statistics tell it.
    pub(crate) fn lower_bounds(&self, event_time: &Field) -> Vec<Option<Watermark>> {
        let unknown = vec![None; self.row_groups()];
        contained(|| self.minima(event_time)).ok().flatten().unwrap_or(unknown)
    }

    fn minima(&self, event_time: &Field) -> Option<Vec<Option<Watermark>>> {
        let schema = self.metadata.schema();
        let name = schema.field(find(schema, event_time.name())?).name();
        let converter = StatisticsConverter::try_new(name, schema, self.metadata.parquet_schema()).ok()?;
        let minima = converter.row_group_mins(self.metadata.metadata().row_groups().iter()).ok()?;
        let conversion = convert::plan(minima.data_type(), event_time.data_type())?;
        let minima = conversion.apply(minima, event_time.data_type()).ok()?;
        let minima = minima.as_primitive_opt::<TimestampMicrosecondType>()?;
        Some(minima.iter().map(|t| t.map(Watermark)).collect())
    }

    /// A reader of row group `index` that skips `skip` rows and yields batches of `batch` rows.
    pub(crate) fn read(&self, index: usize, skip: u64, batch: usize) -> Result<ParquetRecordBatchReader> {
        let file = File::open(&self.path).map_err(|e| Error::io(self.path.to_path_buf(), e))?;
        let skip = usize::try_from(skip).map_err(|_| Error::Internal("a row number beyond memory".to_owned()))?;
        let built = contained(|| {
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
                .with_projection(self.mask.clone())
                .with_row_groups(vec![index])
                .with_batch_size(batch)
                .with_offset(skip)
                .build()
        });
        built.and_then(|b| b.map_err(|e| e.to_string())).map_err(|reason| corrupt(&self.path, &reason))
    }
}

/// The columns of a Parquet file in Thalweg's types.
pub(crate) fn infer(path: &Path) -> Result<SchemaRef> {
    let metadata = footer(path)?;
    let mut fields = Vec::new();
    for field in metadata.schema().fields() {
        let data_type = convert::natural_type(field.data_type()).ok_or_else(|| {
            Error::invalid_with_hint(
                format!(
                    "{}: column {} has type {}, which has no SQL type",
                    path.display(),
                    field.name(),
                    field.data_type()
                ),
                "List the columns you want in CREATE SOURCE.",
            )
        })?;
        fields.push(Field::new(field.name(), data_type, field.is_nullable()));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// A corrupt file, named.
pub(crate) fn corrupt(path: &Path, reason: &str) -> Error {
    Error::Data(format!("{}: not a readable Parquet file: {reason}", path.display()))
}

/// Runs code that decodes bytes nobody vouches for: the decoder may panic on them, and a panic must stay a bad file.
pub(crate) fn contained<T>(work: impl FnOnce() -> T) -> std::result::Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| format!("damaged content ({})", message(panic.as_ref())))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "no reason given",
    }
}

fn footer(path: &Path) -> Result<ArrowReaderMetadata> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let read = contained(|| {
        // The types come from Parquet alone: what another writer noted of Arrow would bring dictionaries and large strings.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let plain = ArrowReaderMetadata::load(&file, options)?;
        let int96: Vec<bool> = plain
            .schema()
            .fields()
            .iter()
            .map(|f| plain.parquet_schema().columns().iter().any(|c| is_int96(c, f.name())))
            .collect();
        let fields: Vec<Field> = plain
            .schema()
            .fields()
            .iter()
            .zip(int96)
            .map(|(f, int96)| f.as_ref().clone().with_data_type(convert::reader_type(f.data_type(), int96)))
            .collect();
        let hinted = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
        ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), hinted)
    });
    read.and_then(|r| r.map_err(|e| e.to_string())).map_err(|reason| corrupt(path, &reason))
}

fn is_int96(column: &parquet::schema::types::ColumnDescriptor, name: &str) -> bool {
    column.physical_type() == PhysicalType::INT96 && column.path().parts() == [name]
}

/// The column called `name`; SQL folds names to lower case, so that a single match without case will do.
fn find(schema: &Schema, name: &str) -> Option<usize> {
    if let Ok(index) = schema.index_of(name) {
        return Some(index);
    }
    let mut folded = schema.fields().iter().enumerate().filter(|(_, f)| f.name().eq_ignore_ascii_case(name));
    match (folded.next(), folded.next()) {
        (Some((index, _)), None) => Some(index),
        _ => None,
    }
}

fn missing(path: &Path, name: &str, schema: &Schema) -> Error {
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let near = names.iter().max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
    let near = near.filter(|n| strsim::jaro_winkler(n, name) > 0.75).map(|n| format!("Did you mean {n}? "));
    Error::invalid_with_hint(
        format!("{} has no column {name}", path.display()),
        format!("{}Its columns are {}.", near.unwrap_or_default(), names.join(", ")),
    )
}

fn mismatch(path: &Path, field: &Field, found: &DataType) -> Error {
    let hint = match convert::natural_type(found) {
        Some(natural) => format!("Declare it as {} and cast it in the query.", sql_name(&natural)),
        None => "Leave it out of the column list.".to_owned(),
    };
    Error::invalid_with_hint(
        format!(
            "column {} is declared as {}, but {} holds {}",
            field.name(),
            sql_name(field.data_type()),
            path.display(),
            sql_name(found)
        ),
        hint,
    )
}

/// The paths of a list of files, for messages and splits.
pub(crate) fn open_all(paths: &[PathBuf], wanted: &Schema) -> Result<Vec<ParquetFile>> {
    paths.iter().map(|path| ParquetFile::open(path, wanted)).collect()
}
