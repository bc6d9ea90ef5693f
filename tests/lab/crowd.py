"""A crowd of processes on a lab host: most sleep, some listen, and where asked, others are born and die all the time.

They are children of one leader in a session of its own, so that they can be ended together.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.lab.hosts import LabHost

FIRST_PORT = 20_000

# LEADER COUNT LISTENERS STORMS; on standard input in hex, a line each, one argument of each of the first listeners.
_LEADER = r"""
import os, socket, sys, time

def listening(port):
    one = socket.socket()
    one.bind(("127.0.0.1", port))
    one.listen()
    os.set_inheritable(one.detach(), True)

def forked(work):
    if os.fork() == 0:
        work()
        os._exit(0)

def storm():
    while True:
        for _ in range(4):
            forked(lambda: None)
        for _ in range(4):
            os.wait()

if os.fork():
    os.wait()
    sys.exit()
os.setsid()
count, listeners, storms = map(int, sys.argv[1:])
words = [bytes.fromhex(line) for line in sys.stdin]
if os.fork() == 0:
    told = os.dup(1)
    null = os.open("/dev/null", os.O_RDWR)
    for stream in range(3):
        os.dup2(null, stream)
    for n in range(count):
        if n < listeners:
            word = words[n:n + 1]
            port = FIRST + n
            forked(lambda: (listening(port), os.execv("/usr/bin/python3", [
                b"python3", b"-c", b"import time; time.sleep(1e6)", *word])))
        else:
            forked(lambda: os.execv("/bin/sleep", ["sleep", "1000000"]))
    os.write(told, b"%d" % os.getsid(0))
    os.close(told)
    for _ in range(storms):
        forked(storm)
    time.sleep(1e6)
""".replace("FIRST", str(FIRST_PORT))


@contextmanager
def crowd(host: LabHost, count: int, listeners: int, *, storms: int = 0, words: Sequence[bytes] = ()) -> Iterator[None]:
    """Run ``count`` processes until the end of the block. The first ``listeners`` hold FIRST_PORT and the next ones."""
    argv = ["python3", "-c", _LEADER, str(count), str(listeners), str(storms)]
    session = int(host.run(argv, stdin="".join(f"{word.hex()}\n" for word in words)).out)
    try:
        host.run(f"until ss -ltn | grep -q :{FIRST_PORT + listeners - 1}; do sleep 0.1; done")
        yield
    finally:
        host.run(["pkill", "-9", "-s", str(session)])
