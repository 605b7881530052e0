package doctor

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// simpleCommands takes a shell command line apart into simple commands, each as
// its words without quotes. Comments and redirections are dropped. It is no
// shell: expansions stay as they are written, and what it does not understand
// becomes words that nobody is looking for.
func simpleCommands(line string) [][]string {
	s := &splitter{}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\\' && i+1 < len(line):
			i++
			if line[i] != '\n' {
				s.add(line[i])
			}
		case c == '\'' || c == '"':
			i = s.quoted(line, i)
		case c == ' ' || c == '\t':
			s.endWord()
		case c == '#' && !s.open:
			for i+1 < len(line) && line[i+1] != '\n' {
				i++
			}
		case c == '<' || c == '>':
			if strings.Trim(s.word.String(), "0123456789") == "" {
				s.word.Reset() // the number of a descriptor
				s.open = false
			}
			s.endWord()
			for i+1 < len(line) && strings.IndexByte("<>&|", line[i+1]) >= 0 {
				i++
			}
			s.skip = true
		case strings.IndexByte(";&|()\n", c) >= 0:
			s.endCommand()
		default:
			s.add(c)
		}
	}
	s.endCommand()
	return s.all
}

type splitter struct {
	word  strings.Builder
	open  bool // a word has begun, if only with quotes
	skip  bool // the next word is the target of a redirection
	words []string
	all   [][]string
}

func (s *splitter) add(c byte) {
	s.open = true
	s.word.WriteByte(c)
}

// quoted reads from the quote at i and returns where its end is.
func (s *splitter) quoted(line string, i int) int {
	s.open = true
	quote := line[i]
	for i++; i < len(line) && line[i] != quote; i++ {
		if quote == '"' && line[i] == '\\' && i+1 < len(line) && strings.IndexByte(`"\$`+"`", line[i+1]) >= 0 {
			i++
		}
		s.word.WriteByte(line[i])
	}
	return i
}

func (s *splitter) endWord() {
	if s.open && !s.skip {
		s.words = append(s.words, s.word.String())
	}
	if s.open {
		s.skip = false
	}
	s.word.Reset()
	s.open = false
}

func (s *splitter) endCommand() {
	s.endWord()
	s.skip = false
	if len(s.words) > 0 {
		s.all = append(s.all, s.words)
	}
	s.words = nil
}

// call is one call of "forgectl backup db", or "backup full", in a command line.
type call struct {
	program  string // as it is written
	path     string // PATH that the line sets for it, with $PATH for what it was before; "": it does not
	user     string // that the line changes to; ""
	database string // of --database; ""
}

// calls finds the calls in a command line, through the programs that are put in
// front of others, and through scripts, which read gives the text of.
func calls(line string, read func(path string) string) []call {
	return (&caller{read: read}).line(line, call{}, 0)
}

type caller struct{ read func(path string) string }

// maxDepth bounds scripts that call scripts, and shells in shells.
const maxDepth = 4

func (c *caller) line(line string, outer call, depth int) []call {
	var all []call
	if depth > maxDepth {
		return nil
	}
	for _, words := range simpleCommands(line) {
		inner := outer
		words = slices.Clone(words)
		for len(words) > 0 && slices.Contains([]string{"if", "then", "else", "elif", "while", "until", "do", "!", "{", "export"}, words[0]) {
			words = words[1:]
		}
		words = assign(words, &inner)
		if len(words) == 0 { // an assignment by itself holds for what follows
			outer.path = inner.path
			continue
		}
		all = append(all, c.command(words, inner, depth)...)
	}
	return all
}

// assign drops the assignments in front of a command.
func assign(words []string, to *call) []string {
	for len(words) > 0 {
		name, value, found := strings.Cut(words[0], "=")
		if !found || name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return words
		}
		if name == "PATH" {
			before := cmp.Or(to.path, "$PATH") // what that is, the caller knows
			to.path = strings.NewReplacer("${PATH}", before, "$PATH", before).Replace(value)
		}
		words = words[1:]
	}
	return words
}

