# One `code` record for each claim, out of what code.sh reads under each path. AF_CODE: a line SERVICE PATH for each
# claim. Input: `path P`, what code.sh printed for it, `ended STATUS`.

BEGIN { MOST_FILES = 20000 }

/^file [0-9.]+ / {
    if (++files[path] > MOST_FILES) next
    if ($2 + 0 > newest_at[path] + 0) { newest_at[path] = $2; newest[path] = substr($0, length($2) + 7) }
    next
}
/^path / { path = substr($0, 6) }
/^log / { read_log(path, substr($0, 5)) }
/^commit [0-9a-f]+$/ { commit[path] = $2 }
/^touched [0-9]+$/ { at[path] = $2 }
# A file's name may hold a newline: what git says comes before any of them.
/^git-begin$/ && !files[path] && !(path in changed) { is_git = path; changed[path] = untracked[path] = 0; next }
is_git == path { read_git($0) }
/^ungit / && !files[path] { untold[path] = substr($0, 7) }
/^fetched [0-9]+$/ && !files[path] { if ($2 + 0 > fetched[path] + 0) fetched[path] = $2 }
/^unread / { why[path] = substr($0, 8) }
/^ended 124$/ { why[path] = "reading it took too long" }

END {
    count = split(ENVIRON["AF_CODE"], claim, NEWLINE)
    for (i = 1; i <= count; i++) {
        split(claim[i], words, " ")
        if (files[words[2]] > MOST_FILES) why[words[2]] = "it holds more than " MOST_FILES " files"
        say_code(words[1], words[2])
    }
}

# A line of `git status --porcelain=v2`, of what went wrong, or the end of both.
function read_git(line,    word) {
    split(line, word, " ")
    if (word[1] == "git-end") { is_git = ""; end_git(word[2]) }
    else if (word[2] == "branch.upstream") upstream[path] = word[3]
    else if (word[2] == "branch.ab" && word[3] ~ /^[+][0-9]+$/) ahead[path] = substr(word[3], 2)
    else if (word[1] ~ /^[12u]$/) changed[path]++
    else if (word[1] == "?") untracked[path]++
    else if (word[1] != "#" && untold[path] == "") untold[path] = "git says: " substr(line, 1, 300)
}

function end_git(status) {
    if (status == 0) { untold[path] = ""; return }
    changed[path] = untracked[path] = ahead[path] = upstream[path] = ""
    if (status == 3) untold[path] = "its settings name programs, or other machines, that git would turn to"
    else if (status == 124) untold[path] = "git did not answer within 2 seconds"
}

# OLD NEW NAME <MAIL> TIME ZONE<tab>MESSAGE; only where it tells of the commit that is checked out. An address in it may
# hold a password.
function read_log(path, line,    cut, word, count) {
    if (!(cut = index(line, "\t"))) return
    count = split(substr(line, 1, cut - 1), word, " ")
    if (count < 5 || word[2] != commit[path] || word[count - 1] !~ /^[0-9]+$/) return
    at[path] = word[count - 1]
    line = substr(line, cut + 1)
    gsub(/:\/\/[^\/@ ]*@/, "://***@", line)
    subject[path] = substr(line, 1, 200)
}

function say_code(service, path) {
    if (path in why) blind("code of " service, path ": " why[path], "code")
    if (!(path in commit) && !(path in newest)) return
    rec("code")
    put("service", service)
    put("commit", commit[path]); put("at", at[path]); put("subject", subject[path])
    put("newest", newest[path]); put("newest-at", newest_at[path])
    put("changed", changed[path]); put("untracked", untracked[path]); put("ahead", ahead[path])
    put("upstream", upstream[path]); put("fetched-at", fetched[path]); put("untold", untold[path])
    done()
}
