"""The figures of several processes as those of one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from prometheus_client import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

#: What is no amount, and so not added up: all are ready when the least ready one is, and so on.
_NOT_ADDED: Final[Mapping[str, Callable[[float, float], float]]] = MappingProxyType(
    {
        "apex_ready": min,
        "apex_component_up": min,
        "apex_draining": max,
        "process_start_time_seconds": min,
        "process_max_fds": min,
        "python_info": max,
    }
)


class SummedMetrics(Collector):
    """The families of all processes, each sample once, as the sum over the processes.

    A user with connections to two processes counts as two in ``apex_users``.

    :param processes: the families of each process that has said its figures.
    """

    def __init__(self, processes: Sequence[Iterable[Metric]]) -> None:
        self._families: dict[str, Metric] = {}
        for families in processes:
            for family in families:
                self._add(family)

    def collect(self) -> Iterable[Metric]:
        """All families."""
        return self._families.values()

    def _add(self, family: Metric) -> None:
        known = self._families.get(family.name)
        if known is None:
            known = Metric(family.name, family.documentation, family.type, family.unit)
            self._families[family.name] = known
        places = {_key(sample): index for index, sample in enumerate(known.samples)}
        for sample in family.samples:
            place = places.get(_key(sample))
            if place is None:
                known.samples.append(sample)
            else:
                before = known.samples[place]
                combine = _NOT_ADDED.get(sample.name, _plus)
                known.samples[place] = before._replace(value=combine(before.value, sample.value))


def _plus(one: float, other: float) -> float:
    return one + other


def _key(sample: Sample) -> tuple[str, tuple[tuple[str, str], ...]]:
    return sample.name, tuple(sorted(sample.labels.items()))
