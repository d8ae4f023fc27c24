//! How records are to be read, from the options of a source. It must not know brokers.

use std::path::Path;

use arrow::datatypes::{Schema, SchemaRef};
use thalweg_core::{Error, Options, Result};
use thalweg_formats::record::{Encoding, Envelope, Metadata, RecordDecoder, RecordLayout};
use thalweg_formats::{
    AvroReader, CsvStyle, MAX_DESCRIPTOR_BYTES, ProtobufReader, Unit, avro_fields, protobuf_fields, protobuf_message,
};

use super::registry::{Registry, Subject};

/// The options that say what a record means.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) envelope: Envelope,
    pub(super) encode: Encode,
    include: Vec<(String, Metadata)>,
    key: Vec<String>,
    /// Keys are Avro, or they are JSON and text; as values are, unless it is given.
    key_avro: Option<bool>,
    unit: Unit,
    pub(super) registry: Option<Registry>,
    subject: Option<String>,
    message: Option<String>,
    location: Option<String>,
    style: CsvStyle,
}

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encode {
    Json,
    Csv,
    Bytes,
    Avro,
    Protobuf,
}

const ENCODES: &[(&str, Option<Encode>)] = &[
    ("json", Some(Encode::Json)),
    ("csv", Some(Encode::Csv)),
    ("bytes", Some(Encode::Bytes)),
    ("avro", Some(Encode::Avro)),
    ("protobuf", Some(Encode::Protobuf)),
];

impl Layout {
    /// Takes the options; `topic` names the subject in the registry.
    pub(super) fn take(options: &mut Options, topic: &str) -> Result<Self> {
        // FORMAT envelope ENCODE encoding; one word that is an encoding means plain rows of it.
        const FORMATS: &[(&str, (Envelope, Option<Encode>))] = &[
            ("plain", (Envelope::Plain, None)),
            ("upsert", (Envelope::Upsert, None)),
            ("debezium", (Envelope::Debezium, None)),
            ("json", (Envelope::Plain, Some(Encode::Json))),
            ("csv", (Envelope::Plain, Some(Encode::Csv))),
            ("bytes", (Envelope::Plain, Some(Encode::Bytes))),
            ("avro", (Envelope::Plain, Some(Encode::Avro))),
            ("protobuf", (Envelope::Plain, Some(Encode::Protobuf))),
        ];
        let (envelope, implied) = options.choice("format", FORMATS, (Envelope::Plain, None))?;
        let encode = options.choice("encode", ENCODES, implied)?.unwrap_or(Encode::Json);
        const KEYS: &[(&str, Option<bool>)] = &[("json", Some(false)), ("text", Some(false)), ("avro", Some(true))];
        let key_avro = options.choice("key.encode", KEYS, None)?;
        let include = options.take("include").map_or_else(|| Ok(Vec::new()), |text| parse_include(&text))?;
        let key = options.take("key.columns").unwrap_or_default();
        let key = key.split(',').map(|c| c.trim().to_owned()).filter(|c| !c.is_empty()).collect();
        const UNITS: &[(&str, Option<Unit>)] = &[
            ("guess", Some(Unit::Guess)),
            ("guess_number_unit", Some(Unit::Guess)),
            ("milli", Some(Unit::Millis)),
            ("micro", Some(Unit::Micros)),
        ];
        let unit = options.choice("timestamptz.handling.mode", UNITS, None)?;
        let default = if envelope == Envelope::Debezium { Unit::Guess } else { Unit::Millis };
        let registry = Registry::take(options)?;
        let subject = options.take("schema.registry.subject");
        let message = options.take("message");
        let location = options.take("schema.location");
        let delimiter = options.take("delimiter").unwrap_or_else(|| ",".to_owned());
        let delimiter = match (delimiter.as_str(), delimiter.as_bytes()) {
            ("\\t" | "tab", _) => b'\t',
            (_, [one]) if one.is_ascii() && !matches!(one, b'"' | b'\n' | b'\r') => *one,
            _ => return Err(Error::invalid(format!("option delimiter = '{delimiter}' is not one ASCII character"))),
        };
        let style = CsvStyle { delimiter, null: options.take("null").unwrap_or_default() };
        let layout = Self {
            envelope,
            encode,
            include,
            key,
            key_avro,
            unit: unit.unwrap_or(default),
            registry,
            subject: subject.or_else(|| Some(format!("{topic}-value"))),
            message,
            location,
            style,
        };
        layout.check()?;
        Ok(layout)
    }

