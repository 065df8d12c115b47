//! Events as bytes: field numbers are those of TensorFlow's `event.proto` and `summary.proto`.

use super::buckets::Buckets;
use crate::protobuf::Message;

/// The required content of the first event of a file.
const FILE_VERSION: &str = "brain.Event:2";

/// `Summary.Image.colorspace` of RGB.
const RGB: u64 = 3;

/// The step and the time of an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stamp {
    /// Counted from 1 over the whole run.
    pub(crate) step: u64,
    /// Seconds since 1970.
    pub(crate) wall_time: f64,
}

/// The first event of a file.
pub(super) fn file_version(wall_time: f64) -> Vec<u8> {
    Message::default().double(1, wall_time).bytes(3, FILE_VERSION.as_bytes()).encode()
}

/// A number for each tag.
pub(super) fn scalars(stamp: Stamp, values: &[(&str, f64)]) -> Vec<u8> {
    summary(stamp, values.iter().map(|(tag, value)| named(tag).float(2, *value as f32)))
}

/// An encoded image.
pub(super) fn image(stamp: Stamp, tag: &str, [width, height]: [u32; 2], png: &[u8]) -> Vec<u8> {
    let image = Message::default()
        .integer(1, u64::from(height))
        .integer(2, u64::from(width))
        .integer(3, RGB)
        .bytes(4, png);
    summary(stamp, [named(tag).message(4, image)])
}

/// A histogram.
pub(super) fn histogram(stamp: Stamp, tag: &str, buckets: &Buckets) -> Vec<u8> {
    let histogram = Message::default()
        .double(1, buckets.min)
        .double(2, buckets.max)
        .double(3, buckets.count as f64)
        .double(4, buckets.sum)
        .double(5, buckets.sum_of_squares)
        .doubles(6, &buckets.limits)
        .doubles(7, &buckets.counts);
    summary(stamp, [named(tag).message(5, histogram)])
}

/// A `Summary.Value` whose value is to follow.
fn named(tag: &str) -> Message {
    Message::default().bytes(1, tag.as_bytes())
}

fn summary(stamp: Stamp, values: impl IntoIterator<Item = Message>) -> Vec<u8> {
    let summary =
        values.into_iter().fold(Message::default(), |summary, value| summary.message(1, value));
    Message::default()
        .double(1, stamp.wall_time)
        .integer(2, stamp.step)
        .message(5, summary)
        .encode()
}
