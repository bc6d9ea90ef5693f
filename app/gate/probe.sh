# probe: the facts of the whole host in one go, and the identity lines that a restart takes again.

# A line for each claim, of AF_DATA: `service NAME MANAGER UNIT USER PATH CONFIG PORTS`.
af_read_claims() {
    AF_ALL_CLAIMS='' AF_CODE=''
    AF_WHY='what is asked is not of its form'
    IFS=$AF_NEWLINE
    for af_line in $AF_DATA; do
        unset IFS
        case $af_line in *[!A-Za-z0-9@._:/=+,\ \\-]*) return 1 ;; esac
        # shellcheck disable=SC2086  # words are wanted
        set -- $af_line
        [ $# = 8 ] && [ "$1" = service ] || return 1
        AF_ALL_CLAIMS="$AF_ALL_CLAIMS${AF_ALL_CLAIMS:+$AF_NEWLINE}${af_line#service }"
        [ "$6" = - ] || AF_CODE="$AF_CODE${AF_CODE:+$AF_NEWLINE}$2 $6"
    done
    unset IFS
}

# Reads what the scan printed: AF_CALLED (`call MANAGER`), AF_COMMS, AF_HOLDERS, AF_CGROUPS, AF_BORN for the frame and its fragments, AF_SEEN the rest.
af_scan() {
    AF_COMMS='' AF_CALLED=$AF_NEWLINE AF_HOLDERS='' AF_CGROUPS='' AF_BORN=0 AF_TICKS=100 AF_SEEN=''
    export AF_WATCH AF_ALL_CLAIMS
    af_seen=$(awk "$AF_AWK$AF_SCAN" </dev/null && echo '~whole')
    [ "${af_seen%"~whole"}" != "$af_seen" ] || AF_SEEN=$(af_blind processes '/proc could not be read to its end')$AF_NEWLINE
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
    *" $1 "* | *"${AF_NEWLINE}call $1$AF_NEWLINE"*) command -v "facts_$(af_underscored "$1")" >/dev/null ;;
    *) return 1 ;;
    esac
}

af_underscored() {
    case $1 in *-*) echo "${1%%-*}_${1#*-}" ;; *) echo "$1" ;; esac
}

# One fragment, apart from the others: it cannot change their variables, and its errors are no records.
af_fragment() {
    af_claims_of "$1"
    "facts_$(af_underscored "$1")"
} </dev/null 2>/dev/null

# What code lies under the claimed paths.
af_code() {
    [ -n "$AF_CODE" ] || return 0
    export AF_CODE AF_READ_CODE
    awk "$AF_AWK$AF_CODE_AWK" </dev/null 2>/dev/null
}

# All of them at once, their records one after the other: each writes into a pipe that is emptied in turn.
af_together() {
    if [ $# = 0 ]; then
        af_code
    elif [ $# = 1 ] && [ -z "$AF_CODE" ]; then
        af_fragment "$1"
    else
        af_fragment "$1" | {
            exec 3<&0
            shift
            af_together "$@" | cat /dev/fd/3 -
        }
    fi
}

# A claim under a manager that this gate knows nothing of: an older gate, or a newer registry.
af_unknown() {
    IFS=$AF_NEWLINE
    for af_line in $AF_ALL_CLAIMS; do
        unset IFS
        # shellcheck disable=SC2086  # words are wanted
        set -- $af_line
        case " $AF_MANAGERS " in *" $2 "*) ;; *) af_blind "manager $2" 'this gate knows no such manager: renew the kit' "$1" ;; esac
    done
    unset IFS
}

af_probe() {
    af_read_claims || { af_refuse "$AF_WHY"; return; }
    ulimit -t 10
    af_scan
    af_list=''
    for af_name in $AF_MANAGERS; do af_is_called_for "$af_name" && af_list="$af_list $af_name"; done
    export AF_COUNT
    # shellcheck disable=SC2086  # words are wanted
    {
        printf '%s~fragments\n' "$AF_SEEN"
        af_unknown
        af_together $af_list
    } | timeout 18 awk "$AF_AWK$AF_PROCESSES$AF_WRITABLE$AF_ANSWER"
    exit
}

# The identity lines of the one claim that a warrant makes, as they are at this moment.
af_identity() {
    ulimit -t 10
    af_scan
    af_is_called_for "$AF_MANAGER" || return
    {
        echo '~fragments'
        af_fragment "$AF_MANAGER"
    } | timeout 18 awk "$AF_AWK$AF_PROCESSES$AF_WRITABLE$AF_ANSWER"
}
