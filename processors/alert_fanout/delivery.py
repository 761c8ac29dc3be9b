"""Why a channel did not take a notice."""

from __future__ import annotations


class DeliveryError(Exception):
    """A channel did not take a notice. The text names the channel (an address by its host only) and the reason.

    `refused`: sending the same again will not help. `unusable`: nothing can be sent before somebody fixes the channel itself.
    `taken`: it took the notice, and what it said of it can't be used. `pause`: seconds the service asked to wait.
    """

    def __init__(
        self, text: str, *, refused: bool = False, unusable: bool = False, taken: bool = False, pause: float | None = None
    ) -> None:
        super().__init__(text)
        self.refused, self.unusable, self.taken, self.pause = refused, unusable, taken, pause
