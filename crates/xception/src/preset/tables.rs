//! The tables of the presets, each as a variation of the published one.

use sepconv::{
    Activation, BatchNormConfig, Groups, HalfNames, Init, NormAct, Padding, RunningVariance,
    SeparableConv2dConfig,
};

use super::scale::CifarScale;
use crate::architecture::{Architecture, ExitSeparables, MiddleFlow, ResidualRow, StemConv};
use crate::names::Names;
use crate::out_of_range::OutOfRange;
use crate::vocabulary::{
    Downsampling, MiddleWeights, Norm, NormPlace, Projection, Shortcut, SkipFrom,
};

pub(super) fn keras() -> Architecture {
    Architecture {
        batch_norm: BatchNormConfig {
            eps: 1e-3,
            momentum: 0.01,
            running_variance: RunningVariance::Biased,
        },
        pool_padding: Padding::Same,
        head_init: Init::GlorotUniform,
        ..Architecture::published()
    }
    .with_init(Init::GlorotUniform)
}

/// Channels and stride of the entry modules.
pub(super) type Entry = [(i64, i64)];
pub(super) const SHORT_ENTRY: [(i64, i64); 3] = [(128, 2), (256, 2), (728, 2)];
pub(super) const LONG_ENTRY: [(i64, i64); 5] = [(128, 2), (256, 1), (256, 2), (728, 1), (728, 2)];

/// timm's `XceptionAligned`: three separable convolutions in every module, of which the last strides.
pub(super) fn aligned(
    entry: &Entry,
    middle_modules: usize,
    norm_place: NormPlace,
    eps: f64,
) -> Architecture {
    let published = Architecture::published();
    let batch_norm = BatchNormConfig { eps, ..published.batch_norm };
    let norms_before = norm_place == NormPlace::Before;
    // Where norms follow the convolutions, each half has its own, and the module has none besides.
    let norm = if norms_before { Norm::Batch } else { Norm::None };
    let half =
        NormAct { norm: (!norms_before).then_some(batch_norm), activation: Activation::None };
    let row = |widths: [i64; 3], stride| ResidualRow { norm, ..ResidualRow::new(&widths, stride) };
    let last = row([1536, 1536, 2048], 1);
    let last = match norm_place {
        NormPlace::After => {
            ResidualRow { opens_with: Activation::None, within: Activation::Relu, ..last }
        }
        NormPlace::Before => last,
    };
    let [first, second] = published.stem.map(|conv| StemConv { padding: 1, ..conv });
    let second = match norm_place {
        NormPlace::After => second,
        NormPlace::Before => StemConv { norm: Norm::None, activation: Activation::None, ..second },
    };
    Architecture {
        stem: [first, second],
        entry_flow: entry.iter().map(|&(c_out, stride)| row([c_out; 3], stride)).collect(),
        middle_flow: MiddleFlow {
            row: row([728; 3], 1),
            repeats: middle_modules,
            weights: MiddleWeights::Separate,
        },
        exit_flow: vec![
            row([728, 1024, 1024], 2),
            ResidualRow { shortcut: Shortcut::None, ..last },
        ],
        exit_separables: ExitSeparables { widths: Vec::new(), ..published.exit_separables },
        projection: if norms_before { Projection::Bare } else { Projection::Normalized },
        skip_from: if norms_before { SkipFrom::Activated } else { SkipFrom::Input },
        norm_place,
        downsampling: Downsampling::LastSeparable,
        separable: SeparableConv2dConfig { names: HalfNames::Timm, ..published.separable },
        batch_norm,
        names: Names::Timm,
        ..Architecture::published()
    }
    .with_halves(half)
    .with_init(Init::PyTorch)
}

pub(super) fn notebook() -> Architecture {
    let published = Architecture::published();
    let [first, second] = published.stem;
    let mut entry_flow = published.entry_flow;
    entry_flow.iter_mut().for_each(|row| row.opens_with = Activation::None);
    Architecture {
        stem: [StemConv { padding: 1, ..first }, StemConv { padding: 1, bias: true, ..second }],
        entry_flow,
        projection: Projection::Biased,
        skip_from: SkipFrom::Activated,
        ..Architecture::published()
    }
    .with_init(Init::PyTorch)
}

