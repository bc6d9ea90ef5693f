# The gate of Askfirst: the only program that Askfirst runs on a host. It looks (probe), and it runs what one warrant
# allows (restart, burn, result). It installs nothing, and a probe changes nothing. POSIX sh, awk, procfs; no Python.
#
# build.py assembles it from this file, probe.sh, run.sh, spend.sh, runner.sh, code.sh, the *.awk beside them and one
# fragment for each process manager, and it is sent to the standard input of `sh -s`. All is function definitions until
# the last line, so that half a program does nothing. What is asked follows in a quoted here-document: data, never
# evaluated. Comments and indentation are not sent. (A host that has installed it has enforced.sh and sealed.sh besides.)
#
# It prints lines of printable ASCII: `askfirst-gate 1 nonce=N verb=V gate=DIGEST level=LEVEL`, then records, then `end
# nonce=N count=C`. A record is `kind key=value…`; in a value every byte outside '!' to '~', and '%', is %XX, and '-' is
# empty. Its exit status is 0 where it answered or started what was asked; else 64: no such verb; 65: what was sent is
# not of its form; 69: it cannot work here (the spool, a tool, a user); 75: the service is not what the warrant says, or
# the warrant is spent; 77: the warrant is over, or an installed gate does not allow it; and of an installed gate 78: the
# host's own files are not in order.
#
# A fragment (``shell`` of a file under app/managers; NAME is the manager's, with '_' for '-') is:
#
#     af_watch supervisord            process names (comm) that tell of the manager; a final * fits any ending
#     facts_NAME() { …; }             prints records; changes nothing, starts nothing
#
# facts_NAME is called only where something is claimed under the manager, or where one of the names it watches for is
# among the processes that matter: the holders of claimed ports, the processes under claimed paths (of claims without
# ports), and the ancestors of both; where nothing at all is claimed, all processes of the host. It runs in a subshell
# of its own beside those of other managers, with `set -f`, IFS as usual, stdin and stderr at /dev/null, and for each
# process it starts at most ten seconds of CPU; what may wait for somebody needs af_limit besides. There is no
# identity_NAME: the pass that prints the facts of a claimed unit prints its identity lines too, so that probe and
# restart cannot differ. It finds:
#
#     AF_CLAIMS    the claims under this manager, a line each: SERVICE UNIT USER PATH CONFIG PORTS ('-' is none);
#                  exported
#     AF_UNITS     their units, a line each; exported
#     AF_COMMS     a line `PID COMM` for each of those processes that any fragment watches for (COMM escaped as in
#                  records); exported
#     AF_HOLDERS   a line `PORT PID` for each process seen to hold a listening TCP port; exported
#     AF_CGROUPS   the cgroup paths of the processes that matter, each once, a line each; exported
#     AF_UID, AF_NAME    who the gate is; 0 is root
#     AF_VERB      probe, or restart: then AF_CLAIMS holds one line, made from the warrant: USER is its argv-user,
#                  CONFIG the word after `-c` in its argv, PATH and PORTS are '-'; AF_HOLDERS and AF_CGROUPS are empty,
#                  and only identity lines are wanted
#     AF_ARGV      in a restart: the words of the warrant's argv, blanks between them; exported
#     AF_WARRANTED in a restart: the warrant's identity lines; exported
#     af_has NAME            whether a process of this comm was seen (a beginning of it, if NAME ends in *)
#     af_blind WHAT WHY [SERVICE-OR-MANAGER]    says what could not be seen, why, and what would help
#     af_limit COMMAND…      runs it for at most 5 seconds; status 124 if that was not enough
#     af_as USER COMMAND…    the same as another user, with that user's HOME and XDG_RUNTIME_DIR; status 126 if that
#                            cannot be
#     awk "$AF_AWK"'…'       with these functions (library.awk):
#         rec(KIND) put(KEY, VALUE) done()      one record, `rec("docker.container"); put("id", id); done()`;
#                                               KIND is NAME.something, KEY of [a-z-]; VALUE any bytes: put escapes it
#         enc(TEXT)                             one escaped word
#         blind(WHAT, WHY, ABOUT)               as af_blind
#         claims()                              reads AF_CLAIMS: number of claims; then claim_service[i], claim_unit[i],
#                                               claim_user[i], claim_path[i], claim_config[i], claim_ports[i] for i = 1…
#         identity(SERVICE, LINE)               one identity line of a claim: escaped words, blanks between them
#         identity_pid(SERVICE, PID)            its main process: the frame writes `process PID START USER CWD`
#         guard(SERVICE, PATH)                  root would read or run PATH for this service: the frame looks whether
#                                               anyone else can write it or a folder above it, and prints `writable`
#
# Every pid in a field `pid=` of a record gets a full `process` record from the frame, with all its ancestors. Identity
# lines hold nothing that moves by itself: no ages, no counters. They are printed for a unit that exists, whether it
# runs or not. The frame adds `boot …` before them and sorts them. Output that is no record is dropped and reported as
# blind.

AF_NEWLINE='
'

af_watch() {
    for af_name; do AF_WATCH="${AF_WATCH-}$AF_MANAGER $af_name$AF_NEWLINE"; done
}

