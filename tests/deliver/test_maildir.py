"""What lies in a Maildir after a delivery, after a crash, and after trouble."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from mta.deliver import maildir
from mta.deliver.disk import Disk
from mta.deliver.maildir import MAILDIR, MaildirSettings, MaildirTransport
from mta.deliver.maildir_job import Job
from mta.deliver.maildir_places import MaildirPlaces
from mta.deliver.maildir_store import MaildirStore
from mta.interfaces import Delivery, PluginContext
from mta.model.envelope import Client, Envelope
from mta.model.ids import IdSource
from mta.model.message import Addressee, FileContent, InlineContent, Message
from mta.model.outcome import Delivered, Failed, Postponed

IDS = IdSource()
MAIL = b"Subject: x\r\n\r\nhello\r\n\r\nworld\r\n"
TRACE = b"Received: by mx.test\r\n\twith ESMTP;\r\n\tnow\r\n"


class HangingDisk(Disk):
    """Hangs when a file is made in the Maildir ``hangs``.

    :ivar hangs: set when it does.
    :ivar go_on: ends that.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hangs, self.go_on = threading.Event(), threading.Event()

    def create(self, name: bytes, directory: int, mode: int, owner: os.stat_result) -> int:
        if "/hangs/" in os.readlink(f"/proc/self/fd/{directory}"):
            self.hangs.set()
            self.go_on.wait()
        return super().create(name, directory, mode, owner)


class FaultyDisk(Disk):
    """Counts syncs, and fails where it is told to.

    :ivar faults: from an operation's name to a pair: octets that the name, path or data must
        hold, and the error.
    """

    def __init__(self, whole: bool = False) -> None:
        super().__init__()
        self.whole = whole
        self.faults: dict[str, tuple[bytes, int]] = {}
        self.synced: list[str] = []
        self.whole_syncs = 0

    def _fail(self, operation: str, subject: bytes) -> None:
        word, number = self.faults.get(operation, (b"", 0))
        if number and word in subject:
            raise OSError(number, os.strerror(number))

    def open_directory(self, path: bytes, parent: int | None = None) -> int:
        self._fail("open", path)
        return super().open_directory(path, parent)

    def create(self, name: bytes, directory: int, mode: int, owner: os.stat_result) -> int:
        self._fail("create", name)
        return super().create(name, directory, mode, owner)

    def write(self, file: int, data: bytes) -> None:
        self._fail("write", data)
        super().write(file, data)

    def move(self, name: bytes, source: int, target_name: bytes, target: int) -> bool:
        self._fail("move", name)
        return super().move(name, source, target_name, target)

    def sync(self, file: int) -> None:
        path = os.readlink(f"/proc/self/fd/{file}")
        self._fail("sync", path.encode())
        self.synced.append(path)

    def syncs_whole(self, device: int) -> bool:
        return self.whole

    def sync_whole(self, directory: int) -> None:
        self._fail("whole", b"")
        self.whole_syncs += 1


def message(data: bytes = MAIL, **options: Any) -> Message:
    """One message that waits."""
    content: Any = options.pop("content", None) or InlineContent(data)
    return Message(
        IDS.next(time.time()),
        Envelope("a@b.test", body=options.pop("body", "7BIT")),
        Client("s"),
        TRACE,
        content,
        [],
        created=1_900_000_000.25,
        expires=2e9,
    )


class StoreCase(SynchronousTestCase):
    """A store on a disk that can fail."""

    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir()
        self.box = self.base / "mail" / "ann"
        self.disk = FaultyDisk()
        self.store = MaildirStore(MaildirPlaces("mx.test", self.disk), self.disk)

    def job(self, mail: Message | None = None, box: Path | None = None, **options: Any) -> Job:
        repeat = options.pop("repeat", False)
        address = options.pop("address", "ann@local.test")
        addressee = Addressee(
            options.pop("number", 0), address, address, "maildir", str(box or self.box), options
        )
        return Job(mail or message(), addressee, options.pop("sender", "a@b.test"), repeat)

    def deliver(self, *jobs: Job) -> list[Any]:
        self.store.deliver(jobs)
        return [job.outcome for job in jobs]

    def files(self, folder: str = "new", box: Path | None = None) -> list[Path]:
        return sorted(((box or self.box) / folder).iterdir())