    fn check(&self) -> Result<()> {
        if self.envelope == Envelope::Debezium && !matches!(self.encode, Encode::Json | Encode::Avro) {
            return Err(Error::invalid_with_hint(
                "format = 'debezium' needs encode = 'json' or 'avro'",
                "Other encodings have no envelope of Debezium.",
            ));
        }
        if self.key_avro == Some(true) && self.registry.is_none() {
            return Err(Error::invalid_with_hint(
                "key.encode = 'avro' needs a registry for the schema of the keys",
                "Add schema.registry = 'http://registry:8081'.",
            ));
        }
        match self.encode {
            Encode::Avro if self.registry.is_none() && self.location.is_none() => Err(Error::invalid_with_hint(
                "encode = 'avro' needs the schema of the values",
                "Add schema.registry = 'http://registry:8081', or schema.location = 'schema.avsc'.",
            )),
            Encode::Protobuf if self.message.is_none() => Err(Error::invalid_with_hint(
                "encode = 'protobuf' needs the type of the messages",
                "Add message = 'package.Message'.",
            )),
            Encode::Protobuf if self.location.is_none() => Err(Error::invalid_with_hint(
                "encode = 'protobuf' needs the compiled descriptors",
                "Add schema.location = 'schema.pb', made with protoc --include_imports --descriptor_set_out.",
            )),
            _ => Ok(()),
        }
    }

    /// The columns that the schema of the values has.
    pub(super) fn infer(&self) -> Result<SchemaRef> {
        let mut fields = match self.encode {
            Encode::Avro => {
                let text = self.avro_schema()?.ok_or_else(|| Error::Internal("no schema to infer from".to_owned()))?;
                avro_fields(&text, self.envelope == Envelope::Debezium)?
            }
            Encode::Protobuf => protobuf_fields(&self.message()?),
            _ => {
                return Err(Error::invalid_with_hint(
                    "records in this encoding do not tell their columns",
                    "List the columns: CREATE SOURCE name (id BIGINT, …) WITH (connector = 'kafka', …).",
                ));
            }
        };
        fields.extend(self.include.iter().map(|(name, what)| what_field(name, what)));
        Ok(std::sync::Arc::new(Schema::new(fields)))
    }

    /// A decoder for rows of `declared`.
    pub(super) fn decoder(&self, declared: &SchemaRef) -> Result<RecordDecoder> {
        let column = |name: &str, option: &str| {
            declared.index_of(name).map_err(|_| {
                Error::invalid_with_hint(
                    format!("option {option} names column {name}, which the source does not have"),
                    "Declare the column, or correct the option.",
                )
            })
        };
        let metadata = self.include.iter().map(|(name, what)| Ok((column(name, "include")?, what.clone())));
        let metadata = metadata.collect::<Result<_>>()?;
        let key = self.key.iter().map(|name| column(name, "key.columns")).collect::<Result<_>>()?;
        let avro = |schema| AvroReader { framed: self.registry.is_some(), schema };
        let encoding = match self.encode {
            Encode::Json => Encoding::Json,
            Encode::Csv => Encoding::Csv(self.style.clone()),
            Encode::Bytes => Encoding::Bytes,
            // With a registry the writer's schema comes with each record; the declared columns are the reader's.
            Encode::Avro if self.registry.is_some() => Encoding::Avro(avro(None)),
            Encode::Avro => Encoding::Avro(avro(self.avro_schema()?)),
            Encode::Protobuf => {
                Encoding::Protobuf(ProtobufReader { message: self.message()?, framed: self.registry.is_some() })
            }
        };
        let framed_avro = self.encode == Encode::Avro && self.registry.is_some();
        let avro_key = self.key_avro.unwrap_or(framed_avro);
        let key_avro = avro_key.then_some(AvroReader { framed: true, schema: None });
        let layout = RecordLayout { envelope: self.envelope, encoding, metadata, key, key_avro, unit: self.unit };
        RecordDecoder::new(SchemaRef::clone(declared), layout)
    }

    /// The Avro schema of the values: from the file, or the newest of the subject.
    fn avro_schema(&self) -> Result<Option<String>> {
        if let Some(location) = &self.location {
            let bytes = read(location, thalweg_formats::MAX_SCHEMA_BYTES)?;
            let text = String::from_utf8(bytes);
            return Ok(Some(text.map_err(|_| Error::invalid(format!("{location} is not text in UTF-8")))?));
        }
        let (Some(registry), Some(subject)) = (&self.registry, &self.subject) else { return Ok(None) };
        let Subject { schema, .. } = registry.latest(subject)?;
        Ok(Some(schema))
    }

    fn message(&self) -> Result<thalweg_formats::MessageDescriptor> {
        let (Some(location), Some(message)) = (&self.location, &self.message) else {
            return Err(Error::Internal("Protobuf without its descriptors".to_owned()));
        };
        protobuf_message(&read(location, MAX_DESCRIPTOR_BYTES)?, message)
    }
}

