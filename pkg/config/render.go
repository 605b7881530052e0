package config

import (
	"bytes"
	"fmt"
	"strings"
)

// Init renders a commented configuration file. Each setting stands there with its default, commented out: the file
// then says what was decided here and nothing else, and a default that a later release improves takes effect.
func Init() []byte {
	var b bytes.Buffer
	b.WriteString(`# The configuration of forgectl.
#
# Every setting stands below with its default. To change one, remove the # before its name and give it another value.
# "forgectl config check" tells whether the file is right, "forgectl config show" what is in force and where it came
# from. A flag wins over the environment, and the environment over this file: each setting can also be given as
# FORGECTL_ and its name, such as FORGECTL_BACKUP_JOBS; a list then is separated by commas or spaces.
#
# Times have a unit: 30s, 5m, 12h, 30d, 2w. A file that holds a password must have mode 0600.
`)
	group := &key{}
	for _, k := range defaultRows() {
		if k.section() {
			group = k
		} else if group.later && strings.HasPrefix(k.name, group.name+".") {
			k.later = false // said once, above
		}
		depth := strings.Count(k.name, ".")
		indent := strings.Repeat("  ", depth)
		b.WriteByte('\n')
		for _, line := range wrap(initDoc(k), 100-len(indent)) {
			fmt.Fprintf(&b, "%s# %s\n", indent, line)
		}
		word := k.name[strings.LastIndex(k.name, ".")+1:]
		if k.section() {
			fmt.Fprintf(&b, "%s%s:\n", indent, word)
		} else {
			fmt.Fprintf(&b, "%s#%s: %s\n", indent, word, k.value.yaml())
		}
	}
	return b.Bytes()
}

func initDoc(k *key) string {
	doc := k.explain()
	var others []string
	for _, v := range k.env {
		others = append(others, v.name)
	}
	if len(others) > 0 {
		doc += " Also set by " + strings.Join(others, ", ") + "."
	}
	return doc
}

// Reference renders a markdown table of every setting for each group of them.
func Reference() []byte {
	var b bytes.Buffer
	group := &key{}
	header := func() {
		b.WriteString("| Setting | Default | What it is |\n|---|---|---|\n")
	}
	header()
	for _, k := range defaultRows() {
		if k.section() {
			group = k
			fmt.Fprintf(&b, "\n### `%s`\n\n%s\n\n", k.name, k.explain())
			header()
			continue
		}
		k.later = k.later && !group.later
		def := k.value.yaml()
		if def == "[]" || def == `""` {
			def = ""
		} else {
			def = "`" + def + "`"
		}
		env := make([]string, 0, 2)
		for _, name := range k.variables() {
			env = append(env, "`"+name+"`")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s<br>Takes %s. Environment: %s. |\n", k.name, cell(def), cell(k.explain()), cell(k.value.want), strings.Join(env, ", "))
	}
	return b.Bytes()
}

// cell keeps text from ending a cell of a markdown table.
func cell(s string) string { return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(s) }

// defaultRows is the table as it is for root on a machine without a configuration. What follows from other settings
// stays empty: it is explained in words, and must not be fixed by being written down.
func defaultRows() []*key {
	rows, err := withDefaults(&Config{}, site{stateDir: SystemStateDir})
	if err != nil {
		return nil // a default that its own setting refuses: every test would see it
	}
	return rows
}

// wrap breaks text into lines of at most width bytes, where it has spaces.
func wrap(s string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
