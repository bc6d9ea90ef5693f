# restart, burn and result: what a warrant allows, once. The spending is in spend.sh, the command itself in runner.sh.

# Where the spool lies; made on first use. Only its owner may look into it.
af_spool_folder() {
    if [ -n "${XDG_STATE_HOME-}" ] && [ -z "${SUDO_UID-}" ]; then
        AF_SPOOL=$XDG_STATE_HOME/askfirst/runs
    elif [ "$AF_UID" = 0 ]; then
        AF_SPOOL=/var/lib/askfirst/runs
    else
        [ -n "${HOME-}" ] || { AF_WHY='this account has no home folder for a spool'; return 1; }
        AF_SPOOL=$HOME/.local/state/askfirst/runs
    fi
    AF_WHY="the spool $AF_SPOOL cannot be made"
    if [ ! -d "$AF_SPOOL" ]; then
        mkdir -p "${AF_SPOOL%/*/*}" && (umask 077 && mkdir -p "$AF_SPOOL") || return 1
        sync "${AF_SPOOL%/*/*}" "${AF_SPOOL%/*}" || sync
    fi 2>/dev/null
    AF_WHY="the spool $AF_SPOOL is not this account's own folder"
    [ -d "$AF_SPOOL" ] && [ ! -L "$AF_SPOOL" ] && [ -O "$AF_SPOOL" ]
}

# One line of an answer, counted. Where nobody reads it, no further one is of use.
af_say() {
    printf '%s\n' "$1" 2>/dev/null || { kill "$$"; exit 74; }
    AF_COUNT=$((AF_COUNT + 1))
}

af_escaped() {
    case $1 in
    '' | - | *[!A-Za-z0-9._/:-]*) AF_TEXT=$1 awk "$AF_AWK"'BEGIN { print enc(ENVIRON["AF_TEXT"]) }' ;;
    *) printf '%s\n' "$1" ;;
    esac
}

af_refuse() {
    af_note "refused $AF_STATUS: $1"
    af_say "refused why=$(af_escaped "$1")"
}

# A host that has installed the gate writes each decision into its own log, and has rules of its own (enforced.sh).
af_note() { :; }
af_permitted() { :; }

# AF_VALUE is what the warrant says under a key that it has once.
af_value() {
    AF_VALUE=${AF_DATA#*"$AF_NEWLINE$1 "}
    AF_VALUE=${AF_VALUE%%"$AF_NEWLINE"*}
}

# A yes holds for a time, and a warrant may be long under way: so the host looks at its own clock too. One that is late
# lets through what Askfirst's let through; one that is far ahead lets nothing through. Of a spent warrant it is not asked:
# whether that ran is for the spool to say.
af_in_time() {
    af_value not-after
    AF_WHY="the warrant does not say until when it holds"
    case $AF_VALUE in
    [0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]Z) ;;
    *) return 1 ;;
    esac
    af_now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    AF_WHY="the warrant held until $AF_VALUE, and this host's clock says $af_now"
    [ "$(af_digits "$af_now")" -le "$(af_digits "$AF_VALUE")" ]
}

af_digits() {
    # shellcheck disable=SC2086  # words are wanted
    (IFS='-T:Z'; set -- $1; printf %s "$@")
}

