//! The checks of the images that a network is given. A wrong kind would otherwise give zeros in silence: layers cast
//! their weights to the kind of the images.

use tch::{Device, Kind, Tensor};

/// The images that a network takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Images {
    /// Their channels.
    pub(crate) c_in: i64,
    /// Their rows, and columns, at least: a smaller map vanishes before the head.
    pub(crate) smallest_side: i64,
}

impl Images {
    /// Panics unless `xs` are floating-point images `[N, c_in, H, W]` on `device`. `N` may be 0.
    #[track_caller]
    pub(crate) fn check(self, xs: &Tensor, device: Device) {
        let Images { c_in, smallest_side } = self;
        check_maps(xs, "images", c_in, device);
        let size = xs.size();
        assert!(
            size[2..].iter().all(|&side| side >= smallest_side),
            "expected images of at least {smallest_side}×{smallest_side} pixels, got {}×{}: the feature map vanishes \
             before the head",
            size[2],
            size[3]
        );
    }
}

/// Panics unless `xs` are floating-point maps `[N, channels, H, W]` on `device`; `noun` says what they are.
#[track_caller]
pub(crate) fn check_maps(xs: &Tensor, noun: &str, channels: i64, device: Device) {
    assert!(xs.defined(), "expected {noun} [N, {channels}, H, W], got an undefined tensor");
    let (kind, size) = (xs.kind(), xs.size());
    assert!(
        matches!(kind, Kind::Half | Kind::BFloat16 | Kind::Float | Kind::Double),
        "expected floating-point {noun}, got {kind:?}"
    );
    assert!(
        size.len() == 4 && size[1] == channels,
        "expected {noun} [N, {channels}, H, W], got {size:?}"
    );
    assert!(!xs.is_sparse(), "expected dense {noun}, got a sparse tensor; use `to_dense`");
    assert!(
        xs.device() == device,
        "expected {noun} on {device:?}, where the weights are, got {:?}",
        xs.device()
    );
}
