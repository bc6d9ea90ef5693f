# What follows is the same for every host. Before it stand account, host, home, host_keys, sealed, and the functions
# files, ways_in (MODE:PATH of each file, in the order in which they are put there) and text (PATH's content).
#
# Order matters, since it may be cut off at any point: first what refuses (gate, door, table), then what sudo allows,
# and last the way in. A file is written beside its place and moved there, so none is ever half there.

lib=/usr/local/lib/askfirst
etc=/etc/askfirst
before=$etc/before
spool=/var/lib/askfirst/runs
sudoers=/etc/sudoers.d/askfirst
sshd=/etc/ssh/sshd_config.d/askfirst.conf
unread=$etc/.askfirst-unread

main() {
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
    export PATH LC_ALL
    unset IFS ENV BASH_ENV CDPATH
    umask 022
    # Whoever runs this over a connection that it ends itself must not end it half-way.
    trap '' HUP PIPE
    checking='' differences=0 changes=0 way_changed=''
    case $#${1-} in
    0) set_up ;;
    1--check) check ;;
    1--remove) remove ;;
    *) refuse 'use it without a word, to set up; with --check, to be told what differs; or with --remove.' ;;
    esac
}

say() { printf '%s\n' "$*" 2>/dev/null || :; }

refuse() {
    printf 'askfirst kit: %s\n' "$*" >&2
    exit 2
}

# Something that only a person can set right: a difference where it is looked for, a refusal where something is set up.
wrong() {
    [ -n "$checking" ] || refuse "$*"
    differs "$*"
}

differs() {
    differences=$((differences + 1))
    say "differs: $*"
}

done_() {
    changes=$((changes + 1))
    say "$*"
}

set_up() {
    able
    examine
    rm -f "$lib/.askfirst-new" "$etc/.askfirst-new" "$etc/approvers/.askfirst-new" "$home/.ssh/.askfirst-new"
    foreign
    folder 755 "$etc"
    keep "$sudoers" sudoers
    keep "$sshd" sshd
    go_through
    [ -z "$way_changed" ] || end_sessions
    if [ "$changes" = 0 ]; then
        say "$host is as the kit says: nothing had to be changed."
    else
        sync
        say "$host is set up. Run this again with --check whenever you like: it says what differs, and changes nothing."
    fi
}

check() {
    checking=1
    able
    examine
    foreign
    folder 755 "$etc"
    go_through
    [ "$differences" != 0 ] || { say "$host is as the kit says: nothing differs."; exit 0; }
    exit 1
}

# Each part in the order in which it is safe to change; --check only looks.
go_through() {
    make_account
    put_files
    rules
    put_ways_in
    strays
    use_account
}

# Whether it can work here at all.
able() {
    root_only
    # What this needs, and what the gate needs besides to look, to count and to run.
    for tool in awk base64 chmod chown cmp cp date find flock getent grep id ln logger mkdir mv od rm rmdir setsid \
        ssh-keygen sshd stat sudo sync timeout useradd userdel usermod visudo; do
        case $tool in
        ssh-keygen) package=openssh-client ;;
        sshd) package=openssh-server ;;
        sudo | visudo) package=sudo ;;
        logger) package=bsdutils ;;
        flock | setsid) package=util-linux ;;
        user*) package=passwd ;;
        cmp) package=diffutils ;;
        *) package=$tool ;;
        esac
        command -v "$tool" >/dev/null || refuse "this host has no $tool: install it (on Debian: $package), then run this again."
    done
    right_host
    [ -z "$sealed" ] || new_enough
}

root_only() {
    [ "$(id -u)" = 0 ] || refuse 'only root can do this: run it as root.'
}

# One of the host's keys must be one that the registry pins: a kit on another machine would let in for nothing.
right_host() {
    for file in /etc/ssh/ssh_host_*_key.pub; do
        IFS=' ' read -r type key rest 2>/dev/null <"$file" || [ -n "${key-}" ] || continue
        case " $host_keys " in *" $type:$key "*) return ;; esac
    done
    refuse "this machine ($(uname -n)) is not $host: none of /etc/ssh/ssh_host_*_key.pub is a key that the registry" \
        "pins for $host. Run it on $host, or have the new key pinned first."
}