af_is_id() {
    case $1 in *[!0-9A-Za-z]* | '') return 1 ;; esac
    [ ${#1} -ge 20 ] && [ ${#1} -le 64 ]
}

# Reads a warrant from AF_DATA: every key in its place, as often as it may be, of its form; else AF_WHY. Values are only
# compared and handed on as words, never evaluated.
af_read_warrant() {
    af_argv='' af_warranted='' af_step=0
    AF_WHY='this is no warrant of a version that this gate knows'
    case $AF_DATA in *"$AF_NEWLINE$AF_NEWLINE"*) return 1 ;; esac
    IFS=$AF_NEWLINE
    # shellcheck disable=SC2086  # one word for each line
    set -- $AF_DATA
    unset IFS
    [ "${1-}" = 'askfirst-warrant 1' ] || return 1
    shift
    for af_line; do
        AF_WHY="the warrant's line '${af_line%% *}' is not of its form or not in its place"
        case $af_line in *[!\ -~]*) return 1 ;; esac
        af_value=${af_line#* }
        case $af_step:${af_line%% *} in
        0:id) af_is_id "$af_value" || return 1 ; AF_ID=$af_value ;;
        1:service) af_is_word "$af_value" || return 1 ; AF_SERVICE=$af_value ;;
        2:host | 3:host-key) ;;
        4:manager) af_is_word "$af_value" || return 1 ; AF_MANAGER=$af_value ;;
        5:unit) af_is_word "$af_value" || return 1 ; AF_UNIT=$af_value ;;
        6:action) case $af_value in restart | start | reload | daemon-reload) ;; *) return 1 ;; esac ;;
        7:argv) af_is_word "$af_value" || return 1 ; af_argv="$af_argv $af_value" ; continue ;;
        7:argv-user) af_is_word "$af_value" || return 1 ; AF_RUN_AS=$af_value ;;
        8:identity) af_warranted="$af_warranted$af_value$AF_NEWLINE" ; continue ;;
        8:requester) ;;
        9:reason | 10:policy | 11:not-after | 12:evidence) ;;
        *) return 1 ;;
        esac
        af_step=$((af_step + 1))
    done
    AF_WHY='the warrant is cut short'
    [ "$af_step" = 13 ] || return 1
    AF_WHY='the warrant has no command: a person does this one by hand'
    export AF_ARGV="${af_argv# }" AF_WARRANTED="$af_warranted"
    [ -n "$AF_ARGV" ] || return 1
    AF_WHY='the warrant rests on no identity of the service'
    case $af_warranted in 'boot '*"$AF_NEWLINE"?*) ;; *) return 1 ;; esac
}

af_is_word() {
    case $1 in *[!A-Za-z0-9@._:/=+,\\-]* | '') return 1 ;; esac
}

# AF_PREFIX becomes the words that stand before the command: a clean environment, and another user where the warrant
# says so.
af_prefix() {
    if [ "$AF_RUN_AS" = "$AF_NAME" ]; then
        AF_PREFIX=''
        af_home=${HOME:-/}
        [ "$AF_UID" != 0 ] || af_home=/root
        af_run_uid=$AF_UID
    else
        AF_WHY="only root can run a command as $AF_RUN_AS, and the gate runs as $AF_NAME"
        [ "$AF_UID" = 0 ] || return 1
        AF_WHY="this host has no user $AF_RUN_AS"
        af_user "$AF_RUN_AS" || return 1
        AF_WHY="this host has no tool to run a command as $AF_RUN_AS (setpriv or runuser)"
        AF_PREFIX=$(af_switch "$AF_RUN_AS") || return 1
        af_home=$AF_USER_HOME
        af_run_uid=$AF_USER_UID
    fi
    AF_WHY="the command '${AF_ARGV%% *}' is not on this host's PATH"
    command -v "${AF_ARGV%% *}" >/dev/null || return 1
}

