"""Postfix as a subject: tuned as its TUNING_README advises for such work."""

from __future__ import annotations

from pathlib import Path

from bench.subject import BOXES, DOMAIN
from tests.e2e.postfix import Postfix


class Tuned(Postfix):
    """It relays to a sink.

    :param base: an empty directory.
    :param sink: port of the sink on loopback.
    :raise SkipTest: without root, or if it is not installed.
    """

    name = "Postfix"
    #: Below its limit of processes, one of which it needs for each connection.
    idle = 90

    def __init__(self, base: Path, sink: int) -> None:
        super().__init__(
            base,
            domains=(DOMAIN,),
            boxes=[f"u{number}" for number in range(BOXES)],
            settings={
                "relayhost": f"[127.0.0.1]:{sink}",
                "smtp_tls_security_level": "",
                "default_destination_concurrency_limit": "50",
                "initial_destination_concurrency": "50",
                "default_process_limit": "100",
                "in_flow_delay": "0",
                "virtual_destination_concurrency_limit": "50",
                "virtual_destination_recipient_limit": "50",
                "smtp_connection_cache_on_demand": "yes",
                "minimal_backoff_time": "300s",
                "maximal_backoff_time": "4000s",
                "queue_run_delay": "300s",
            },
        )
