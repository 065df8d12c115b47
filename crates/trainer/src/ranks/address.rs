//! The address at which the other ranks reach this machine, and whether they can.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use torch_ext::distributed::{DistributedError, GlooAddress, StoreAddress};

use super::attendee::Attendee;
use crate::console::log;
use crate::ranks::Error;

/// The longest time for a machine to accept a connection.
const ANSWER: Duration = Duration::from_secs(5);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(200);
/// After this long a message says which rank is waited for.
pub(super) const TELL: Duration = Duration::from_secs(10);
/// The variable that names the network card at which the others reach this machine, as for PyTorch.
const INTERFACE: &str = "GLOO_SOCKET_IFNAME";

/// Refuses to hold the store where the others would not find it, or at a port that is taken.
pub(super) fn check_host(store: &StoreAddress) -> Result<(), Error> {
    let StoreAddress { host, port } = store;
    let taken = |error: &io::Error| error.kind() == io::ErrorKind::AddrInUse;
    if TcpListener::bind(("0.0.0.0", *port)).is_err_and(|error| taken(&error)) {
        return Err(Error::PortTaken { port: *port });
    }
    let found: Vec<SocketAddr> =
        (host.as_str(), *port).to_socket_addrs().map_err(|error| unknown(host, error))?.collect();
    let here = |address: &SocketAddr| UdpSocket::bind((address.ip(), 0)).is_ok();
    // The address of a service is none of this machine's, and may lead here all the same.
    if found.iter().any(here) || leads_here(&found, *port) {
        return Ok(());
    }
    Err(Error::NotThisMachine { host: host.clone() })
}

fn leads_here(found: &[SocketAddr], port: u16) -> bool {
    let Ok(_listens) = TcpListener::bind(("0.0.0.0", port)) else { return false };
    found.iter().any(|address| TcpStream::connect_timeout(address, ANSWER).is_ok())
}

/// Waits until a process listens at `store`, which `keeper` holds.
pub(super) fn reach(store: &StoreAddress, keeper: &str, patience: Duration) -> Result<(), Error> {
    let StoreAddress { host, port } = store;
    let begun = Instant::now();
    let mut told = false;
    loop {
        let problem = match (host.as_str(), *port).to_socket_addrs() {
            Ok(found) => {
                let mut problem = "it has no address".to_string();
                for address in found {
                    match TcpStream::connect_timeout(&address, ANSWER) {
                        Ok(_) => return Ok(()),
                        Err(error) => problem = error.to_string(),
                    }
                }
                problem
            }
            // A cluster may not know the name of a machine before the machine has started.
            Err(error) => unknown(host, error).to_string(),
        };
        if begun.elapsed() > patience {
            return Err(Error::Distributed(DistributedError {
                operation: "meeting the other ranks".to_string(),
                rank: None,
                peer: None,
                message: format!(
                    "{keeper} was not reached within {} s ({problem}); start rank 0 there, and see whether MASTER_ADDR and \
                     MASTER_PORT are the same for all",
                    patience.as_secs()
                ),
            }));
        }
        if !told && begun.elapsed() > TELL {
            log::aloud(&format!("waiting for {} ({problem})", keeper.trim_end_matches(',')));
            told = true;
        }
        thread::sleep(PAUSE);
    }
}

fn unknown(host: &str, reason: io::Error) -> Error {
    Error::UnknownHost { host: host.to_string(), reason }
}

/// The address at which this machine reaches the store, unless a card is named. Gloo would take the host's name, which on
/// many machines is a loopback address that no other machine reaches.
pub(super) fn own_address(store: &StoreAddress) -> GlooAddress {
    if let Some(name) = std::env::var(INTERFACE).ok().filter(|name| !name.trim().is_empty()) {
        return GlooAddress::Interface(name);
    }
    let towards = |local: &str| -> io::Result<IpAddr> {
        // Connecting sends nothing: it chooses a route.
        let socket = UdpSocket::bind((local, 0))?;
        socket.connect((store.host.as_str(), store.port))?;
        Ok(socket.local_addr()?.ip())
    };
    match towards("0.0.0.0").or_else(|_| towards("::")) {
        Ok(address) => GlooAddress::Address(address.to_string()),
        Err(_) => GlooAddress::HostName,
    }
}

