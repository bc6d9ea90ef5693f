# Makes one `code` record for each claim out of what code.sh read. Input: its lines. AF_CODE: a line SERVICE PATH for each claim.

/^path / { path = substr($0, 6); read[path] = 1; next }
/^unread / { unread[path] = substr($0, 8); next }
/^commit / { commit[path] = $2; at[path] = $3; next }
/^log / { log_line(substr($0, 5)); next }
/^file [0-9.]+ / {
    files[path]++
    if ($2 + 0 > newest_at[path] + 0) { newest_at[path] = $2; newest[path] = substr($0, length($2) + 7) }
    next
}
/^complete$/ { complete = 1 }

# OLD NEW NAME <MAIL> TIME ZONE<tab>MESSAGE; only where it tells of the commit that is checked out. An address in it may
# hold a password.
function log_line(line,    cut, word, count) {
    if (!(cut = index(line, "\t"))) return
    count = split(substr(line, 1, cut - 1), word, " ")
    if (count < 5 || word[2] != commit[path] || word[count - 1] !~ /^[0-9]+$/) return
    at[path] = word[count - 1]
    line = substr(line, cut + 1)
    gsub(/:\/\/[^\/@ ]*@/, "://***@", line)
    subject[path] = substr(line, 1, 200)
}

END {
    count = split(ENVIRON["AF_CODE"], claim, NEWLINE)
    for (i = 1; i <= count; i++) {
        split(claim[i], words, " ")
        say_code(words[1], words[2])
    }
}

function say_code(service, path) {
    if (!complete && !(path in newest)) blind("code of " service, "reading " path " took too long", "code")
    if (path in unread) blind("code of " service, path ": " unread[path], "code")
    if (files[path] >= 20000) blind("code of " service, path " holds more than 20,000 files", "code")
    if (!(path in commit) && !(path in newest)) return
    rec("code")
    put("service", service)
    put("commit", commit[path]); put("at", at[path]); put("subject", subject[path])
    put("newest", newest[path]); put("newest-at", newest_at[path])
    done()
}
