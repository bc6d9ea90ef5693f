# One `code` record for each claim, out of what code.sh reads under each path once. AF_CODE: a line SERVICE PATH for each
# claim; AF_READ_CODE: the text of code.sh.

BEGIN {
    MOST_FILES = 20000
    count = split(ENVIRON["AF_CODE"], claim, NEWLINE)
    for (i = 1; i <= count; i++) {
        split(claim[i], words, " ")
        if (!(words[2] in is_read)) read_code(words[2])
        say_code(words[1], words[2])
    }
}

function read_code(path,    command, line, word) {
    is_read[path] = 1
    command = "exec timeout 5 sh -c " quoted(ENVIRON["AF_READ_CODE"]) " code " quoted(path) " 2>/dev/null"
    while (files[path] < MOST_FILES && (command | getline line) > 0) {
        if (line ~ /^file [0-9.]+ /) {
            files[path]++
            split(line, word, " ")
            if (word[2] + 0 > newest_at[path] + 0) { newest_at[path] = word[2]; newest[path] = substr(line, length(word[2]) + 7) }
        }
        else if (line ~ /^log /) read_log(path, substr(line, 5))
        else if (line ~ /^commit [0-9a-f]+$/) commit[path] = substr(line, 8)
        else if (line ~ /^touched [0-9]+$/) at[path] = substr(line, 9)
        else if (line ~ /^unread /) why[path] = substr(line, 8)
    }
    if (close(command) == 124) why[path] = "reading it took too long"
    if (files[path] == MOST_FILES) why[path] = "it holds more than " MOST_FILES " files"
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
    done()
}
