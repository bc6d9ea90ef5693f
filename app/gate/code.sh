# What code lies under the path $1, without running git: `commit HEX`, `log LINE`, `touched TIME`, then `file TIME NAME`
# for each file; or `unread WHY`. Runs in a shell of its own under a time limit: an owner of a path can make reading it
# hang. Only plain files are opened, no link is followed, and of what is read only hashes, times and the log's message
# go further.

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

path=$1
if [ -L "$path" ] || [ ! -d "$path" ]; then
    [ -e "$path" ] && echo 'unread it is a link or no folder'
    exit
elif [ ! -r "$path" ] || [ ! -x "$path" ]; then
    echo 'unread it is closed to this user'
    exit
fi
[ -d "$path/.git" ] && [ ! -L "$path/.git" ] && say_commit "$path/.git"

# What programs write while they run says nothing about the code.
set -- "$path" -xdev -type d \( -name .git -o -name __pycache__ -o -name node_modules -o -name logs -o -name log -o \
    -name tmp -o -name run -o -name .cache -o -name uploads \) -prune -o -type f ! -name '*.py[co]' ! -name '*.log*' \
    ! -name '*.pid' ! -name '*.lock' ! -name '*.sw[op]' ! -name '*.db*' ! -name '*.sqlite*' ! -name '*-wal' \
    ! -name '*-journal'
find "$@" -printf 'file %T@ %p\n' || find "$@" -exec stat -c 'file %Y %n' {} +
