"""What all scripts share: they say ready, then answer each number of iterations with nanoseconds."""
import mmap
import os
import sys
import time


def ballast(mib):
    """Touched private memory."""
    if not mib:
        return None
    memory = mmap.mmap(-1, mib << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(memory, "madvise"):
        memory.madvise(15)  # MADV_NOHUGEPAGE: small pages, as the others have them
    for page in range(0, mib << 20, 4096):
        memory[page] = 1
    return memory


def bind(cpu):
    """Binds this process to a CPU, unless it is -1."""
    if cpu >= 0:
        os.sched_setaffinity(0, {cpu})


def serve(iterations):
    """Calls iterations(n) for each n on standard input; it may return its own nanoseconds."""
    print("ready", flush=True)
    for line in sys.stdin:
        n = int(line)
        start = time.perf_counter_ns()
        own = iterations(n)
        end = time.perf_counter_ns()
        print(end - start if own is None else own, flush=True)
