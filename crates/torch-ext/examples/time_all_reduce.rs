//! Times all-reduce between ranks, and nothing else; `docs/measurements/scaling.md` fits its costs to these times.
//!
//! ```text
//! time_all_reduce RANK WORLD_SIZE HOST PORT ADDRESS ROUNDS BYTES…
//! ```
//!
//! HOST and PORT are those of rank 0's store, ADDRESS is this rank's own. Rank 0 prints a line for each size: bytes, then
//! the seconds of every round.
#![allow(clippy::print_stdout, reason = "the result")]

use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};
use torch_ext::distributed::{
    GlooAddress, ProcessGroup, ReduceOperation, Store, StoreAddress, StoreRole, say_less,
};

type Failure = Box<dyn std::error::Error>;

/// Bounds the meeting and every operation.
const PATIENCE: Duration = Duration::from_secs(120);
/// Rounds before those that are timed.
const WARM_UP: usize = 3;

fn main() -> Result<(), Failure> {
    say_less();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rank, world_size, host, port, address, rounds, sizes @ ..] = arguments.as_slice() else {
        return Err("RANK WORLD_SIZE HOST PORT ADDRESS ROUNDS BYTES…".into());
    };
    let (rank, world_size): (usize, usize) = (rank.parse()?, world_size.parse()?);
    let role = if rank == 0 { StoreRole::Host } else { StoreRole::Client };
    let place = StoreAddress { host: host.clone(), port: port.parse()? };
    let store = Store::tcp(&place, role, PATIENCE)?;
    let address = GlooAddress::Address(address.clone());
    let group = ProcessGroup::gloo(&store, rank, world_size, &address, PATIENCE)?;
    let rounds: usize = rounds.parse()?;
    for bytes in sizes {
        let bytes: i64 = bytes.parse()?;
        let tensor = Tensor::ones([bytes / 4], (Kind::Float, Device::Cpu));
        let mut seconds = Vec::new();
        for round in 0..WARM_UP + rounds {
            group.barrier()?.wait()?;
            let start = Instant::now();
            group.all_reduce(&tensor, ReduceOperation::Max)?.wait()?;
            if round >= WARM_UP {
                seconds.push(format!("{:.6}", start.elapsed().as_secs_f64()));
            }
        }
        if rank == 0 {
            println!("{bytes} {}", seconds.join(" "));
        }
    }
    // Rank 0 holds the store, and goes last.
    group.barrier()?.wait()?;
    Ok(())
}
