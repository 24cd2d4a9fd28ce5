"""What is idle. Arguments: pool|executor|pipe|queue PEER_CPU, or descriptors|memory COUNT PEER_CPU"""
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor

from common import serve

context = multiprocessing.get_context("fork")


def same(x):
    return x


def wait(get):
    """A child that takes one message, and waits for another one."""
    context.Process(target=lambda: (get(), get()), daemon=True).start()


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def memory():
    with open("/proc/self/smaps_rollup") as rollup:
        return next(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Pss:"))


def pipe():
    here, there = context.Pipe()
    here.send(1)
    there.recv()
    there.send(1)
    here.recv()
    return here, there


def grown(look, count):
    first = pipe()
    look()
    before = look()
    held = [pipe() for _ in range(count)]
    each = (look() - before) / count
    del first, held
    return each


def main():
    kind = sys.argv[1]
    if kind == "pool":
        with context.Pool(2) as pool:
            assert sum(pool.map(same, range(100))) == 4950
            serve(int)
    elif kind == "executor":
        with ProcessPoolExecutor(2, mp_context=context) as executor:
            assert sum(executor.map(same, range(100))) == 4950
            serve(int)
    elif kind == "pipe":
        here, there = context.Pipe()
        wait(there.recv)
        here.send(1)
        serve(int)
    elif kind == "queue":
        queue = context.Queue()
        wait(queue.get)
        queue.put(1)
        serve(int)
    elif kind == "descriptors":
        # Both ends are here; each has its own.
        serve(lambda _: print(grown(descriptors, int(sys.argv[2])) / 2, flush=True))
    elif kind == "memory":
        serve(lambda _: print(grown(memory, int(sys.argv[2])), flush=True))


if __name__ == "__main__":
    main()