/// All of a file of at most `limit` bytes.
pub(super) fn read(location: &str, limit: usize) -> Result<Vec<u8>> {
    let path = Path::new(location.strip_prefix("file://").unwrap_or(location));
    if location.contains("://") && !location.starts_with("file://") {
        return Err(Error::Unsupported(format!("schema.location = '{location}'; use a file of the server")));
    }
    let length = std::fs::metadata(path).map_err(|e| Error::io(path, e))?.len();
    if length > limit as u64 {
        return Err(Error::invalid(format!("{location} has {length} bytes; the limit is {limit}")));
    }
    std::fs::read(path).map_err(|e| Error::io(path, e))
}

/// `key as k, partition, header 'trace' as t`.
fn parse_include(text: &str) -> Result<Vec<(String, Metadata)>> {
    let mut found = Vec::new();
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let words: Vec<&str> = part.split_whitespace().collect();
        let (what, name) = match words.as_slice() {
            [what @ .., last_as, name] if last_as.eq_ignore_ascii_case("as") => (what, Some(*name)),
            what => (what, None),
        };
        let metadata = match what {
            [word] => match word.to_lowercase().as_str() {
                "key" => Metadata::Key,
                "partition" => Metadata::Partition,
                "offset" => Metadata::Offset,
                "timestamp" => Metadata::Timestamp,
                "header" | "headers" => Metadata::Headers,
                _ => return Err(bad_include(part)),
            },
            [word, header] if word.eq_ignore_ascii_case("header") => {
                Metadata::Header(header.trim_matches('\'').to_owned())
            }
            _ => return Err(bad_include(part)),
        };
        let default = format!("_kafka_{}", what[0].to_lowercase());
        found.push((name.map_or(default, str::to_owned), metadata));
    }
    Ok(found)
}

fn bad_include(part: &str) -> Error {
    Error::invalid_with_hint(
        format!("option include: '{part}' is not known"),
        "Write include = 'key as k, partition as p, offset as o, timestamp as t, headers as h, header ''name'' as n'.",
    )
}

fn what_field(name: &str, what: &Metadata) -> arrow::datatypes::Field {
    use arrow::datatypes::{DataType, Field, TimeUnit};
    match what {
        Metadata::Key | Metadata::Header(_) => Field::new(name, DataType::Binary, true),
        Metadata::Partition => Field::new(name, DataType::Int32, true),
        Metadata::Offset => Field::new(name, DataType::Int64, true),
        Metadata::Timestamp => {
            Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())), true)
        }
        Metadata::Headers => Field::new(name, DataType::Utf8View, true)
            .with_metadata([("ARROW:extension:name".to_owned(), "arrow.json".to_owned())].into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(pairs: &[(&str, &str)]) -> Result<Layout> {
        let mut options = Options::new(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        let layout = Layout::take(&mut options, "t")?;
        options.finish()?;
        Ok(layout)
    }

    #[test]
    fn one_word_or_two_say_the_format() {
        let of = |pairs: &[(&str, &str)]| take(pairs).map(|l| (l.envelope, l.encode)).expect("valid");
        assert_eq!(of(&[]), (Envelope::Plain, Encode::Json));
        assert_eq!(of(&[("format", "csv")]), (Envelope::Plain, Encode::Csv));
        assert_eq!(of(&[("format", "debezium")]), (Envelope::Debezium, Encode::Json));
        assert_eq!(of(&[("format", "UPSERT"), ("encode", "JSON")]), (Envelope::Upsert, Encode::Json));
        for (pairs, part) in [
            (&[("format", "debezium"), ("encode", "csv")][..], "needs encode = 'json' or 'avro'"),
            (&[("format", "avro")][..], "schema.registry"),
            (&[("format", "protobuf")][..], "message"),
            (&[("format", "jsn")][..], "Did you mean 'json'?"),
            (&[("include", "ky")][..], "'ky' is not known"),
        ] {
            let message = take(pairs).expect_err("wrong").to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn included_columns_have_names() {
        let include = parse_include("key as k, partition, HEADER 'trace' AS t, headers").expect("valid");
        let named: Vec<(&str, &Metadata)> = include.iter().map(|(n, m)| (n.as_str(), m)).collect();
        assert_eq!(named[0], ("k", &Metadata::Key));
        assert_eq!(named[1], ("_kafka_partition", &Metadata::Partition));
        assert_eq!(named[2], ("t", &Metadata::Header("trace".to_owned())));
        assert_eq!(named[3], ("_kafka_headers", &Metadata::Headers));
    }
}
