# Processes of ordinary users that try to be taken for something else, or to act through what is shown of them.
. "$(dirname "$0")/base.sh"
cat >/srv/serve.py <<'X'
"""An HTTP server on argv[1]; the other arguments are there to be seen."""

import http.server
import sys

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
X
cat >/srv/pretend.py <<'X'
"""Take another name (PR_SET_NAME), then run the rest of the command line as a child and stay its parent."""

import ctypes
import subprocess
import sys

ctypes.CDLL(None).prctl(15, sys.argv[1].encode().decode("unicode_escape").encode("latin-1"), 0, 0, 0)
subprocess.call(sys.argv[2:])
X
serve='/usr/bin/python3 /srv/serve.py'
quiet='>/dev/null 2>&1 </dev/null &'
# Markup, terminal escapes, a newline, a bidi override and a password on a command line.
as rbron "cd /srv; setsid $serve 5063 '<img src=x onerror=alert(1)>' \"\$(printf '\\033[2J\\033[1;1Happroved\\n\\342\\200\\256evil')\" \\
  --password=hunter2 $quiet"
# A supervisord that is none, with a child that holds a port.
as node "cd /srv; setsid /usr/bin/python3 /srv/pretend.py supervisord $serve 5064 $quiet"
# A name with a newline: whoever reads /proc/PID/stat by lines takes 1 for its parent and loses its start time.
as node "cd /srv; setsid /usr/bin/python3 /srv/pretend.py 'sup) S 1 1\\nend ' $serve 5065 $quiet"
for port in 5063 5064 5065; do answers $port; done
