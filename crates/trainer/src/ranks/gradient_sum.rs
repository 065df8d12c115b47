//! Gradients are gathered in buckets, and each bucket is summed over all ranks while the backward pass continues.
//!
//! As PyTorch's `DistributedDataParallel`: the pass reaches the last parameters first, so buckets are filled from the last
//! parameter to the first. The first bucket is small, so that sending begins early.

use tch::Tensor;
use torch_ext::distributed::{DistributedError, Work};

use super::Peers;
use crate::ranks::Error;

/// Bytes of the first bucket, and of the others. PyTorch: `kDefaultFirstBucketBytes`, `kDefaultBucketBytesCap`.
const BYTES: [usize; 2] = [1 << 20, 25 << 20];

/// The buckets of a list of parameters.
pub(crate) struct Buckets {
    buckets: Vec<Bucket>,
    /// For each parameter its bucket, and the part of the bucket that holds its gradient.
    places: Vec<(usize, Tensor)>,
}

struct Bucket {
    /// All gradients of the bucket, one after the other.
    flat: Tensor,
    members: usize,
}

/// A pass in progress: which buckets are full, and which are being summed.
pub(crate) struct Reduction<'a> {
    buckets: &'a mut Buckets,
    peers: &'a Peers,
    /// Gradients of earlier passes, one for each parameter, that are added to those of this pass; empty for none.
    before: Vec<Tensor>,
    missing: Vec<usize>,
    begun: Vec<Work>,
    failed: Option<DistributedError>,
}

impl Buckets {
    /// Buckets for gradients of `parameters`, which are contiguous.
    pub(crate) fn new(parameters: &[&Tensor]) -> Self {
        Self::of_bytes(parameters, BYTES)
    }

    fn of_bytes(parameters: &[&Tensor], [first, other]: [usize; 2]) -> Self {
        // The parameters of each bucket, from the last to the first.
        let mut members: Vec<Vec<usize>> = Vec::new();
        let mut bytes = 0;
        for (index, parameter) in parameters.iter().enumerate().rev() {
            let own = parameter.numel() * parameter.kind().elt_size_in_bytes();
            let most = if members.len() == 1 { first } else { other };
            let kind = members.last().and_then(|bucket| bucket.first());
            let fits = kind.is_some_and(|&other| parameters[other].kind() == parameter.kind());
            match members.last_mut() {
                Some(bucket) if fits && bytes + own <= most => bucket.push(index),
                _ => {
                    members.push(vec![index]);
                    bytes = 0;
                }
            }
            bytes += own;
        }
        let mut places: Vec<Option<(usize, Tensor)>> = parameters.iter().map(|_| None).collect();
        let mut buckets = Vec::with_capacity(members.len());
        for (number, members) in members.iter().enumerate() {
            let numbers: i64 = members.iter().map(|&index| parameters[index].numel() as i64).sum();
            let like = parameters[members[0]];
            let flat = Tensor::zeros([numbers], (like.kind(), like.device()));
            let mut start = 0;
            for &index in members {
                let length = parameters[index].numel() as i64;
                let part = flat.narrow(0, start, length).view(parameters[index].size().as_slice());
                places[index] = Some((number, part));
                start += length;
            }
            buckets.push(Bucket { flat, members: members.len() });
        }
        let places = places.into_iter().map(|place| place.expect("every parameter has a place"));
        Self { buckets, places: places.collect() }
    }

    /// Whether these are buckets for gradients of `parameters`.
    pub(crate) fn fit(&self, parameters: &[&Tensor]) -> bool {
        self.places.len() == parameters.len()
            && self.places.iter().zip(parameters).all(|((_, part), parameter)| {
                part.size() == parameter.size() && part.kind() == parameter.kind()
            })
    }

    /// Begins a pass. `before` are gradients of earlier passes, one for each parameter, that are added to those of this
    /// pass; empty for none.
    pub(crate) fn begin<'a>(&'a mut self, peers: &'a Peers, before: Vec<Tensor>) -> Reduction<'a> {
        let missing = self.buckets.iter().map(|bucket| bucket.members).collect();
        Reduction { buckets: self, peers, before, missing, begun: Vec::new(), failed: None }
    }

    /// Sizes and kinds of the buckets, in their order.
    #[cfg(test)]
    fn describe(&self) -> String {
        let bucket = |bucket: &Bucket| format!("{}×{:?}", bucket.flat.numel(), bucket.flat.kind());
        self.buckets.iter().map(bucket).collect::<Vec<_>>().join(" ")
    }
}

impl Reduction<'_> {
    /// Takes in the gradient of parameter `index`, and sends the buckets that are full, in their order, which is the same
    /// on all ranks.
    pub(crate) fn ready(&mut self, index: usize, gradient: &Tensor) {
        let (number, part) = &mut self.buckets.places[index];
        tch::no_grad(|| {
            part.copy_(gradient);
            if let Some(before) = self.before.get(index) {
                *part += before;
            }
        });
        self.missing[*number] -= 1;
        while self.failed.is_none() && self.missing.get(self.begun.len()) == Some(&0) {
            match self.peers.begin_sum(&self.buckets.buckets[self.begun.len()].flat) {
                Ok(work) => self.begun.push(work),
                Err(error) => self.failed = Some(error),
            }
        }
    }

    /// Waits for the sum over all ranks of every parameter's gradient. The next pass overwrites it.
    pub(crate) fn finish(self) -> Result<Vec<Tensor>, Error> {
        if let Some(error) = self.failed {
            return Err(error.into());
        }
        for work in self.begun {
            work.wait()?;
        }
        Ok(self.buckets.places.iter().map(|(_, part)| part.shallow_clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    fn parameters(sizes: &[i64]) -> Vec<Tensor> {
        sizes.iter().map(|&size| Tensor::zeros([size], (Kind::Float, Device::Cpu))).collect()
    }

    #[test]
    fn buckets_begin_at_the_end_and_the_first_is_small() {
        let parameters = parameters(&[10, 60, 40, 50, 4, 5]);
        let parameters: Vec<&Tensor> = parameters.iter().collect();
        // 40 bytes at first, then 400: 5 and 4 numbers, then 50 and 40, then 60 and 10.
        let buckets = Buckets::of_bytes(&parameters, [40, 400]);
        assert_eq!(buckets.describe(), "9×Float 90×Float 70×Float");
        assert!(buckets.fit(&parameters) && !buckets.fit(&parameters[1..]));
        // One that is too large for any bucket has its own.
        let buckets = Buckets::of_bytes(&parameters, [4, 100]);
        assert_eq!(buckets.describe(), "5×Float 4×Float 50×Float 40×Float 60×Float 10×Float");
    }

    #[test]
    fn kinds_are_kept_apart() {
        let wide = Tensor::zeros([3], (Kind::Double, Device::Cpu));
        let narrow = parameters(&[2, 4]);
        let buckets = Buckets::new(&[&narrow[0], &wide, &narrow[1]]);
        assert_eq!(buckets.describe(), "4×Float 3×Double 2×Float");
    }
}
