# What a person started: in tmux, in screen, and as an orphan. No manager can be asked for any of them.
. "$(dirname "$0")/base.sh"
as rbron "tmux has-session -t gui 2>/dev/null || tmux new-session -d -s gui '$(gui 5051)'"
as rbron "screen -ls gui >/dev/null || screen -dmS gui $(gui 5058)"
ss -Hltn 'sport = :5053' | grep -q . || as rbron "nohup setsid $(gui 5053) >/dev/null 2>&1 </dev/null &"
for port in 5051 5053 5058; do answers $port; done
