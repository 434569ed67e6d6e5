"""mbsync keeps two copies of a mailbox the same, from both sides, and finds nothing to do when they are.

``MTA_MAILBOX`` is how many messages there are.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from tests.e2e.imap import message
from tests.e2e.mail_place import Place, PlaceScenario
from tests.e2e.scenario import mails, program

MESSAGES = int(os.environ.get("MTA_MAILBOX", "5000"))


class MbsyncTests(PlaceScenario):
    """See the module."""

    def setUp(self) -> None:
        super().setUp()
        self.mbsync = program("mbsync")
        self.far = self.open_place()
        self.far.put(MESSAGES - 200)
        self.far.put(200, "Lists.dev", first=MESSAGES, info=":2,S")
        self.near = Place(0, False, "", "", self.place / "near" / "INBOX", 0, self.far.server)
        self.near.maildir.parent.mkdir()
        self.rc = self._configure()

    def _configure(self) -> Path:
        secure = ["SSLType None", "AuthMechs LOGIN"]
        if self.far.tls:
            certificate = self.far.certificate(self.place / "certificate.pem")
            secure = ["SSLType IMAPS", f"CertificateFile {certificate}"]
        lines = [
            "IMAPAccount far",
            "Host 127.0.0.1",
            f"Port {self.far.port}",
            f"User {self.far.user}",
            f"Pass {self.far.password}",
            "Timeout 120",
            *secure,
            "",
            "IMAPStore far",
            "Account far",
            "",
            "MaildirStore near",
            f"Inbox {self.near.maildir}",
            "SubFolders Maildir++",
            "",
            "Channel all",
            "Far :far:",
            "Near :near:",
            "Patterns *",
            "Create Both",
            "Remove Both",
            "Expunge Both",
            "CopyArrivalDate yes",
            "SyncState *",
        ]
        rc = self.place / "mbsyncrc"
        rc.write_text("\n".join(lines) + "\n")
        return rc

    def sync(self) -> None:
        """Make both sides the same."""
        self.call(self.mbsync, "-c", str(self.rc), "all", env={"HOME": str(self.place)})

    def everything(self) -> list[str]:
        """The names of all files of both sides, with UIDs on the near one and flags on both."""
        return sorted(
            str(path)
            for side in (self.far, self.near)
            for folder in ("", "Lists.dev")
            for part in ("new", "cur")
            for path in (side.folder(folder) / part).iterdir()
        )

    def same(self) -> None:
        """Both sides have the same messages with the same flags, and there is nothing to do."""
        for folder in ("", "Lists.dev"):
            self.assertEqual(self.far.files(folder), self.near.files(folder), folder)
        before = self.everything()
        self.sync()
        self.assertEqual(before, self.everything())

    def test_both_ways(self) -> None:
        self.sync()
        self.assertEqual(MESSAGES - 200, len(self.near.files()))
        (one,) = self._near(b"<p7@test>")
        self.assertEqual(1_600_000_007, int(one.stat().st_mtime))
        self.same()

        # Far: flags and a removal by another program, one by a client, a delivery.
        cur = self.far.maildir / "cur"
        names = sorted(cur.iterdir())
        for path in names[:10]:
            path.rename(f"{path}FS")
        for path in names[10:15]:
            path.unlink()
        with_flags = self.far.open()
        with_flags.select()
        removed = sorted(with_flags.message_ids())[20:25]
        for uid in removed:
            with_flags.do(b"UID STORE %d +FLAGS.SILENT (\\Deleted)" % uid)
        with_flags.do(b"EXPUNGE")
        with_flags.close()
        self.far.deliver(message("delivered"))
        if self.far.server is not None:
            self.far.server.wait_mail(self.far.user, MESSAGES - 200 - 10 + 1)

        # Near: flags, removals, and new messages, one of them large.
        near = sorted(mails(self.near.maildir), key=_number)
        for path in near[100:140]:
            path.rename(self.near.maildir / "cur" / (path.name.partition(":2,")[0] + ":2,RS"))
        for path in near[200:203]:
            path.unlink()
        for number in range(20):
            text = message(f"near{number}", body="x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * (number * 200))
            (self.near.maildir / "new" / f"170000000{number}.P1.near").write_bytes(
                text.replace(b"\r\n", b"\n")
            )
        (self.near.maildir / "cur" / "1700000099.P1.near:2,FS").write_bytes(message("near-flagged"))

        self.sync()
        self.same()
        files = self.far.files()
        self.assertEqual("FS", files[b"<near-flagged@test>"])
        self.assertIn(b"<near19@test>", files)
        self.assertEqual(MESSAGES - 200 - 10 - 3 + 22, len(files))

    def _near(self, identity: bytes) -> list[Path]:
        return [path for path in mails(self.near.maildir) if identity in path.read_bytes()]


def _number(path: Path) -> int:
    """Where a message stands in the order of the far side."""
    found = re.search(rb"Message-ID: <p([0-9]+)@", path.read_bytes())
    assert found is not None
    return int(found[1])