class DeliveryTests(StoreCase):
    """The usual way."""

    def test_a_message_arrives(self) -> None:
        mail = message()
        (outcome,) = self.deliver(self.job(mail))
        self.assertIsInstance(outcome, Delivered)
        (file,) = self.files()
        data = file.read_bytes()
        self.assertEqual(
            data,
            b"Return-Path: <a@b.test>\nDelivered-To: ann@local.test\n"
            b"Received: by mx.test\n\twith ESMTP;\n\tnow\nSubject: x\n\nhello\n\nworld\n",
        )
        virtual = len(data) + data.count(b"\n")
        self.assertEqual(file.name, f"1900000000.M250000Q{mail.id}N0.mx.test,S={len(data)},W={virtual}")
        self.assertIn(file.name, outcome.reply.text)
        self.assertEqual(self.files("tmp"), [])
        self.assertEqual(self.files("cur"), [])
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        self.assertEqual((self.box / "new").stat().st_mode & 0o777, 0o700)

    def test_everything_is_durable_before_it_is_delivered(self) -> None:
        self.deliver(self.job())
        synced = [Path(path).relative_to(self.base).as_posix() for path in self.disk.synced]
        self.assertEqual(synced[:3], [".", "mail", "mail/ann"])
        self.assertTrue(synced[3].startswith("mail/ann/tmp/"))
        self.assertEqual(synced[4:], ["mail/ann/new"])

    def test_the_null_sender_and_modes(self) -> None:
        job = self.job(file_mode=0o640, directory_mode=0o750)
        job.sender = ""
        self.deliver(job)
        (file,) = self.files()
        self.assertTrue(file.read_bytes().startswith(b"Return-Path: <>\n"))
        self.assertEqual(file.stat().st_mode & 0o777, 0o640)
        self.assertEqual(self.box.stat().st_mode & 0o777, 0o750)

    def test_binary_content_stays_as_it_is(self) -> None:
        data = b"Subject: x\r\n\r\n\x00\r\r\n\n\xff\r\n"
        self.deliver(self.job(message(data, body="BINARYMIME")))
        (file,) = self.files()
        self.assertTrue(file.read_bytes().endswith(data))

    def test_content_in_a_file(self) -> None:
        start = b"Subject: y\r\n\r\n"
        # A CR is the last octet of the first block, its LF the first of the next.
        data = start + b"x" * (262_143 - len(start)) + b"\r\nlast\r\r\nline\r\n"
        path = self.base / "content"
        path.write_bytes(data)
        (outcome,) = self.deliver(self.job(message(content=FileContent(path, len(data)))))
        self.assertIsInstance(outcome, Delivered)
        (file,) = self.files()
        stored = file.read_bytes()
        self.assertTrue(stored.endswith(data.replace(b"\r\n", b"\n")))
        virtual = len(stored) + stored.count(b"\n") - 1  # "last" keeps a CR before its LF
        self.assertTrue(file.name.endswith(f",S={len(stored)},W={virtual}"))

    def test_content_that_is_cut_is_not_delivered(self) -> None:
        path = self.base / "content"
        path.write_bytes(MAIL)
        (outcome,) = self.deliver(self.job(message(content=FileContent(path, len(MAIL) + 1))))
        self.assertIsInstance(outcome, Postponed)
        self.assertEqual(self.files() + self.files("tmp"), [])

    def test_loop(self) -> None:
        looping = b"Subject: x\r\nDELIVERED-to:  Ann@Local.test \r\n\r\nhello\r\n"
        path = self.base / "content"
        path.write_bytes(looping)
        for mail in (message(looping), message(content=FileContent(path, len(looping)))):
            (outcome,) = self.deliver(self.job(mail))
            self.assertIsInstance(outcome, Failed)
            self.assertEqual((outcome.reply.code, outcome.reply.enhanced), (554, "5.4.6"))
        self.assertEqual(self.files() + self.files("tmp"), [])
        harmless = [
            b"Delivered-To: bob@local.test\r\n\r\nx\r\n",
            b"Subject: x\r\n\r\nDelivered-To: ann@local.test\r\n",
            b"X-Delivered-To: ann@local.test\r\n\r\nx\r\n",
        ]
        for data in harmless:
            self.assertIsInstance(self.deliver(self.job(message(data)))[0], Delivered, data)

    def test_two_addressees_have_two_files(self) -> None:
        mail = message()
        self.deliver(self.job(mail), self.job(mail, number=1, address="ann+x@local.test"))
        self.assertEqual(len(self.files()), 2)

    def test_paths_are_safe(self) -> None:
        for next_hop in ("mail/ann", "/", "/x/../../etc", "/x\0y", ""):
            job = self.job()
            job.addressee.next_hop = next_hop
            (outcome,) = self.deliver(job)
            self.assertIsInstance(outcome, Postponed, next_hop)

    def test_a_link_in_place_of_new_is_not_followed(self) -> None:
        self.deliver(self.job())
        elsewhere = self.base / "elsewhere"
        (self.box / "new").rename(elsewhere)
        (self.box / "new").symlink_to(elsewhere)
        (outcome,) = self.deliver(self.job())
        self.assertIsInstance(outcome, Postponed)
        self.assertEqual(len(list(elsewhere.iterdir())), 1)

    def test_a_link_in_place_of_what_root_has_made(self) -> None:
        """The owner of the directory above is quick, and gets nothing that is not theirs."""
        if os.geteuid() != 0:
            self.skipTest("only root gives directories away")
        home, victim = self.base / "home", self.base / "victim"
        home.mkdir()
        victim.mkdir(0o700)
        os.chown(home, 4242, 4242)
        make = os.mkdir

        def mkdir(*arguments: Any, **options: Any) -> None:
            make(*arguments, **options)
            (home / "Maildir").rename(home / "aside")
            (home / "Maildir").symlink_to(victim)

        self.patch(os, "mkdir", mkdir)
        self.assertRaises(OSError, Disk().make_directory, bytes(home / "Maildir"), 0o755)
        facts = victim.stat()
        self.assertEqual((0, 0o700), (facts.st_uid, facts.st_mode & 0o777))

    def test_owner(self) -> None:
        if os.geteuid() != 0:
            self.skipTest("only root gives files away")
        self.deliver(self.job())
        for path in (self.box, self.box / "new", self.box / "tmp", self.box / "cur"):
            os.chown(path, 12345, 12346)
        self.deliver(self.job(), self.job(folder="Junk", quota=10_000))
        owners = {
            (path.stat().st_uid, path.stat().st_gid)
            for path in [self.box / "maildirsize", self.box / ".Junk", *self.files(".Junk/new")]
        }
        self.assertEqual(owners, {(12345, 12346)})


