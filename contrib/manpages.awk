# manpages.awk -- a man page with what a table of the program says put in anew. See manpages.sh.
#
#     awk -v kind=settings|commands|metrics -v page=NAME -f manpages.awk TABLE PAGE
#
# Standard output is the page. What only a hand can mend is said on standard error, with exit code 1.
# In TABLE a row is three lines (a name; indented, the facts; indented, the help), for metrics one of Markdown's.

function said(text) {
    print page ": " text >"/dev/stderr"
    bad = 1
}

# A line of ours, to be found again the next time.
function mark(text) {
    print text "\\\" table"
}

# A command is known by its words in small letters before anything else: "journal list".
function key_of(words,    list, count, i, key) {
    count = split(words, list, " ")
    for (i = 1; i <= count && list[i] ~ /^[a-z]+$/; i++)
        key = key (i > 1 ? " " : "") list[i]
    return key
}

function roff(text) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    return text
}

# A sentence: with a capital at its begin and a full stop at its end.
function sentence(text) {
    return toupper(substr(text, 1, 1)) substr(text, 2) (text ~ /[.!?]$/ ? "" : ".")
}

# Each sentence of a text on a line of its own, as mandoc wants it.
function mark_sentences(text) {
    text = sentence(text)
    while (match(text, /[.!?] [A-Z]/)) {
        mark(substr(text, 1, RSTART))
        text = substr(text, RSTART + 2)
    }
    mark(text)
}

# --- rkbridge.yaml(5): under each setting type, range, default, and whether a reload takes it.

# "one of a, b; default a" with the words in bold.
function facts_of(number,    parts, count, i, words, word_count, w, text) {
    count = split(roff(facts[number]), parts, "; ")
    for (i = 1; i <= count; i++) {
        if (sub(/^default /, "", parts[i]))
            parts[i] = "default \\fB" parts[i] "\\fP"
        else if (sub(/^one of /, "", parts[i])) {
            word_count = split(parts[i], words, ", ")
            parts[i] = "one of"
            for (w = 1; w <= word_count; w++)
                parts[i] = parts[i] " \\fB" words[w] "\\fP" (w < word_count ? "," : "")
        }
        text = text (i > 1 ? "; " : "") parts[i]
    }
    return sentence(text "; " (live[number] ? "a reload takes it" : "needs a restart"))
}

function write_setting(number) {
    print ".TP\n.B " names[number]
    mark(facts_of(number))
    mark(".br ")
}

# What a reload takes beside the routes: the end of a sentence whose begin, by hand, says that it takes all of routes.
function write_live(    i, list, some) {
    for (i = 1; i <= rows; i++) {
        if (live[i] && names[i] !~ /^routes\./)
            list[++some] = names[i]
        else if (!live[i] && names[i] ~ /^routes\./)
            said("it says that a reload takes all of routes; it does not take " names[i])
    }
    for (i = 1; i < some; i++)
        print i == some - 1 ? ".B " list[i] : ".BR " list[i] " ,"
    print (some > 1 ? "and\n" : "") ".BR " list[some] " ."
}

# --- rkbctl(1): each command with its arguments, its help and its right.

# "[text|json] [route NAME]" as mdoc's macros.
function arguments_of(words,    list, count, i, text, macro, wanted) {
    gsub(/[][|]/, " & ", words)
    count = split(words, list, " ")
    for (i = 1; i <= count; i++) {
        wanted = "Cm"
        if (list[i] == "[" || list[i] == "]")
            wanted = list[i] == "[" ? "Oo" : "Oc"
        else if (list[i] ~ /^-/ && sub(/^-/, "", list[i]))
            wanted = "Fl"
        else if (list[i] ~ /^[A-Z]+$/)
            wanted = "Ar"
        else if (list[i] == "|" || list[i] == "...")
            wanted = macro
        text = text (wanted == macro ? "" : " " wanted)
        if (wanted != "Oo" && wanted != "Oc")
            text = text " " (wanted == "Ar" ? tolower(list[i]) : list[i])
        macro = wanted == "Oo" || wanted == "Oc" ? "" : wanted
    }
    return text
}

# A help that names an argument shows it as the line above does.
function with_arguments(help, words,    list, count, i, before) {
    count = split(words, list, /[^A-Z]+/)
    for (i = 1; i <= count; i++) {
        if (list[i] == "" || !match(" " help " ", "[^A-Z]" list[i] "[^A-Z]"))
            continue
        before = substr(help, 1, RSTART - 1)
        help = before "\\fI" tolower(list[i]) "\\fP" substr(help, RSTART + length(list[i]))
    }
    return help
}

