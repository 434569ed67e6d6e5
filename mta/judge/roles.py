"""For mail from which listeners a judge is asked."""

from __future__ import annotations

from typing import Literal

#: A listener's role (:attr:`mta.model.envelope.Client.role`).
Role = Literal["mx", "submission", "submissions", "lmtp", "local"]
