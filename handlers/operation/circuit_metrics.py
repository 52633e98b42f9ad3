"""The states of circuits, and how often they opened and refused. Circuits that share labels are one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client import Counter, Gauge

from limits.protection.circuit_breaker import CircuitKey, State

STATES: Final = (State.CLOSED, State.HALF_OPEN, State.OPEN)
LABELS: Final = "provider endpoint model"


class CircuitMetrics:
    """Shows the circuits of one process.

    Args:
        state: The state of a circuit, by `LABELS`.
        counter: Makes a counter of a name, a help text and the names of its labels.
        model: Bounds the names of models.
        is_shared: Whether series are in a file that several processes read and that only ever grows.
    """

    def __init__(
        self,
        state: Gauge,
        counter: Callable[[str, str, str], Callable[..., Counter]],
        model: Callable[[str], str],
        *,
        is_shared: bool,
    ) -> None:
        self._state = state
        self._trips = counter("circuit_breaker_trips", "Times a circuit opened.", LABELS)
        self._rejects = counter("circuit_breaker_rejects", "Calls refused by an open circuit.", LABELS)
        self._model = model
        self._is_shared = is_shared
        self._states: Callable[[], Mapping[CircuitKey, State]] = dict
        self._shown: set[tuple[str, str, str]] = set()

    def watch(self, states: Callable[[], Mapping[CircuitKey, State]]) -> None:
        """Expose the states of circuits, which time alone may change."""
        self._states = states

    def changed(self, key: CircuitKey, state: State) -> None:
        """A circuit changed its state."""
        if state is State.OPEN:
            self._trips(*self._labels(key)).inc()

    def rejected(self, provider: str, endpoint: str, model: str) -> None:
        """An open circuit refused a call; `model` is as labels have it."""
        self._rejects(provider, endpoint, model).inc()

    def read(self) -> None:
        """Show the worst state of the circuits that share a label, and of those that are forgotten nothing."""
        circuits: dict[tuple[str, str, str], int] = {}
        for key, state in self._states().items():
            labels = self._labels(key)
            circuits[labels] = max(circuits.get(labels, 0), STATES.index(state))
        for labels in self._shown - circuits.keys():
            if self._is_shared:
                self._state.labels(*labels).set(0)
            else:
                self._state.remove(*labels)
        for labels, value in circuits.items():
            self._state.labels(*labels).set(value)
        self._shown = set(circuits)

    def _labels(self, key: CircuitKey) -> tuple[str, str, str]:
        return key.provider, key.endpoint, self._model(key.model)
