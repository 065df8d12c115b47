//! Ranks as threads, which meet over loopback.

use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn host() -> Store {
    say_less();
    let address = StoreAddress { host: "127.0.0.1".to_string(), port: 0 };
    Store::tcp(&address, StoreRole::Host, PATIENCE).unwrap()
}

fn client(port: u16) -> Store {
    let address = StoreAddress { host: "127.0.0.1".to_string(), port };
    Store::tcp(&address, StoreRole::Client, PATIENCE).unwrap()
}

fn group(store: &Store, rank: usize, size: usize, timeout: Duration) -> ProcessGroup {
    let address = GlooAddress::Address("127.0.0.1".to_string());
    ProcessGroup::gloo(store, rank, size, &address, timeout).unwrap()
}

/// The results of `work` for each rank's group, in their order.
fn ranks<T: Send>(size: usize, work: impl Fn(&ProcessGroup) -> T + Sync) -> Vec<T> {
    let store = host();
    let port = store.port();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..size)
            .map(|rank| {
                let work = &work;
                scope.spawn(move || work(&group(&client(port), rank, size, PATIENCE)))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn numbers(values: &[f32]) -> Tensor {
    Tensor::from_slice(values)
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor).unwrap()
}

#[test]
fn a_store_is_one_table_for_all() {
    let store = host();
    let other = client(store.port());
    assert!(!other.has("name").unwrap());
    store.set("name", b"a\0b").unwrap();
    assert_eq!(other.get("name").unwrap(), b"a\0b");
    assert!(other.has("name").unwrap());
    assert_eq!((store.add("count", 2).unwrap(), other.add("count", -5).unwrap()), (2, -3));
    let prefixed = other.with_prefix("run").unwrap();
    assert!(!prefixed.has("name").unwrap());
    prefixed.set("name", b"").unwrap();
    assert_eq!(store.get("run/name").unwrap(), b"");
    assert_eq!(store.get("name").unwrap(), b"a\0b");
}

#[test]
fn what_is_not_there_is_named() {
    let store = host();
    let error = store.wait("never", Duration::from_millis(50)).unwrap_err();
    assert_eq!(error.operation, "store wait \"never\"");
    assert_eq!(error.peer.unwrap(), format!("127.0.0.1:{}", store.port()));
    let error = store.set("zero\0byte", b"").unwrap_err();
    assert!(error.message.contains("zero byte"), "{error}");
    let address = StoreAddress { host: "127.0.0.1".to_string(), port: 1 };
    let error = Store::tcp(&address, StoreRole::Client, Duration::from_millis(200)).unwrap_err();
    assert!(error.operation.contains("127.0.0.1:1"), "{error}");
    let taken = StoreAddress { host: "127.0.0.1".to_string(), port: store.port() };
    let error = Store::tcp(&taken, StoreRole::Host, PATIENCE).unwrap_err();
    assert!(error.to_string().contains("in use"), "{error}");
}

#[test]
fn tensors_are_reduced_by_sum_min_and_max() {
    let made = ranks(3, |group| {
        let rank = group.rank() as f32;
        [ReduceOperation::Sum, ReduceOperation::Min, ReduceOperation::Max].map(|operation| {
            let tensor = numbers(&[rank, 10.0 - rank]);
            group.all_reduce(&tensor, operation).unwrap().wait().unwrap();
            values(&tensor)
        })
    });
    for each in made {
        assert_eq!(each, [vec![3.0, 27.0], vec![0.0, 8.0], vec![2.0, 10.0]]);
    }
}

#[test]
fn kinds_go_through_unchanged() {
    ranks(2, |group| {
        for kind in [Kind::Float, Kind::Double, Kind::Half, Kind::Int64, Kind::Int, Kind::Uint8] {
            let tensor = Tensor::full([5], 3, (kind, Device::Cpu));
            group.all_reduce(&tensor, ReduceOperation::Sum).unwrap().wait().unwrap();
            assert_eq!((tensor.kind(), tensor.double_value(&[4])), (kind, 6.0));
        }
    });
}

#[test]
fn the_root_is_copied_and_all_are_gathered() {
    let made = ranks(3, |group| {
        let tensor = numbers(&[group.rank() as f32]);
        let gathered: Vec<Tensor> = (0..3).map(|_| numbers(&[-1.0])).collect();
        group.all_gather(&tensor, &gathered).unwrap().wait().unwrap();
        group.broadcast(&tensor, 2).unwrap().wait().unwrap();
        group.barrier().unwrap().wait().unwrap();
        (values(&tensor), gathered.iter().map(|each| values(each)[0]).collect::<Vec<_>>())
    });
    for each in made {
        assert_eq!(each, (vec![2.0], vec![0.0, 1.0, 2.0]));
    }
}

#[test]
fn several_are_under_way_at_once_and_end_in_any_order() {
    ranks(2, |group| {
        let tensors: Vec<_> = (0..8).map(|n| numbers(&vec![n as f32; 50_000])).collect();
        let begun: Vec<_> = tensors
            .iter()
            .map(|tensor| group.all_reduce(tensor, ReduceOperation::Sum).unwrap())
            .collect();
        for work in begun.into_iter().rev() {
            work.wait().unwrap();
        }
        for (n, tensor) in tensors.iter().enumerate() {
            assert_eq!(tensor.double_value(&[49_999]), 2.0 * n as f64);
        }
    });
}

#[test]
fn what_cannot_be_sent_is_an_error_ahead_of_sending() {
    let refused = |group: &ProcessGroup, tensor: &Tensor, expected: &str| {
        let sum = group.all_reduce(tensor, ReduceOperation::Sum).err().unwrap();
        let copy = group.broadcast(tensor, 0).err().unwrap();
        for error in [sum, copy] {
            assert!(error.message.contains(expected), "{error}");
            assert_eq!(error.rank, Some((group.rank(), 2)));
        }
    };
    ranks(2, |group| {
        let whole = Tensor::ones([4, 6], (Kind::Float, Device::Cpu));
        refused(group, &Tensor::new(), "an undefined tensor");
        refused(group, &whole.narrow(0, 0, 0), "shape [0, 6] holds nothing");
        refused(group, &whole.narrow(1, 0, 3), "shape [4, 3] that is not contiguous");
        refused(group, &whole.to_sparse(None, None::<&[i64]>, None), "sparse");
        refused(group, &whole.to_kind(Kind::ComplexFloat), "kind ComplexFloat");
        let root = group.broadcast(&whole, 2).err().unwrap();
        assert!(root.message.contains("rank 2 of 2"), "{root}");
        let mixed = [whole.shallow_clone(), whole.to_kind(Kind::Double)];
        let error = group.all_gather(&whole, &mixed).err().unwrap();
        assert!(error.message.contains("each of shape [4, 6] and kind Float"), "{error}");
        // A refused tensor leaves the group usable.
        group.all_reduce(&whole, ReduceOperation::Sum).unwrap().wait().unwrap();
        assert_eq!(whole.double_value(&[3, 5]), 2.0);
    });
}

#[test]
fn a_rank_that_is_no_rank_is_refused() {
    let store = host();
    for (rank, size) in [(2, 2), (0, 0)] {
        let address = GlooAddress::HostName;
        let error = ProcessGroup::gloo(&store, rank, size, &address, PATIENCE).err().unwrap();
        assert!(error.message.contains(&format!("rank {rank} of {size}")), "{error}");
    }
    let nowhere = GlooAddress::Interface("no-such-card".to_string());
    let error = ProcessGroup::gloo(&store, 0, 1, &nowhere, PATIENCE).err().unwrap();
    assert!(error.message.contains("no-such-card"), "{error}");
}

#[test]
fn a_silent_peer_ends_the_wait_in_time() {
    let store = host();
    let port = store.port();
    thread::scope(|scope| {
        let (over, waits) = mpsc::channel::<()>();
        scope.spawn(move || {
            let _silent = group(&client(port), 1, 2, PATIENCE);
            waits.recv().unwrap_err();
        });
        let group = group(&client(port), 0, 2, Duration::from_millis(400));
        let start = Instant::now();
        let tensor = numbers(&[1.0]);
        let error = group.all_reduce(&tensor, ReduceOperation::Sum).unwrap().wait().unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(5));
        assert_eq!((error.operation.as_str(), error.rank), ("all_reduce", Some((0, 2))));
        drop(over);
    });
}

#[test]
fn a_peer_that_left_is_an_error_at_once() {
    let store = host();
    let port = store.port();
    // A peer that leaves while the other still meets it is an error of the meeting.
    let met = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            let leaving = group(&client(port), 1, 2, PATIENCE);
            met.wait();
            drop(leaving);
        });
        let group = group(&client(port), 0, 2, PATIENCE);
        met.wait();
        let start = Instant::now();
        let tensor = numbers(&[1.0]);
        let error =
            group.all_reduce(&tensor, ReduceOperation::Sum).and_then(Work::wait).unwrap_err();
        assert!(start.elapsed() < PATIENCE / 2, "{error}");
        assert!(error.peer.as_ref().is_some_and(|peer| peer.starts_with("127.0.0.1:")), "{error}");
        assert!(!error.message.contains(".cc"), "{error}");
    });
}
