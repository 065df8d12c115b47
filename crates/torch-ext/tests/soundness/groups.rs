//! Collectives of tensors that cannot be sent, in a group of one rank.

use std::time::Duration;

use tch::{Device, Kind, Tensor};
use torch_ext::distributed::{
    DistributedError, GlooAddress, ProcessGroup, ReduceOperation, Store, StoreAddress, StoreRole,
};

use crate::{FLOAT, ones};

const PATIENCE: Duration = Duration::from_secs(20);

fn alone(test: impl FnOnce(&ProcessGroup)) {
    let host = "127.0.0.1".to_string();
    let store = StoreAddress { host: host.clone(), port: 0 };
    let store = Store::tcp(&store, StoreRole::Host, PATIENCE).unwrap();
    test(&ProcessGroup::gloo(&store, 0, 1, &GlooAddress::Address(host), PATIENCE).unwrap());
}

#[track_caller]
fn check<T>(result: Result<T, DistributedError>, expected: &str) {
    let error = result.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(expected), "expected {expected:?}, got {error:?}");
}

#[test]
fn tensors_that_cannot_be_sent_are_refused() {
    let negated = Tensor::complex(&ones(&[2]), &ones(&[2])).conj().imag();
    let strangers = [
        (Tensor::new(), "an undefined tensor"),
        (ones(&[0]), "a tensor of shape [0] holds nothing"),
        (ones(&[1]).expand([8], false), "that is not contiguous; copy it first"),
        (ones(&[4, 4]).tr().slice(0, 0, 2, 1), "that is not contiguous; copy it first"),
        (ones(&[2]).to_sparse(None, None::<i64>, None), "a sparse tensor"),
        (ones(&[2]).to_mkldnn(), "make it dense"),
        (Tensor::ones([2], (Kind::ComplexFloat, Device::Cpu)), "a tensor of kind ComplexFloat"),
        (Tensor::ones([2], (Kind::Bool, Device::Cpu)), "a tensor of kind Bool"),
        (negated, "a view that is negated when it is read; copy it first"),
        (Tensor::internal_efficientzerotensor([2], FLOAT), "without memory of its own"),
    ];
    alone(|group| {
        for (tensor, expected) in &strangers {
            check(group.all_reduce(tensor, ReduceOperation::Sum), expected);
            check(group.broadcast(tensor, 0), expected);
            check(group.all_gather(tensor, &[ones(&[2])]), expected);
            check(group.all_gather(&ones(&[2]), &[tensor.shallow_clone()]), expected);
        }
    });
}

#[test]
fn places_that_do_not_fit_are_refused() {
    alone(|group| {
        let expected = "they must be 1, each of shape [2] and kind Float";
        check(group.all_gather(&ones(&[2]), &[]), expected);
        check(group.all_gather(&ones(&[2]), &[ones(&[2]), ones(&[2])]), expected);
        check(group.all_gather(&ones(&[2]), &[ones(&[3])]), expected);
        let double = Tensor::ones([2], (Kind::Double, Device::Cpu));
        check(group.all_gather(&ones(&[2]), &[double]), expected);
        let tensor = ones(&[3]);
        let shared = [tensor.narrow(0, 1, 2)];
        check(group.all_gather(&tensor.narrow(0, 0, 2), &shared), "tensors that share memory");
    });
}

#[test]
fn ranks_that_do_not_exist_are_refused() {
    alone(|group| check(group.broadcast(&ones(&[2]), 1), "rank 1 of 1"));
}

#[test]
fn a_timeout_without_end_does_not_overflow() {
    let host = "127.0.0.1".to_string();
    let store = StoreAddress { host, port: 0 };
    let store = Store::tcp(&store, StoreRole::Host, Duration::MAX).unwrap();
    store.set("key", b"").unwrap();
    store.wait("key", Duration::MAX).unwrap();
    assert_eq!(store.get("key").unwrap(), b"");
}

#[test]
fn texts_with_zero_bytes_are_refused() {
    let host = "127.0.0.1".to_string();
    let store = StoreAddress { host, port: 0 };
    let store = Store::tcp(&store, StoreRole::Host, PATIENCE).unwrap();
    for error in [store.set("a\0b", b"1"), store.has("a\0b").map(|_| ())] {
        check(error, "expected a text without zero bytes");
    }
    check(store.with_prefix("a\0b"), "expected a text without zero bytes");
}

#[test]
fn a_tensor_of_one_rank_stays() {
    alone(|group| {
        let tensor = Tensor::full([3], 2.0, FLOAT);
        group.all_reduce(&tensor, ReduceOperation::Sum).unwrap().wait().unwrap();
        assert!(tensor.equal(&Tensor::full([3], 2.0, FLOAT)));
    });
}
