# events.awk -- the event words of C sources: a line "WORD LEVEL OBJECT" for each level that a call of rkb_log may have.
#
# OBJECT is the literal; source[NAME] and topic[NAME] for those that are made; "?" for what cannot be told from the
# source. An event is a literal, a name that the same file defines, or a choice of such; a call it cannot read is a line
# "UNREAD file".
function says(call, file,    level, count, parts, object, event, i, words, word) {
    if (call ~ /^struct /)      # the function itself
        return
    # What is in the parentheses of an inner call has commas of its own.
    while (match(call, /^[^"]*[a-z_]+\([^()"]*\)/)) {
        word = substr(call, RSTART, RLENGTH)
        sub(/\([^()]*\)$/, "", word)
        call = word substr(call, RSTART + RLENGTH)
    }
    count = split(call, parts, ",")
    if (count < 4)
        return
    level = parts[2]
    object = parts[3]
    event = parts[4]
    gsub(/^ +| +$/, "", object)
    gsub(/^ +| +$/, "", event)
    if (event == "NULL")
        return
    if (object ~ /^"/)
        gsub(/"/, "", object)
    else
        object = object ~ /object_of/ ? "topic[NAME]" : object ~ /->object$/ ? "source[NAME]" : "?"
    words = ""
    while (match(event, /"[a-z_]+"|[A-Z][A-Z_]+/)) {
        word = substr(event, RSTART, RLENGTH)
        event = substr(event, RSTART + RLENGTH)
        if (word !~ /^"/)
            word = defined[word]
        gsub(/"/, "", word)
        words = words " " word
    }
    if (words !~ /[a-z]/)
        print "UNREAD " file ": " substr(call, 1, 60)
    count = split(words, parts, " ")
    while (match(level, /RKB_LOG_[A-Z]+/)) {
        word = tolower(substr(level, RSTART + 8, RLENGTH - 8))
        level = substr(level, RSTART + RLENGTH)
        for (i = 1; i <= count; i++)
            print parts[i], word, object
    }
}
function file_ends(    calls, count, i) {
    count = split(text, calls, "rkb_log\\(")
    for (i = 2; i <= count; i++)
        says(calls[i], name)
    text = ""
    delete defined
}
FNR == 1 { file_ends(); name = FILENAME }
/^#define [A-Z_]+ +"[a-z_]+"/ { defined[$2] = $3 }
/\.event = "[a-z_]+"/ {
    word = $0
    sub(/.*\.event = "/, "", word); sub(/".*/, "", word)
    level = tolower($0)
    sub(/.*rkb_log_/, "", level); sub(/[^a-z].*/, "", level)
    object = $0
    sub(/.*\.object = "/, "", object); sub(/".*/, "", object)
    print word, level, object
}
{ line = $0; gsub(/ +/, " ", line); text = text line }
END { file_ends() }
