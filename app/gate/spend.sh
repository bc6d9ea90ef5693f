# Spends a warrant, once, and runs its command. Runs in a session of its own, so that no lost connection reaches it.
#   sh -c TEXT askfirst burn FILE BOOT                   makes the warrant unusable
#   sh -c TEXT askfirst run FILE BOOT ALIVE COMMAND…     ALIVE: `PID:START …`, the processes that must still be there
# FILE is the warrant's place in the spool. A warrant is spent by an exclusive create of it: a complete file, already on
# disk, gets that name by link(2), which fails where the name is taken. So a file of that name is never half written,
# and of many who try at once one wins. FILE says `state burned`, or `state started` and which process runs it;
# FILE.PID.output and FILE.PID.exit beside it hold what the command printed and its exit status. Answers one line on
# standard output: `burned`, `started PID START`, or `refused WHY`. After that nobody need listen.
# The command itself is in runner.sh; what an enforced host asks besides, in caps.sh.

umask 077
verb=$1 file=$2 boot=$3
own=$file.$$

refuse() {
    rm -f "$own" "$own.output" "$own.exit.part"
    echo "refused $1"
    exit 75
}

# On disk, not only written: the kernel may hold back for half a minute what power loss then takes. Old tools sync all.
to_disk() { sync "$@" 2>/dev/null || sync 2>/dev/null; }

start_of() {
    text=''
    while IFS= read -r line || [ -n "$line" ]; do text="$text $line"; done 2>/dev/null <"/proc/$1/stat"
    # shellcheck disable=SC2086  # words are wanted
    set -- ${text##*) }
    [ $# -ge 20 ] && shift 19 && echo "$1"
}

spend() {
    if ! ln "$own" "$file" 2>/dev/null; then
        [ -e "$file" ] && refuse spent
        refuse "the spool ${file%/*} takes no file"
    fi
    rm -f "$own"
    to_disk "${file%/*}" || refuse "the spool ${file%/*} cannot be made durable"
}

# What else the entry of a run says, as lines that each begin with a newline.
entry=''
capped() { :; }
