"""Other programs change the Maildir while people read it here: mutt, and a real Dovecot."""

from __future__ import annotations

import os
import poplib
import pwd

from tests.e2e.dovecot import Dovecot
from tests.e2e.imap import Imap, message, trusting
from tests.e2e.mail_place import ANNA, Place
from tests.e2e.scenario import Scenario, need_root, program, wait_for
from tests.e2e.server import Server
from tests.e2e.test_imap_programs import Screen


class NeighbourTests(Scenario):
    """See the module."""

    def serve(self, *options: str) -> Place:
        """Our server, with INBOX and the folder Saved."""
        server = self.part(Server(self.place / "mta", options=options))
        for role in ("pop3s", "imaps"):
            server.add_listener(role)
        server.write()
        server.start()
        maildir = server.maildir(ANNA)
        place = Place(server.ports["imaps"], True, ANNA, "anna-secret", maildir, server.ports["mx"], server)
        place.deliver(*(message(f"m{number}") for number in range(6)))
        server.wait_mail(ANNA, 6)
        session = place.open()
        session.do(b"CREATE Saved")
        session.close()
        return place

    def test_mutt(self) -> None:
        """mutt reads, flags, removes and saves; sessions that are open learn of it, and lose nothing."""
        mutt, tmux = program("mutt"), program("tmux")
        place = self.serve()
        assert place.server is not None
        session = place.open()
        session.select()
        identities = session.message_ids()
        uid_of = {identity: uid for uid, identity in identities.items()}
        pop = poplib.POP3_SSL("127.0.0.1", place.server.ports["pop3s"], context=trusting(), timeout=60)
        pop.user(ANNA)
        pop.pass_("anna-secret")
        ids = [line.split()[1] for line in pop.uidl()[1]]
        home = self.place / "mutt"
        home.mkdir()
        rc = home / "muttrc"
        settings = {
            "folder": place.maildir,
            "spoolfile": place.maildir,
            "mbox_type": "Maildir",
            "sort": "mailbox-order",
            "mark_old": "no",
            "move": "no",
            "quit": "yes",
            "delete": "yes",
            "confirmappend": "no",
            "sleep_time": 0,
        }
        rc.write_text("".join(f'set {name}="{value}"\n' for name, value in settings.items()))
        tag = session.idle()
        screen = Screen(tmux, self.place / "tmux", f"{mutt} -n -F {rc}", home)
        self.addCleanup(screen.stop)
        screen.wait("Msgs:6")

        def listed() -> list[bytes]:
            lines = [line for line in screen.text.splitlines() if "x@elsewhere" in line]
            found = [f"<m{line.rpartition('m')[2].strip()}@test>".encode() for line in lines]
            # It may be drawing them still.
            return found if len(set(found)) == 6 else []

        named = wait_for(listed, "mutt does not list them")
        screen.press("1", "Enter", "Enter")
        screen.wait("hello")
        screen.press("i")
        screen.wait("Msgs:6")
        screen.press("1", "Enter", "F")
        screen.wait("Flag:1")
        screen.press("2", "Enter", "d")
        screen.wait("Del:1")
        screen.press("3", "Enter", "s")
        screen.wait("Save to mailbox")
        screen.press("C-u")
        screen.type(f"{place.maildir}/.Saved")
        screen.press("Enter")
        screen.wait("Del:2")
        screen.press("$")
        wait_for(lambda: len(place.files()) == 4, "mutt does not remove them")
        while len(session.uids) > 4 or b"\\Flagged" not in session.flags[uid_of[named[0]]]:
            session.news()
        session.done(tag)
        screen.press("q")
        wait_for(lambda: not screen.alive, "mutt does not end")
        session.do(b"NOOP")
        left = {uid: identity for uid, identity in identities.items() if identity not in named[1:3]}
        self.assertEqual(left, session.message_ids())
        self.assertEqual({b"\\Flagged", b"\\Seen"}, session.flags[uid_of[named[0]]] - {b"\\Recent"})
        session.select(b"Saved")
        self.assertEqual([named[2]], list(session.message_ids().values()))
        # POP3 goes by the names that the files have had from the first.
        pop.retr(ids.index(ids[uid_of[named[0]] - min(identities)]) + 1)
        with self.assertRaisesRegex(poplib.error_proto, "another program"):
            pop.retr(uid_of[named[1]] - min(identities) + 1)
        pop.quit()

    def test_dovecot(self) -> None:
        """Both serve one Maildir: each sees what clients of the other do, keywords too; no UID changes."""
        need_root("only root can become somebody else")
        nobody = pwd.getpwnam("nobody")
        place = self.serve("--uid", "nobody", "--gid", str(nobody.pw_gid))
        assert place.server is not None
        for path in (place.server.base, *place.maildir.parents):
            if path.is_relative_to(self.place):
                path.chmod(path.stat().st_mode | 0o011)
        dovecot = self.part(Dovecot(self.place / "dovecot", place.server.state / "mail"))
        theirs = Imap(dovecot.imap, tls=False).login(ANNA, "imap-secret")
        ours = place.open()
        ours.select()
        theirs.select()
        before = ours.message_ids()
        self.assertEqual(sorted(before.values()), sorted(theirs.message_ids().values()))
        tag = ours.idle()

        # Theirs: flags and keywords, an append, a move, a removal.
        theirs.do(b"STORE 1 +FLAGS (\\Flagged $Work)")
        theirs.append(b"INBOX", message("theirs"), b"\\Seen $Home")
        theirs.do(b"MOVE 2 Saved")
        theirs.do(b"STORE 2 +FLAGS.SILENT (\\Deleted)")
        theirs.do(b"EXPUNGE")
        wanted = shown(theirs)

        while len(ours.uids) != 5:
            ours.news()
        ours.done(tag)
        self.shows(ours, wanted)
        self.assertEqual(
            {}, {uid: one for uid, one in ours.message_ids().items() if before.get(uid, one) != one}
        )

        # Ours: the same.
        ours.do(b"STORE 2 +FLAGS (\\Answered $Work $Ours)")
        ours.append(b"INBOX", message("ours"), b"\\Seen $Ours")
        ours.do(b"MOVE 3 Saved")
        ours.do(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
        ours.do(b"EXPUNGE")
        self.shows(theirs, shown(ours))
        for session in (ours, theirs):
            session.select(b"Saved")
        saved = shown(ours)
        self.assertEqual(2, len(saved))
        self.shows(theirs, saved)
        self.assertNotIn("Error", dovecot.output)
        self.assertFalse([name for name in os.listdir(place.server.state / "mailboxes") if "damaged" in name])

    def shows(self, session: Imap, wanted: dict[bytes, frozenset[bytes]]) -> None:
        """Wait until a session shows these messages with these flags."""

        def does() -> bool:
            session.do(b"NOOP")
            return shown(session) == wanted

        try:
            wait_for(does, "")
        except AssertionError:
            self.assertEqual(wanted, shown(session))


def shown(session: Imap) -> dict[bytes, frozenset[bytes]]:
    """Flags by Message-ID, in the selected folder."""
    session.learn()
    return {identity: session.flags[uid] - {b"\\Recent"} for uid, identity in session.message_ids().items()}
