# What a person started: in tmux, in screen, as an orphan, and by a job of cron. No manager can be asked for any of them.
. "$(dirname "$0")/base.sh"
as rbron "tmux has-session -t gui 2>/dev/null || tmux new-session -d -s gui '$(gui 5051)'"
as rbron "screen -ls gui >/dev/null || screen -dmS gui $(gui 5058)"
ss -Hltn 'sport = :5053' | grep -q . || as rbron "nohup setsid $(gui 5053) >/dev/null 2>&1 </dev/null &"
# cron runs its @reboot jobs once it is started, unless it finds that it has done so since the host is up.
if ! ss -Hltn 'sport = :5062' | grep -q .; then
  echo "@reboot rbron $(gui 5062) >/dev/null 2>&1" >/etc/cron.d/gui
  rm -f /run/crond.reboot
  systemctl restart cron.service
fi
for port in 5051 5053 5058 5062; do answers $port; done
