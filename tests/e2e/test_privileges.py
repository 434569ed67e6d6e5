"""Started as root with --uid and --gid: what each of its processes still may, and who may send through it."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from pathlib import Path

from tests.e2e.scenario import Scenario, need_root, wait_for
from tests.e2e.server import BIN, Server


def status(pid: int) -> dict[str, str]:
    """Of one process, as the kernel has it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: " ".join(value.split()) for name, _, value in (line.partition(":") for line in lines)}


class PrivilegeScenario(Scenario):
    def test_dropped(self) -> None:
        """User, groups, capabilities, and the way back; of supervisor and workers."""
        need_root("only root can become somebody else")
        nobody = pwd.getpwnam("nobody")
        server: Server = self.part(
            Server(self.place / "server", options=("--uid", "nobody", "--gid", str(nobody.pw_gid)), workers=2)
        )
        server.start()
        assert server.process is not None
        # The one that greets may be alone still.
        for number in range(2):
            server.process.wait_line(f"worker {number}")
        processes = [server.pid, *server.workers()]
        self.assertEqual(3, len(processes))
        for pid in processes:
            found = status(pid)
            self.assertEqual([str(nobody.pw_uid)] * 4, found["Uid"].split(), pid)
            self.assertEqual([str(nobody.pw_gid)] * 4, found["Gid"].split(), pid)
            self.assertTrue(set(found["Groups"].split()) <= {str(nobody.pw_gid)}, found["Groups"])
            for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                self.assertEqual(0, int(found[kind], 16), kind)
            self.assertEqual("1", found["NoNewPrivs"])
            self.assertRegex(Path(f"/proc/{pid}/limits").read_text(), r"Max core file size\s+0\s+0")
            # Not even its own user looks into it; another worker may just be starting still.
            memory = Path(f"/proc/{pid}/mem")
            wait_for(lambda memory=memory: memory.stat().st_uid == 0, f"{memory} is its user's")
        for path in (server.state, *server.state.rglob("*")):
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:  # A draft, or what a database keeps for a moment.
                continue
            if stat.S_ISSOCK(mode) or path in (server.state, server.state / "run", server.state / "spool"):
                continue
            self.assertEqual(0, stat.S_IMODE(mode) & 0o027 & ~0o011 * path.is_dir(), f"{path}: {mode:o}")

    def test_everybody_may_send(self) -> None:
        """Also where the umask would keep others out of the socket's directory."""
        need_root("only root can become somebody else")
        server: Server = self.part(Server(self.place / "server", options=("--umask", "077")))
        before = os.umask(0o077)
        try:
            server.start()
        finally:
            os.umask(before)
        for name in ("", "run"):
            self.assertEqual(0o711, stat.S_IMODE((server.state / name).stat().st_mode), name)
        program = (
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
            " print(s.recv(3).decode())"
        )
        done = subprocess.run(
            [str(BIN / "python"), "-c", program, str(server.state / "run" / "submit.sock")],
            user="nobody",
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual("220\n", done.stdout, done.stderr)
