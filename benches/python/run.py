"""subprocess.run. Arguments: true|options|echo|capture|cat MIB [PROGRAM WORDS...] PEER_CPU"""
import os
import subprocess
import sys

from common import ballast, serve


def main():
    kind, mib, program = sys.argv[1], int(sys.argv[2]), sys.argv[3:-1]
    held = ballast(mib)
    data = b"y" * (64 << 20) if kind == "cat" else None
    environment = dict(os.environ, A="b")

    def one():
        if kind == "true":
            subprocess.run(["/bin/true"], check=True)
        elif kind == "options":
            subprocess.run(["/bin/true"], check=True, cwd="/", env=environment, start_new_session=True, umask=0o22,
                           preexec_fn=int)
        elif kind == "echo":
            assert subprocess.run(["/bin/echo", "hi"], capture_output=True).stdout == b"hi\n"
        elif kind == "capture":
            assert len(subprocess.run(program, capture_output=True).stdout) == 256 << 20
        elif kind == "cat":
            assert len(subprocess.run(["cat"], input=data, capture_output=True).stdout) == 64 << 20

    def iterations(n):
        for _ in range(n):
            one()

    serve(iterations)
    del held


if __name__ == "__main__":
    main()
