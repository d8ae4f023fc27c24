//! The options of a sink, read once and held against its stream. It must not open connections before it is asked to.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use thalweg_core::{Error, Result, SinkError};
use thalweg_formats::{MAX_DESCRIPTOR_BYTES, MessageDescriptor, frame, protobuf_frame, protobuf_message};

use super::client::Client;
use super::layout::read;
use super::options::topic;
use super::records::{RecordEncoder, RowEncoder, Style};
use super::registry::{Refusal, Registry};
use crate::registry::EpochSinkRequest;
use crate::target_key::key_columns;

/// The options of a sink.
#[derive(Clone, Debug)]
pub(super) struct SinkOptions {
    pub(super) client: Client,
    pub(super) topic: String,
    pub(super) progress_topic: String,
    /// In transactions; otherwise each record at least once.
    pub(super) exactly_once: bool,
    pub(super) records: RecordEncoder,
    registry: Option<Registry>,
    message: Option<MessageDescriptor>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encode {
    Json,
    Avro,
    Protobuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Plain,
    Upsert,
    Debezium,
}

/// What a word of option `format` says.
type Format = (Option<Form>, Option<Encode>);

impl SinkOptions {
    /// Reads the options of `request` and refuses what does not fit its stream.
    pub(super) fn parse(request: &EpochSinkRequest) -> Result<Self> {
        let mut options = request.options.clone();
        let topic = topic(&mut options)?;
        let client = Client::take(&mut options)?;
        let progress_topic = options.take("progress.topic").unwrap_or_else(|| "thalweg-progress".to_owned());
        let exactly_once = options.choice("delivery", &[("exactly_once", true), ("at_least_once", false)], true)?;
        const FORMATS: &[(&str, Format)] = &[
            ("plain", (Some(Form::Plain), None)),
            ("upsert", (Some(Form::Upsert), None)),
            ("debezium", (Some(Form::Debezium), None)),
            ("json", (None, Some(Encode::Json))),
            ("avro", (None, Some(Encode::Avro))),
            ("protobuf", (None, Some(Encode::Protobuf))),
        ];
        const ENCODES: &[(&str, Option<Encode>)] =
            &[("json", Some(Encode::Json)), ("avro", Some(Encode::Avro)), ("protobuf", Some(Encode::Protobuf))];
        const TYPES: &[(&str, Option<Form>)] =
            &[("append-only", Some(Form::Plain)), ("upsert", Some(Form::Upsert)), ("debezium", Some(Form::Debezium))];
        let (form, implied) = options.choice("format", FORMATS, (None, None))?;
        let encode = options.choice("encode", ENCODES, implied)?.unwrap_or(Encode::Json);
        let kind = options.choice("type", TYPES, None)?;
        let forced = options.parse("force_append_only", false, "true or false")?;
        let primary_key = options.take("primary_key");
        let text_key = options.choice("key.encode", &[("json", false), ("text", true)], false)?;
        let registry = Registry::take(&mut options)?;
        let message = options.take("message");
        let location = options.take("schema.location");
        options.finish()?;

        if form.is_some() && kind.is_some() && form != kind {
            return Err(Error::invalid("options format and type contradict each other"));
        }
        let default = if request.append_only || forced { Form::Plain } else { Form::Upsert };
        let style = match form.or(kind).unwrap_or(default) {
            Form::Plain if !request.append_only && !forced => {
                return Err(Error::invalid_with_hint(
                    "the query takes rows back, and type = 'append-only' cannot say so",
                    "Use type = 'upsert' with primary_key, or add force_append_only = 'true' to leave such changes out.",
                ));
            }
            Form::Plain => Style::Append { forced: !request.append_only },
            Form::Upsert => Style::Upsert,
            Form::Debezium if encode != Encode::Json => {
                return Err(Error::Unsupported("a sink in format 'debezium' with another encoding than json".into()));
            }
            Form::Debezium => Style::Debezium,
        };
        let upserts = !matches!(style, Style::Append { .. });
        let columns = key_columns(primary_key.as_deref(), request, upserts)?;
        let key = match &columns {
            None => None,
            Some(columns) => {
                let schema = Arc::new(request.schema.project(columns)?);
                Some((columns.clone(), key_encoder(&schema, &topic, encode, text_key)?))
            }
        };
        let message = match (encode, message, location) {
            (Encode::Protobuf, Some(message), Some(location)) => {
                Some(protobuf_message(&read(&location, MAX_DESCRIPTOR_BYTES)?, &message)?)
            }
            (Encode::Protobuf, _, _) => {
                return Err(Error::invalid_with_hint(
                    "encode = 'protobuf' needs the type of the messages and its descriptors",
                    "Add message = 'package.Message' and schema.location = 'schema.pb'.",
                ));
            }
            _ => None,
        };
        let value = match (encode, &message) {
            (Encode::Avro, _) if registry.is_none() => {
                return Err(Error::invalid_with_hint(
                    "encode = 'avro' needs a registry for the schema",
                    "Add schema.registry = 'http://registry:8081'.",
                ));
            }
            (Encode::Avro, _) => RowEncoder::avro(&request.schema, &format!("{topic}_value"))?,
            (Encode::Protobuf, Some(message)) => RowEncoder::protobuf(&request.schema, message.clone())?,
            _ => RowEncoder::json(&request.schema),
        };
        let records = RecordEncoder { style, value, key };
        Ok(Self { client, topic, progress_topic, exactly_once, records, registry, message })
    }

