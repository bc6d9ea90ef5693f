# The door: what the host's sshd starts for whoever signs in as askfirst, whatever they ask (`command=` before the key,
# or the line of their certificate's principal). It knows four requests, of these forms and no others:
#
#     probe · restart SERVICE · burn ID · result ID
#
# and starts the gate for them, as root, by the one line that sudoers has for each. It decides nothing else: the gate and
# the host's table do. All else is refused, with the reason on standard error and in the host's log; nothing of it is
# evaluated. Exit status 64: not one of the four; 65: not of its form; 69: the door cannot work here; 77: this sign-in may
# not ask for it; 78: sshd's own files are not in order. Once the gate has started the status is the gate's.
#
# Standard input goes to the gate: the nonce, the data, `end`. For burn and result the door puts the id between.
# `door look` (a certificate for looking) takes all but restart; `door restart SERVICE` takes that one request.

refuse() {
    status=$1
    af_log "refused $1 at the door${from:+, from $from}: $2; asked: $asked"
    af_line "$2"
    echo "askfirst: refused: $AF_LINE" >&2
    exit "$status"
}

is_name() {
    case $1 in '' | *[!a-z0-9-]* | -* | *-) return 1 ;; esac
    [ ${#1} -le 40 ]
}

is_id() {
    case $1 in *[!0-9A-Za-z]*) return 1 ;; esac
    [ ${#1} -ge 20 ] && [ ${#1} -le 64 ]
}

# Whether this sign-in was made by a certificate for this principal alone. Of several, sshd takes the first that fits.
is_for() {
    why='sshd does not tell how this sign-in was made: set ExposeAuthInfo yes'
    [ -n "$shown" ] && [ -f "$shown" ] && [ -O "$shown" ] || return 1
    why='this sign-in was not made by one certificate alone'
    key='' more=''
    { IFS=' ' read -r method key && IFS= read -r more; } <"$shown"
    case $method:$key:$more in publickey:*-cert-v01@openssh.com\ *:) ;; *) return 1 ;; esac
    why="the certificate is not for the one principal $1"
    held=$(printf '%s\n' "$key" | ssh-keygen -L -f - 2>/dev/null | awk '
        /^ *Critical Options:/ { is_list = 0 }
        is_list { sub(/^ +/, ""); print }
        /^ *Principals:/ { is_list = 1 }')
    [ "$held" = "$1" ]
}

start() {
    command -v sudo >/dev/null || refuse 69 'this host has no sudo'
    exec env -i PATH="$PATH" LC_ALL=C sudo -n /usr/local/lib/askfirst/gate "$@"
}

# The id travels as data: sudoers has one line for the verb.
about() {
    is_id "$2" || refuse 65 'this is no request id'
    IFS= read -r nonce || refuse 65 'no nonce came'
    case $nonce in *[!0-9a-f]* | '') refuse 65 'this is no nonce' ;; esac
    printf '%s\nid %s\nend\n' "$nonce" "$2" | start "$1"
    exit
}

door() {
    asked=${SSH_ORIGINAL_COMMAND-} shown=${SSH_USER_AUTH-} from=${SSH_CONNECTION-}
    from=${from%% *}
    unset IFS ENV BASH_ENV CDPATH SSH_ORIGINAL_COMMAND LD_PRELOAD LD_LIBRARY_PATH
    set -f
    umask 077
    PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
    export PATH LC_ALL
    cd / || exit 69
    case $# in
    0) may='any' ;;
    1 | 2) may=$* ;;
    *) may='' ;;
    esac
    case $may in
    any) ;;
    look) is_for look || refuse 77 "$why" ;;
    'restart '*)
        is_name "${may#restart }" || refuse 78 "the door was started with words that it does not know"
        is_for "restart-${may#restart }" || refuse 77 "$why"
        ;;
    *) refuse 78 "the door was started with words that it does not know" ;;
    esac
    answer
}

answer() {
    [ ${#asked} -le 100 ] || refuse 64 'this is longer than anything that can be asked here'
    case $may:$asked in
    *:) refuse 64 'there is no shell here' ;;
    any:probe | look:probe) start probe ;;
    any:'burn '* | look:'burn '*) about burn "${asked#burn }" ;;
    any:'result '* | look:'result '*) about result "${asked#result }" ;;
    any:'restart '* | restart*:'restart '*)
        is_name "${asked#restart }" || refuse 65 'this is no name of a service'
        [ "$may" = any ] || [ "$may" = "$asked" ] || refuse 77 'this certificate is for another service'
        # Asked first, since of what it does not allow sudo writes nothing into the log where nobody can give a password.
        sudo -n -l /usr/local/lib/askfirst/gate restart "${asked#restart }" >/dev/null 2>&1 ||
            refuse 77 'sudo has no line for it: this host allows no restart of that name'
        start restart "${asked#restart }"
        ;;
    look:'restart '* | restart*:probe | restart*:'burn '* | restart*:'result '*)
        refuse 77 'this certificate is not for that'
        ;;
    *) refuse 64 'this is not probe, restart SERVICE, burn ID or result ID' ;;
    esac
}

