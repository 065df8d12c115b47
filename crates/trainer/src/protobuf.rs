//! The little of Protocol Buffers' wire format that events and networks are made of, so that no code generator is needed.
//!
//! A field is its number and wire type as one varint, then the value: a varint, eight or four bytes little-endian, or a
//! length and that many bytes. Fields of value zero are written too: a reader takes either.

/// The encoding of the value after a key.
#[derive(Debug, Clone, Copy)]
enum WireType {
    Varint = 0,
    EightBytes = 1,
    Delimited = 2,
    FourBytes = 5,
}

/// A message that is being written, field by field.
#[derive(Debug, Default)]
pub(crate) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// A `double`.
    pub(crate) fn double(mut self, field: u32, value: f64) -> Self {
        self.key(field, WireType::EightBytes);
        self.bytes.extend(value.to_le_bytes());
        self
    }

    /// A `float`.
    pub(crate) fn float(mut self, field: u32, value: f32) -> Self {
        self.key(field, WireType::FourBytes);
        self.bytes.extend(value.to_le_bytes());
        self
    }

    /// An `int32` or `int64` that is not negative.
    pub(crate) fn integer(mut self, field: u32, value: u64) -> Self {
        self.key(field, WireType::Varint);
        self.varint(value);
        self
    }

    /// A `string` or `bytes`.
    pub(crate) fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.key(field, WireType::Delimited);
        self.varint(value.len() as u64);
        self.bytes.extend(value);
        self
    }

    /// A message within this one; a repeated field is this, repeated.
    pub(crate) fn message(self, field: u32, value: Message) -> Self {
        self.bytes(field, &value.bytes)
    }

    /// A `repeated double`, packed.
    pub(crate) fn doubles(self, field: u32, values: &[f64]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.bytes(field, &bytes)
    }

    /// The bytes of the message.
    pub(crate) fn encode(self) -> Vec<u8> {
        self.bytes
    }

    fn key(&mut self, field: u32, wire_type: WireType) {
        self.varint(u64::from(field) << 3 | wire_type as u64);
    }

    /// Seven bits a byte, the lowest first, with the eighth set where more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_wire_formats_own_documentation() {
        assert_eq!(Message::default().integer(1, 150).encode(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().bytes(2, b"testing").encode(), b"\x12\x07testing");
        let inner = Message::default().integer(1, 150);
        assert_eq!(Message::default().message(3, inner).encode(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
    }

    #[test]
    fn numbers_of_every_length() {
        assert_eq!(Message::default().integer(2, 0).encode(), [0x10, 0]);
        assert_eq!(Message::default().integer(2, 127).encode(), [0x10, 0x7f]);
        assert_eq!(Message::default().integer(2, 128).encode(), [0x10, 0x80, 1]);
        let largest = Message::default().integer(2, i64::MAX as u64).encode();
        assert_eq!(largest, [&[0x10][..], &[0xff; 8], &[0x7f]].concat());
        assert_eq!(Message::default().float(2, 1.0).encode(), [0x15, 0, 0, 0x80, 0x3f]);
        assert_eq!(Message::default().double(1, 1.0).encode(), *b"\x09\0\0\0\0\0\0\xf0\x3f");
        let packed = Message::default().doubles(20, &[1.0, -1.0]).encode();
        assert_eq!(packed[..3], [0xa2, 0x01, 16]);
        assert_eq!(packed.len(), 3 + 16);
    }
}
