#!/bin/sh
# Makes, at the first start and never again, the secrets that the containers share: nothing of them stands in an image,
# in a file of the checkout or in a variable. It starts nothing.
#
#   /run/askfirst/pgpass              the passwords of the migrator and the app, as libpq reads them
#   /run/askfirst-database/           what the database's first start reads: its administrator's password, and the roles
set -eu
umask 077
mine=/run/askfirst there=/run/askfirst-database
[ ! -e "$there/complete" ] || exit 0

secret() { head -c 32 /dev/urandom | sha256sum | cut -c1-48; }
migrator=$(secret) app=$(secret) auditor=$(secret)

{
  echo "database:5432:askfirst:askfirst_migrator:$migrator"
  echo "database:5432:askfirst:askfirst_app:$app"
  echo "database:5432:askfirst:askfirst_auditor:$auditor"
} >"$mine/pgpass"
# The database's container reads these as a user of its own; nobody else has this folder.
umask 022
secret >"$there/administrator"
{
  askfirst db roles
  echo "ALTER ROLE askfirst_migrator PASSWORD '$migrator';"
  echo "ALTER ROLE askfirst_app PASSWORD '$app';"
  echo "ALTER ROLE askfirst_auditor PASSWORD '$auditor';"
} >"$there/roles.sql"
: >"$there/complete"
