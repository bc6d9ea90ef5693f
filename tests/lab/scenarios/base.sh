# What every scenario of this folder stands on; each reads it first. Run as root on a lab host, as often as you like.
# Makes the people, the accounts that Askfirst signs in with, and the checkout of the GUI. Starts nothing.
# shellcheck shell=sh
set -eu
code=/opt/pypnm-gui-lab
upstream=/srv/git/pypnm-gui-lab.git

# The GUI on one port, as a command line without anything that a shell would have to read.
gui() { echo "/usr/bin/gunicorn -w 2 app:app --chdir $code -b ${2:-127.0.0.1}:$1"; }
as() { su - "$1" -s /bin/sh -c "$2"; }

# Wait until something answers on a port, whatever it answers.
answers() {
  for _ in $(seq 120); do
    status=$(curl -s -o /dev/null -m 3 -w '%{http_code}' "http://127.0.0.1:$1/health" || true)
    [ "$status" = 000 ] || return 0
    sleep 0.5
  done
  echo "scenario: nothing answers on port $1" >&2
  return 1
}

account() {
  id "$1" >/dev/null 2>&1 || useradd -m -s /bin/bash "$1"
}

let_in() {
  install -d -m 700 -o "$1" -g "$1" "/home/$1/.ssh"
  install -m 600 -o "$1" -g "$1" /root/.ssh/authorized_keys "/home/$1/.ssh/authorized_keys"
}

for person in rbron node askfirst blind; do account "$person"; done
# Askfirst's own account may do one thing as root; `blind` holds the same key and may do nothing.
let_in askfirst
let_in blind
echo 'askfirst ALL=(root) NOPASSWD: /usr/bin/sh -s' >/etc/sudoers.d/askfirst
chmod 440 /etc/sudoers.d/askfirst

if [ ! -d "$code" ]; then
  install -d -o rbron -g rbron "$code" "$code/static" /srv/git
  cat >"$code/app.py" <<'X'
"""The lab's GUI: answers from what it read when it started, so a pulled fix needs a restart to be seen."""

import json
import os
from pathlib import Path

from flask import Flask

app = Flask(__name__)
constellation = json.loads(Path(__file__).with_name("constellation.json").read_text())


@app.get("/health")
def health():
    return {"ok": True, "pid": os.getpid()}


@app.get("/api/constellation")
def show_constellation():
    return {"tftp": {"server": constellation["tftp"]}}
X
  echo '{"tftp": "10.0.0.1"}' >"$code/constellation.json"
  printf '__pycache__/\n' >"$code/.gitignore"
  cat >"$code/docker-compose.yml" <<'X'
services:
  pypnm-api:
    image: pypnm-api:lab
    container_name: pypnm-api
    ports: ["8000:8000"]
X
  chown -R rbron:rbron "$code"
  as rbron "cd $code && git init -q -b main . && git config user.name 'R. Bron' && git config user.email rbron@example.org
    git add -A && git commit -qm 'Show the constellation'
    git init -q --bare -b main $upstream && git remote add origin $upstream && git push -q -u origin main"
fi
