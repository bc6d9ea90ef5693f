# What code lies under the paths given as arguments, without running git: `path P`, `commit HEX TIME`, `log LINE`, and a line
# `file TIME NAME` for each file. Runs in a shell of its own under a timeout: an owner of a path can make reading it hang.
# Only plain files are opened, no link is followed, and of what is read only hashes, times and the log's message go further.

is_plain() { [ -f "$1" ] && [ ! -L "$1" ]; }

is_hash() {
    case $1 in *[!0-9a-f]*) return 1 ;; esac
    [ ${#1} -eq 40 ] || [ ${#1} -eq 64 ]
}

# The commit that HEAD stands for: a hash, or a branch that is a file of its own or a line of packed-refs.
commit_of() {
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
    touched=$git/HEAD
    [ -n "$ref" ] && is_plain "$git/$ref" && touched=$git/$ref
    echo "commit $commit $(stat -c %Y "$touched")"
    is_plain "$git/logs/HEAD" && [ ! -L "$git/logs" ] && echo "log $(tail -n 1 "$git/logs/HEAD" | head -c 2000)"
}

files_of() {
    set -- "$1" -xdev -type d \( -name .git -o -name __pycache__ -o -name node_modules -o -name logs -o -name log \
        -o -name tmp -o -name run -o -name .cache -o -name uploads \) -prune -o -type f ! -name '*.py[co]' ! -name '*.log*' \
        ! -name '*.pid' ! -name '*.lock' ! -name '*.sw[op]' ! -name '*.db*' ! -name '*.sqlite*' ! -name '*-wal' ! -name '*-journal'
    if [ -n "$has_printf" ]; then find "$@" -printf 'file %T@ %p\n'; else find "$@" -exec stat -c 'file %Y %n' {} +; fi
}

has_printf=$(find / -maxdepth 0 -printf yes)
for path; do
    echo "path $path"
    if [ -L "$path" ] || [ ! -d "$path" ]; then
        [ -e "$path" ] && echo "unread it is a link or no folder"
        continue
    elif [ ! -r "$path" ] || [ ! -x "$path" ]; then
        echo "unread it is closed to this user"
        continue
    fi
    [ -d "$path/.git" ] && [ ! -L "$path/.git" ] && commit_of "$path/.git"
    files_of "$path" | head -n 20000
done
echo complete
