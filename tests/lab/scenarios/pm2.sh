# pm2, of the user node: a gunicorn whose parent is node.
. "$(dirname "$0")/base.sh"
command -v pm2 >/dev/null || { echo "scenario: no pm2 here; npm was missing when the template was built" >&2; exit 1; }
as node "cd $code && pm2 describe gui-pm2 >/dev/null 2>&1 ||
  pm2 start --name gui-pm2 --interpreter none /usr/bin/gunicorn -- -w 1 app:app --chdir $code -b 127.0.0.1:5055 >/dev/null 2>&1"
answers 5055
