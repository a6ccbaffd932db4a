"""The order of clouds by their stamps; time may be set back."""

# A step back of more than this is a bag that starts again or a simulation that was reset, not a late message.
RESTART_NS = 1_000_000_000
# After this many late clouds in a row the stamps have started again.
RESTART_CLOUDS = 3


class StampOrder:
    """Admits clouds so that results never go back in time, and follows time if it starts again.

    Clouds are processed, and their results published, in the order in which they are admitted. The rule:

    * A cloud as old as the last one or newer is admitted. (The same stamp again is a cloud that is sent again.)
    * One that is older by more than a second is admitted: time has been set back.
    * One that is a little older is refused, up to twice in a row; the third shows that time has been set back.
    * A stamp of zero means that there is none; it is admitted and not compared with.
    """

    def __init__(self) -> None:
        self._last = 0
        self._refused_in_a_row = 0

    def fault(self, stamp_ns: int) -> str | None:
        """Why a cloud with this stamp is not admitted, in one line, or None."""
        if not stamp_ns:
            return None
        back_ns = self._last - stamp_ns
        if 0 < back_ns <= RESTART_NS and self._refused_in_a_row + 1 < RESTART_CLOUDS:
            self._refused_in_a_row += 1
            return f"its stamp is {back_ns / 1e6:.3g} ms older than that of an earlier cloud"
        self._last, self._refused_in_a_row = stamp_ns, 0
        return None

    def forget(self) -> None:
        """Accepts any next stamp."""
        self._last = self._refused_in_a_row = 0
