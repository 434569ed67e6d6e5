"""The files that ``mta init`` writes, and the DNS records that it asks for; pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_address
from typing import Literal
from urllib.parse import quote

#: Mailboxes that there need not be: reports of others come there.
DMARC_REPORTS = "dmarc-reports"
TLS_REPORTS = "tls-reports"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the new server shall be.

    :ivar hostname: its name.
    :ivar domains: what it serves, the main one first.
    :ivar state: the state directory as it is to be written.
    :ivar user: the first account; ``""`` for none.
    :ivar certificate: path; ``""`` for a self-signed one.
    :ivar key: likewise.
    :ivar unprivileged: whether ports above 1024 are used.
    """

    hostname: str
    domains: tuple[str, ...]
    state: str
    user: str = ""
    certificate: str = ""
    key: str = ""
    unprivileged: bool = False


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """A record to publish, and why."""

    name: str
    type: str
    value: str
    why: str


def configuration_text(plan: Plan) -> str:
    """``mta.toml`` for the plan."""
    mx, submission, submissions = (2525, 2587, 2465) if plan.unprivileged else (25, 587, 465)
    imaps, pop3s = (2993, 2995) if plan.unprivileged else (993, 995)
    postmaster = f"postmaster = {_quoted(plan.user)}" if plan.user else '#postmaster = "you@example.org"'
    if plan.certificate:
        tls = f"certificate = {_quoted(plan.certificate)}\nkey = {_quoted(plan.key)}"
    else:
        tls = (
            "# Until there is a certificate, a self-signed one is made in the state directory.\n"
            f'#certificate = "/etc/letsencrypt/live/{plan.hostname}/fullchain.pem"\n'
            f'#key = "/etc/letsencrypt/live/{plan.hostname}/privkey.pem"'
        )
    domains = "\n".join(_domain(name) for name in plan.domains)
    dmarc = ", ".join(_quoted(f"{DMARC_REPORTS}@{name}") for name in plan.domains)
    tls_reports = ", ".join(_quoted(f"{TLS_REPORTS}@{name}") for name in plan.domains)
    contact = f"contact = {_quoted(plan.user)}" if plan.user else f'#contact = "postmaster@{plan.domains[0]}"'
    return f"""\
# mta.toml, written by `mta init`.  Every other setting has a default; etc/mta.toml and the
# reference show all of them.  `mta check` finds mistakes, `mta reload` makes changes take effect.

# Our name in the greeting, in EHLO and in Received.  It should resolve to this machine, and this
# machine's address back to it.
hostname = {_quoted(plan.hostname)}

# Queue, history, Maildirs and sockets.  Relative to this file.
state = {_quoted(plan.state)}

# Processes; "auto" is one for each processor.
workers = 1

[listen]
# From other mail servers.  For IPv6 as well: "tcp6:{mx}:interface=\\\\:\\\\:" in place of it.
mx = ["tcp:{mx}"]
# From people and programs: with STARTTLS and a password.
submission = ["tcp:{submission}"]
# The same, with TLS from the first byte.
submissions = ["tcp:{submissions}"]
# People read their mail by IMAP, or fetch it by POP3; both with TLS from the first byte.
imaps = ["tcp:{imaps}"]
pop3s = ["tcp:{pop3s}"]

[tls]
{tls}

[access]
# Networks that may send to anywhere without a password.  Keep it small.
relay_from = []

# Who may send in whose name.  SPF and DKIM find out, DMARC decides: what fails is refused, or is junk, as
# the author's domain asks for.  fail = "mark": a forwarder breaks SPF, but not a signature.
[[judge]]
kind = "spf"
fail = "mark"

[[judge]]
kind = "dkim"

[[judge]]
kind = "dmarc"

# What others report of mail in our name, and of TLS with us, comes to these addresses, which need no
# mailbox: `mta dmarc-report summary` and `mta tls-report list` show it.  With a contact, a person who
# answers, others are told by us, too.
[dmarc_report]
addresses = [{dmarc}]
{contact}

[tls_report]
addresses = [{tls_reports}]
{contact}

# Accounts: `mta user add ADDRESS`.
[[identity]]
kind = "file"
path = "users"

{domains}
[queue]
# Who gets what cannot even be returned.
{postmaster}

[relay]
# Send everything through another server, as "host:port"; empty: straight to the recipients' servers.
smarthost = ""
"""


