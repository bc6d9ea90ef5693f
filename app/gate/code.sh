# What code lies under the path $1: `commit HEX`, `log LINE`, `touched TIME`, what git says of its state between
# `git-begin` and `git-end STATUS`, or `ungit WHY`, `fetched TIME`, then `file TIME NAME` for each file; or `unread WHY`. Runs in a shell of its own under a
# time limit: an owner of a path can make reading it hang. Only plain files are opened, no link is followed, and of what
# is read only hashes, times, numbers, the upstream's name and the log's message go further.

is_plain() { [ -f "$1" ] && [ ! -L "$1" ]; }

is_hash() {
    case $1 in *[!0-9a-f]*) return 1 ;; esac
    [ ${#1} -eq 40 ] || [ ${#1} -eq 64 ]
}

# The commit that HEAD stands for: a hash, or a branch that is a file of its own or a line of packed-refs.
say_commit() {
    git=$1 commit='' ref=''
    is_plain "$git/HEAD" || return
    IFS= read -r commit <"$git/HEAD"
    case $commit in
    'ref: refs/'*)
        ref=${commit#ref: } commit=''
        case $ref in *..* | *[!A-Za-z0-9._/-]*) return ;; esac
        if is_plain "$git/$ref"; then
            IFS= read -r commit <"$git/$ref"
        elif is_plain "$git/packed-refs"; then
            commit=$(REF=$ref awk '$2 == ENVIRON["REF"] { print $1; exit }' "$git/packed-refs")
        fi
        ;;
    esac
    is_hash "$commit" || return
    echo "commit $commit"
    if is_plain "$git/logs/HEAD" && [ ! -L "$git/logs" ]; then
        log=$(tail -c 2000 "$git/logs/HEAD")
        echo "log ${log##*"
"}"
    else
        echo "touched $(stat -c %Y "$git/${ref:-HEAD}" || stat -c %Y "$git/HEAD")"
    fi
}

# Whether all of it is committed and pushed, by the last fetch: git alone can tell, and changes nothing here. It is run
# as the checkout's owner, since a checkout's settings can name programs: never any as root. What would start one, or
# speak with another machine, is switched off; where that cannot be, git is not asked.
say_git() {
    command -v git >/dev/null || { echo 'ungit git is not on this host'; return; }
    owner=$(stat -c %u:%g "$path/.git") as=''
    if [ "${owner%:*}" != "$AF_UID" ]; then
        [ "$AF_UID" = 0 ] || { echo 'ungit the checkout is of another user than the one who asks'; return; }
        # busybox's, which is a link, cannot.
        if [ ! -x /usr/bin/setpriv ] || [ -L /usr/bin/setpriv ]; then
            echo 'ungit this host has no setpriv to become its owner by'
            return
        fi
        as="/usr/bin/setpriv --reuid=${owner%:*} --regid=${owner#*:} --clear-groups"
    fi
    echo git-begin
    # shellcheck disable=SC2086  # words are wanted
    timeout 2 $as env -i PATH=/usr/local/bin:/usr/bin:/bin LC_ALL=C HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1 \
        GIT_CONFIG_GLOBAL=/dev/null GIT_OPTIONAL_LOCKS=0 GIT_TERMINAL_PROMPT=0 GIT_ALLOW_PROTOCOL=none \
        sh -c "$ask_git" git "$path" 2>&1
    echo "git-end $?"
    stat -c 'fetched %Y' "$path/.git/FETCH_HEAD" ${ref:+"$path/.git/refs/remotes/origin/${ref#refs/heads/}"} 2>/dev/null
}

# Its status 3 says that the checkout's settings name what could not be switched off.
# shellcheck disable=SC2016  # it is expanded by the shell that it is for
ask_git='
cd "$1" || exit
[ -z "$(git config --name-only --get-regexp "^(filter[.]|remote[.].*[.]promisor|extensions[.]partialclone)")" ] || exit 3
exec git --no-pager -c core.fsmonitor=false -c core.hooksPath=/dev/null -c core.quotePath=true \
    status --porcelain=v2 --branch --untracked-files=normal --ignore-submodules=all
'

path=$1
if [ -L "$path" ] || [ ! -d "$path" ]; then
    [ -e "$path" ] && echo 'unread it is a link or no folder'
    exit
elif [ ! -r "$path" ] || [ ! -x "$path" ]; then
    echo 'unread it is closed to this user'
    exit
fi
if [ -d "$path/.git" ] && [ ! -L "$path/.git" ]; then
    say_commit "$path/.git"
    [ -z "$AF_GIT" ] || say_git
fi

# What programs write while they run says nothing about the code.
set -- "$path" -xdev -type d \( -name .git -o -name __pycache__ -o -name node_modules -o -name logs -o -name log -o \
    -name tmp -o -name run -o -name .cache -o -name uploads \) -prune -o -type f ! -name '*.py[co]' ! -name '*.log*' \
    ! -name '*.pid' ! -name '*.lock' ! -name '*.sw[op]' ! -name '*.db*' ! -name '*.sqlite*' ! -name '*-wal' \
    ! -name '*-journal'
find "$@" -printf 'file %T@ %p\n' || find "$@" -exec stat -c 'file %Y %n' {} +