class FolderTests(StoreCase):
    """``user+detail`` and folders named by the route."""

    def test_detail_is_off_by_default(self) -> None:
        self.deliver(self.job(), self.job(detail="Lists"))
        self.assertEqual(len(self.files()), 2)

    def test_detail_into_a_folder_that_exists(self) -> None:
        self.store = MaildirStore(MaildirPlaces("mx.test", self.disk, detail_folder=True), self.disk)
        self.deliver(self.job(detail="Lists"))
        self.assertEqual(len(self.files()), 1)
        for name in ("new", "cur", "tmp"):
            (self.box / ".Lists" / name).mkdir(parents=True)
        self.deliver(self.job(detail="Lists"))
        self.assertEqual((len(self.files()), len(self.files(".Lists/new"))), (1, 1))

    def test_detail_makes_a_folder_but_never_leaves_the_maildir(self) -> None:
        self.store = MaildirStore(
            MaildirPlaces("mx.test", self.disk, detail_folder=True, create_folder=True), self.disk
        )
        self.deliver(self.job(detail="Bücher & Co"))
        self.assertEqual(len(self.files(".B&APw-cher &- Co/new")), 1)
        self.assertTrue((self.box / ".B&APw-cher &- Co" / "maildirfolder").exists())
        hostile = ["../../x", "/etc", ".", "..", "a.b", "a/b", "x\x01", "x" * 300, "inbox"]
        outcomes = self.deliver(*(self.job(detail=detail) for detail in hostile))
        self.assertEqual({type(outcome) for outcome in outcomes}, {Delivered})
        self.assertEqual(len(self.files()), len(hostile))
        self.assertEqual(sorted(os.listdir(self.box)), sorted([".B&APw-cher &- Co", "cur", "new", "tmp"]))

    def test_folder_of_the_message(self) -> None:
        """Junk has its folder; one that the route names counts more, and one that is not there is made."""
        mail = message()
        mail.attributes["folder"] = "Junk"
        self.deliver(self.job(mail), self.job(mail, folder="Lists", number=1))
        self.assertEqual([1, 1], [len(self.files(f".{name}/new")) for name in ("Junk", "Lists")])
        self.assertTrue((self.box / ".Junk" / "maildirfolder").exists())
        self.assertEqual([], self.files())

    def test_a_folder_of_the_route_may_be_nested(self) -> None:
        self.deliver(self.job(folder="Lists/twisted"))
        self.assertEqual(len(self.files(".Lists.twisted/new")), 1)
        self.assertTrue((self.box / "cur").is_dir())


