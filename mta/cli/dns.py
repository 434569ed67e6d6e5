"""Prints the DNS records to publish for our domains and our key, and their MTA-STS policies.

Nothing is asked of the DNS or changed there.  Reports on TLS come to the addresses of
[tls_report]; a domain whose server has none there gets no record for them.
"""

from __future__ import annotations

import argparse
import os
from hashlib import sha256
from pathlib import Path

from mta.cli.context import CommandError, Context, forbidden
from mta.cli.starter import DnsRecord, Plan, records, report_record, sts_policy, sts_records, sts_url
from mta.cli.zone_file import quoted_text
from mta.client_setup.offer import offer_of
from mta.client_setup.records import srv_records, web_records
from mta.config.loading import Loaded
from mta.config.settings import Settings
from mta.model.tlsa import Tlsa


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta dns``."""
    parser.add_argument("domain", nargs="*", metavar="DOMAIN", help="only of these")
    parser.add_argument(
        "--sts", choices=("testing", "enforce", "none"), default="testing", help="the policy's mode (testing)"
    )
    parser.add_argument("--max-age", type=int, default=7 * 86400, metavar="SECONDS", help="its age (604800)")
    parser.add_argument(
        "--mx", action="append", default=[], metavar="HOST", help="MX hosts in the policy (this server)"
    )


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Print them."""
    loaded = context.load()
    settings = loaded.settings
    served = [name.lower() for name in settings.domains]
    chosen = [name.lower() for name in arguments.domain] or served
    for name in chosen:
        if name not in served:
            raise CommandError(
                f"{name} is not in [domains]; there are: {', '.join(served) or 'none'}", os.EX_USAGE
            )
    if not 0 < arguments.max_age <= 31_557_600:
        raise CommandError("--max-age: from 1 to 31557600 seconds (RFC 8461, 3.2)", os.EX_USAGE)
    plan = Plan(settings.hostname, tuple(chosen), str(context.state))
    found = records(plan, reports=settings.dmarc_report.addresses)
    policy = sts_policy(arguments.mx or [settings.hostname], arguments.sts, arguments.max_age)
    for name in chosen:
        found += sts_records(name, policy)
        if settings.tls_report.addresses:
            found.append(report_record(name, settings.tls_report.addresses))
        found += _clients(name, settings)
    found += _keys(chosen, context)
    found += _tlsa(loaded, context)
    if context.out.as_json:
        context.out.json(
            {
                "records": [
                    {"name": one.name, "type": one.type, "value": one.value, "why": one.why} for one in found
                ],
                "policies": {sts_url(name): policy for name in chosen},
            }
        )
        return os.EX_OK
    context.out.table(("name", "type", "value", "why"), [(r.name, r.type, r.value, r.why) for r in found])
    for name in chosen:
        context.out.line(f"\n{sts_url(name)} (text/plain, with a certificate for mta-sts.{name}):\n")
        for line in policy.splitlines():
            context.out.line(f"    {line}")
    if not settings.tls_report.addresses:
        context.out.line("\nTo hear how TLS goes with this server, set addresses in [tls_report].")
    if not settings.dmarc_report.addresses:
        context.out.line("\nTo have reports on mail in your name read, set addresses in [dmarc_report].")
    return os.EX_OK


def _clients(name: str, settings: Settings) -> list[DnsRecord]:
    """The records by which mail programs find how to read and send."""
    offer = offer_of(settings, name)
    if offer is None or not offer.services:
        return []
    found = [DnsRecord(where, "SRV", value, why) for where, value, why in srv_records(offer)]
    return [*found, *(DnsRecord(*record) for record in web_records(offer))]


def _tlsa(loaded: Loaded, context: Context) -> list[DnsRecord]:
    """The record of our certificate's key, which others may then insist on (DANE, RFC 7672)."""
    settings = loaded.settings
    if not settings.tls.certificate:
        return []
    path = Path(loaded.resolve(settings.tls.certificate))
    try:
        record = key_record(path.read_bytes())
    except (OSError, ValueError) as trouble:
        why = getattr(trouble, "strerror", None) or "it is no certificate in PEM"
        context.out.warn(f"no TLSA record: tls.certificate {path}: {why}")
        return []
    why = "DANE: our key; only where DNSSEC signs the zone, and for a new key before it is used"
    return [DnsRecord(f"_25._tcp.{settings.hostname}.", "TLSA", record, why)]


def key_record(pem: bytes) -> str:
    """The TLSA data of usage 3 for the key of a certificate (RFC 7672, 3.1.1).

    :raise ValueError: if it is no certificate.
    """
    # No other command needs these.
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    key = x509.load_pem_x509_certificate(pem).public_key()
    octets = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Tlsa(3, 1, 1, sha256(octets).digest()).text


def _keys(chosen: list[str], context: Context) -> list[DnsRecord]:
    """The records of the keys that sign for these domains, or will."""
    try:
        keys = context.seams.key_store(context.state).stored()
    except PermissionError:
        raise CommandError(forbidden(context.state / "dkim"), os.EX_NOPERM) from None
    except ValueError as error:
        raise CommandError(str(error), os.EX_DATAERR) from None
    for name in chosen:
        if not any(key.domain == name for key in keys):
            context.out.warn(f"{name} has no keys for DKIM: `mta dkim new {name}` makes them")
    return [
        DnsRecord(f"{key.name}.", "TXT", quoted_text(key.record), "DKIM: others verify signatures with it")
        for key in keys
        if key.state != "retired" and any(f".{key.domain}".endswith(f".{name}") for name in chosen)
    ]