function write_command(number) {
    print ".It" arguments_of(names[number])
    mark_sentences(with_arguments(help[number], names[number]))
    if (facts[number] == "admin")
        mark("Needs the admin right.")
}

# --- rkbridge(8): the metrics.

function write_metric(number) {
    print ".It Li " names[number] " Pq " facts[number]
    print help[number]
}

function write_block(    i) {
    if (kind == "settings")
        write_live()
    for (i = 1; kind == "metrics" && i <= rows; i++)
        write_metric(i)
}

# --- the table

FNR == 1 { files++ }
files == 1 && kind == "metrics" {
    split($0, cells, / *\| */)
    if (cells[2] !~ /^`/)
        next
    gsub(/`/, "", cells[2])
    names[++rows] = cells[2]
    facts[rows] = cells[3] (cells[4] == "" ? "" : " by " cells[4])
    help[rows] = cells[5]
    next
}
files == 1 && /^[^ ]/ {
    names[++rows] = $0
    row_of[key = kind == "commands" ? key_of($0) : $0] = rows
    keys[rows] = key
    part = 0
    next
}
files == 1 {
    sub(/^ +/, "")
    if (part++ == 0) {
        facts[rows] = $0
        next
    }
    live[rows] = sub(/ A reload takes it\.$/, "")
    help[rows] = $0
    next
}

# --- the page

{ lines[++count] = $0 }

# The key of the entry that begins at this line, or "".
function entry_at(i) {
    if (kind == "settings" && settings && lines[i] == ".TP" && lines[i + 1] ~ /^\.B /)
        return substr(lines[i + 1], 4)
    if (kind == "commands" && lines[i] ~ /^\.It Cm /)
        return key_of(substr(lines[i], 8))
    return ""
}

function write_entry(number) {
    if (kind == "settings")
        write_setting(number)
    else
        write_command(number)
}

# The open entry ends; rows behind its own that have none get one, to be gone on with by hand.
function end_entry() {
    while (open > 0 && open < rows && !(keys[open + 1] in on_page)) {
        write_entry(++open)
        if (kind == "settings")
            print help[open]
    }
    open = 0
}

function begin_entry(key) {
    if (!(key in row_of)) {
        said("there is no " key " in the program: its entry has to go")
        return 0
    }
    if (row_of[key] < latest)
        said(key " stands behind " keys[latest] "; in the program it comes before")
    latest = row_of[key]
    write_entry(open = latest)
    return 1
}

# Whether the entry that is open ends before this line.
function ends_at(i) {
    if (kind == "settings")
        return lines[i] ~ /^\.(TP|SS|SH)/
    return lines[i] ~ /^\.It Cm / || (lines[i] ~ /^\.El/ && depth == depth_of_entries)
}

function follow(i) {
    if (lines[i] ~ /^\.SH /)
        settings = lines[i] == ".SH SETTINGS"
    if (lines[i] ~ /^\.Bl /)
        depth++
    else if (lines[i] ~ /^\.El/)
        depth--
}

function write_page(    i, key) {
    for (i = 1; i <= count; i++) {
        if (open > 0 && ends_at(i))
            end_entry()
        follow(i)
        if (lines[i] ~ /\\" table$/)
            continue
        key = entry_at(i)
        if (key != "" && begin_entry(key)) {
            depth_of_entries = depth
            i += kind == "settings"
            continue
        }
        print lines[i]
        if (lines[i] ~ /^\.\\" BEGIN$/) {
            blocks++
            write_block()
            while (i < count && lines[i + 1] !~ /^\.\\" END/)
                i++
        }
    }
}

END {
    for (i = 1; i <= count; i++) {
        if (lines[i] ~ /^\.SH /)
            settings = lines[i] == ".SH SETTINGS"
        key = entry_at(i)
        if (key in on_page)
            said(key " has two entries")
        if (key != "")
            on_page[key] = 1
    }
    settings = 0
    write_page()
    if (kind != "metrics" && !(keys[1] in on_page))
        said("there is no entry for " keys[1] ": write one, with nothing but its heading")
    if (blocks != (kind != "commands"))
        said("there are " blocks + 0 " places with the comments BEGIN and END")
    exit bad
}
