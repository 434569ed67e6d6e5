"""Samples of workers as the text that Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import CollectorRegistry

#: Media type of the text.
MEDIA = CONTENT_TYPE_LATEST


class _Collected:
    """Families made of the samples of all workers."""

    def __init__(self, workers: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        """See ``prometheus_client.registry.Collector``."""
        families: dict[str, Any] = {}
        for worker, samples in self._workers.items():
            for sample in samples:
                name = sample["name"]
                if name not in families:
                    families[name] = _family(sample)
                for row in sample["rows"]:
                    _add(families[name], sample, worker, row)
        yield from families.values()


def _family(sample: Mapping[str, Any]) -> Any:
    labels = ["worker", *sample["labels"]]
    kind = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}
    return kind[sample["type"]](sample["name"], sample["help"], labels=labels)


def _add(family: Any, sample: Mapping[str, Any], worker: str, row: Any) -> None:
    labels = [worker, *row[0]]
    if sample["type"] != "histogram":
        family.add_metric(labels, row[1])
        return
    total, buckets = 0, []
    for bound, count in zip([*sample["bounds"], None], row[1], strict=True):
        total += count
        buckets.append(("+Inf" if bound is None else str(float(bound)), total))
    family.add_metric(labels, buckets, row[2])


def exposition(workers: Mapping[str, Iterable[Mapping[str, Any]]]) -> bytes:
    """The text.

    :param workers: by name: what each counts, as :mod:`mta.metrics.counts` makes it.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(workers))
    return generate_latest(registry)