/// The address as the others must know it, to tell whether they can reach it.
pub(super) fn reached_at(address: &GlooAddress) -> String {
    match address {
        GlooAddress::Address(address) => address.clone(),
        GlooAddress::Interface(name) if name == "lo" => "127.0.0.1".to_string(),
        GlooAddress::HostName | GlooAddress::Interface(_) => String::new(),
    }
}

/// Refuses a network card that this machine does not have.
pub(super) fn check_card(address: &GlooAddress) -> Result<(), Error> {
    let GlooAddress::Interface(name) = address else { return Ok(()) };
    let Ok(cards) = std::fs::read_dir("/sys/class/net") else { return Ok(()) };
    let mut cards: Vec<String> =
        cards.flatten().map(|card| card.file_name().display().to_string()).collect();
    cards.sort();
    if cards.contains(name) {
        return Ok(());
    }
    Err(Error::Variable {
        name: INTERFACE.to_string(),
        value: name.clone(),
        expected: format!("a network card of this machine: {}", cards.join(", ")),
    })
}

/// Refuses addresses that cannot all be reached: some ranks on loopback, others not.
pub(super) fn check_addresses(attendees: &[Attendee]) -> Result<(), Error> {
    let some = |is_loopback: bool| {
        move |attendee: &Attendee| {
            let address = attendee.address.parse::<IpAddr>();
            address.is_ok_and(|address| address.is_loopback() == is_loopback)
        }
    };
    match attendees.iter().rposition(some(true)) {
        Some(rank) if attendees.iter().any(some(false)) => {
            let address = attendees[rank].address.clone();
            Err(Error::Loopback { rank, address, interface: INTERFACE })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_code::ExitCode;

    fn at(host: &str, port: u16) -> StoreAddress {
        StoreAddress { host: host.to_string(), port }
    }

    #[test]
    fn a_store_is_held_where_its_address_is() {
        let free = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = free.local_addr().unwrap().port();
        let taken = check_host(&at("127.0.0.1", port)).unwrap_err();
        assert!(taken.to_string().starts_with(&format!("port {port} of this machine")), "{taken}");
        drop(free);
        check_host(&at("127.0.0.1", port)).unwrap();
        // An address reserved for documents, which no machine has.
        let elsewhere = check_host(&at("192.0.2.1", port)).unwrap_err();
        assert!(elsewhere.to_string().contains("start rank 0 on that machine"), "{elsewhere}");
        let unknown = check_host(&at("no such name", port)).unwrap_err();
        assert!(unknown.to_string().contains("which this machine does not know"), "{unknown}");
        for error in [taken, elsewhere, unknown] {
            assert_eq!(error.exit_code(), ExitCode::Usage);
        }
    }

    #[test]
    fn a_keeper_that_is_not_reached_is_named_with_the_reason() {
        let listens = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listens.local_addr().unwrap().port();
        let brief = Duration::from_millis(300);
        reach(&at("127.0.0.1", port), "rank 0", brief).unwrap();
        drop(listens);
        let error = reach(&at("127.0.0.1", port), "rank 0", brief).unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Peer);
        assert!(error.to_string().contains("rank 0 was not reached within 0 s (Conn"), "{error}");
        let error = reach(&at("no such name", port), "rank 0", brief).unwrap_err();
        assert!(error.to_string().contains("which this machine does not know"), "{error}");
    }

    #[test]
    fn a_card_that_is_not_there_is_refused() {
        check_card(&GlooAddress::Interface("lo".to_string())).unwrap();
        check_card(&GlooAddress::HostName).unwrap();
        let error = check_card(&GlooAddress::Interface("no-such-card".to_string())).unwrap_err();
        assert!(error.to_string().contains(r#"is "no-such-card", expected a network card"#));
        assert_eq!(error.exit_code(), ExitCode::Usage);
    }

    #[test]
    fn an_address_that_others_cannot_reach_is_refused() {
        let at = |address: &str| Attendee::here(2, address.to_string());
        check_addresses(&[at("127.0.0.1"), at("127.0.0.1")]).unwrap();
        check_addresses(&[at("10.0.0.1"), at("10.0.0.2"), at("")]).unwrap();
        // The address of a card is not known here.
        check_addresses(&[at("127.0.0.1"), at("")]).unwrap();
        let error = check_addresses(&[at("10.0.0.1"), at("127.0.1.1")]).unwrap_err();
        assert!(error.to_string().starts_with("rank 1 would be reached at 127.0.1.1"), "{error}");
        assert_eq!(error.exit_code(), ExitCode::Usage);
    }
}
