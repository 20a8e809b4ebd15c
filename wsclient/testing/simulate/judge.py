"""Who judges a run, and writes down what happens in it."""

from __future__ import annotations

import anyio

__all__ = ("Judge", "Violation")


class Violation(AssertionError):
    """
    A promise was broken.

    Attributes:
        check: its name.

    """

    def __init__(self, check: str, detail: str) -> None:
        super().__init__(f"{check}: {detail}")
        self.check = check


class Judge:
    """
    Keeps the trace of a run, and the first promise that was broken, which ends it.

    Attributes:
        trace: what happened, a line an event.
        violation: the first promise that was broken, or None.
        began: when the run began, on the event loop's clock.
        scope: what a violation cancels.

    """

    def __init__(self) -> None:
        self.trace: list[str] = []
        self.violation: Violation | None = None
        self.began = 0.0
        self.scope: anyio.CancelScope | None = None

    def __call__(self, check: str, holds: bool, detail: object) -> None:
        """See whether a promise holds; ``detail`` is written only if it does not."""
        if not holds and self.violation is None:
            self.violation = Violation(check, str(detail))
            self.told(f"! {self.violation}")
            if self.scope is not None:
                self.scope.cancel()

    def told(self, text: str) -> None:
        """Write down what happens."""
        now = anyio.current_time() - self.began
        self.trace.append(f"{now:10.4f}  {text}")
