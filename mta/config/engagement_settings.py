"""The table ``[engagement]``: what is known of those who open mail and follow links."""

from __future__ import annotations

from mta.config.values import Network, Table


class Engagement(Table):
    """Beside what is shipped, see :mod:`mta.engagement.visitor`."""

    scanners: list[Network] = []
