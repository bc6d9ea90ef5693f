# script: root's own restart script for the GUI, on a port that it is told. What it starts descends from nobody.
. "$(dirname "$0")/base.sh"
cat >/usr/local/sbin/restart-gui <<'X'
#!/bin/sh
# restart-gui PORT: end the GUI on that port, and start it anew.
set -eu
port=${1:?which port}
cd /
holders() { ss -Hltnp "sport = :$port" | grep -o 'pid=[0-9]*' | cut -d = -f 2 || true; }
for pid in $(holders); do kill -TERM "$pid" || true; done
while [ -n "$(holders)" ]; do sleep 0.1; done
setpriv --reuid=rbron --regid=rbron --init-groups \
  /usr/bin/gunicorn -w 2 app:app --chdir /opt/pypnm-gui-lab -b "127.0.0.1:$port" --daemon
echo started >>"/run/starts-$port"
echo "started the GUI on port $port"
X
chmod 755 /usr/local/sbin/restart-gui
ss -Hltn 'sport = :5070' | grep -q . || /usr/local/sbin/restart-gui 5070
answers 5070
