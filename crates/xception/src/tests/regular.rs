//! The cost of a network with regular convolutions in place of its separable ones, by hand.

use super::*;
use crate::summary::LayerRow;
use crate::{HalfNames, Order};

fn count(table: &Architecture, classes: i64, side: i64) -> Summary {
    Summary::new(table, classes, side).unwrap()
}

fn of(preset: Preset) -> Summary {
    count(&ModelSpec::new(preset).architecture().unwrap(), preset.classes(), preset.input())
}

fn row<'a>(summary: &'a Summary, name: &str) -> &'a LayerRow {
    summary.layers.iter().find(|row| row.name == name).unwrap()
}

/// Seeds/003 and /004: D² · M · (K² + N) against D² · K² · M · N, so K² · N / (K² + N) times as many.
#[test]
fn a_layer_takes_the_posts_formula() {
    let (side, k, channels) = (19 * 19, 9, 728);
    let summary = of(Preset::Xception);
    let [spatial, channel] =
        ["conv1", "pointwise"].map(|half| row(&summary, &format!("block4.rep.1.{half}")));
    assert_eq!(spatial.macs + channel.macs, side * channels * (k + channels));
    assert_eq!(spatial.macs_regular, side * k * channels * channels);
    assert_eq!(spatial.params_regular, k * channels * channels);
    assert_eq!((channel.macs_regular, channel.params_regular), (0, 0));
    let ratio = spatial.macs_regular as f64 / (spatial.macs + channel.macs) as f64;
    let expected = (k * channels) as f64 / (k + channels) as f64;
    assert!((ratio - expected).abs() < 1e-12, "{ratio}");
}

/// Channels in, channels out and the side of the map, for each of the 34 separable convolutions of figure 5.
#[test]
fn the_papers_network_is_the_sum_of_its_layers() {
    let entry = [(64, 128, 147), (128, 128, 147), (128, 256, 74), (256, 256, 74), (256, 728, 37)];
    let middle = [(728, 728, 19); 24];
    let exit = [(728, 728, 19), (728, 1024, 19), (1024, 1536, 10), (1536, 2048, 10)];
    let all = entry.into_iter().chain([(728, 728, 37)]).chain(middle).chain(exit);
    let summary = of(Preset::Xception);
    let (mut macs, mut params) = (summary.macs(), summary.params_trainable());
    for (c_in, c_out, side) in all {
        let (regular, separable) = (9 * c_in * c_out, c_in * (9 + c_out));
        params += regular - separable;
        macs += (regular - separable) * side * side;
    }
    assert_eq!((summary.macs_regular(), summary.params_regular()), (macs, params));
    assert_eq!((macs, params), (68_818_345_696, 179_071_688));
}

#[test]
fn a_network_without_separable_convolutions_costs_the_same() {
    let table = stem_alone();
    let summary = count(&table, 10, 32);
    assert!(summary.macs() > 0);
    assert_eq!(summary.macs_regular(), summary.macs());
    assert_eq!(summary.params_regular(), summary.params_trainable());
}

/// A shared module computes as often as it is applied, on one set of weights; its halves have biases in some presets.
#[test]
fn repeats_compute_again_and_biases_count() {
    let summary = of(Preset::PlainShared);
    let layer = row(&summary, "block4.rep.1.conv1");
    let [_, rows, columns] = layer.output.map(|size| size as u64);
    assert_eq!(layer.params_regular, 9 * 728 * 728);
    assert_eq!(layer.macs_regular, 7 * layer.params_regular * rows * columns);
    let biased = of(Preset::DenseCifar100Depthwise);
    assert_eq!(row(&biased, "block4.rep.1.conv1").params_regular, 9 * 728 * 728 + 728);
}

/// The post's "depthwise" half that forgot its groups is a regular convolution already, and a 1×1 convolution follows.
#[test]
fn a_dense_spatial_half_costs_more_than_a_regular_convolution() {
    let summary = of(Preset::DenseCifar100);
    let layer = row(&summary, "block4.rep.1.conv1");
    assert_eq!(layer.macs_regular, layer.macs);
    assert!(row(&summary, "block4.rep.1.pointwise").macs > 0);
    assert!(summary.macs_regular() < summary.macs());
}

#[test]
fn the_order_of_the_halves_changes_nothing() {
    let table = Architecture::published();
    let turned = Architecture {
        separable: sepconv::SeparableConv2dConfig {
            order: Order::PointwiseFirst,
            names: HalfNames::Cadene,
            ..table.separable
        },
        ..table.clone()
    };
    let [one, other] = [&table, &turned].map(|table| count(table, 10, 299));
    assert_eq!(one.macs_regular(), other.macs_regular());
    assert_eq!(one.params_regular(), other.params_regular());
    // The whole is at the first half: here the pointwise one.
    assert_eq!(row(&other, "block4.rep.1.conv1").macs_regular, 0);
}

/// Every number of the table is in range, and the regular convolution would take more than a u64 can count.
#[test]
fn counts_beyond_a_u64_stop_there() {
    let published = Architecture::published();
    let wide = 1 << 16;
    let table = Architecture {
        entry_flow: Vec::new(),
        middle_flow: MiddleFlow { repeats: 0, ..published.middle_flow },
        exit_flow: Vec::new(),
        exit_separables: ExitSeparables { widths: vec![wide, wide], ..published.exit_separables },
        separable: sepconv::SeparableConv2dConfig {
            kernel_size: 1023,
            padding: Padding::Half,
            ..published.separable
        },
        ..Architecture::published()
    };
    let summary = count(&table, 10, 299);
    assert!(summary.macs() < u64::MAX);
    assert_eq!(summary.macs_regular(), u64::MAX);
}
