//! The two networks, and what the paper reports of them.

use tch::nn::VarStore;
use xception::summary::Summary;

use super::inception;
use crate::commands::Error;
use crate::recipe::Recipe;

/// Figures of the paper (tables 1 and 3): top-1 and top-5 on ImageNet, parameters, training steps a second on 60 K80.
pub(super) struct Published {
    pub(super) top1: f64,
    pub(super) top5: f64,
    pub(super) parameters: u64,
    pub(super) steps_per_second: f64,
}

/// One of the two networks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Contender {
    Xception,
    InceptionV3,
}

impl Contender {
    pub(super) const BOTH: [Contender; 2] = [Contender::Xception, Contender::InceptionV3];

    pub(super) fn name(self) -> &'static str {
        match self {
            Contender::Xception => "Xception",
            Contender::InceptionV3 => "Inception V3",
        }
    }

    pub(super) fn published(self) -> Published {
        let (top1, top5, parameters, steps_per_second) = match self {
            Contender::Xception => (79.0, 94.5, 22_855_952, 28.0),
            Contender::InceptionV3 => (78.2, 94.1, 23_626_728, 31.0),
        };
        Published { top1, top5, parameters, steps_per_second }
    }

    /// Multiply-accumulates of an image of `side` by `side` pixels.
    pub(super) fn macs(
        self,
        store: &VarStore,
        recipe: &Recipe,
        classes: i64,
        side: i64,
    ) -> Result<u64, Error> {
        Ok(match self {
            Contender::Xception => {
                let spec = recipe.spec(classes)?;
                Summary::new(&spec.architecture()?, classes, side)?.macs()
            }
            Contender::InceptionV3 => inception::macs(store, side),
        })
    }
}
