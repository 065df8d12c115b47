//! Ranks that come, come again, and come too late. Ranks are threads here, each with a connection of its own.

use torch_ext::distributed::{StoreAddress, StoreRole};

use super::*;
use crate::exit_code::ExitCode;

const PATIENCE: Patience =
    Patience { gathering: Duration::from_secs(20), next_round: Duration::from_millis(300) };

/// A store for tests, and what connects to it.
fn store() -> (Store, impl Fn() -> Store + Sync) {
    let any = StoreAddress { host: "127.0.0.1".to_string(), port: 0 };
    let host = Store::tcp(&any, StoreRole::Host, PATIENCE.gathering).unwrap();
    let address = StoreAddress { port: host.port(), ..any };
    (host, move || Store::tcp(&address, StoreRole::Client, PATIENCE.gathering).unwrap())
}

/// One of `world_size`, by another name.
fn named(host: &str, world_size: usize) -> Attendee {
    let mut attendee = Attendee::here(world_size, String::new());
    attendee.host = host.to_string();
    attendee
}

fn come_together(
    store: &Store,
    (rank, world_size): (usize, usize),
    own: &Attendee,
    patience: Patience,
) -> Result<Meeting, Error> {
    let silence = &Silence::new();
    Rendezvous { store, at: "head:1", keeper: "rank 0", rank, world_size, patience, silence }
        .come_together(own)
}

/// All of them at once: their rounds, and who they think takes part.
fn meet(connect: &(impl Fn() -> Store + Sync), all: &[Attendee]) -> Vec<(i64, Vec<Attendee>)> {
    thread::scope(|scope| {
        let start = |rank: usize| {
            scope.spawn(move || {
                let meeting =
                    come_together(&connect(), (rank, all.len()), &all[rank], PATIENCE).unwrap();
                meeting.store.set(&format!("mine/{rank}"), b"").unwrap();
                (meeting.round, meeting.attendees)
            })
        };
        // The last one first: rank 0 is waited for.
        let threads: Vec<_> = (0..all.len()).rev().map(start).collect();
        threads.into_iter().rev().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn every_start_is_a_round_of_its_own() {
    let (_host, connect) = store();
    for round in 1..=3 {
        let all = ["a", "b", "c"].map(|name| named(name, 3));
        for met in meet(&connect, &all) {
            assert_eq!(met, (round, all.to_vec()));
        }
    }
}

#[test]
fn a_rank_that_is_started_again_ahead_of_the_beginning_takes_its_place_over() {
    let (_host, connect) = store();
    let [leader, first, second] = ["leader", "first", "second"].map(|name| named(name, 2));
    let short = Patience { gathering: Duration::from_millis(300), ..PATIENCE };
    let gone = come_together(&connect(), (1, 2), &first, short).err().unwrap();
    assert!(gone.to_string().contains("not all of them came within 0 s"), "{gone}");
    let all = [leader, second];
    assert!(meet(&connect, &all).iter().all(|(_, attendees)| *attendees == all));
}

#[test]
fn a_rank_that_is_started_again_alone_is_told_who_has_its_place() {
    let (_host, connect) = store();
    let all = [named("leader", 2), named("one that lives", 2)];
    meet(&connect, &all);
    let error = come_together(&connect(), (1, 2), &named("late", 2), PATIENCE).err().unwrap();
    assert_eq!(error.exit_code(), ExitCode::Peer);
    assert!(error.to_string().contains("train already, with one that lives, process"), "{error}");
    // With a launcher's store there may be another round: then it is in that.
    let late = named("late", 2);
    let long = Patience { next_round: PATIENCE.gathering, ..PATIENCE };
    let met = thread::scope(|scope| {
        let waits = scope.spawn(|| come_together(&connect(), (1, 2), &late, long).unwrap());
        thread::sleep(Duration::from_millis(400));
        come_together(&connect(), (0, 2), &named("leader again", 2), PATIENCE).unwrap();
        waits.join().unwrap()
    });
    assert_eq!((met.round, &met.attendees[1]), (2, &late));
}

#[test]
fn who_does_not_come_is_named() {
    let (_host, connect) = store();
    let short = Patience { gathering: Duration::from_millis(300), ..PATIENCE };
    let error = come_together(&connect(), (0, 3), &named("leader", 3), short).err().unwrap();
    assert_eq!(error.exit_code(), ExitCode::Peer);
    assert!(error.to_string().contains("ranks 1, 2 of 3 did not come within 0 s"), "{error}");
    assert_eq!(names(&[4]), "rank 4");
    assert_eq!(names(&(1..=30).collect::<Vec<_>>()), "ranks 1, 2, 3, 4, 5, 6, 7, 8 and 22 more");
}

#[test]
fn two_processes_of_one_rank_are_told_apart() {
    let (_host, connect) = store();
    // A round that waits for somebody else.
    connect().add("round", 1).unwrap();
    let [first, second] = ["first", "second"].map(|name| named(name, 3));
    let short = Patience { gathering: Duration::from_secs(2), ..PATIENCE };
    let said = thread::scope(|scope| {
        let waits = scope.spawn(|| come_together(&connect(), (1, 3), &first, short).err().unwrap());
        thread::sleep(Duration::from_millis(500));
        drop(come_together(&connect(), (1, 3), &second, short));
        waits.join().unwrap().to_string()
    });
    assert!(said.contains("another process came as rank 1 after this one"), "{said}");
}

#[test]
fn ranks_that_count_differently_are_refused_at_once() {
    let (_host, connect) = store();
    let error = thread::scope(|scope| {
        let short = Patience { gathering: Duration::from_secs(1), ..PATIENCE };
        let connect = &connect;
        scope.spawn(move || drop(come_together(&connect(), (1, 2), &named("other", 2), short)));
        come_together(&connect(), (0, 3), &named("leader", 3), PATIENCE).err().unwrap()
    });
    assert_eq!(error.exit_code(), ExitCode::Usage);
    assert!(error.to_string().contains("was started as one of 2, rank 0 as one of 3"), "{error}");
}

#[test]
fn who_holds_the_store_and_goes_is_named() {
    let (host, connect) = store();
    let connection = connect();
    let error = thread::scope(|scope| {
        let own = named("own", 2);
        let waits =
            scope.spawn(move || come_together(&connection, (1, 2), &own, PATIENCE).err().unwrap());
        thread::sleep(Duration::from_millis(300));
        drop(host);
        waits.join().unwrap()
    });
    assert_eq!(error.exit_code(), ExitCode::Peer);
    assert!(error.to_string().contains("meeting the other ranks: rank 0 is gone"), "{error}");
}
