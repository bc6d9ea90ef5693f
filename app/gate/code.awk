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
/^git [0-9]+ [0-9]+ ([0-9]+|-)( |$)/ && !files[path] {
    changed[path] = $2; untracked[path] = $3; ahead[path] = $4 == "-" ? "" : $4; upstream[path] = $5
}
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