pub(super) fn dense(groups: Groups, within: Activation) -> Architecture {
    let half = NormAct { norm: Some(BatchNormConfig::default()), activation: within };
    let published = Architecture::published();
    let stem = StemConv { stride: 1, padding: 1, bias: true, ..published.stem[0] };
    let mut entry_flow = published.entry_flow;
    entry_flow[0].norm = Norm::None;
    Architecture {
        stem: [stem, StemConv { c_out: 64, ..stem }],
        entry_flow,
        middle_flow: MiddleFlow { weights: MiddleWeights::Shared, ..published.middle_flow },
        exit_separables: ExitSeparables {
            opens_with: Activation::Relu,
            closes_with: Activation::None,
            ..published.exit_separables
        },
        projection: Projection::Biased,
        separable: SeparableConv2dConfig { groups, bias: true, ..published.separable },
        head_init: Init::Normal { std: 0.01 },
        ..Architecture::published()
    }
    .with_halves(half)
}

pub(super) fn plain() -> Architecture {
    let published = Architecture::published();
    let bare = |row: ResidualRow| ResidualRow { norm: Norm::None, ..row };
    let mut entry_flow: Vec<_> = published.entry_flow.into_iter().map(bare).collect();
    entry_flow.iter_mut().for_each(|row| row.opens_with = Activation::None);
    let middle_row = bare(published.middle_flow.row);
    Architecture {
        stem: published.stem.map(|conv| StemConv { bias: true, norm: Norm::None, ..conv }),
        entry_flow,
        middle_flow: MiddleFlow { row: middle_row, repeats: 7, weights: MiddleWeights::Shared },
        exit_flow: published.exit_flow.into_iter().map(bare).collect(),
        exit_separables: ExitSeparables { norm: Norm::None, ..published.exit_separables },
        projection: Projection::Biased,
        ..Architecture::published()
    }
    .with_init(Init::PyTorch)
}

pub(super) fn cifar(scale: CifarScale) -> Result<Architecture, OutOfRange> {
    let CifarScale { width, middle_modules, stem_stride, entry_strides } = scale;
    OutOfRange::unless_in(0.05..=4.0, "width", width)?;
    OutOfRange::unless_in(0..=64, "middle_modules", middle_modules)?;
    let mut strides = [stem_stride].into_iter().chain(entry_strides);
    if let Some(stride) = strides.find(|stride| !(1..=2).contains(stride)) {
        return Err(OutOfRange::new("stem_stride and entry_strides", "1 or 2", stride));
    }
    let wide = |channels: i64| ((channels as f64 * width / 8.0).round() as i64 * 8).max(8);
    let rows = |widths: &[i64], stride| {
        ResidualRow::new(&widths.iter().map(|&c| wide(c)).collect::<Vec<_>>(), stride)
    };
    let published = Architecture::published();
    let stem =
        |conv: StemConv, stride| StemConv { c_out: wide(conv.c_out), stride, padding: 1, ..conv };
    let mut entry_flow: Vec<_> = [128, 256, 728]
        .into_iter()
        .zip(entry_strides)
        .map(|(c_out, stride)| rows(&[c_out, c_out], stride))
        .collect();
    entry_flow[0].opens_with = Activation::None;
    Ok(Architecture {
        stem: [stem(published.stem[0], 1), stem(published.stem[1], stem_stride)],
        entry_flow,
        middle_flow: MiddleFlow {
            row: rows(&[728, 728, 728], 1),
            repeats: middle_modules,
            weights: MiddleWeights::Separate,
        },
        exit_flow: vec![rows(&[728, 1024], 2)],
        exit_separables: ExitSeparables {
            widths: vec![wide(1536), wide(2048)],
            ..published.exit_separables
        },
        ..Architecture::published()
    })
}
