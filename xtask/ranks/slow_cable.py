"""A cable between the two machines that delays every packet, for kernels whose `tc` cannot: two TUN cards and a queue."""

import collections
import fcntl
import os
import select
import struct
import sys
import time

import machines

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
CARDS = ("xception-ta", "xception-tb")
ADDRESSES = ("10.78.0.1", "10.78.0.2")
LARGEST = 65_000


def card(machine):
    """A card on a machine whose packets come to this process."""
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH", CARDS[machine].encode(), IFF_TUN | IFF_NO_PI))
    machines.ip("link", "set", CARDS[machine], "netns", machines.NAMES[machine])
    name, address = CARDS[machine], f"{ADDRESSES[machine]}/24"
    for command in (["address", "add", address, "dev", name], ["link", "set", name, "mtu", str(LARGEST), "up"]):
        machines.ip("-netns", machines.NAMES[machine], *command)
    return file


def carry(delay):
    """Carries packets both ways, `delay` seconds each, until it is killed."""
    files = [card(0), card(1)]
    queues = [collections.deque(), collections.deque()]
    print("ready", flush=True)
    while True:
        due = min((queue[0][0] for queue in queues if queue), default=None)
        wait = None if due is None else max(0.0, due - time.monotonic())
        for file in select.select(files, [], [], wait)[0]:
            way = files.index(file)
            try:
                while True:
                    queues[way].append((time.monotonic() + delay, os.read(file, LARGEST)))
            except BlockingIOError:
                pass
        now = time.monotonic()
        for way, queue in enumerate(queues):
            while queue and queue[0][0] <= now:
                os.write(files[1 - way], queue.popleft()[1])


if __name__ == "__main__":
    carry(float(sys.argv[1]) / 1000)
