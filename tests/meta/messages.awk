# messages.awk -- the error messages of C sources: a line each, FILE and TEXT with a tab between, "..." for what varies.
#
# A message is the first literal with a blank in it among the arguments of a function that takes one. Literals that stand side by
# side are one. What is made of parts that are no messages by themselves (a choice of words) is left to the text around it.
function plain(text,    out) {
    gsub(/\\"/, "\"", text)
    gsub(/\\n/, "", text)
    gsub(/\\\\/, "\\", text)
    gsub(/%%/, "\001", text)
    gsub(/%[-+#0]*[0-9*]*(\.[0-9*]+)?(hh|h|ll|l|z|j|t)?[a-zA-Z]/, "...", text)
    gsub(/\001/, "%", text)
    return text
}
# The first argument of the call whose parenthesis is open that has such a literal in it, or "".
function literal(call,    depth, i, c, found, end) {
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
        if (depth == 0 || (c == "," && depth == 1)) {
            if (found ~ / /)
                return found
            found = ""
        }
    }
    return ""
}
# But not what only hands on the words of another; of what is printed only what says whose word it is, and is no note.
function tell(message, printed,    words) {
    if (printed && !sub(/^rkb(ctl|ridge): /, "", message))
        return
    words = message ~ /^note: | $/ ? "" : message     # nor what is put together from pieces
    gsub(/\.\.\./, "", words)
    if (words ~ /[A-Za-z][a-z][a-z]/)
        print name "\t" message
}
function file_ends(    rest, message, choices, count, i, printed) {
    gsub(/" PRI[a-z0-9]+ "/, "u", text)
    gsub(/" PRI[a-z0-9]+/, "u\"", text)
    gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, "", text)
    rest = text
    while (match(rest, /(^|[^a-z_])((rkb_fail|rkb_fail_errno|rkb_findings_add|rkb_reading_mistake|rkb_reading_warning|rkb_compiler_mistake|rkb_compiler_mistake_about|rkb_connection_fail|rkb_client_refuse_rest|rkb_command_error|rkb_shipper_fail|rkb_named_file_mistake|rkb_reading_map_mistake|rkb_reading_mistake_at|rkb_check_fail|rkb_call_deny|fail_with|add_mistake|mistake|refuse|fail)\(|fprintf\((stderr|err|[a-z]+->err),)/)) {
        printed = substr(rest, RSTART, RLENGTH) ~ /fprintf/
        rest = substr(rest, RSTART + RLENGTH)
        message = literal(substr(rest, 1, 1500))
        count = split(message, choices, "\002")
        for (i = 1; i <= count; i++)
            tell(plain(choices[i]), printed)
    }
    text = ""
}
FNR == 1 { file_ends(); name = FILENAME; sub(/.*src\//, "src/", name) }
{ line = $0; gsub(/[ \t]+/, " ", line); text = text line " " }
END { file_ends() }
