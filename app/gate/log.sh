# The host's own log of what Askfirst asked of it, for whoever looks after the host: one line for each decision, with its
# reason, every byte that is not printable ASCII as %XX. It is a copy: what must not be lost stands in the spool, on disk
# before anything runs. So a host whose log does not take a line still refuses, and can still be restarted: it may be
# just the log that has to be.

# AF_LINE becomes the text as one line.
af_line() {
    AF_LINE=$(AF_TEXT=$1 awk "$AF_ESCAPE"'BEGIN {
        CAP = 600
        line = enc(ENVIRON["AF_TEXT"])
        gsub(/%20/, " ", line)
        print line
    }')
}

af_log() {
    af_line "$1"
    timeout 2 logger -t askfirst -p auth.notice -- "${AF_LINE:-a decision that awk could not write down}"
} </dev/null >/dev/null 2>&1