af_restart() {
    af_read_warrant && af_permitted || { af_refuse "$AF_WHY"; return; }
    AF_STATUS=69
    case " $AF_MANAGERS " in
    *" $AF_MANAGER "*) ;;
    *) af_refuse "this gate knows no manager $AF_MANAGER: renew the kit"; return ;;
    esac
    af_prefix && af_spool_folder || { af_refuse "$AF_WHY"; return; }
    AF_STATUS=75
    [ ! -e "$AF_SPOOL/$AF_ID" ] || { af_refuse spent; return; }
    AF_STATUS=77
    af_in_time || { af_refuse "$AF_WHY"; return; }
    AF_STATUS=75
    AF_ALL_CLAIMS="$AF_SERVICE $AF_MANAGER $AF_UNIT $AF_RUN_AS - $(af_config $AF_ARGV) -"
    af_now=$(af_identity)$AF_NEWLINE
    [ "$af_now" = "$af_warranted" ] || { af_differs; return; }
    af_alive=''
    IFS=$AF_NEWLINE
    for af_line in $af_now; do
        case $af_line in 'process '*) af_line=${af_line#process } af_pid=${af_line%% *} af_line=${af_line#* }
            af_alive="$af_alive$af_pid:${af_line%% *} " ;;
        esac
    done
    unset IFS
    exec 2>/dev/null
    af_note "starts as $AF_RUN_AS: $AF_ARGV"
    af_apart
    # From here on nothing that happens to this shell or its connection matters to the command.
    # shellcheck disable=SC2086  # words are wanted
    setsid $AF_APART sh -c "$AF_RUNNER" askfirst run "$AF_SPOOL/$AF_ID" "$AF_BOOT" "$af_alive" \
        env -i PATH="$PATH" HOME="$af_home" USER="$AF_RUN_AS" LOGNAME="$AF_RUN_AS" SHELL=/bin/sh LANG=C.UTF-8 \
        XDG_RUNTIME_DIR="/run/user/$af_run_uid" $AF_PREFIX $AF_ARGV 2>/dev/null </dev/null | {
        # A runner that says nothing may have been cut off before it ran, or just after: its spool knows.
        IFS= read -r af_answer || af_answer=''
        case $af_answer in
        'started '*) AF_STATUS=0; af_follow "${af_answer#started }" ;;
        'refused '*) af_unspent "${af_answer#refused }" ;;
        esac
        af_end
    }
    exit
}

# What the service is at this moment, where that is not what the warrant says.
af_differs() {
    af_note "refused $AF_STATUS: the service is not what the warrant says"
    IFS=$AF_NEWLINE
    for af_line in $af_now; do af_say "differs line=$(unset IFS; af_escaped "$af_line")"; done
    unset IFS
    [ -n "${af_now%"$AF_NEWLINE"}" ] || af_say 'differs line=-'
}

# The runner's own refusal.
af_unspent() {
    case $1 in spent | 'process '*) ;; 'a cap: '*) AF_STATUS=77 ;; *) AF_STATUS=69 ;; esac
    af_refuse "$1"
}

