"""Dead letters: how a sink that chokes on some verdicts is told from one that is down.

Both refuse a batch in the same way. What the sink takes afterwards tells: a refused batch is held
in memory, and becomes a dead letter once a later one is taken.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recovery.sinks.sink import Batch, SinkRefused
from replay.cursors import Cursor, DeadLetter
from replay.span import to_datetime

DOWN = 5
"""So many refusals in a row, and none taken before: the sink is down."""
PATIENCE = 20
"""The same for dead letters once one was taken: halving a batch down to one verdict takes some."""

Clock = Callable[[], int]


class Pending:
    """The batches that a sink refused since it last took one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._letters: list[DeadLetter] = []

    def refused(self, batch: Batch, exc: SinkRefused) -> None:
        """Hold a batch; raise SinkRefused where the sink is down."""
        at = to_datetime(self._clock())
        self._letters.append(
            DeadLetter(
                first=batch.first, last=batch.last, attempts=exc.attempts, error=str(exc), at=at
            )
        )
        if len(self._letters) == DOWN:
            raise self._down()

    def taken(self) -> Sequence[DeadLetter]:
        """A later batch was taken: return what stays behind."""
        letters, self._letters = self._letters, []
        return letters

    def at_end(self) -> Sequence[DeadLetter]:
        """Return what stays behind at the ledger's end; raise SinkRefused where the sink is down.

        One refused batch is no sign of that, two are.
        """
        if len(self._letters) > 1:
            raise self._down()
        return self.taken()

    def _down(self) -> SinkRefused:
        first = self._letters[0]
        return SinkRefused(
            f"{first.error}; it refused {len(self._letters)} batches in a row, so it seems to be "
            f"down: `replay verdicts deliver` goes on at verdict {first.first:,}"
        )


@dataclass(frozen=True)
class _Part:
    """Verdicts of a dead letter that are sent together; they were sent `attempts` times before."""

    letter: DeadLetter
    batch: Batch
    attempts: int


class Again:
    """Sends dead letters again, in ever smaller parts, down to the verdicts that are refused.

    `send` sends a batch, `keep` writes a cursor; `up` says that the sink took something just now.
    """

    def __init__(
        self,
        cursor: Cursor,
        send: Callable[[Batch], None],
        keep: Callable[[Cursor], None],
        clock: Clock,
        *,
        up: bool,
    ) -> None:
        self._cursor = self._before = cursor
        self._send, self._keep, self._clock = send, keep, clock
        self._up = up
        self._in_a_row = 0
        self._later: list[_Part] = []

    def send(self, letter: DeadLetter, batch: Batch) -> None:
        """Send a batch of a letter; what is taken leaves the letter at once.

        Raises SinkRefused where the sink is down.
        """
        self._work([_Part(letter, batch, letter.attempts)])

    def end(self) -> None:
        """Send what was put off; raises as `send` does."""
        while self._later:
            todo, self._later = self._later[::-1], []
            self._work(todo)

    def _work(self, todo: list[_Part]) -> None:
        """Send the parts, the last one first."""
        while todo:
            part = todo.pop()
            try:
                self._send(part.batch)
            except SinkRefused as exc:
                todo += self._refused(part, exc)
            else:
                self._up, self._in_a_row = True, 0
                self._cursor = self._cursor.without(part.batch.first, part.batch.last)
                self._keep(self._cursor)
                todo += self._later[::-1]
                self._later = []

    def _refused(self, part: _Part, exc: SinkRefused) -> list[_Part]:
        """Note a refusal; return what to send next, the last one first.

        As long as nothing was taken, that is one verdict alone, and the rest is put off: it tells
        soonest whether the sink takes anything.
        """
        self._in_a_row += 1
        attempts = part.attempts + exc.attempts
        if len(part.batch) == 1 or part.attempts == part.letter.attempts:
            self._note(part, attempts, exc)
        if self._in_a_row >= (PATIENCE if self._up else DOWN):
            raise self._down(exc) from exc
        if len(part.batch) == 1:
            return []
        batch, middle = part.batch, len(part.batch) // 2
        low = _Part(part.letter, batch.slice(0, middle), attempts)
        if self._up:
            return [_Part(part.letter, batch.slice(middle), attempts), low]
        self._later.append(low)
        if middle + 1 < len(batch):
            self._later.append(_Part(part.letter, batch.slice(middle + 1), attempts))
        return [_Part(part.letter, batch.slice(middle, 1), attempts)]

    def _note(self, part: _Part, attempts: int, exc: SinkRefused) -> None:
        """Set a part off as a letter: with the next part that is taken, or at once if one was.

        While none was, letters keep their ends: a sink that is down does not crumble them.
        """
        new = {"attempts": attempts, "error": str(exc), "at": to_datetime(self._clock())}
        first, last = part.batch.first, part.batch.last
        alone = part.letter.model_copy(update={"first": first, "last": last, **new})
        self._cursor = self._cursor.without(first, last).beyond(alone)
        whole = part.letter.model_copy(update=new)
        self._before = self._before.without(whole.first, whole.last).beyond(whole)
        self._keep(self._cursor if self._up else self._before)

    def _down(self, exc: SinkRefused) -> SinkRefused:
        return SinkRefused(
            f"{exc}; it refused {self._in_a_row} times in a row, so it seems to be down: its dead "
            "letters wait"
        )