# Signatures of passkeys are understood from OpenSSH 8.4 on.
new_enough() {
    version=$(ssh -V 2>&1)
    version=${version#*OpenSSH_}
    major=${version%%.*} minor=${version#*.}
    minor=${minor%%[!0-9]*}
    case $major$minor in *[!0-9]* | '') return ;; esac
    [ "$((major * 100 + minor))" -ge 804 ] ||
        refuse "this host's OpenSSH ${version%%[, ]*} cannot check a passkey's signature: level sealed needs 8.4 or newer."
}

# What a person has to set right: groups of the account, folders that others could exchange.
examine() {
    if read_account; then
        [ "$uid" != 0 ] || refuse "the account $account is root itself: register another user for $host."
        groups=$(id -Gn "$account")
        [ "$groups" = "$account" ] ||
            wrong "the account $account is in the groups '$groups' and may be in its own only, $account" \
                "(a member of docker is as good as root): gpasswd -d $account GROUP, or usermod -g $account $account."
    fi
    for folder in /usr/local/lib /etc/sudoers.d /etc/ssh /var/lib; do only_roots "$folder"; done
    # The gate's programs: a folder that is missing has none.
    for folder in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin; do only_roots "$folder"; done
}

# Whether sshd goes by the kit's settings: what another file says before them would hold instead.
read_by_sshd() {
    seen=$(sshd -T -C "user=$account,host=localhost,addr=127.0.0.1" 2>/dev/null) || return 0
    [ -e "$sshd" ] || return 0
    while read -r key value; do
        case $key in '#' | Match | '') continue ;; esac
        printf '%s\n' "$seen" | grep -qixF "$key $value" ||
            wrong "sshd does not go by '$key $value' for $account: another of its files says otherwise before $sshd" \
                "(sshd -T -C user=$account,host=localhost,addr=127.0.0.1)."
    done <<EOT
$(text "$sshd")
EOT
}

