package dumpfile

import (
	"slices"
	"strings"
)

type tokenKind byte

const (
	word    tokenKind = iota + 1 // not quoted, in lower case
	quoted                       // a quoted name
	literal                      // of any kind; the text of a dollar-quoted one is not kept
	other
)

type token struct {
	kind tokenKind
	text string // the beginning of it
}

func (t token) is(words ...string) bool { return t.kind == word && slices.Contains(words, t.text) }

// name is what t names, if it is a name.
func (t token) name() string {
	if t.kind == word || t.kind == quoted {
		return t.text
	}
	return ""
}

// statement is what must be known of a statement to judge it, whatever its length.
type statement struct {
	started bool
	line    int
	depth   int // of parentheses

	first    [24]token
	count    int
	last     [3]token // the newest is the third
	on       token    // what follows the first ON outside of parentheses
	language string   // what follows LANGUAGE there
	copies   token    // what follows COPY's FROM or TO: where the data are
	copyFrom bool
	program  string   // COPY's
	options  []string // what follows that and names a format
	settings []string // names that set_config is called with
}

func (st *statement) add(t token) {
	prev := st.last[2]
	switch {
	case t.kind == other && t.text == "(":
		st.depth++
	case t.kind == other && t.text == ")":
		st.depth = max(st.depth-1, 0)
	case st.depth == 0:
		st.note(prev, t)
	}
	if t.kind == literal && prev.kind == other && prev.text == "(" && st.last[1].is("set_config") && len(st.settings) < 4 {
		st.settings = append(st.settings, strings.ToLower(t.text))
	}
	if st.first[0].is("copy") && st.copies.kind != 0 && slices.Contains([]string{"binary", "csv"}, strings.ToLower(t.text)) && len(st.options) < 4 {
		st.options = append(st.options, strings.ToLower(t.text))
	}
	if st.count < len(st.first) {
		st.first[st.count] = t
	}
	st.count++
	st.last = [3]token{st.last[1], st.last[2], t}
}

// note looks at a token outside of parentheses.
func (st *statement) note(prev, t token) {
	switch {
	case prev.is("on") && st.on.kind == 0:
		st.on = t
	case prev.is("language") && st.language == "" && t.kind != other:
		st.language = strings.ToLower(t.text)
	case prev.is("from", "to") && st.first[0].is("copy") && st.copies.kind == 0:
		st.copies, st.copyFrom = t, prev.text == "from"
	case prev.is("program") && st.copies.is("program") && st.program == "":
		st.program = t.text
	}
}

// copiesIn: rows follow. The grammar takes STDOUT for STDIN.
func (st *statement) copiesIn() bool {
	return st.first[0].is("copy") && st.copyFrom && st.copies.is("stdin", "stdout")
}

// newOwner is the role of ALTER … OWNER TO role.
func (st *statement) newOwner() string {
	if st.first[0].is("alter") && st.last[0].is("owner") && st.last[1].is("to") {
		return st.last[2].name()
	}
	return ""
}

// privileges: GRANT and REVOKE on objects, and ALTER DEFAULT PRIVILEGES.
func (st *statement) privileges() bool {
	return st.first[0].is("grant", "revoke") && st.on.kind != 0 ||
		st.first[0].is("alter") && st.first[1].is("default") && st.first[2].is("privileges")
}

// languageComment is what pg_dump before 11 wrote into every dump, and only a superuser can do.
func (st *statement) languageComment() bool {
	return st.first[0].is("comment") && st.first[1].is("on") && st.first[2].is("extension") && st.first[3].name() == "plpgsql"
}