class CrashTests(StoreCase):
    """A redelivery after a crash at each step."""

    def again(self, mail: Message, **options: Any) -> Any:
        return self.deliver(self.job(mail, repeat=True, **options))[0]

    def test_a_torn_file_in_tmp_is_replaced(self) -> None:
        mail = message()
        self.deliver(self.job())
        (self.box / "tmp" / f"1900000000.M250000Q{mail.id}N0.").write_bytes(b"Return-Pa")
        self.assertIsInstance(self.again(mail), Delivered)
        self.assertEqual(self.files("tmp"), [])
        self.assertIn(b"world\n", next(f for f in self.files() if mail.id in f.name).read_bytes())

    def test_file_systems_without_a_rename_that_replaces_nothing(self) -> None:
        """There a link does the same."""
        for number, system in enumerate((None, lambda *_: (ctypes.set_errno(errno.EINVAL), -1)[1])):
            self.disk._renameat2 = system
            mail = message()
            self.assertIsInstance(self.deliver(self.job(mail))[0], Delivered)
            self.assertIsInstance(self.deliver(self.job(mail))[0], Delivered)
            self.assertEqual((number + 1, 0), (len(self.files()), len(self.files("tmp"))))

    def test_between_link_and_removal(self) -> None:
        mail = message()
        self.deliver(self.job(mail))
        (file,) = self.files()
        os.link(file, self.box / "tmp" / f"1900000000.M250000Q{mail.id}N0.")
        self.assertIsInstance(self.again(mail), Delivered)
        self.assertEqual(self.files(), [file])
        # Even an attempt that is not called a repeat writes over nothing.
        inode = file.stat().st_ino
        self.assertIsInstance(self.deliver(self.job(mail))[0], Delivered)
        self.assertEqual([f.stat().st_ino for f in self.files()], [inode])
        self.assertEqual(self.files("tmp"), [])

    def test_a_reader_has_moved_it(self) -> None:
        for place in ("new", "cur", ".Trash/cur", ".Lists.deep/cur"):
            for flags in ("", ":2,", ":2,FRS", ":1,experimental"):
                mail = message()
                self.deliver(self.job(mail))
                (file,) = self.files()
                target = self.box / place / (file.name.split(",S=")[0] + flags)
                target.parent.mkdir(parents=True, exist_ok=True)
                file.rename(target)
                self.disk.synced.clear()
                outcome = self.again(mail)
                self.assertIsInstance(outcome, Delivered, target)
                self.assertEqual(self.files("new"), [target] if place == "new" else [])
                self.assertEqual(self.disk.synced, [str(target.parent)])
                target.unlink()

    def test_another_addressee_or_message_is_not_mistaken(self) -> None:
        mail = message()
        self.deliver(self.job(mail, number=1), self.job())
        self.assertIsInstance(self.again(mail, number=11), Delivered)
        self.assertIsInstance(self.again(mail), Delivered)
        self.assertEqual(len(self.files()), 4)

    def test_another_host_name(self) -> None:
        mail = message()
        self.deliver(self.job(mail))
        self.store = MaildirStore(MaildirPlaces("renamed.test", self.disk), self.disk)
        self.again(mail)
        self.assertEqual(len(self.files()), 1)

    def test_the_directory_was_not_durable(self) -> None:
        self.deliver(self.job())
        mail = message()
        self.disk.faults["sync"] = (b"/new", errno.EIO)
        (outcome,) = self.deliver(self.job(mail))
        self.assertIsInstance(outcome, Postponed)
        self.assertIsInstance(self.again(mail), Postponed)
        self.disk.faults.clear()
        self.assertIsInstance(self.again(mail), Delivered)
        self.assertEqual(len(self.files()), 2)

    def test_sweep(self) -> None:
        self.deliver(self.job())
        old, young = self.box / "tmp" / "old", self.box / "tmp" / "young"
        for file, age in ((old, 37), (young, 35)):
            file.write_bytes(b"x")
            then = time.time() - age * 3600
            os.utime(file, (then, then))
        self.store.sweep(os.fsencode(self.box))
        self.assertEqual(self.files("tmp"), [young])