# No folder above what root runs may be writable by anybody else.
only_roots() {
    above=$1
    while [ -n "$above" ]; do
        if [ -e "$above" ]; then
            owner=$(stat -L -c '%u:%g:%a' "$above")
            case $owner in
            0:0:*[2367] | 0:*:*[2367] | 0:[1-9]*:*[2367]? | [1-9]*)
                wrong "others than root can write $above ($owner): chown root $above; chmod go-w $above." ;;
            esac
        fi
        above=${above%/*}
    done
}

# uid, old_home, old_shell and old_password of the account; fails where there is none.
read_account() {
    entry=$(getent passwd "$account") || return 1
    # shellcheck disable=SC2034  # what is read past
    IFS=: read -r name x uid gid gecos old_home old_shell <<EOT
$entry
EOT
    old_password=$(getent shadow "$account") || old_password=
    old_password=${old_password#*:}
    old_password=${old_password%%:*}
}

# Keeps a file that somebody else made, where the kit is about to put its own.
keep() {
    [ -e "$1" ] && ! ours "$1" && [ ! -e "$before/$2" ] || return 0
    folder 700 "$before"
    rm -f "$before/.new"
    { cp -p "$1" "$before/.new" && mv -f "$before/.new" "$before/$2"; } || refuse "$before cannot be written."
    done_ "kept $1 as $before/$2: --remove puts it back"
}

# The kit's own files say so in their first line.
ours() {
    line=''
    IFS= read -r line 2>/dev/null <"$1" || :
    case $line in "# Askfirst's kit "*) return 0 ;; esac
    return 1
}

make_account() {
    read_account && return
    if [ -n "$checking" ]; then differs "there is no account $account"; return; fi
    own_group=-U
    ! getent group "$account" >/dev/null || own_group="-g $account"
    # shellcheck disable=SC2086  # two words, or one
    useradd --system $own_group -M -d "$home" -s /bin/sh -p '*' -c Askfirst "$account" ||
        refuse "the account $account could not be made."
    done_ "made the account $account"
}

put_files() {
    folder 755 "$lib"
    case "$(files)" in *":$etc/approvers/"*) folder 700 "$etc/approvers" ;; esac
    [ -d "${spool%/*}" ] || folder 700 "${spool%/*}"
    only_roots "${spool%/*}"
    folder 700 "$spool"
    for entry in $(files); do put "${entry%%:*}" "${entry#*:}"; done
}

put_ways_in() {
    folder 755 "$home"
    folder 755 "$home/.ssh"
    for entry in $(ways_in); do
        put "${entry%%:*}" "${entry#*:}"
        [ "${entry#*:}" != "$sshd" ] || { read_again && read_by_sshd; }
    done
}

# A mark outlasts whatever comes between the new settings and the word to sshd, also where this was cut off.
read_again() {
    [ -e "$unread" ] || return 0
    if [ -n "$checking" ]; then differs 'sshd was not told yet to read its settings again'; else reload; fi
}

folder() {
    [ -d "$2" ] && [ ! -L "$2" ] && [ "$(stat -c '%u:%g:%a' "$2")" = "0:0:$1" ] && return
    if [ -n "$checking" ]; then
        if [ -e "$2" ]; then differs "$2 is not a folder of root's with mode $1"; else differs "$2 is missing"; fi
        return
    fi
    if [ -L "$2" ] || { [ -e "$2" ] && [ ! -d "$2" ]; }; then refuse "$2 is there and is no folder: take it away."; fi
    { mkdir -p "$2" && chown 0:0 "$2" && chmod "$1" "$2"; } || refuse "$2 could not be made."
    done_ "made $2"
}

put() {
    reason=$(difference "$1" "$2")
    [ -n "$reason" ] || return 0
    if [ -n "$checking" ]; then differs "$2 $reason"; return; fi
    [ ! -d "$2" ] || refuse "$2 is a folder: take it away."
    new=${2%/*}/.askfirst-new
    rm -f "$new"
    { (umask 077 && text "$2" >"$new") && chown 0:0 "$new" && chmod "$1" "$new"; } || refuse "$new could not be written."
    case $2 in
    "$sudoers") way_changed=1
        visudo -cqf "$new" || { rm -f "$new"; refuse "sudo does not take the rules of $2 on this host."; } ;;
    "$sshd") way_changed=1
        sshd_takes "$new" || { rm -f "$new"; refuse "sshd does not take the settings of $2 on this host."; } ;;
    *authorized_keys | */principals | */ca.pub) way_changed=1 ;;
    esac
    sync "$new" 2>/dev/null || sync
    [ "$2" != "$sshd" ] || true >"$unread" || refuse "$etc cannot be written."
    mv -f "$new" "$2" || refuse "$2 could not be put in its place."
    done_ "wrote $2"
}

# How a file differs from what it has to be; nothing where it does not.
difference() {
    if [ ! -e "$2" ] && [ ! -L "$2" ]; then
        echo 'is missing'
    elif [ ! -f "$2" ] || [ -L "$2" ]; then
        echo 'is no plain file'
    elif [ "$(stat -c '%u:%g:%a' "$2")" != "0:0:$1" ]; then
        echo "has another owner or mode ($(stat -c '%u:%g:%a' "$2"), not 0:0:$1)"
    elif ! text "$2" 2>/dev/null | cmp -s - "$2"; then
        echo 'has another content'
    fi
}

# By themselves: what is there now may be what has to be mended.
sshd_takes() {
    grep -qi '^[[:space:]]*include[[:space:]].*/sshd_config\.d/\*\.conf' /etc/ssh/sshd_config ||
        refuse "/etc/ssh/sshd_config does not include /etc/ssh/sshd_config.d/*.conf: add that line at its top."
    sshd -t -f "$1"
}

