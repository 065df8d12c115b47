//! Many fetches of the same thing at once: one downloads, the others wait and use it.

use std::process::Stdio;

use super::archives::{CIFAR10, black_cifar10, sums};
use super::command_line::Home;
use super::server::{Server, head, slowly, whole};

#[test]
fn two_or_eight_at_once_download_once() {
    for count in [2, 8] {
        let archive = format!("/{CIFAR10}");
        let server = Server::start(move |request, stream| match request.path.as_str() {
            "/SHA256SUMS" => whole(stream, sums(black_cifar10()).as_bytes()),
            _ => {
                let rest = head(request, stream, black_cifar10(), "\"v1\"")?;
                slowly(stream, rest, 2000)
            }
        });
        let home = Home::new();
        let children: Vec<_> = (0..count)
            .map(|_| {
                let mut command = home.command(&["fetch", "cifar10", "--from", &server.url]);
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let mut waited = 0;
        for child in children {
            let output = child.wait_with_output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success(), "{stderr}");
            waited += usize::from(stderr.contains("waiting for another fetch of cifar10"));
        }
        // One that starts late may find the work done.
        assert!((1..count).contains(&waited), "{waited} of {count} waited");
        assert_eq!(server.offsets(&archive), [0]);
        home.has_cifar10();
    }
}