class BatchTests(StoreCase):
    """Many at once."""

    def test_one_sync_of_a_directory_for_all(self) -> None:
        self.deliver(self.job())
        self.disk.synced.clear()
        for _ in range(20):
            outcomes = self.deliver(*(self.job() for _ in range(50)))
            self.assertEqual({type(outcome) for outcome in outcomes}, {Delivered})
        self.assertEqual(len(self.files()), 1001)
        new = [path for path in self.disk.synced if path.endswith("/new")]
        self.assertEqual((len(new), len(self.disk.synced)), (20, 1020))

    def test_one_sync_of_the_file_system_for_all(self) -> None:
        boxes = [self.base / f"box{number}" for number in range(10)]
        self.deliver(*(self.job(box=box) for box in boxes))
        self.disk.synced.clear()
        self.disk.whole = True
        outcomes = self.deliver(*(self.job(box=box) for box in boxes for _ in range(5)))
        self.assertEqual({type(outcome) for outcome in outcomes}, {Delivered})
        self.assertEqual((self.disk.whole_syncs, self.disk.synced), (2, []))
        self.assertEqual([len(self.files(box=box)) for box in boxes], [6] * 10)
        self.disk.faults["whole"] = (b"", errno.EIO)
        outcomes = self.deliver(*(self.job(box=box) for box in boxes))
        self.assertEqual({type(outcome) for outcome in outcomes}, {Postponed})
        self.assertEqual([len(self.files("tmp", box)) for box in boxes], [0] * 10)

    def test_trouble_stays_with_its_message(self) -> None:
        bad = message(b"Subject: bad\r\n\r\nbad\r\n")
        for operation, word in [
            ("write", b"Subject: bad"),
            ("create", bad.id.encode()),
            ("move", bad.id.encode()),
            ("sync", bad.id.encode()),
        ]:
            for number, code, enhanced in [
                (errno.ENOSPC, 452, "4.3.1"),
                (errno.EDQUOT, 452, "4.2.2"),
                (errno.EIO, 451, "4.3.0"),
                (errno.EACCES, 451, "4.3.0"),
                (errno.EROFS, 451, "4.3.0"),
                (errno.ENAMETOOLONG, 451, "4.3.0"),
            ]:
                self.disk.faults = {operation: (word, number)}
                outcomes = self.deliver(self.job(), self.job(bad), self.job())
                kinds = [type(outcome) for outcome in outcomes]
                self.assertEqual(kinds, [Delivered, Postponed, Delivered], operation)
                self.assertEqual((outcomes[1].reply.code, outcomes[1].reply.enhanced), (code, enhanced))
                self.assertIn("ann@local.test", outcomes[1].reply.text)
                self.assertEqual([f for f in self.files() + self.files("tmp") if bad.id in f.name], [])

    def test_trouble_stays_with_its_maildir(self) -> None:
        good, bad = self.base / "good", self.base / "bad"
        bad.write_bytes(b"a file is in the way")
        outcomes = self.deliver(self.job(box=bad), self.job(box=good), self.job(box=bad / "x"))
        self.assertEqual([type(outcome) for outcome in outcomes], [Postponed, Delivered, Postponed])

    def test_no_descriptor_is_left(self) -> None:
        self.disk.faults = {"move": (b"", errno.EIO)}
        before = len(os.listdir("/proc/self/fd"))
        self.deliver(*(self.job(folder=folder) for folder in ("", "a", "b")))
        self.disk.faults = {"sync": (b"", errno.EIO)}
        self.deliver(*(self.job(folder=folder) for folder in ("", "c", "b")))
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)


