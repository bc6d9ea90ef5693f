# One text as one word of printable ASCII, whatever bytes it holds (LC_ALL=C): every byte outside '!' to '~', and '%', is
# %XX; '-' is the empty text.

BEGIN {
    for (code = 0; code < 256; code++) {
        byte = sprintf("%c", code)
        ESCAPED[byte] = code > 32 && code < 127 && byte != "%" ? byte : sprintf("%%%02X", code)
    }
    CAP = 4096              # bytes of one value; what is cut ends in an ellipsis
}

function enc(text,    out, cut) {
    if (text == "") return "-"
    if (text == "-") return "%2D"
    if (text !~ /[^!-~]|%/) return length(text) > CAP ? substr(text, 1, CAP) "%E2%80%A6" : text
    if (length(text) > CAP) { text = substr(text, 1, CAP); cut = "%E2%80%A6" }
    while (match(text, /[^!-~]|%/)) {
        out = out substr(text, 1, RSTART - 1) ESCAPED[substr(text, RSTART, 1)]
        text = substr(text, RSTART + 1)
    }
    return out text cut
}
