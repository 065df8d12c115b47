//! Where the others reach this machine, and whether they can.

use std::net::{IpAddr, UdpSocket};

use torch_ext::distributed::{GlooAddress, StoreAddress};

use super::rendezvous::Attendee;
use crate::Error;

/// What names the network card that the others reach this machine at, as for PyTorch.
const INTERFACE: &str = "GLOO_SOCKET_IFNAME";

/// The address at which this machine reaches the store, unless a card is named: the host's name, which is what Gloo would
/// take, is a loopback address on many machines, and nobody else reaches that.
pub(super) fn own_address(store: &StoreAddress) -> GlooAddress {
    if let Some(name) = std::env::var(INTERFACE).ok().filter(|name| !name.trim().is_empty()) {
        return GlooAddress::Interface(name);
    }
    let towards = |local: &str| -> std::io::Result<IpAddr> {
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

/// What the others have to know of an address to tell whether it is one that they can reach.
pub(super) fn reached_at(address: &GlooAddress) -> String {
    match address {
        GlooAddress::Address(address) => address.clone(),
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
    match cards.contains(name) {
        true => Ok(()),
        false => Err(Error::Usage(format!(
            "environment variable {INTERFACE} is {name:?}, expected a network card of this machine: {}",
            cards.join(", ")
        ))),
    }
}

/// Refuses addresses that cannot all be reached: some ranks on loopback, others not.
pub(super) fn check_addresses(attendees: &[Attendee]) -> Result<(), Error> {
    let loopback = |attendee: &Attendee| {
        attendee.address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    };
    match attendees.iter().rposition(loopback) {
        Some(rank) if !attendees.iter().all(loopback) => Err(Error::Usage(format!(
            "rank {rank} would be reached at {}, which only its own machine knows: MASTER_ADDR means that there; give an \
             address that every machine knows, or name each machine's network card in {INTERFACE}",
            attendees[rank].address
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_that_is_not_there_is_refused() {
        check_card(&GlooAddress::Interface("lo".to_string())).unwrap();
        check_card(&GlooAddress::HostName).unwrap();
        let error = check_card(&GlooAddress::Interface("no-such-card".to_string())).unwrap_err();
        assert!(error.to_string().contains(r#"is "no-such-card", expected a network card"#));
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn an_address_that_others_cannot_reach_is_refused() {
        let at = |address: &str| Attendee::here(address.to_string());
        check_addresses(&[at("127.0.0.1"), at("127.0.0.1")]).unwrap();
        check_addresses(&[at("10.0.0.1"), at("10.0.0.2"), at("")]).unwrap();
        let error = check_addresses(&[at("10.0.0.1"), at("127.0.1.1")]).unwrap_err();
        assert!(error.to_string().starts_with("rank 1 would be reached at 127.0.1.1"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