// front is a program that runs the command that follows it.
type front struct {
	values     string // its options that take a value
	positional int    // its own arguments before the command
	user       string // the option that names a user
	shell      string // the option whose value is a command line
}

func fronts() map[string]front {
	return map[string]front{
		"env": {values: "uCS"}, "nice": {values: "n"}, "ionice": {values: "cnp"}, "chronic": {}, "cronic": {}, "time": {values: "fo"}, "exec": {values: "a"}, "command": {},
		"nohup": {}, "setsid": {}, "timeout": {values: "ks", positional: 1}, "flock": {values: "wE", positional: 1, shell: "c"}, "chrt": {positional: 1}, "taskset": {positional: 1},
		"sudo": {values: "ughpCTrtUDR", user: "u"}, "runuser": {values: "ugGsw", user: "u", shell: "c"}, "su": {values: "sgGw", shell: "c"}, "systemd-cat": {values: "tp"},
		"sh": {shell: "c"}, "bash": {shell: "c"}, "dash": {shell: "c"}, "ksh": {shell: "c"},
	}
}

func (c *caller) command(words []string, at call, depth int) []call {
	name := path.Base(words[0])
	if name == "forgectl" {
		return ours(words, at)
	}
	f, known := fronts()[name]
	if !known {
		return c.script(words[0], at, depth)
	}
	words = words[1:]
	for len(words) > 0 && strings.HasPrefix(words[0], "-") && words[0] != "--" && words[0] != "-" {
		option := words[0]
		words = words[1:]
		letter := option[len(option)-1:]
		takes := !strings.HasPrefix(option, "--") && strings.Contains(f.values+f.shell, letter)
		if !takes || len(words) == 0 {
			continue
		}
		switch letter {
		case f.shell:
			return c.line(words[0], at, depth+1)
		case f.user:
			at.user = words[0]
		}
		words = words[1:]
	}
	if len(words) > 0 && (words[0] == "--" || words[0] == "-") {
		words = words[1:]
	}
	if name == "su" && len(words) > 0 { // the user stands before or after -c
		at.user, words = words[0], words[1:]
		if len(words) > 1 && words[0] == "-c" {
			return c.line(words[1], at, depth+1)
		}
		return nil
	}
	words = words[min(f.positional, len(words)):]
	if len(words) > 1 && f.shell != "" && words[0] == "-"+f.shell { // flock FILE -c LINE
		return c.line(words[1], at, depth+1)
	}
	words = assign(words, &at)
	if len(words) == 0 || depth > maxDepth {
		return nil
	}
	if f.shell == "c" && slices.Contains([]string{"sh", "bash", "dash", "ksh"}, name) {
		return c.script(words[0], at, depth)
	}
	return c.command(words, at, depth+1)
}

// script looks into a script.
func (c *caller) script(path string, at call, depth int) []call {
	if c.read == nil || !strings.HasPrefix(path, "/") {
		return nil
	}
	return c.line(c.read(path), at, depth+1)
}

// searched is where the program is looked for, by a caller whose PATH is known.
func (c call) searched(path string) string {
	return strings.ReplaceAll(cmp.Or(c.path, "$PATH"), "$PATH", path)
}

// ours says whether the words are a backup of a database, by itself or with all the rest.
func ours(words []string, at call) []call {
	at.program = words[0]
	var command []string
	for i := 1; i < len(words); i++ {
		option, value, given := strings.Cut(words[i], "=")
		if !strings.HasPrefix(option, "-") {
			command = append(command, words[i])
			continue
		}
		if !given && i+1 < len(words) && slices.Contains([]string{"--config", "--output", "-o", "--log-format", "--log-target", "--timeout", "--database", "--fingerprint"}, option) {
			i++
			value = words[i]
		}
		if option == "--database" {
			at.database = value
		}
	}
	// Neither takes an argument: what follows are values of flags.
	if len(command) < 2 || command[0] != "backup" || command[1] != "db" && command[1] != "full" {
		return nil
	}
	return []call{at}
}