class QuotaTests(StoreCase):
    """``maildirsize`` as Maildir++ has it."""

    def size(self) -> str:
        return (self.box / "maildirsize").read_text()

    def put(self, place: str, octets: int) -> None:
        path = self.box / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * octets)

    def test_it_is_counted_and_kept(self) -> None:
        self.deliver(self.job())
        self.assertFalse((self.box / "maildirsize").exists())
        (file,) = self.files()
        octets = file.stat().st_size
        self.put("cur/seen,S=1000:2,S", 7)
        self.put("cur/thrown,S=5000:2,ST", 7)
        self.put(".Lists/cur/plain:2,", 300)
        self.put(".Trash/cur/old", 400)
        self.deliver(self.job(quota=100_000), self.job(quota=100_000))
        self.assertEqual(self.size(), f"100000S\n{octets + 1300} 3\n{2 * octets} 2\n")

    def test_full_is_a_delay(self) -> None:
        outcomes = self.deliver(self.job(quota=200), self.job(quota=200), self.job(quota=200))
        (file,) = self.files()
        self.assertTrue(150 > file.stat().st_size > 100, file.stat().st_size)
        self.assertEqual([type(outcome) for outcome in outcomes][1:], [Postponed, Postponed])

    def test_room_again_after_the_owner_has_removed_mail(self) -> None:
        self.deliver(self.job(quota=1000), self.job(quota=1000))
        self.put("maildirsize", 0)
        (self.box / "maildirsize").write_text("1000S\n900 9\n90 1\n")
        self.assertIsInstance(self.deliver(self.job(quota=1000))[0], Delivered)
        self.assertEqual(self.size().count("\n"), 3)

    def test_damage_and_another_quota_count_anew(self) -> None:
        for text in ("", "junk", "1000S\n5 x\n", "77S\n5 1\n", "1000S\n" + "1 0\n" * 2000, "1000S\n-5 1\n"):
            (self.box / "tmp").mkdir(parents=True, exist_ok=True)
            (self.box / "maildirsize").write_text(text)
            self.assertIsInstance(self.deliver(self.job(quota=1000))[0], Delivered)
            self.assertTrue(self.size().startswith("1000S\n"), text)
            self.assertEqual(self.size().count("\n"), 3)
            for file in self.files():
                file.unlink()

    def test_what_did_not_arrive_does_not_count(self) -> None:
        self.deliver(self.job(quota=1000))
        before = self.size()
        self.disk.faults = {"write": (b"", errno.ENOSPC)}
        self.deliver(*(self.job(quota=1000) for _ in range(20)))
        self.assertEqual(self.size(), before)


