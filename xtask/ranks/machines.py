"""Two machines on one: network namespaces with a cable between them that can be cut. Needs root."""

import contextlib
import subprocess

ADDRESSES = ("10.77.0.1", "10.77.0.2")
NAMES = ("xception-a", "xception-b")
CARDS = ("xception-va", "xception-vb")


def ip(*arguments, check=True):
    subprocess.run(["ip", *arguments], check=check, stderr=None if check else subprocess.DEVNULL)


def inside(machine, *command):
    """The command, to be run on a machine."""
    return ["ip", "netns", "exec", NAMES[machine], *command]


def plug_in(up):
    """Connects the machines, or cuts the cable."""
    for machine in (0, 1):
        subprocess.run(inside(machine, "ip", "link", "set", CARDS[machine], "up" if up else "down"), check=True)


def limit(mbit):
    """Lets no more than so many megabits a second through, each way; 0 for no limit."""
    for machine in (0, 1):
        def queue(verb, *shape):
            return inside(machine, "tc", "qdisc", verb, "dev", CARDS[machine], "root", *shape)

        subprocess.run(queue("del"), check=False, stderr=subprocess.DEVNULL)
        if mbit:
            burst = max(32_000, mbit * 1_000_000 // 8 // 250)
            shape = ["tbf", "rate", f"{mbit}mbit", "burst", str(burst), "latency", "50ms"]
            subprocess.run(queue("add", *shape), check=True)


@contextlib.contextmanager
def two_machines():
    """Makes them, and takes them away again."""
    remove()
    try:
        for machine in (0, 1):
            ip("netns", "add", NAMES[machine])
        ip("link", "add", CARDS[0], "netns", NAMES[0], "type", "veth", "peer", "name", CARDS[1], "netns", NAMES[1])
        for machine in (0, 1):
            address = f"{ADDRESSES[machine]}/24"
            subprocess.run(inside(machine, "ip", "address", "add", address, "dev", CARDS[machine]), check=True)
            subprocess.run(inside(machine, "ip", "link", "set", "lo", "up"), check=True)
        plug_in(True)
        yield
    finally:
        remove()


def remove():
    for name in NAMES:
        ip("netns", "del", name, check=False)
