//! A download that is killed twenty times, and still ends with every byte right.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use xtask::fetch::partial::sha256_of;

use super::archives::{CIFAR10, black_cifar10, sums};
use super::command_line::Home;
use super::server::{Server, head, slowly, whole};

const KILLS: usize = 20;

#[test]
fn killed_twenty_times_it_resumes_each_time() {
    let server = Server::start(move |request, stream| match request.path.as_str() {
        "/SHA256SUMS" => whole(stream, sums(black_cifar10()).as_bytes()),
        _ => {
            let rest = head(request, stream, black_cifar10(), "\"v1\"")?;
            slowly(stream, rest, 500)
        }
    });
    let home = Home::new();
    let fetch = ["fetch", "cifar10", "--from", &server.url];
    let sha256 = sha256_of(black_cifar10()).unwrap().0;
    let partial = home.path("cache/archives").join(format!("{sha256}.partial"));
    let written = || fs::metadata(&partial).map_or(0, |meta| meta.len() as usize);
    let piece = black_cifar10().len() / (2 * KILLS);
    let mut kept = vec![0];
    for kill in 0..KILLS {
        let mut child = home.command(&fetch).stderr(Stdio::null()).spawn().unwrap();
        let start = Instant::now();
        while written() < kept[kill] + piece {
            assert!(start.elapsed() < Duration::from_secs(20), "no bytes before kill {kill}");
            thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kept.push(written());
        let cached = home.cached();
        assert!(cached.iter().all(|name| name.starts_with("archives/")), "{cached:?}");
    }
    home.run(&fetch).expect(0, &["is ready in"]);
    home.has_cifar10();
    assert_eq!(server.offsets(&format!("/{CIFAR10}")), kept, "each run starts where one ended");
}
