//! Protobuf: messages of a described type to columns and back. It must not know where descriptors come from.

mod body;
mod encode;
mod infer;

#[cfg(test)]
mod tests;

use prost_reflect::{DescriptorPool, MessageDescriptor};
use thalweg_core::{Error, Result};

pub(crate) use body::ProtobufBody;
pub use encode::ProtobufEncoder;
pub use infer::protobuf_fields;

/// A descriptor set longer than this (4 MiB) is refused.
pub const MAX_DESCRIPTOR_BYTES: usize = 4 * 1024 * 1024;

/// How Protobuf messages are read.
#[derive(Clone, Debug)]
pub struct ProtobufReader {
    /// The type of the messages.
    pub message: MessageDescriptor,
    /// Messages begin with a zero byte, the id of a schema and the path of the message in its file, as a
    /// Confluent-compatible registry has it.
    pub framed: bool,
}

/// The message `name` in a compiled `FileDescriptorSet` (`protoc --descriptor_set_out --include_imports`).
///
/// # Errors
/// Not a descriptor set, or no such message in it; the error names those that are.
pub fn protobuf_message(descriptor_set: &[u8], name: &str) -> Result<MessageDescriptor> {
    if descriptor_set.len() > MAX_DESCRIPTOR_BYTES {
        return Err(Error::invalid(format!(
            "a descriptor set of {} bytes; the limit is {MAX_DESCRIPTOR_BYTES}",
            descriptor_set.len()
        )));
    }
    let pool = DescriptorPool::decode(descriptor_set).map_err(|e| {
        Error::invalid_with_hint(
            format!("not a Protobuf descriptor set: {e}"),
            "Make one with protoc --include_imports --descriptor_set_out=schema.pb schema.proto.",
        )
    })?;
    pool.get_message_by_name(name).ok_or_else(|| {
        let names: Vec<String> = pool.all_messages().take(20).map(|m| m.full_name().to_owned()).collect();
        Error::invalid_with_hint(
            format!("the descriptor set has no message '{name}'"),
            format!("It has: {}.", names.join(", ")),
        )
    })
}

/// The header of a framed message: a zero byte, the id of the schema, and the path to the message type: the indexes of
/// the types that contain it, outermost first, and its own.
pub fn protobuf_frame(id: u32, message: &MessageDescriptor) -> Vec<u8> {
    // A descriptor's path alternates the number of a field of the descriptor and an index in it.
    let indexes: Vec<i32> = message.path().iter().skip(1).step_by(2).copied().collect();
    let mut out = crate::avro::frame(id).to_vec();
    if indexes == [0] {
        out.push(0);
        return out;
    }
    let mut number = |value: i64| {
        let mut rest = ((value << 1) ^ (value >> 63)) as u64;
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    };
    number(indexes.len() as i64);
    indexes.iter().for_each(|i| number(i64::from(*i)));
    out
}