    /// Registers the schemas of what is sent; the records carry their ids from then on.
    pub(super) fn prepare(&mut self) -> Result<(), SinkError> {
        let Some(registry) = &self.registry else { return Ok(()) };
        let refused = |what: &str, refusal: Refusal| match refusal {
            Refusal::Again(_) => SinkError::Again(registry.error(what, refusal)),
            Refusal::Final(_) => SinkError::Fatal(registry.error(what, refusal)),
        };
        let value = format!("{}-value", self.topic);
        match (&mut self.records.value, &self.message) {
            (RowEncoder::Avro { encoder, prefix }, _) => {
                let id = registry.register(&value, "AVRO", encoder.schema()).map_err(|r| refused(&value, r))?;
                *prefix = frame(id).to_vec();
            }
            // Only the text of a .proto file could be registered: whoever has it does.
            (RowEncoder::Protobuf { prefix, .. }, Some(message)) => {
                let subject = registry.latest(&value).map_err(SinkError::Fatal)?;
                *prefix = protobuf_frame(subject.id, message);
            }
            _ => {}
        }
        if let Some((_, RowEncoder::Avro { encoder, prefix })) = &mut self.records.key {
            let key = format!("{}-key", self.topic);
            let id = registry.register(&key, "AVRO", encoder.schema()).map_err(|r| refused(&key, r))?;
            *prefix = frame(id).to_vec();
        }
        Ok(())
    }
}

fn key_encoder(schema: &SchemaRef, topic: &str, encode: Encode, text: bool) -> Result<RowEncoder> {
    if text {
        if schema.fields().len() != 1 {
            return Err(Error::invalid_with_hint(
                "key.encode = 'text' needs one key column",
                "Use key.encode = 'json'.",
            ));
        }
        return Ok(RowEncoder::Text);
    }
    match encode {
        Encode::Avro => RowEncoder::avro(schema, &format!("{topic}_key")),
        Encode::Json | Encode::Protobuf => Ok(RowEncoder::json(schema)),
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};
    use thalweg_core::Options;

    use super::*;

    fn request(pairs: &[(&str, &str)], key: Option<Vec<usize>>, append_only: bool) -> EpochSinkRequest {
        let given = [("topic", "t"), ("properties.bootstrap.server", "127.0.0.1:1")];
        EpochSinkRequest {
            name: "s".to_owned(),
            id: "1".to_owned(),
            cluster: "c".to_owned(),
            connector: "kafka".to_owned(),
            options: Options::new(given.iter().chain(pairs).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))),
            schema: Arc::new(Schema::new(vec![
                Field::new("id", DataType::Int64, false),
                Field::new("n", DataType::Int64, true),
            ])),
            key,
            append_only,
            disk: None,
        }
    }

    #[test]
    fn what_the_stream_is_decides_what_may_be_sent() {
        let of = |pairs: &[(&str, &str)], key, append| SinkOptions::parse(&request(pairs, key, append));
        assert_eq!(of(&[], None, true).expect("appends").records.style, Style::Append { forced: false });
        assert_eq!(of(&[], Some(vec![0]), false).expect("upserts").records.style, Style::Upsert);
        let forced = of(&[("force_append_only", "true")], None, false).expect("forced").records.style;
        assert_eq!(forced, Style::Append { forced: true });
        let debezium = of(&[("format", "debezium"), ("primary_key", "id,n")], Some(vec![0]), false);
        assert_eq!(debezium.expect("more columns are unique too").records.style, Style::Debezium);
        for (pairs, key, append, part) in [
            (&[("type", "append-only")][..], Some(vec![0]), false, "force_append_only"),
            (&[("type", "upsert")][..], None, true, "Add primary_key"),
            (&[("primary_key", "n")][..], Some(vec![0]), false, "Use primary_key = 'id'"),
            (&[("primary_key", "ids")][..], Some(vec![0]), false, "Did you mean id?"),
            (&[("type", "upsert"), ("format", "plain")][..], Some(vec![0]), false, "contradict"),
            (&[("encode", "avro")][..], None, true, "schema.registry"),
            (&[("encode", "protobuf")][..], None, true, "schema.location"),
            (&[("delivery", "once")][..], None, true, "exactly_once"),
            (&[("topc", "t")][..], None, true, "Did you mean topic?"),
        ] {
            let message = of(pairs, key, append).expect_err("wrong").to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
