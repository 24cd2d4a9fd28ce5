"""multiprocessing.Process, started and joined. Arguments: fork|spawn|forkserver MIB PEER_CPU"""
import multiprocessing
import sys

from common import ballast, serve


def nothing():
    pass


def main():
    method, mib = sys.argv[1], int(sys.argv[2])
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        # The best case: the server has the program's modules already.
        context.set_forkserver_preload(["__main__", "common"])

    def one():
        process = context.Process(target=nothing)
        process.start()
        process.join()
        assert process.exitcode == 0

    one()
    held = ballast(mib)

    def iterations(n):
        for _ in range(n):
            one()

    serve(iterations)
    del held


if __name__ == "__main__":
    main()
