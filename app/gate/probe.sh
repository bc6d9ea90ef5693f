# probe: the facts of the whole host in one go, and the identity lines that a restart takes again.

# A line for each claim, of AF_DATA: `service NAME MANAGER UNIT USER PATH CONFIG PORTS`; `whole` where everything that the
# host runs is wanted, not only what the claims touch; and `git` where git is to say whether their code is pushed.
af_read_claims() {
    AF_ALL_CLAIMS='' AF_CODE='' AF_WHOLE='' AF_GIT=''
    AF_WHY='what is asked is not of its form'
    IFS=$AF_NEWLINE
    for af_line in $AF_DATA; do
        unset IFS
        case $af_line in whole) AF_WHOLE=1 ; continue ;; git) AF_GIT=1 ; continue ;; esac
        case $af_line in *[!A-Za-z0-9@._:/=+,\ \\-]*) return 1 ;; esac
        # shellcheck disable=SC2086  # words are wanted
        set -- $af_line
        [ $# = 8 ] && [ "$1" = service ] || return 1
        AF_ALL_CLAIMS="$AF_ALL_CLAIMS${AF_ALL_CLAIMS:+$AF_NEWLINE}${af_line#service }"
        [ "$6" = - ] || AF_CODE="$AF_CODE${AF_CODE:+$AF_NEWLINE}$2 $6"
    done
    unset IFS
}

# What only other programs can tell of the whole host: the time, all processes, and for a probe their control groups; and
# in a pipe of its own, since it takes as long again, every open socket of every process. GNU find prints links; where it
# is busybox's, the scan looks again by other means.
af_processes() {
    cd /proc || return
    set +f
    [ "$AF_VERB" != probe ] || date +%s.%N
    grep -a '' /dev/null [0-9]*/stat
    [ "$AF_VERB" != probe ] || exec grep -E ':name=systemd:|^0::' /dev/null [0-9]*/cgroup
} </dev/null 2>/dev/null

af_sockets() {
    [ "$AF_VERB" = probe ] && cd /proc || return
    set +f
    exec find [0-9]*/fd -mindepth 1 -maxdepth 1 -lname 'socket:*' -printf '%p %l\n'
} </dev/null 2>/dev/null

# Reads what the scan printed: AF_CALLED (`call MANAGER`), AF_COMMS, AF_HOLDERS, AF_CGROUPS, AF_BORN, AF_TICKS for the
# frame and its fragments, AF_SEEN the rest.
af_scan() {
    AF_COMMS='' AF_CALLED=$AF_NEWLINE AF_HOLDERS='' AF_CGROUPS='' AF_BORN=0 AF_TICKS=100 AF_SEEN=''
    export AF_WATCH AF_ALL_CLAIMS AF_WHOLE
    af_seen=$(af_processes | { exec 3<&0; af_sockets | awk "$AF_AWK$AF_SCAN" /dev/fd/3 - && echo '~whole'; })
    case $af_seen in
    *'~whole') ;;
    *) AF_SEEN=$(af_blind processes '/proc could not be read to its end')$AF_NEWLINE ;;
    esac
    IFS=$AF_NEWLINE
    for af_line in $af_seen; do
        case $af_line in
        '~call '*) AF_CALLED="$AF_CALLED${af_line#?}$AF_NEWLINE" ;;
        '~comm '*) AF_COMMS="$AF_COMMS${af_line#?comm }$AF_NEWLINE" ;;
        '~holder '*) AF_HOLDERS="$AF_HOLDERS${af_line#?holder }$AF_NEWLINE" ;;
        '~cgroup '*) AF_CGROUPS="$AF_CGROUPS${af_line#?cgroup }$AF_NEWLINE" ;;
        '~born '*) AF_BORN=${af_line#?born } ;;
        '~ticks '*) AF_TICKS=${af_line#?ticks } ;;
        '~whole') ;;
        *) AF_SEEN="$AF_SEEN$af_line$AF_NEWLINE" ;;
        esac
    done
    unset IFS
    export AF_COMMS AF_HOLDERS AF_CGROUPS AF_BORN AF_TICKS
}

# The claims under one manager, for its fragment.
af_claims_of() {
    AF_CLAIMS='' AF_UNITS=''
    IFS=$AF_NEWLINE
    for af_line in $AF_ALL_CLAIMS; do
        unset IFS
        # shellcheck disable=SC2086  # words are wanted
        set -- "$1" $af_line
        [ "$3" = "$1" ] || continue
        AF_CLAIMS="$AF_CLAIMS${AF_CLAIMS:+$AF_NEWLINE}$2 $4 $5 $6 $7 $8"
        AF_UNITS="$AF_UNITS${AF_UNITS:+$AF_NEWLINE}$4"
        set -- "$1"
    done
    unset IFS
    export AF_CLAIMS AF_UNITS
}

