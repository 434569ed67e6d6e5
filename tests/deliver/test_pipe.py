"""Programs that get messages, as real child processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest, TestCase

from mta.deliver import pipe_limits, pipe_run
from mta.deliver.pipe import PIPE, PipeSettings
from mta.interfaces import Delivery, PluginContext
from mta.model.envelope import Client, Envelope
from mta.model.ids import IdSource
from mta.model.message import Addressee, FileContent, InlineContent, Message
from mta.model.outcome import Delivered, Failed, Postponed

IDS = IdSource()
MAIL = b"Subject: x\r\n\r\nhello\r\n"


def _state(pid: int) -> str:
    """What the kernel says of a process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "gone"


class PipeCase(TestCase):
    """One script for each test."""

    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir()

    def transport(self, script: str, *arguments: str, **settings: Any) -> Any:
        (self.base / "program").write_text(f"#!/bin/sh\n{script}\n")
        (self.base / "program").chmod(0o755)
        settings = {"command": ["./program", *arguments], **settings}
        base = str(self.base)
        context = PluginContext(reactor, base, base, "mx.test", None, deferToThread)
        return PIPE.build(PipeSettings(**settings), context)

    def delivery(
        self, *addresses: str, data: bytes = MAIL, content: Any = None, sender: str = "a@b.test"
    ) -> Delivery:
        addressees = [
            Addressee(number, address, address, "pipe", "", {"detail": "d"})
            for number, address in enumerate(addresses or ("ann@local.test",))
        ]
        mail = Message(
            IDS.next(time.time()),
            Envelope(sender),
            Client("s"),
            b"Received: by mx.test;\r\n\tnow\r\n",
            content or InlineContent(data),
            addressees,
            time.time(),
            2e9,
        )
        return Delivery(mail, addressees, sender)

    async def child(self) -> int:
        """The process whose number the script writes into ``child``."""
        file = self.base / "child"
        while not file.exists() or not file.read_text().endswith("\n"):
            await deferLater(reactor, 0.01)
        return int(file.read_text())

    async def outcome(self, script: str, *arguments: str, **settings: Any) -> Any:
        (outcome,) = await self.transport(script, *arguments, **settings).deliver(self.delivery())
        return outcome


