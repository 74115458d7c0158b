# wrappers.awk -- the functions of C sources that take words: "format FILE:NAME" a line of who takes a format
# (RKB_PRINTF, or "..."), and "text FILE:NAME" of who hands on a text, as it was given, to one that messages.list
# (-v list=FILE) compares.
#
# The braces around a function's body stand alone on their lines, at the margin; a text is called text, words, why, what
# or reason.
function name_of(head) {
    gsub(/(__attribute__|RKB_PRINTF)\([^)]*\)/, "", head)
    sub(/[ \n]*\(.*/, "", head)
    sub(/.*[ *\n]/, "", head)
    return head
}
function takes_format(part) {
    return part ~ /, \.\.\.\)/ || part ~ /RKB_PRINTF/
}
function hands_on(head, body,    text) {
    while (match(head, /const char \*(text|words|why|what|reason)[,)]/)) {
        text = substr(head, RSTART + 12, RLENGTH - 13)
        head = substr(head, RSTART + RLENGTH)
        if (body ~ ("[^a-z_](" calls ")\\([^;]*[ (]" text "[,) ]"))
            return 1
    }
    return 0
}
function file_ends(    functions, parts, count, i, j, head, body, end) {
    gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, "", all)
    count = split(all, functions, /\n[{]\n/)
    for (i = 1; i <= count; i++) {
        body = ""
        if (i > 1) {
            end = index(functions[i], "\n}\n")
            body = substr(functions[i], 1, end)
            if (hands_on(head, body))
                print "text " name ":" name_of(head)
        }
        j = split(i > 1 ? substr(functions[i], end + 3) : functions[i], parts, /;/)
        head = parts[j]
        for (; j > 0; j--)
            if (takes_format(parts[j]))
                print "format " name ":" name_of(parts[j])
    }
    all = ""
}
BEGIN {
    while ((getline line < list) > 0) {
        count = split(line, names, " ")
        for (i = 2; i <= count && names[1] == "compared"; i++) {
            sub(/.*:/, "", names[i])
            calls = calls (calls == "" ? "" : "|") names[i]
        }
    }
}
FNR == 1 { file_ends(); name = FILENAME; sub(/.*src\//, "src/", name) }
/^#/ || continued { continued = /\\$/; next }
{ all = all $0 "\n" }
END { file_ends() }