def _domain(name: str) -> str:
    return f"""\
[domains.{_quoted(name)}]
maildir = "{{state}}/mail/{{domain}}/{{local}}"
aliases = "aliases"
"""


def aliases_text(plan: Plan) -> str:
    """The aliases file: every domain must have a postmaster (RFC 5321, 4.5.1)."""
    person = plan.user or f"you@{plan.domains[0]}"
    mark = "" if plan.user and not plan.user.startswith("postmaster@") else "#"
    return (
        "# NAME: ADDRESS, ADDRESS; as aliases(5).  `mta reload` makes changes take effect.\n"
        "# Every domain must have a postmaster; others write to abuse when something is wrong.\n"
        f"{mark}postmaster: {person}\n"
        f"{'' if plan.user else '#'}abuse: {person}\n"
    )


def records(plan: Plan, addresses: Sequence[str] = (), reports: Sequence[str] = ()) -> list[DnsRecord]:
    """The DNS records to publish.

    :param addresses: this machine's public ones, if they are known.
    :param reports: where reports on mail in our name come to; else to postmaster.
    """
    found = []
    for address in addresses or ("(its address)",):
        kind = "AAAA" if ":" in address else "A"
        found.append(DnsRecord(f"{plan.hostname}.", kind, address, "where the server is"))
        name = "(its address)" if address.startswith("(") else f"{ip_address(address).reverse_pointer}."
        found.append(DnsRecord(name, "PTR", f"{plan.hostname}.", "others check that it leads back"))
    for domain in plan.domains:
        found.append(DnsRecord(f"{domain}.", "MX", f"10 {plan.hostname}.", "mail comes here"))
        found.append(DnsRecord(f"{domain}.", "TXT", '"v=spf1 mx -all"', "SPF: only this server sends"))
        # Only where it is of the same domain, nobody else has to agree (RFC 9990, 3).
        own = [one for one in reports if one.rpartition("@")[2].lower() == domain]
        uris = ",".join(f"mailto:{quote(one, safe='@+=&')}" for one in own or [f"postmaster@{domain}"])
        policy = f'"v=DMARC1; p=none; rua={uris}"'
        found.append(DnsRecord(f"_dmarc.{domain}.", "TXT", policy, "DMARC: report, refuse nothing yet"))
    return found


def sts_policy(hosts: Sequence[str], mode: Literal["testing", "enforce", "none"], max_age: int) -> str:
    """The MTA-STS policy of a domain (RFC 8461, 3.2), to be served as ``text/plain``.

    :param hosts: its MX hosts.
    :param max_age: seconds for which others may go by it.
    """
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {host}" for host in hosts), f"max_age: {max_age}"]
    return "".join(f"{line}\r\n" for line in lines)


def sts_records(domain: str, policy: str) -> list[DnsRecord]:
    """The records that lead to a policy; another policy has another id."""
    identifier = sha256(policy.encode()).hexdigest()[:20]
    return [
        DnsRecord(
            f"_mta-sts.{domain}.",
            "TXT",
            f'"v=STSv1; id={identifier}"',
            "MTA-STS: others fetch the policy when the id is another",
        ),
        DnsRecord(f"mta-sts.{domain}.", "A", "(a web server)", f"serves {sts_url(domain)}"),
    ]


def sts_url(domain: str) -> str:
    """Where others look for the policy."""
    return f"https://mta-sts.{domain}/.well-known/mta-sts.txt"


def report_record(domain: str, addresses: Sequence[str]) -> DnsRecord:
    """The record by which others send TLS reports (RFC 8460, 3)."""
    # What has a meaning in the record is encoded in a URI.
    uris = ",".join(f"mailto:{quote(address, safe='@+=&')}" for address in addresses)
    value = f'"v=TLSRPTv1; rua={uris}"'
    return DnsRecord(f"_smtp._tls.{domain}.", "TXT", value, "others tell how TLS went with us")


def _quoted(text: str) -> str:
    """A TOML string; JSON's escapes are TOML's, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
