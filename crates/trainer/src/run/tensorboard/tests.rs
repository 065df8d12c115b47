//! Bytes against those of TensorBoard's own protocol buffers, and files through a reader that shares no code with the
//! writer.

use super::*;
use crate::exit_code::ExitCode;

const STAMP: Stamp = Stamp { step: 300, wall_time: 1_700_000_001.25 };

/// Made by the package `tensorboard` 2.21.0: its `Event`, `SerializeToString` and `masked_crc32c`.
const GOLDEN: [&str; 4] = [
    "1800000000000000a37f4b220900002040fc54d9411a0d627261696e2e4576656e743a322b353110",
    "2c00000000000000f4aecc450900005040fc54d94110ac022a1e0a110a0a747261696e2f6c6f737315000020400a090a026c7215cdcccc3d\
     1e1cae9b",
    "2600000000000000734fe3000900005040fc54d94110ac022a180a160a0773616d706c6573220b0801100218032203504e470cd8ac20",
    "56000000000000004e2de2b20900005040fc54d94110ac022a480a460a01772a4109000000000000f0bf11000000000000f0bf1900000000\
     000000402100000000000000c02900000000000000403208000000000000f0bf3a08000000000000004019602503",
];

#[test]
fn bytes_are_those_of_tensorboard() {
    let events = [
        event::file_version(1_700_000_000.5),
        event::scalars(STAMP, &[("train/loss", 2.5), ("lr", 0.1)]),
        event::image(STAMP, "samples", [2, 1], b"PNG"),
        event::histogram(STAMP, "w", &Buckets::of(&[-1.0, -1.0]).unwrap()),
    ];
    for (event, golden) in events.iter().zip(GOLDEN) {
        let hexadecimal: String = record(event).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hexadecimal, golden);
    }
}

/// CRC32C bit by bit, masked.
fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc % 2 == 1 { (crc / 2) ^ 0x82f6_3b78 } else { crc / 2 };
        }
    }
    crc = !crc;
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The data of every record.
fn records(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(word(8), checksum(&bytes[..8]), "the checksum of a length");
        let data = &bytes[12..12 + length];
        assert_eq!(word(12 + length), checksum(data), "the checksum of the data");
        records.push(data);
        bytes = &bytes[16 + length..];
    }
    records
}

#[derive(Debug, Clone, PartialEq)]
enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

/// The fields of a message in their order.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let length = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        let (number, rest) = bytes.split_at(length);
        *bytes = rest;
        number.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
    }
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let mut take = |length: usize| {
            let (taken, rest) = bytes.split_at(length);
            bytes = rest;
            taken.to_vec()
        };
        let value = match key & 7 {
            0 => Field::Number(varint(&mut bytes)),
            1 => Field::Bytes(take(8)),
            5 => Field::Bytes(take(4)),
            2 => {
                let length = varint(&mut bytes) as usize;
                let (taken, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(taken.to_vec())
            }
            other => panic!("wire type {other}"),
        };
        fields.push((key >> 3, value));
    }
    fields
}

fn field(bytes: &[u8], number: u64) -> Field {
    let fields = fields(bytes);
    let found = fields.iter().find(|(found, _)| *found == number);
    found.unwrap_or_else(|| panic!("no field {number} in {fields:?}")).1.clone()
}

fn bytes(message: &[u8], number: u64) -> Vec<u8> {
    match field(message, number) {
        Field::Bytes(bytes) => bytes,
        Field::Number(number) => panic!("{number} is no bytes"),
    }
}

/// Step, tag and the bytes of field `kind` of every summary value in the file.
fn summaries(path: &Path, kind: u64) -> Vec<(u64, String, Vec<u8>)> {
    let file = fs::read(path).unwrap();
    let mut found = Vec::new();
    for event in records(&file).into_iter().skip(1) {
        let Field::Number(step) = field(event, 2) else { panic!("a step is a varint") };
        for (number, value) in fields(&bytes(event, 5)) {
            let Field::Bytes(value) = value else { panic!("a value is a message") };
            assert_eq!(number, 1);
            let tag = String::from_utf8(bytes(&value, 1)).unwrap();
            if fields(&value).iter().any(|(number, _)| *number == kind) {
                found.push((step, tag, bytes(&value, kind)));
            }
        }
    }
    found
}

fn double(bytes: &[u8]) -> f64 {
    f64::from_le_bytes(bytes.try_into().unwrap())
}

