# pm2, of the user node: a gunicorn whose parent is node; two workers in cluster mode, whose port node itself holds for
# them; and a second home, with a daemon of its own.
. "$(dirname "$0")/base.sh"
command -v pm2 >/dev/null || { echo "scenario: no pm2 here; npm was missing when the template was built" >&2; exit 1; }
mkdir -p /srv/web
cat >/srv/web/web.js <<'X2'
require("http").createServer((asked, reply) => reply.end('{"ok": true}')).listen(5067, "127.0.0.1");
X2
gunicorn() { echo "--interpreter none /usr/bin/gunicorn -- -w 1 app:app --chdir $code -b 127.0.0.1:$1"; }
keep() { as node "cd $3 && export PM2_HOME=$1 && { pm2 describe $2 || pm2 start --name $2 $4; } >/dev/null 2>&1"; }
keep /home/node/.pm2 gui-pm2 "$code" "$(gunicorn 5055)"
keep /home/node/.pm2 web /srv/web "web.js -i 2"
keep /home/node/.pm2-b second "$code" "$(gunicorn 5068)"
for port in 5055 5067 5068; do answers $port; done
