"""multiprocessing.Pool and ProcessPoolExecutor. Arguments: KIND WORKERS [TASKS] PEER_CPU"""
import multiprocessing
import sys
import time
from collections import deque
from concurrent.futures import ProcessPoolExecutor

from common import serve

context = multiprocessing.get_context("fork")


def same(x):
    return x


def sleep(seconds):
    time.sleep(seconds)
    return seconds


def work(units):
    end = time.thread_time_ns() + units * 10_000
    while time.thread_time_ns() < end:
        pass
    return units


def batches(most, batch):
    def iterations(n):
        while n:
            now = min(n, most)
            batch(now)
            n -= now

    return iterations


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def create(workers):
    def iterations(n):
        for _ in range(n):
            with context.Pool(workers) as pool:
                assert pool.apply(same, (1,)) == 1
                pool.close()
                pool.join()

    serve(iterations)


def create_executor(workers):
    def iterations(n):
        for _ in range(n):
            with ProcessPoolExecutor(workers, mp_context=context) as executor:
                assert executor.submit(same, 1).result() == 1

    serve(iterations)


def use_executor(kind, workers):
    with ProcessPoolExecutor(workers, mp_context=context) as executor:
        assert sum(executor.map(same, range(100))) == 4950

        def submit(n):
            assert sum(f.result() for f in [executor.submit(same, i) for i in range(n)]) == n * (n - 1) // 2

        def mapped(n):
            assert sum(executor.map(same, range(n), chunksize=100)) == n * (n - 1) // 2

        def one(n):
            for i in range(n):
                assert executor.submit(same, i).result() == i

        source = b"\x07" * (1 << 20)

        def bulk(n):
            opened = deque()
            for _ in range(n):
                if len(opened) == 4:
                    assert len(opened.popleft().result()) == 1 << 20
                opened.append(executor.submit(same, source))
            for future in opened:
                assert len(future.result()) == 1 << 20

        serve({"executor_submit": batches(10_000, submit), "executor_map": batches(100_000, mapped),
               "executor_one": one, "executor_bulk": batches(64, bulk)}[kind])


def use_pool(kind, workers):
    with context.Pool(workers) as pool:
        assert sum(pool.map(same, range(100))) == 4950

        def apply_async(n):
            assert sum(r.get() for r in [pool.apply_async(same, (i,)) for i in range(n)]) == n * (n - 1) // 2

        def mapped(n):
            assert sum(pool.map(same, range(n))) == n * (n - 1) // 2

        def apply(n):
            for i in range(n):
                assert pool.apply(same, (i,)) == i

        source = b"\x07" * (1 << 20)

        def bulk(n):
            results = pool.imap_unordered(same, (source for _ in range(n)))
            assert sum(len(r) for r in results) == n << 20

        units = [100 if i % 100 == 50 else 1 for i in range(1000)]

        def unequal_map(n):
            for _ in range(n):
                pool.map(work, units)

        def unequal_imap(n):
            for _ in range(n):
                for _ in pool.imap_unordered(work, units):
                    pass

        def memory(_):
            tasks = int(sys.argv[3])
            for _ in range(workers):
                pool.apply_async(sleep, (600,))
            before = resident()
            handles = [pool.apply_async(same, (i,)) for i in range(tasks)]
            grown = (resident() - before) / len(handles)
            print(grown, flush=True)
            pool.terminate()
            sys.exit(0)

        serve({"apply_async": batches(10_000, apply_async), "map": batches(100_000, mapped), "apply": apply,
               "bulk": batches(64, bulk), "unequal_map": unequal_map, "unequal_imap": unequal_imap,
               "memory": memory}[kind])


def main():
    kind, workers = sys.argv[1], int(sys.argv[2])
    if kind == "create":
        create(workers)
    elif kind == "executor_create":
        create_executor(workers)
    elif kind.startswith("executor"):
        use_executor(kind, workers)
    else:
        use_pool(kind, workers)


if __name__ == "__main__":
    main()
