# supervisor in full, beside its own scenario: a group of programs, one of which runs twice (numprocs); one that names
# its processes otherwise; and a second supervisord, rbron's own, whose program has the same name as the system's.
. "$(dirname "$0")/base.sh"
sh "$(dirname "$0")/supervisor.sh"
cat >/etc/supervisor/conf.d/many.conf <<X
[program:web]
process_name=%(program_name)s_%(process_num)02d
numprocs=2
command=/usr/bin/gunicorn -w 1 app:app --chdir $code -b 127.0.0.1:507%(process_num)d
directory=$code
user=rbron
[program:stopped]
command=sleep 1000000
autostart=false
user=rbron
[program:broken]
command=/bin/false
startretries=0
user=rbron
[program:alone]
process_name=copy_%(process_num)d
numprocs=2
numprocs_start=1
command=/usr/bin/gunicorn -w 1 app:app --chdir $code -b 127.0.0.1:508%(process_num)d
directory=$code
user=rbron
[group:many]
programs=web,stopped,broken
X
supervisorctl update >/dev/null
own=/home/rbron/supervisor
install -d -o rbron -g rbron $own
cat >$own/supervisord.conf <<X
[unix_http_server]
file=%(here)s/supervisor.sock
[supervisord]
pidfile=%(here)s/supervisord.pid
logfile=%(here)s/supervisord.log
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://%(here)s/supervisor.sock
[program:pypnm-gui]
command=$(gui 5090)
directory=$code
[group:lab]
programs=pypnm-gui
X
chown rbron:rbron $own/supervisord.conf
[ -S $own/supervisor.sock ] || as rbron "/usr/bin/supervisord -c $own/supervisord.conf"
for port in 5070 5071 5081 5082 5090; do answers $port; done
