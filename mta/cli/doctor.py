"""Looks at what others see of this server in the DNS: the names of the addresses that mail leaves from,
the keys that sign it, and what our domains publish of who may send for them (SPF, DMARC); and at what is out
of date: packages, Python, OpenSSL, the certificate, keys, room on the disk.

What the configuration says is for ``mta check``.
"""

from __future__ import annotations

import argparse
import os

from mta.cli.context import Context, plural


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Look; EX_CONFIG if something is wrong, EX_TEMPFAIL if nobody could tell."""
    out = context.out
    findings = context.seams.diagnose(context.load())
    bad = [one for one in findings if one["state"] == "bad"]
    unknown = [one for one in findings if one["state"] == "unknown"]
    if out.as_json:
        out.json({"ok": not bad, "findings": findings})
    else:
        for one in findings:
            out.line(f"{one['state']:8} {one['where']}: {one['what']}")
            if one["remedy"]:
                out.line(f"         {one['remedy']}")
        if not findings:
            out.line(
                "nothing to look at: the system chooses from where mail leaves, [[egress]] names no address, "
                "and no key signs"
            )
        else:
            out.line(f"{plural(len(bad), 'thing')} to do" if bad else "nothing to do")
    return os.EX_CONFIG if bad else os.EX_TEMPFAIL if unknown and len(unknown) == len(findings) else os.EX_OK
