"""Pipe and Queue. Arguments: pipe|queue|one-way|one-way-bytes|queue-1-1|queue-2-2 SIZE PEER_CPU"""
import multiprocessing
import sys

from common import bind, serve

context = multiprocessing.get_context("fork")


def start(target, beside=False):
    """Starts a child on the peer's side, or on ours, where it is already."""
    cpu = -1 if beside else int(sys.argv[-1])

    def child():
        bind(cpu)
        target()

    context.Process(target=child, daemon=True).start()


def round_trip(put, get, take, give):
    def answer():
        while True:
            give(take())

    start(answer)

    def ask(n):
        for i in range(n):
            put(i)
            assert get() == i

    serve(ask)


def one_way(put, get, message, senders=1, receivers=1):
    """Counts by an acknowledgement of each receiver: how many it gets is not known before, so ends are marked."""
    end = b"\xff" * len(message)
    done = context.SimpleQueue()
    asked = context.SimpleQueue()

    def receiver():
        taken = 0
        while True:
            if get()[0] == 0xFF:
                done.put(taken)
                taken = 0
            else:
                taken += 1

    def sender():
        while True:
            for _ in range(asked.get()):
                put(message)
            done.put(0)

    for _ in range(receivers):
        start(receiver)
    for _ in range(1, senders):
        start(sender, beside=True)

    def send(n):
        others = n // senders
        for _ in range(1, senders):
            asked.put(others)
        for _ in range(n - others * (senders - 1)):
            put(message)
        for _ in range(1, senders):
            done.get()
        # A receiver that got one end could take the next one's too: one after the other.
        taken = 0
        for _ in range(receivers):
            put(end)
        for _ in range(receivers):
            taken += done.get()
        while taken < n:
            put(end)
            taken += done.get()
        assert taken == n

    serve(send)


def main():
    kind, size = sys.argv[1], int(sys.argv[2])
    message = b"\x07" * size
    if kind == "pipe":
        here, there = context.Pipe()
        round_trip(here.send, here.recv, there.recv, there.send)
    elif kind == "queue":
        there, back = context.Queue(), context.Queue()
        round_trip(there.put, back.get, there.get, back.put)
    elif kind == "one-way":
        receiver, sender = context.Pipe(False)
        one_way(sender.send, receiver.recv, message)
    elif kind == "one-way-bytes":
        receiver, sender = context.Pipe(False)
        one_way(sender.send_bytes, receiver.recv_bytes, message)
    else:
        # Bounded, as one would: else its feeder thread takes everything into memory first.
        queue = context.Queue(max(16, min(1024, (64 << 20) // size)))
        ends = 2 if kind == "queue-2-2" else 1
        one_way(queue.put, queue.get, message, ends, ends)


if __name__ == "__main__":
    main()