class TransportTests(TestCase):
    """Threads and batches, as the manager sees them."""

    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir()

    def transport(self, disk: Disk, threads: int = 2) -> MaildirTransport:
        transport = MaildirTransport(reactor, MaildirStore(MaildirPlaces("mx.test", disk), disk), threads)
        self.addCleanup(transport.stop)
        return transport

    def delivery(self, *boxes: str) -> Delivery:
        mail = message()
        mail.addressees = [
            Addressee(number, f"{box}@local.test", "", "maildir", str(self.base / box))
            for number, box in enumerate(boxes)
        ]
        return Delivery(mail, mail.addressees, "a@b.test")

    async def test_a_thousand_share_syncs(self) -> None:
        disk = FaultyDisk()
        transport = self.transport(disk)
        results: Any = await gatherResults([transport.deliver(self.delivery("ann")) for _ in range(1000)])
        self.assertEqual({type(outcome) for outcomes in results for outcome in outcomes}, {Delivered})
        self.assertEqual(len(list((self.base / "ann/new").iterdir())), 1000)
        self.assertEqual(sum("/ann/tmp/" in path for path in disk.synced), 1000)
        self.assertLess(sum(path.endswith("/new") for path in disk.synced), 100)

    async def test_outcomes_are_in_order(self) -> None:
        (self.base / "bad").write_bytes(b"")
        outcomes = await self.transport(Disk()).deliver(self.delivery("ann", "bad", "bob"))
        self.assertEqual([type(outcome) for outcome in outcomes], [Delivered, Postponed, Delivered])

    async def test_stop_waits_for_what_is_under_way(self) -> None:
        transport = self.transport(Disk())
        waiting = [transport.deliver(self.delivery("ann")) for _ in range(100)]
        await transport.stop()
        self.assertTrue(all(done.called for done in waiting))

    async def test_a_disk_that_hangs_leaves_the_others_going(self) -> None:
        """A batch that takes long keeps nobody else waiting for its end."""
        disk = HangingDisk()
        self.addCleanup(disk.go_on.set)
        transport = self.transport(disk)
        slow = transport.deliver(self.delivery("hangs"))
        await deferToThread(disk.hangs.wait)
        await transport.deliver(self.delivery("ann"))
        self.assertNoResult(slow)
        disk.go_on.set()
        await slow

    async def test_after_a_rest_nobody_waits(self) -> None:
        """The timer of one who waited for a second thread is no reason to wait for the first."""
        self.patch(maildir, "PATIENCE", 1e9)
        disk = HangingDisk()
        self.addCleanup(disk.go_on.set)
        transport = self.transport(disk)
        first = transport.deliver(self.delivery("hangs"))
        await deferToThread(disk.hangs.wait)
        second = transport.deliver(self.delivery("ann"))
        disk.go_on.set()
        await gatherResults([first, second])
        await transport.deliver(self.delivery("ann"))

    async def test_a_fault_of_the_program_is_a_delay(self) -> None:
        class Broken(MaildirStore):
            def deliver(self, jobs: Any) -> None:
                raise ZeroDivisionError

        disk = Disk()
        transport = MaildirTransport(reactor, Broken(MaildirPlaces("mx.test", disk), disk))
        self.addCleanup(transport.stop)
        outcomes = await transport.deliver(self.delivery("ann", "bob"))
        self.assertEqual([type(outcome) for outcome in outcomes], [Postponed, Postponed])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_kind(self) -> None:
        context = PluginContext(reactor, "/", "/", "mx.test", None, None)  # type: ignore[arg-type]
        for fsync in (True, False):
            settings = MaildirSettings(fsync=fsync, detail_folder="create")  # type: ignore[call-arg]
            transport = MAILDIR.build(settings, context)
            self.addCleanup(transport.stop)
            boxes = [f"box{number}" for number in range(5)]
            outcomes = await transport.deliver(self.delivery(*boxes))
            self.assertEqual({type(outcome) for outcome in outcomes}, {Delivered})
            self.assertGreaterEqual(transport.concurrency("x"), 50)