# AF_APART: what keeps the runner alive where logind ends all processes of a session with it (KillUserProcesses): a
# scope of its own, which only root can have. The shipped file tells the default in a comment; the last file that sets
# it decides.
af_apart() {
    AF_APART='' af_kills='#no'
    [ "$AF_UID" = 0 ] && command -v systemd-run >/dev/null || return 0
    set +f
    for af_line in $(grep -hs '^#*KillUserProcesses=' /usr/lib/systemd/logind.conf /etc/systemd/logind.conf \
        /usr/lib/systemd/logind.conf.d/*.conf /run/systemd/logind.conf.d/*.conf /etc/systemd/logind.conf.d/*.conf); do
        case $af_line:$af_kills in
        '#'*:'#'*) af_kills="#${af_line#*=}" ;;
        '#'*) ;;
        *) af_kills=${af_line#*=} ;;
        esac
    done
    set -f
    case ${af_kills#"#"} in yes | true | on | 1) AF_APART='systemd-run --scope --quiet --collect --' ;; esac
}

# The word after `-c`: the manager's own configuration file that this command acts on.
af_config() {
    while [ $# -gt 1 ]; do
        [ "$1" != -c ] || { echo "$2"; return; }
        shift
    done
    echo -
}

# Streams what the command prints, as soon as it does at first, then ten times a second, until it has ended. Whether it
# has is looked at before its output is, so that the last piece is not missed. A command may be silent for long after its
# connection was cut: so an empty piece is sent now and then, by which the gate notices, and ends; the run goes on.
af_follow() {
    trap '' PIPE
    af_say "started pid=${1% *} start=${1#* }"
    af_base=$AF_SPOOL/$AF_ID.${1% *} af_offset=0 af_wait=0.01 af_told=0 af_silent=0
    while :; do
        af_last=''
        af_lives "$1" || af_last=1
        [ ! -e "$af_base.exit" ] || af_last=1
        af_output "$af_base.output"
        [ -z "$af_last" ] || break
        af_silent=$((af_silent + 1))
        [ "$af_told" = "$af_offset" ] || af_silent=0 af_told=$af_offset
        [ "$af_silent" -lt 20 ] || { af_silent=0; af_say "output offset=$af_offset hex=-"; }
        sleep "$af_wait" 2>/dev/null || sleep 1
        case $af_wait in 0.01) af_wait=0.02 ;; 0.02) af_wait=0.04 ;; 0.04) af_wait=0.08 ;; *) af_wait=0.1 ;; esac
    done
    af_status=$(af_exit "$af_base.exit") && af_say "exit status=$af_status"
}

# What there is in a file from af_offset on, in pieces, at most 1 MiB in all.
af_output() {
    while [ "$af_offset" -lt 1048576 ]; do
        # shellcheck disable=SC2046  # one word for each byte
        set -- "$1" $(od -An -v -tx1 -j "$af_offset" -N 16384 "$1" 2>/dev/null)
        [ $# -gt 1 ] || return 0
        af_file=$1
        shift
        af_say "output offset=$af_offset hex=$(printf %s "$@")"
        af_offset=$((af_offset + $#))
        [ $# -eq 16384 ] || return 0
        set -- "$af_file"
    done
}

af_exit() {
    IFS=' ' read -r af_word af_status 2>/dev/null <"$1" && [ "$af_word" = status ] && echo "${af_status%% *}"
}

# Whether `PID START` still runs. A pid alone may be another's by now; one that ended and was not waited for does nothing.
af_lives() {
    af_text=''
    while IFS= read -r af_line || [ -n "$af_line" ]; do
        af_text="$af_text $af_line"
    done 2>/dev/null <"/proc/${1% *}/stat"
    af_wanted=${1#* }
    # shellcheck disable=SC2086  # words are wanted
    set -- ${af_text##*) }
    [ $# -ge 20 ] || return 1
    case $1 in Z | X) return 1 ;; esac
    shift 19
    [ "$1" = "$af_wanted" ]
}

af_burn() {
    af_named_id || return
    if [ ! -e "$AF_SPOOL/$AF_ID" ]; then
        af_answer=$(sh -c "$AF_RUNNER" askfirst burn "$AF_SPOOL/$AF_ID" "$AF_BOOT" 2>/dev/null </dev/null)
        case $af_answer in
        burned) af_note burned ;;
        'refused spent') ;;
        *) af_refuse "${af_answer#refused }"; return ;;
        esac
    fi
    af_say_spool
}

af_result() {
    af_named_id && af_say_spool
}

af_named_id() {
    AF_WHY='this is no request id'
    AF_ID=${AF_DATA#id }
    [ "$AF_DATA" = "id $AF_ID" ] && af_is_id "$AF_ID" && AF_STATUS=69 && af_spool_folder ||
        { af_refuse "$AF_WHY"; return 1; }
}

# What became of a warrant. A runner that has gone without an exit status was cut off; whether it lives is looked at
# first, since the status is on disk before it goes.
af_say_spool() {
    AF_STATUS=0
    [ -e "$AF_SPOOL/$AF_ID" ] || { af_say 'spool state=unspent status=-'; return; }
    af_state='' af_boot='' af_runner='' af_offset=0
    while read -r af_key af_value; do
        case $af_key in state) af_state=$af_value ;; boot) af_boot=$af_value ;; runner) af_runner=$af_value ;; esac
    done <"$AF_SPOOL/$AF_ID"
    [ "$af_state" != burned ] || { af_say 'spool state=burned status=-'; return; }
    af_base=$AF_SPOOL/$AF_ID.${af_runner% *} af_state=interrupted
    [ "$af_boot" = "$AF_BOOT" ] && af_lives "$af_runner" && af_state=running
    if af_status=$(af_exit "$af_base.exit"); then af_state=exited; else af_status=-; fi
    af_say "spool state=$af_state status=$af_status"
    af_output "$af_base.output"
}
