"""Value, Event, Condition. Arguments: uncontended|contended|event|condition PEER_CPU"""
import multiprocessing
import sys
import time

from common import bind, serve

context = multiprocessing.get_context("fork")


def start(target):
    cpu = int(sys.argv[-1])

    def child():
        bind(cpu)
        target()

    context.Process(target=child, daemon=True).start()


def main():
    kind = sys.argv[1]
    value = context.Value("q", 0)

    def add(n):
        for _ in range(n):
            with value.get_lock():
                value.value += 1

    if kind == "uncontended":
        serve(add)
    elif kind == "contended":
        here, there = context.Pipe()

        def half():
            while True:
                n = there.recv()
                there.send(None)
                add(n)
                there.send(None)

        start(half)

        def both(n):
            here.send(n // 2)
            here.recv()
            began = time.perf_counter_ns()
            add(n - n // 2)
            here.recv()
            return time.perf_counter_ns() - began

        serve(both)
    elif kind == "event":
        there, back = context.Event(), context.Event()

        def answer():
            while True:
                there.wait()
                there.clear()
                back.set()

        start(answer)

        def ask(n):
            for _ in range(n):
                there.set()
                back.wait()
                back.clear()

        serve(ask)
    elif kind == "condition":
        changed = context.Condition()
        turn = context.RawValue("i", 0)

        def take(mine):
            with changed:
                changed.wait_for(lambda: turn.value == mine)
                turn.value = 1 - mine
                changed.notify()

        def answer():
            while True:
                take(1)

        start(answer)

        def ask(n):
            for _ in range(n):
                take(0)
                with changed:
                    changed.wait_for(lambda: turn.value == 0)

        serve(ask)


if __name__ == "__main__":
    main()
