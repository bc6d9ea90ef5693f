"""The gate's records about a run, read into the values that the flow works with. Pure: it connects to nothing.

It does not check the frame (``core.records`` has done that) and decides nothing. A record that says what the gate never
says raises ValueError: the caller knows whether that means that nothing ran, or that nobody knows.
"""

from collections.abc import Iterable

from app.core.facts import Record
from app.core.records import HEADER
from app.core.run import OUTPUT_BYTES, Differs, Exited, Output, Progress, Refusal, Spool, SpoolState, Started

_DROPPED = b"\n[more was printed; only the first MiB is kept]\n"


class Run:
    """The answer to one warrant, piece by piece."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        self._kept = 0
        self._is_full = False
        self._differs: list[str] | None = None
        self._refusal: str | None = None

    def take(self, record: Record) -> Progress | None:
        """Read one record; None for one that says nothing by itself."""
        match record.kind:
            case "started":
                return Started()
            case "output":
                return self._capped(_output(record))
            case "exit":
                return Exited(_status(record))
            case "differs":
                self._differs = [*(self._differs or ()), record.fields["line"]]
            case "refused":
                self._refusal = record.fields["why"]
            case kind if kind != HEADER:
                raise ValueError(f"a run has no record of the kind {kind[:40]!a}")
        return None

    def end(self) -> Differs | Refusal:
        """Say why nothing ran, once the answer is complete and no exit status was among it."""
        if self._refusal is not None:
            return Refusal(self._refusal)
        if self._differs is not None:
            # One empty line stands for no lines: there is no live process any more.
            return Differs(tuple(line for line in self._differs if line))
        raise ValueError("the answer is complete and says neither that it ran nor that it did not")

    def _capped(self, output: Output) -> Output | None:
        if self._is_full or not output.data:  # an empty piece is the gate's way to notice that nobody reads any more
            return None
        room = OUTPUT_BYTES - len(_DROPPED) - output.offset
        if len(output.data) <= room:
            return output
        self._is_full = True
        return Output(output.offset, output.data[: max(room, 0)] + _DROPPED)


def spool(records: Iterable[Record]) -> Spool | Refusal:
    """Read what the spool holds about one warrant. A Refusal where the gate could not use its spool."""
    state: SpoolState | None = None
    status: int | None = None
    printed, run = bytearray(), Run()
    for record in records:
        if record.kind == "spool":
            state = SpoolState(record.fields["state"])
            status = _status(record) if record.get("status") else None
        elif isinstance(piece := run.take(record), Output):
            printed += piece.data
    if state is None and isinstance(end := run.end(), Refusal):
        return end
    if state is None or (state is SpoolState.EXITED) != (status is not None):
        raise ValueError("the spool's state is missing, or does not fit its exit status")
    return Spool(state, status, bytes(printed))


def _status(record: Record) -> int:
    status = int(record.fields["status"])
    if not 0 <= status <= 255:
        raise ValueError("no command ends with such a status")
    return status


def _output(record: Record) -> Output:
    offset = int(record.fields["offset"])
    if offset < 0:
        raise ValueError("an output begins before its beginning")
    return Output(offset, bytes.fromhex(record.fields["hex"]))