af_has() {
    case "$AF_NEWLINE$AF_COMMS" in
    *" ${1%"*"}$AF_NEWLINE"*) return 0 ;;
    *" ${1%"*"}"*) [ "${1%"*"}" != "$1" ] ;;
    *) return 1 ;;
    esac
}

af_blind() {
    AF_WHAT=$1 AF_WHY=$2 AF_ABOUT=${3-} awk "$AF_AWK"'
        BEGIN { blind(ENVIRON["AF_WHAT"], ENVIRON["AF_WHY"], ENVIRON["AF_ABOUT"]) }'
}

af_limit() { timeout 5 "$@"; }

af_as() {
    [ "$1" != "$AF_NAME" ] || { shift; timeout 5 "$@"; return; }
    [ "$AF_UID" = 0 ] && af_user "$1" && AF_PREFIX=$(af_switch) || return 126
    shift
    # shellcheck disable=SC2086  # words are wanted
    timeout 5 $AF_PREFIX env HOME="$AF_USER_HOME" XDG_RUNTIME_DIR="/run/user/$AF_USER_UID" "$@"
}

# Looks a user of the host up: AF_USER, AF_USER_UID, AF_USER_GID, AF_USER_HOME.
af_user() {
    case $1 in *[!A-Za-z0-9._@-]* | [!A-Za-z0-9_]* | '') return 1 ;; esac
    af_entry=$(getent passwd "$1" 2>/dev/null || grep "^$1:" /etc/passwd)
    IFS=: read -r AF_USER af_x AF_USER_UID AF_USER_GID af_x AF_USER_HOME af_x <<EOT
$af_entry
EOT
    [ "$AF_USER" = "$1" ]
}

# The words that turn a command of root's into one of AF_USER's. busybox has a setpriv too, which cannot.
af_switch() {
    case $(readlink -f /usr/bin/setpriv) in
    '' | *busybox*) command -v runuser >/dev/null && echo "runuser -u $AF_USER --" ;;
    *) echo "/usr/bin/setpriv --reuid=$AF_USER_UID --regid=$AF_USER_GID --init-groups" ;;
    esac
}

# AF_UID, AF_NAME, without a program where the user is an ordinary one of /etc/passwd.
af_who_am_i() {
    while read -r af_key AF_UID af_x; do [ "$af_key" != Uid: ] || break; done </proc/self/status
    while IFS=: read -r AF_NAME af_x af_key af_x; do [ "$af_key" != "$AF_UID" ] || return 0; done </etc/passwd
    AF_NAME=$(id -un)
}

# Nothing of the session's environment reaches what the gate runs, but for its PATH, after all of the system's: a
# manager in a virtual environment may lie there. Not so through sudo: then it is another's PATH than the one who runs
# things.
af_environment() {
    unset IFS ENV BASH_ENV CDPATH LD_PRELOAD LD_LIBRARY_PATH POSIXLY_CORRECT GREP_OPTIONS PERL5OPT \
        PERL5LIB DOCKER_HOST DOCKER_CONTEXT DOCKER_CONFIG COMPOSE_FILE COMPOSE_PROJECT_NAME SYSTEMD_PAGER
    set -f
    umask 077
    cd / || exit 64
    af_session=${PATH:-/}
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C LANG=C SYSTEMD_PAGERSECURE=1 PAGER=cat
    af_who_am_i
    [ -n "${SUDO_UID-}" ] || PATH=$PATH:$af_session
    export PATH LC_ALL LANG SYSTEMD_PAGERSECURE PAGER AF_UID AF_NAME
    read -r AF_BOOT </proc/sys/kernel/random/boot_id
}

# The last line of the program calls this, with what is asked on standard input; without its last line, that was cut.
af_main() {
    AF_VERB=$1 AF_NONCE=$2 AF_LEVEL=open
    af_environment
    case $AF_NONCE in *[!0-9a-f]* | '') exit 64 ;; esac
    AF_DATA=''
    while IFS= read -r af_line; do AF_DATA="$AF_DATA${AF_DATA:+$AF_NEWLINE}$af_line"; done
    af_answer
}

# AF_STATUS is the exit status that a refusal would have at this point.
af_answer() {
    AF_COUNT=0 AF_STATUS=65
    export AF_VERB AF_NONCE
    af_say "askfirst-gate 1 nonce=$AF_NONCE verb=$AF_VERB gate=$AF_DIGEST level=$AF_LEVEL"
    case "$AF_NEWLINE$AF_DATA" in
    *"${AF_NEWLINE}end") AF_DATA=${AF_DATA%end} AF_DATA=${AF_DATA%"$AF_NEWLINE"} ;;
    *) af_refuse 'what was sent is cut short'; af_end ;;
    esac
    case $AF_VERB in
    probe) af_probe ;;
    restart) af_restart ;;
    burn) af_burn ;;
    result) af_result ;;
    *) AF_STATUS=64; af_refuse 'this gate has no such verb' ;;
    esac
    af_end
}

af_end() {
    echo "end nonce=$AF_NONCE count=$AF_COUNT"
    exit "$AF_STATUS"
}
