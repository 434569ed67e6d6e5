"""schemathesis against the served OpenAPI document: no failure, no 500.

It makes requests of the document, right ones and wrong ones, and holds the answers against it.  One
check is left out, ``positive_data_acceptance``: that a sender must be of a domain of the tenant, or a
template must compile, is nothing that a schema can say.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from shutil import rmtree

import httpx
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.e2e.scenario import free_port, wait_for
from tests.e2e.server import Server

#: Seconds that it may take; MTA_SCHEMATHESIS has another number.
_SECONDS = int(os.environ.get("MTA_SCHEMATHESIS", "40"))


class SchemathesisTests(SynchronousTestCase):
    def test_no_failure(self) -> None:
        if find_spec("schemathesis") is None:
            raise SkipTest("schemathesis is not installed; `make set-up` installs it")
        base = Path(tempfile.mkdtemp(prefix="mta"))
        self.addCleanup(rmtree, base)
        server = Server(base, api={"requests_per_second": 0, "strangers_per_minute": 0})
        port = free_port()
        server.config["listen"]["http"] = [f"tcp:{port}:interface=127.0.0.1"]
        server.write()
        server.start()
        self.addCleanup(server.stop)
        where = f"http://127.0.0.1:{port}"
        wait_for(lambda: self.is_well(where), "the API does not answer")
        key = server.mta("key", "create", "--scope", "admin").split()[0]
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{where}/openapi.json"),
            *("--header", f"Authorization: Bearer {key}", "--exclude-checks", "positive_data_acceptance"),
            # The key as Postmark's applications send it.
            *("--header", f"X-Postmark-Server-Token: {key}"),
            # How fast anything is says nothing of the document.
            *("--request-timeout", "60", "--suppress-health-check", "too_slow"),
            # It has no end.
            *("--exclude-path", "/v1/events/stream"),
            *(
                "--max-examples",
                "20",
                "--max-time",
                str(_SECONDS),
                "--continue-on-failure",
                "--no-color",
                "--seed",
                "1",
            ),
        ]
        # Its cache stays with the server's state.
        done = subprocess.run(command, cwd=base, capture_output=True, text=True, timeout=_SECONDS + 240)
        log = server.output
        self.assertNotIn("Traceback", log, log[-5000:])
        told = "\n".join(line[:1000] for line in (done.stdout + done.stderr).splitlines())
        self.assertEqual(0, done.returncode, told)
        self.assertIn("passed", done.stdout)

    def is_well(self, where: str) -> bool:
        try:
            return httpx.get(f"{where}/healthz").status_code == 200
        except httpx.HTTPError:
            return False