class PipeTests(PipeCase):
    """What a program gets, and what its end means."""

    async def test_the_message_comes_on_stdin(self) -> None:
        outcome = await self.outcome("cat > got; echo kept it")
        self.assertIsInstance(outcome, Delivered)
        self.assertIn("kept it", outcome.reply.text)
        self.assertEqual(
            (self.base / "got").read_bytes(),
            b"Return-Path: <a@b.test>\nDelivered-To: ann@local.test\n"
            b"Received: by mx.test;\n\tnow\nSubject: x\n\nhello\n",
        )

    async def test_crlf_and_no_fields(self) -> None:
        await self.outcome("cat > got", line_ends="crlf", return_path=False, delivered_to=False)
        self.assertEqual((self.base / "got").read_bytes(), b"Received: by mx.test;\r\n\tnow\r\n" + MAIL)

    async def test_large_content_is_streamed(self) -> None:
        data = b"Subject: x\r\n\r\n" + b"0123456789abc\r\n" * 200_000
        path = self.base / "content"
        path.write_bytes(data)
        transport = self.transport("cat > got")
        delivery = self.delivery(content=FileContent(path, len(data)))
        (outcome,) = await transport.deliver(delivery)
        self.assertIsInstance(outcome, Delivered)
        self.assertTrue((self.base / "got").read_bytes().endswith(data.replace(b"\r\n", b"\n")))

    async def test_content_that_cannot_be_read(self) -> None:
        transport = self.transport("cat > got; touch finished", delivered_to=False)
        (outcome,) = await transport.deliver(self.delivery(content=FileContent(self.base / "no", 5)))
        self.assertIsInstance(outcome, Postponed)
        self.assertFalse((self.base / "finished").exists())

    async def test_content_that_is_cut(self) -> None:
        path = self.base / "content"
        path.write_bytes(MAIL)
        transport = self.transport("cat > got; touch finished")
        (outcome,) = await transport.deliver(self.delivery(content=FileContent(path, len(MAIL) + 1)))
        self.assertIsInstance(outcome, Postponed)
        self.assertFalse((self.base / "finished").exists())

    async def test_arguments_go_through_no_shell(self) -> None:
        hostile = '"; touch pwned; $(touch pwned) `touch pwned`"@b.test'
        transport = self.transport(
            'printf "%s\\n" "$@" > got; cat > /dev/null',
            "--from={sender}", "{recipient}", "{local}", "{domain}", "{detail}", "{original}", "{id}", "",
        )  # fmt: skip
        delivery = self.delivery(sender=hostile)
        await transport.deliver(delivery)
        self.assertEqual(
            (self.base / "got").read_text().split("\n"),
            [
                f"--from={hostile}", "ann@local.test", "ann", "local.test", "d", "ann@local.test",
                delivery.message.id, "", "",
            ],
        )  # fmt: skip
        self.assertFalse((self.base / "pwned").exists())

    async def test_an_address_never_becomes_an_option(self) -> None:
        transport = self.transport("touch ran", "{recipient}")
        (outcome,) = await transport.deliver(self.delivery("-oX@local.test"))
        self.assertIsInstance(outcome, Failed)
        self.assertFalse((self.base / "ran").exists())

    async def test_exit_status(self) -> None:
        for status, kind, enhanced in [
            (0, Delivered, "2.0.0"),
            (65, Failed, "5.6.0"),
            (67, Failed, "5.1.1"),
            (69, Failed, "5.3.0"),
            (77, Failed, "5.7.0"),
            (75, Postponed, "4.3.0"),
            (1, Postponed, "4.3.0"),
            (64, Postponed, "4.3.0"),
            (78, Postponed, "4.3.0"),
            (127, Postponed, "4.3.0"),
        ]:
            outcome = await self.outcome(f"cat > /dev/null; echo because >&2; exit {status}")
            self.assertIsInstance(outcome, kind, status)
            self.assertEqual(outcome.reply.enhanced, enhanced)
            self.assertIn("because", outcome.reply.text)

    async def test_a_signal_is_a_delay(self) -> None:
        outcome = await self.outcome("kill -9 $$")
        self.assertIsInstance(outcome, Postponed)
        self.assertIn("signal 9", outcome.reply.text)

    async def test_a_program_need_not_read_it(self) -> None:
        transport = self.transport("exit 0")
        path = self.base / "content"
        data = b"Subject: x\r\n\r\n" + b"x" * 5_000_000
        path.write_bytes(data)
        for content in (InlineContent(data), FileContent(path, len(data))):
            (outcome,) = await transport.deliver(self.delivery(content=content))
            self.assertIsInstance(outcome, Delivered)

    async def test_a_timeout_ends_the_whole_group(self) -> None:
        transport = self.transport("sleep 600 & echo $! > child; wait; sleep 600", timeout=300)
        done = Deferred.fromCoroutine(transport.deliver(self.delivery()))
        child = await self.child()
        # The time is over as soon as there is something to end.
        [run] = transport._running
        run._timer.reset(0)
        (outcome,) = await done
        self.assertIsInstance(outcome, Postponed)
        self.assertIn("300 seconds", outcome.reply.text)
        while _state(child) not in ("gone", "Z"):
            await deferLater(reactor, 0.01)

    async def test_a_child_that_holds_the_output_open_delays_nothing(self) -> None:
        self.patch(pipe_run, "LINGER", 0.05)
        outcome = await self.outcome("sleep 600 & echo $! > child; exit 0")
        self.assertIsInstance(outcome, Delivered)
        os.kill(await self.child(), signal.SIGKILL)

    async def test_output_is_bounded(self) -> None:
        outcome = await self.outcome(
            "cat > /dev/null; yes | head -c 1000000; printf '\\r\\n'; exit 75", max_output=100
        )
        self.assertIsInstance(outcome, Postponed)
        self.assertLess(len(outcome.reply.text), 300)
        self.assertTrue(outcome.reply.text.isprintable())

    async def test_environment(self) -> None:
        os.environ["MTA_SECRET"] = "x"
        self.addCleanup(os.environ.pop, "MTA_SECRET")
        await self.outcome("cat > /dev/null; env > got")
        self.assertNotIn("MTA_SECRET", (self.base / "got").read_text())
        await self.outcome("cat > /dev/null; env > got", environment=["PATH", "MTA_SECRET"])
        self.assertIn("MTA_SECRET=x", (self.base / "got").read_text())

    async def test_loop(self) -> None:
        data = b"Delivered-To: ann@local.test\r\n\r\nx\r\n"
        (outcome,) = await self.transport("touch ran").deliver(self.delivery(data=data))
        self.assertIsInstance(outcome, Failed)
        self.assertFalse((self.base / "ran").exists())

    async def test_each_addressee_by_itself(self) -> None:
        transport = self.transport('cat > /dev/null; [ "$1" = ann ] || exit 67', "{local}", concurrency=1)
        outcomes = await transport.deliver(self.delivery("ann@local.test", "bob@local.test"))
        self.assertEqual([type(outcome) for outcome in outcomes], [Delivered, Failed])
        self.assertEqual(transport.concurrency(""), 1)

    async def test_stop_ends_programs(self) -> None:
        transport = self.transport("sleep 60")
        done = Deferred.fromCoroutine(transport.deliver(self.delivery()))
        await transport.stop()
        (outcome,) = await done
        self.assertIsInstance(outcome, Postponed)

    async def test_stop_before_it_has_begun(self) -> None:
        """A signal between fork and exec meets our own handler, and would be lost."""
        self.patch(pipe_run, "KILL_AFTER", 600.0)
        transport = self.transport("touch ran")
        (self.base / "slow").write_text("#!/bin/sh\ntrap '' TERM\necho > begun\nexec sleep 600\n")
        (self.base / "slow").chmod(0o755)
        # In the place of a process that is not yet what it is to be: without a group, and deaf.
        (self.base / "bin").mkdir()
        (self.base / "slow").rename(self.base / "bin" / "setsid")
        transport._before = [str(self.base / "bin" / "setsid")]
        done = Deferred.fromCoroutine(transport.deliver(self.delivery()))
        while not (self.base / "begun").exists():
            await deferLater(reactor, 0.01)
        await transport.stop()
        (outcome,) = await done
        self.assertIsInstance(outcome, Postponed)

    async def test_stop_is_one_for_all(self) -> None:
        """Those that ignore it are waited for together, and those that wait for a turn get none."""
        self.patch(pipe_run, "KILL_AFTER", 600.0)
        transport = self.transport("trap '' TERM; echo x >> runs; sleep 600 & wait; wait", concurrency=2)
        delivery = self.delivery(*(f"u{number}@local.test" for number in range(4)))
        done = Deferred.fromCoroutine(transport.deliver(delivery))
        runs = self.base / "runs"
        while not runs.exists() or runs.read_text().count("x") < 2:
            await deferLater(reactor, 0.01)
        stopped = Deferred.fromCoroutine(transport.stop())
        both = list(transport._running)
        self.assertEqual(["the server stops"] * 2, [run.overdue for run in both])
        # None waits until another has ended: their time is over at once.
        for run in both:
            run._timer.reset(0)
        await stopped
        self.assertEqual([Postponed] * 4, [type(outcome) for outcome in await done])
        self.assertEqual(2, runs.read_text().count("x"))

    async def test_statuses_have_words(self) -> None:
        outcome = await self.outcome("cat > /dev/null; exit 73")
        self.assertIn("exit status 73, it cannot create a file", outcome.reply.text)

    async def test_statuses_as_configured(self) -> None:
        for status, kind, enhanced in ((73, Failed, "5.2.0"), (67, Postponed, "4.3.0"), (3, Failed, "5.3.0")):
            outcome = await self.outcome(f"cat > /dev/null; exit {status}", permanent=[3, 73])
            self.assertIsInstance(outcome, kind, status)
            self.assertEqual(enhanced, outcome.reply.enhanced)

    async def test_variables(self) -> None:
        await self.outcome(
            "cat > /dev/null; env > got",
            variables={"RECIPIENT": "{recipient}", "SENDER": "-{sender}", "X": "$(id)"},
        )
        lines = (self.base / "got").read_text().splitlines()
        for line in ("RECIPIENT=ann@local.test", "SENDER=-a@b.test", "X=$(id)"):
            self.assertIn(line, lines)

    async def test_endless_output(self) -> None:
        outcome = await self.outcome("cat > /dev/null; yes", output_limit=100_000)
        self.assertIsInstance(outcome, Postponed)
        self.assertIn("more than 100000 octets", outcome.reply.text)

    def test_settings_are_checked(self) -> None:
        for command, words in [
            (["./program", "{user}"], "{user} is unknown"),
            (["{local}"], "must not depend"),
            (["./missing"], "no program"),
        ]:
            with self.assertRaises(ValueError) as caught:
                self.transport("exit 0", command=command)
            self.assertIn(words, str(caught.exception))
        if os.geteuid() == 0:
            self.assertRaises(ValueError, self.transport, "exit 0", user="nobody-of-this-name")
        for settings, words in [
            ({"memory": "1M"}, "no program starts"),
            ({"permanent": [0]}, "no exit status"),
            ({"variables": {"A=B": "x"}}, "no variable"),
            ({"variables": {"A": "{user}"}}, "{user} is unknown"),
            ({"directory": "missing"}, "there is no directory"),
        ]:
            with self.assertRaises(ValueError) as caught:
                self.transport("exit 0", **settings)
            self.assertIn(words, str(caught.exception))

    def test_limits_need_prlimit(self) -> None:
        self.patch(pipe_limits, "_PLACES", "/nonexistent")
        with self.assertRaises(ValueError) as caught:
            self.transport("exit 0", cpu_time=1)
        self.assertTrue(str(caught.exception).startswith("cpu_time: "))


