# Reads one SSH signature (OpenSSH's PROTOCOL.sshsig), as the hexadecimal bytes that od prints, and says `good` where it is
# of a form and kind that counts here, else why not. It verifies nothing: ssh-keygen does, which does not look at the byte
# of flags. A security key's signature (PROTOCOL.u2f) holds that byte behind the signature proper: 1 says that somebody
# touched the key, 4 that the key knew who, by finger, face or PIN. PLAIN is yes where the host takes keys that say neither.

{ for (i = 1; i <= NF; i++) BYTE[size++] = 16 * (index(DIGITS, substr($i, 1, 1)) - 1) + index(DIGITS, substr($i, 2)) - 1 }

function fail(why) { if (WRONG == "") WRONG = why }

function octet() {
    if (at >= size) { fail("it is cut short"); return 0 }
    return BYTE[at++]
}

function number(    value, i) {
    for (i = 0; i < 4; i++) value = 256 * value + octet()
    return value
}

# The end of the string that begins here, whose length has just been read.
function end_of_string(    count) {
    count = number()
    if (count <= size - at) return at + count
    fail("it is cut short")
    return at
}

function skip_string() { at = end_of_string() }

function string(    end, out) {
    for (end = end_of_string(); at < end; at++) out = out (BYTE[at] in CHARACTER ? CHARACTER[BYTE[at]] : "?")
    return out
}

function behind(is_webauthn) {
    FLAGS = octet()
    number()                # the key's counter
    if (is_webauthn) { skip_string(); skip_string(); skip_string() }
    if (FLAGS % 2 != 1) fail("nobody touched the key")
    if (int(FLAGS / 4) % 2 != 1) fail("the key did not know its user (no PIN, finger or face)")
}

function is_plain(key, kind) {
    if (key == "ssh-rsa") return kind == "rsa-sha2-256" || kind == "rsa-sha2-512"
    return key == kind && (key == "ssh-ed25519" || key ~ /^ecdsa-sha2-nistp(256|384|521)$/)
}

function read(    magic, i, end, key, kind) {
    for (i = 0; i < 6; i++) magic = magic sprintf("%c", octet())
    if (magic != "SSHSIG" || number() != 1) { fail("it is no SSH signature"); return }
    end = end_of_string()
    key = string()
    at = end
    if (string() != "askfirst-warrant") fail("it is not made for warrants (its namespace is another)")
    if (number() != 0) fail("it is not of its form")
    if (string() !~ /^sha(256|512)$/) fail("its hash is not SHA-256 or SHA-512")
    if (end_of_string() != size) fail("more follows behind it, or it is cut short")
    kind = string()
    skip_string()
    if (key == "sk-ecdsa-sha2-nistp256@openssh.com" && kind == "webauthn-" key) behind(1)
    else if (key == kind && key ~ /^sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh[.]com$/) behind(0)
    else if (!is_plain(key, kind)) fail("its kind of key counts nowhere")
    else if (ENVIRON["PLAIN"] != "yes") fail("it is by a key that nobody need touch, which this host does not take")
    if (at != size) fail("more follows behind it")
}

BEGIN {
    DIGITS = "0123456789abcdef"
    for (i = 32; i < 127; i++) CHARACTER[i] = sprintf("%c", i)
}

END {
    read()
    print WRONG == "" ? "good" : WRONG
}