# Whether a manager's fragment has anything to say: something is claimed under it, or a process tells of it.
af_is_called_for() {
    case "$AF_NEWLINE$AF_ALL_CLAIMS$AF_CALLED" in
    *" $1 "* | *"${AF_NEWLINE}call $1$AF_NEWLINE"*) af_function "$1" ;;
    *) return 1 ;;
    esac
}

# AF_FUNCTION: the function of a manager's fragment; false where it has none.
af_function() {
    case $1 in *-*) AF_FUNCTION=facts_${1%%-*}_${1#*-} ;; *) AF_FUNCTION=facts_$1 ;; esac
    command -v "$AF_FUNCTION" >/dev/null
}

# One source of records, apart from the others: it cannot change their variables, and its errors are no records.
af_source() {
    case $1 in
    seen) printf '%s~fragments\n' "$AF_SEEN"; af_unknown ;;
    code) af_code ;;
    *) af_function "$1" && af_claims_of "$1" && "$AF_FUNCTION" ;;
    esac
} </dev/null 2>/dev/null

# Runs all sources at once, each into a pipe of its own, and the last step over the pipes in turn. A shell's pipes have
# the numbers 3 to 9: from the seventh source on they share the last. What `scan` stands for is known once it has looked;
# code needs no scan and is slow: so it is started first, and read last.
af_together() {
    case $# in
    0)
        # shellcheck disable=SC2086  # words are wanted
        exec timeout 18 awk "$AF_AWK$AF_PROCESSES$AF_WRITABLE$AF_ANSWER" $AF_PIPES $AF_CODE_PIPE
        ;;
    esac
    if [ "$1" = scan ]; then
        af_scan
        set -- seen
        for af_name in $AF_MANAGERS; do af_is_called_for "$af_name" && set -- "$@" "$af_name"; done
    fi
    if [ "$AF_PIPE" = 9 ]; then
        for af_name; do af_source "$af_name"; done | { exec 9<&0; AF_PIPES="$AF_PIPES /dev/fd/9"; af_together; }
        return
    fi
    af_name=$1
    shift
    af_source "$af_name" | {
        case $AF_PIPE in
        3) exec 3<&0 ;; 4) exec 4<&0 ;; 5) exec 5<&0 ;; 6) exec 6<&0 ;; 7) exec 7<&0 ;; 8) exec 8<&0 ;;
        esac
        case $af_name in
        code) AF_CODE_PIPE=/dev/fd/$AF_PIPE ;;
        *) AF_PIPES="$AF_PIPES /dev/fd/$AF_PIPE" ;;
        esac
        AF_PIPE=$((AF_PIPE + 1))
        af_together "$@"
    }
}

# What code lies under the claimed paths, each read once.
af_code() {
    af_paths=' '
    export AF_CODE AF_GIT
    IFS=$AF_NEWLINE
    for af_line in $AF_CODE; do
        af_path=${af_line#* }
        case $af_paths in *" $af_path "*) continue ;; esac
        af_paths="$af_paths$af_path "
        echo "path $af_path"
        timeout 5 sh -c "$AF_READ_CODE" code "$af_path"
        echo "ended $?"
    done | awk "$AF_AWK$AF_CODE_AWK"
    unset IFS
}

# A claim under a manager that this gate knows nothing of: an older gate, or a newer registry.
af_unknown() {
    IFS=$AF_NEWLINE
    for af_line in $AF_ALL_CLAIMS; do
        unset IFS
        # shellcheck disable=SC2086  # words are wanted
        set -- $af_line
        case " $AF_MANAGERS " in
        *" $2 "*) ;;
        *) af_blind "manager $2" 'this gate knows no such manager: renew the kit' "$1" ;;
        esac
    done
    unset IFS
}

# What the host's own table allows: an installed gate tells it.
af_tell_permitted() { :; }

af_probe() {
    af_read_claims || { af_refuse "$AF_WHY"; return; }
    af_tell_permitted
    ulimit -t 10
    export AF_COUNT
    AF_PIPE=3 AF_PIPES='' AF_CODE_PIPE=''
    af_together ${AF_CODE:+code} scan
    exit
}

# The identity lines of the one claim that a warrant makes, as they are at this moment.
af_identity() {
    ulimit -t 10
    af_scan
    AF_SEEN='' AF_PIPE=3 AF_PIPES='' AF_CODE_PIPE=''
    af_is_called_for "$AF_MANAGER" && af_together seen "$AF_MANAGER"
}