class LimitTests(PipeCase):
    """What the kernel keeps a program to."""

    async def test_limits(self) -> None:
        """They are those of the program and of what it starts."""
        await self.outcome(
            "cat > /dev/null; sh -c 'cat /proc/self/limits' > got",
            memory="256M", cpu_time="90s", processes=4000, file_size="1M",
        )  # fmt: skip
        found = {
            line[:26].strip(): line[26:].split()[:2]
            for line in (self.base / "got").read_text().splitlines()[1:]
        }
        self.assertEqual(["90", "95"], found["Max cpu time"])
        self.assertEqual(["268435456"] * 2, found["Max address space"])
        self.assertEqual(["4000"] * 2, found["Max processes"])
        self.assertEqual(["1048576"] * 2, found["Max file size"])
        self.assertEqual(["0"] * 2, found["Max core file size"])

    async def test_none(self) -> None:
        """Without any the program keeps those of the server."""
        await self.outcome("cat > /dev/null; cat /proc/self/limits > got; cat /proc/$PPID/limits > ours")
        self.assertEqual((self.base / "ours").read_text(), (self.base / "got").read_text())

    async def test_cpu_time(self) -> None:
        outcome = await self.outcome("cat > /dev/null; while :; do :; done", cpu_time=1)
        self.assertIsInstance(outcome, Postponed)
        self.assertIn("processor time", outcome.reply.text)

    async def test_memory(self) -> None:
        outcome = await self.outcome(
            "cat > /dev/null; exec dd if=/dev/zero of=/dev/null bs=200M count=1", memory="100M"
        )
        self.assertIsInstance(outcome, Postponed)
        self.assertIn("memory", outcome.reply.text)

    async def test_file_size(self) -> None:
        outcome = await self.outcome(
            "cat > /dev/null; exec dd if=/dev/zero of=large bs=64k count=100", file_size="1M"
        )
        self.assertIsInstance(outcome, Postponed)
        self.assertIn("larger file", outcome.reply.text)
        self.assertLessEqual((self.base / "large").stat().st_size, 1 << 20)

    async def test_processes(self) -> None:
        """They are those of its user, so that root, who is not bound, has to run it as somebody."""
        if os.geteuid() != 0:
            raise SkipTest("needs root")
        script = "cat > /dev/null; sleep 1 & sleep 1 & sleep 1 & wait"
        outcome = await self.outcome(
            "", command=["/bin/sh", "-c", script], user="games", directory="/", processes=2
        )
        self.assertIsInstance(outcome, Postponed)
        self.assertIn("fork", outcome.reply.text.lower())
