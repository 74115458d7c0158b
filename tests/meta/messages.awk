# messages.awk -- the messages that C sources can give: FILE and TEXT a line, with a tab between, "..." for what varies.
#
# -v list=FILE             messages.list: the functions that take one
# -v only="FILE:NAME ..."  these functions instead, and nothing else
#
# A message is the first literal with a blank in it among the arguments of such a function, or what a variable or a
# member begins as whose name says so. Literals that stand side by side are one. What is made of parts that are no
# messages by themselves (a choice of words) is left to the text around it.
function plain(text) {
    gsub(/\\"/, "\"", text)
    gsub(/\\n/, "", text)
    gsub(/\\\\/, "\\", text)
    gsub(/%%/, "\001", text)
    gsub(/%[-+#0]*[0-9*]*(\.[0-9*]+)?(hh|h|ll|l|z|j|t)?[a-zA-Z]/, "...", text)
    gsub(/\001/, "%", text)
    return text
}
# The first argument of the call whose parenthesis is open that has such a literal in it, or ""; or that of a value.
function literal(call, is_value,    depth, i, c, found, end) {
    depth = 1
    found = ""
    for (i = 1; i <= length(call) && depth > 0; i++) {
        c = substr(call, i, 1)
        if (c == "\"") {
            for (end = i + 1; end <= length(call) && substr(call, end, 1) != "\""; end++)
                if (substr(call, end, 1) == "\\")
                    end++
            if (depth == 1)
                found = found substr(call, i + 1, end - i - 1)
            i = end
        } else if (c == "(") {
            depth++
        } else if (c == ")") {
            depth--
        } else if (c == ":" && depth == 1 && found ~ / /) {     # a choice of two
            found = found "\002"
        }
        if (depth == 0 || (index(",;}", c) > 0 && depth == 1)) {
            if (found ~ / /)
                return found
            if (is_value)
                return ""
            found = ""
        }
    }
    return ""
}
# But not what only hands on the words of another; of what is printed only what says whose word it is, and is no note.
function tell(message, printed,    words) {
    if (printed && !sub(/^rkb(ctl|ridge): /, "", message))
        return
    sub(/^ERROR [a-z_]+ /, "", message)
    words = message ~ /^note: |^STATUS=| $/ ? "" : message     # nor what is put together from pieces
    gsub(/\.\.\./, "", words)
    if (words ~ /[A-Za-z][a-z][a-z]/)
        print name "\t" message
}
# A finding of rkbctl check that is none.
function is_well(call) {
    sub(/".*/, "", call)
    return call ~ /RKB_GRADE_OK/ && call !~ /RKB_GRADE_(BAD|WARN)/
}
function file_ends(    rest, message, choices, count, i, begun, begin) {
    begin = "(^|[^a-z_])(" substr(everywhere here[name], 2) ")\\("
    if (only == "")
        begin = "(" begin "|fprintf\\((stderr|err|[a-z]+->err),|snprintf\\((text|[a-z]+->reason)," \
            "|[.>* ](text|mistake|why|answer_text\\[\\]|const char words\\[\\]) = )"
    gsub(/" PRI[a-z0-9]+ "/, "u", text)
    gsub(/" PRI[a-z0-9]+/, "u\"", text)
    gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, "", text)
    rest = only == "" || here[name] != "" ? text : ""
    while (match(rest, begin)) {
        begun = substr(rest, RSTART, RLENGTH)
        rest = substr(rest, RSTART + RLENGTH)
        if (is_well(substr(rest, 1, 300)))
            continue
        message = literal(substr(rest, 1, 1500), begun ~ /= $/)
        count = split(message, choices, "\002")
        for (i = 1; i <= count; i++)
            tell(plain(choices[i]), begun ~ /fprintf/)
    }
    text = ""
}
function takes(which,    at) {
    at = index(which, ":")
    if (at == 0)
        everywhere = everywhere "|" which
    else
        here[substr(which, 1, at - 1)] = here[substr(which, 1, at - 1)] "|" substr(which, at + 1)
}
BEGIN {
    count = split(only, names, " ")
    for (i = 1; i <= count; i++)
        takes(names[i])
    while (only == "" && (getline line < list) > 0) {
        count = split(line, names, " ")
        for (i = 2; i <= count && names[1] == "compared"; i++)
            takes(names[i])
    }
}
FNR == 1 { file_ends(); name = FILENAME; sub(/.*src\//, "src/", name) }
{ line = $0; gsub(/[ \t]+/, " ", line); sub(/^ /, "", line); text = text line " " }
END { file_ends() }