// findings are the reasons not to run it.
func (st *statement) findings() []Finding {
	var list []Finding
	say := func(kind Kind, what, name string) {
		list = append(list, Finding{Line: st.line, What: what, Name: printable(name), Kind: kind})
	}
	for _, setting := range st.settings {
		st.setting(say, "set_config of", setting, "")
	}
	t := st.first
	switch verb := strings.ToUpper(t[0].text); {
	case t[0].is("create", "drop", "alter"):
		st.object(say, verb)
	case t[0].is("comment") || t[0].is("security"):
		if st.on.is("database", "role", "tablespace") {
			say(Cluster, verb+" ON "+strings.ToUpper(st.on.text), st.nameAfter(st.on))
		}
	case t[0].is("grant", "revoke"):
		switch {
		case st.on.kind == 0:
			say(Cluster, verb+" of a role", t[1].name())
		case st.on.is("database", "tablespace", "parameter"):
			say(Cluster, verb+" ON "+strings.ToUpper(st.on.text), st.nameAfter(st.on))
		}
	case t[0].is("copy"):
		st.copyTarget(say)
	case t[0].is("set", "reset"):
		i := 1
		if t[i].is("session", "local") && !t[i+1].is("authorization") {
			i++
		}
		value := t[i+1]
		if value.is("to") || value.text == "=" {
			value = t[i+2]
		}
		name := strings.ToLower(t[i].text)
		if t[i].is("session") {
			name = "session_authorization"
		}
		if t[0].is("set") {
			st.setting(say, verb, name, value.text)
		} else if name == "role" || name == "session_authorization" {
			say(Cluster, verb, name)
		}
	case t[0].is("discard") && t[1].is("all"):
		say(Cluster, "DISCARD ALL", "") // resets the role
	case t[0].is("load"):
		say(Cluster, verb, t[1].text)
	case t[0].is("do"):
		st.routine(say, verb)
	case t[0].is("reassign"):
		say(Cluster, "REASSIGN OWNED", t[3].name())
	case t[0].is("commit", "rollback") && t[1].is("prepared"), t[0].is("prepare") && t[1].is("transaction"):
		say(Cluster, verb+" "+strings.ToUpper(t[1].text), t[2].text)
	}
	return list
}

// object judges CREATE, DROP and ALTER.
func (st *statement) object(say func(Kind, string, string), verb string) {
	i := 1
	if st.first[1].is("or") && st.first[2].is("replace") {
		i = 3
	}
	t := st.first[i]
	what := verb + " " + strings.ToUpper(t.text)
	switch {
	case t.is("database"):
		say(Database, what, st.nameAt(i+1))
	case t.is("user") && st.first[i+1].is("mapping"):
	case t.is("role", "user", "group", "tablespace", "subscription"):
		say(Cluster, what, st.nameAt(i+1))
	case t.is("system"), t.is("owned"):
		say(Cluster, what, "")
	case t.is("function", "procedure"):
		st.routine(say, what)
	}
}

// routine judges by the language. The list need not be whole: the server allows the others to superusers only.
func (st *statement) routine(say func(Kind, string, string), what string) {
	l := st.language
	if l == "c" || l == "internal" || l == "plsh" || strings.HasPrefix(l, "pl") && strings.HasSuffix(l, "u") {
		say(Cluster, what+" in language", l)
	}
}

func (st *statement) copyTarget(say func(Kind, string, string)) {
	direction := "TO"
	if st.copyFrom {
		direction = "FROM"
	}
	switch {
	case st.copies.is("program"):
		say(Cluster, "COPY "+direction+" PROGRAM", st.program)
	case st.copies.is("stdin", "stdout"):
		binary := st.first[1].is("binary") && !st.first[2].is("from", "to") && st.first[2].text != "(" && st.first[2].text != "."
		if st.copyFrom && (binary || len(st.options) > 0) {
			say(Trick, "COPY FROM stdin in a format that is not text", "")
		}
	case st.copies.kind != 0:
		say(Cluster, "COPY "+direction+" a file", st.copies.text)
	}
}

// unsafeEncodings have characters whose second byte may be a backslash.
var unsafeEncodings = []string{"sjis", "shiftjis", "mskanji", "win932", "windows932", "shiftjis2004", "big5", "win950", "windows950", "gbk", "win936", "windows936", "uhc", "win949", "windows949", "gb18030", "johab"}

// setting judges what SET and set_config change. An empty value is one that was not looked at.
func (st *statement) setting(say func(Kind, string, string), verb, name, value string) {
	value = strings.ToLower(value)
	switch name {
	case "role", "session_authorization":
		say(Cluster, verb, name)
	case "standard_conforming_strings":
		if !slices.Contains([]string{"on", "true", "yes", "1"}, value) {
			say(Trick, verb, name)
		}
	case "client_encoding", "names":
		plain := strings.NewReplacer("-", "", "_", "", " ", "").Replace(value)
		if plain == "" || slices.Contains(unsafeEncodings, plain) {
			say(Trick, verb, strings.TrimSpace(name+" "+value))
		}
	}
}

// nameAt reads a name, perhaps qualified, that begins with the token i.
func (st *statement) nameAt(i int) string {
	for i < len(st.first) && st.first[i].is("if", "not", "exists") {
		i++
	}
	var parts []string
	for ; i < len(st.first) && st.first[i].name() != ""; i += 2 {
		parts = append(parts, st.first[i].text)
		if i+1 >= len(st.first) || st.first[i+1].text != "." {
			break
		}
	}
	return strings.Join(parts, ".")
}

// nameAfter is nameAt behind the token on.
func (st *statement) nameAfter(on token) string {
	i := slices.Index(st.first[:], on)
	if i < 0 {
		return ""
	}
	return st.nameAt(i + 1)
}