#[test]
fn what_was_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::create(&folder.path().join("run/tb")).unwrap();
    writer.scalars(STAMP, &[("train/loss", 2.5), ("lr", f64::NAN)]).unwrap();
    let image = RgbImage::from_fn(3, 2, |x, y| image::Rgb([x as u8, y as u8, 200]));
    writer.image(Stamp { step: 1 << 40, ..STAMP }, "samples/train", &image).unwrap();
    writer.histogram(STAMP, "weights/fc.bias", &[0.0, 1.0, 2.0]).unwrap();
    let before = writer.position();
    writer.histogram(STAMP, "weights/nothing", &[f32::NAN]).unwrap();
    assert_eq!(writer.position(), before);

    let path = folder.path().join("run/tb").join(writer.name());
    let file = fs::read(&path).unwrap();
    assert_eq!(file.len() as u64, writer.position(), "not all is with the operating system");
    let first = records(&file)[0];
    assert_eq!(bytes(first, 3), b"brain.Event:2");
    assert!(double(&bytes(first, 1)) > 1.7e9);

    let scalars = summaries(&path, 2);
    assert_eq!(scalars[0], (300, "train/loss".into(), 2.5_f32.to_le_bytes().to_vec()));
    assert_eq!((scalars[1].1.as_str(), scalars.len()), ("lr", 2));
    assert!(f32::from_le_bytes(scalars[1].2[..].try_into().unwrap()).is_nan());

    let [(step, tag, message)] = &summaries(&path, 4)[..] else { panic!("one image") };
    assert_eq!((*step, tag.as_str()), (1 << 40, "samples/train"));
    assert_eq!([1, 2, 3].map(|number| field(message, number)), [2, 3, 3].map(Field::Number));
    let decoded = image::load_from_memory(&bytes(message, 4)).unwrap();
    assert_eq!(decoded.as_rgb8(), Some(&image));

    let [(_, tag, message)] = &summaries(&path, 5)[..] else { panic!("one histogram") };
    assert_eq!(tag, "weights/fc.bias");
    assert_eq!([1, 2, 3, 4, 5].map(|number| double(&bytes(message, number))), [0., 2., 3., 3., 5.]);
    let packed = |number| -> Vec<f64> { bytes(message, number).chunks(8).map(double).collect() };
    assert_eq!((packed(6).len(), packed(6)[29]), (30, 2.0));
    assert_eq!(packed(7).iter().sum::<f64>(), 3.0);
}

#[test]
fn a_file_is_named_for_tensorboard() {
    let folder = tempfile::tempdir().unwrap();
    let writer = EventWriter::create(folder.path()).unwrap();
    let parts: Vec<&str> = writer.name().split('.').collect();
    assert_eq!(parts[..3], ["events", "out", "tfevents"]);
    assert!(parts[3].len() == 10 && parts[3].parse::<u64>().is_ok(), "{parts:?}");
    assert!(!parts[4].is_empty());
    assert_eq!(parts[5..], [std::process::id().to_string()]);
}

#[test]
fn a_run_that_goes_on_has_no_step_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::create(folder.path()).unwrap();
    let log = |writer: &mut EventWriter, step| {
        writer.scalars(Stamp { step, ..STAMP }, &[("loss", step as f64)]).unwrap();
    };
    log(&mut writer, 1);
    let (name, position) = (writer.name().to_string(), writer.position());
    log(&mut writer, 2);
    log(&mut writer, 3);
    writer.sync().unwrap();
    drop(writer);
    // Cut off in the middle of an event, as a crash leaves it.
    let path = folder.path().join(&name);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 5]).unwrap();

    let mut writer = EventWriter::reopen(folder.path(), &name, position).unwrap();
    assert_eq!((writer.position(), writer.name()), (position, name.as_str()));
    assert_eq!(fs::metadata(&path).unwrap().len(), position);
    log(&mut writer, 2);
    assert_eq!(fs::metadata(&path).unwrap().len(), writer.position());
    let steps: Vec<u64> = summaries(&path, 2).into_iter().map(|(step, ..)| step).collect();
    assert_eq!(steps, [1, 2]);
}

#[test]
fn a_file_that_cannot_go_on_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let writer = EventWriter::create(folder.path()).unwrap();
    let name = writer.name().to_string();
    let path = folder.path().join(&name);
    let before = fs::read(&path).unwrap();
    let refused = |name: &str, position| {
        let error = EventWriter::reopen(folder.path(), name, position).unwrap_err();
        (error.to_string(), error.exit_code())
    };
    let shown = path.display();
    let cannot = format!("cannot continue the event file {shown}: ");
    let cure = "; put it back as it was, or train from the start in a new folder";
    assert_eq!(
        refused(&name, 41),
        (format!("{cannot}it has 40 bytes where the run had written 41{cure}"), ExitCode::Data)
    );
    for position in [39, 0] {
        assert_eq!(
            refused(&name, position),
            (format!("{cannot}no event ends at byte {position}{cure}"), ExitCode::Data)
        );
    }
    let missing = format!("{PREFIX}1.host.2");
    let (text, code) = refused(&missing, 40);
    assert!(text.ends_with(&format!("{missing}: it is missing{cure}")), "{text}");
    assert_eq!(code, ExitCode::Data);
    for elsewhere in ["precious", "../events.out.tfevents.1", "events.out.tfevents.1/../x"] {
        let (text, code) = refused(elsewhere, 0);
        assert!(text.contains(&format!("{elsewhere:?} is no event file of this folder")), "{text}");
        assert_eq!(code, ExitCode::Data);
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}