reload() {
    sshd -t || refuse "sshd's settings as a whole are not in order ('sshd -t' says why): mend them, then run this again."
    for how in 'systemctl reload ssh' 'systemctl reload sshd' 'service ssh reload' 'service sshd reload'; do
        # shellcheck disable=SC2086  # words are wanted
        if $how >/dev/null 2>&1; then was_told; return; fi
    done
    if IFS= read -r pid 2>/dev/null </run/sshd.pid && kill -HUP "$pid" 2>/dev/null; then was_told; return; fi
    refuse 'sshd could not be told to read its settings again: restart it, then run this with --check.'
}

was_told() {
    rm -f "$unread"
    done_ 'told sshd to read its settings again'
}

# Everything that sudo lets the account do must be in the kit.
rules() {
    allowed=$(sudo -n -l -U "$account" 2>/dev/null | awk '
        on { sub(/^ +\([a-z]+\) NOPASSWD: /, ""); count = split($0, each, ", "); for (i = 1; i <= count; i++) print each[i] }
        /may run the following commands/ { on = 1 }')
    while IFS= read -r rule; do
        rule=${rule#"${rule%%[! ]*}"}
        [ -n "$rule" ] || continue
        text "$sudoers" | grep -qxF "$account ALL=(root) NOPASSWD: $rule" ||
            { [ -n "$checking" ] && [ ! -e "$sudoers" ]; } ||
            wrong "sudo also lets $account run '$rule': take that rule out (sudo -l -U $account shows them all)."
    done <<EOT
$allowed
EOT
}

# What an earlier kit put there, and this one does not hold.
strays() {
    for path in "$etc/ca.pub" "$etc/principals" "$etc/approvers"/* "$home/.ssh/authorized_keys"; do
        [ -e "$path" ] || continue
        case " $(files) $(ways_in) " in *":$path "* | *":$path
"*) continue ;; esac
        if [ -n "$checking" ]; then differs "$path is not of this kit"; continue; fi
        rm -f "$path" || refuse "$path could not be taken away."
        way_changed=1
        done_ "took $path away, which this kit does not hold"
    done
}

# What neither this kit nor an earlier one can have put there.
foreign() {
    # shellcheck disable=SC2044  # a name with a blank is foreign too
    for path in $(find "$home" "$lib" -mindepth 1 2>/dev/null); do
        case $path in "$home/.ssh" | "$home/.ssh/authorized_keys" | "$lib/gate" | "$lib/door") continue ;; esac
        wrong "$path was not made by the kit: find out who did, and take it away."
    done
}

# The account's home is root's, its shell is sh, and it has no password. (A '!' would lock it, as some sshd reckon.)
use_account() {
    read_account || return 0
    [ "$old_home:$old_shell:$old_password" != "$home:/bin/sh:*" ] || return 0
    if [ -n "$checking" ]; then differs "the account $account has another home, shell or password"; return; fi
    if [ "$old_home" != "$home" ]; then
        folder 700 "$before"
        (umask 077 && echo "$old_home:$old_shell:$old_password" >"$before/account") || refuse "$before cannot be written."
        done_ "the account $account was there, with the home $old_home: --remove gives that back"
    fi
    when_free usermod -d "$home" -s /bin/sh -p '*' "$account"
    way_changed=1
    done_ "gave the account $account its home $home"
}

# An account can be changed only while nothing runs as it.
when_free() {
    tries=0
    until
        end_sessions
        "$@" 2>/dev/null
    do
        tries=$((tries + 1))
        [ "$tries" -lt 20 ] || refuse "$1 could not change the account $account: end its processes, then run this again."
        sleep 0.3 2>/dev/null || sleep 1
    done
}

# Restarts go on: they are root's, in sessions of their own. Connections were made by what held before, and end.
end_sessions() {
    case ${uid-} in *[!0-9]* | '' | 0) return ;; esac
    # shellcheck disable=SC2013  # words are wanted
    for status in $(grep -ls "^Uid:[[:space:]]*${uid}[[:space:]]" /proc/[0-9]*/status 2>/dev/null); do
        status=${status%/status}
        kill -KILL "${status#/proc/}" 2>/dev/null || :
    done
}
