"""An ordinary user's own managers, with lists that name somebody else's process: none of them ever becomes a proof.

The programs are the real ones, or real enough: root's own runsv and s6-supervise run by that user over folders of their
own, and a node that calls itself PM2 and answers on its socket as PM2 does.
"""

from dataclasses import replace

import pytest

from app.core.verdict import Code
from tests.lab.conftest import NewHost
from tests.lab.flow_world import claim, pinned
from tests.lab.hosts import SCENARIOS_THERE
from tests.lab.test_incident import looked
from tests.lab.truth import CODE

# rbron's gunicorn on 5053 is nobody's. node's real supervisors are made to say that it is theirs.
FORGE = r"""
. SCENARIOS/base.sh
pid=$(ss -Hltnp 'sport = :5053' | grep -o 'pid=[0-9]*' | cut -d= -f2 | sort -n | head -1)
as node "mkdir -p sv/gui s6/gui .pm2
  printf '#!/bin/sh\nexec sleep 1000\n' | tee sv/gui/run s6/gui/run >/dev/null && chmod 755 sv/gui/run s6/gui/run
  (cd sv && exec setsid runsv gui) >/dev/null 2>&1 </dev/null &
  (cd s6 && exec setsid s6-supervise gui) >/dev/null 2>&1 </dev/null &
  until grep -q . sv/gui/supervise/pid && s6-svstat -o pid s6/gui | grep -q '[1-9]'; do sleep 0.2; done
  echo $pid >sv/gui/supervise/pid
  setsid node -e '$(cat /srv/pm2.js)' $pid >/dev/null 2>&1 </dev/null &
  until [ -S .pm2/rpc.sock ]; do sleep 0.2; done"
python3 - "$pid" <<'Y'
import struct, sys
path = "/home/node/s6/gui/supervise/status"
with open(path, "r+b") as status:
    status.seek(24)
    status.write(struct.pack(">Q", int(sys.argv[1])))
Y
s6-svstat -o pid /home/node/s6/gui
"""
PM2 = """
process.title = "PM2 v9.0.0: God Daemon (/home/node/.pm2)";
const app = { name: "gui", pm_id: 0, pid: +process.argv[1], pm2_env: { exec_mode: "fork_mode", status: "online",
  unstable_restarts: 0, pm_exec_path: "/usr/bin/gunicorn", pm_cwd: "/opt/pypnm-gui-lab" } };
require("net").createServer((line) => line.on("data", () => {
  const text = Buffer.from("j:" + JSON.stringify({ args: [[app]] })), size = Buffer.alloc(4);
  size.writeUInt32BE(text.length);
  line.write(Buffer.concat([Buffer.from([0x11]), size, text]));
})).listen("/home/node/.pm2/rpc.sock");
"""


@pytest.mark.law(1)
def test_lists_that_a_user_wrote_prove_nothing(new_host: NewHost) -> None:
    host = new_host("forged", "by-hand")
    (host.root / "srv/pm2.js").write_text(PM2.replace("\n", " "))
    told = host.run(FORGE.replace("SCENARIOS", SCENARIOS_THERE)).out.split()[-1]
    claims = [
        claim(f"{manager}-{user}", manager, unit, 5053, user=user, path=path)
        for manager, unit in (("runit", "/home/node/sv/gui"), ("s6", "/home/node/s6/gui"), ("pm2", "gui"))
        for user, path in (("rbron", CODE), ("node", None))
    ]
    alone = [replace(each, name=f"{each.name}-alone", ports=()) for each in claims]
    looks = looked(pinned(host), host, [*claims, *alone])
    for look in looks:
        assert look.verdict.code is not Code.VERIFIED, look.service.name
        assert look.verdict.pids == (int(told),), look.service.name  # its list was read, and does say so
        (manager,) = (each for each in look.verdict.findings if each.aspect == "manager")
        assert manager.agrees is not True, look.service.name
