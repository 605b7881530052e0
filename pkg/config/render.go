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
	for _, paragraph := range initHead {
		for _, line := range wrap(paragraph, 100) {
			b.WriteString(strings.TrimRight("# "+line, " ") + "\n")
		}
	}
	for _, k := range defaultRows() {
		_, word, indent := k.place()
		b.WriteByte('\n')
		for _, line := range wrap(initDoc(k), 100-len(indent)) {
			fmt.Fprintf(&b, "%s# %s\n", indent, line)
		}
		if k.section() {
			fmt.Fprintf(&b, "%s%s:\n", indent, word)
		} else {
			fmt.Fprintf(&b, "%s#%s: %s\n", indent, word, k.value.yaml())
		}
	}
	return b.Bytes()
}

var initHead = []string{
	`The configuration of forgectl.`, ``,
	`Every setting stands below with its default. To change one, remove the # before its name and give it another value. "forgectl config check" tells whether the file is right; "forgectl config show" tells what is in force, and where it came from.`, ``,
	`A flag wins over the environment, and the environment over this file: each setting can also be given as FORGECTL_ and its name, such as FORGECTL_BACKUP_JOBS, where a list is separated by commas or spaces.`, ``,
	`Times have a unit: 30s, 5m, 12h, 30d, 2w. A file that holds a password must have mode 0600.`,
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

// Reference renders a markdown table of every setting: first those that stand alone, then each group.
func Reference() []byte {
	var b bytes.Buffer
	rows := defaultRows()
	referenceTable(&b, rows, "")
	for _, k := range rows {
		if k.section() {
			fmt.Fprintf(&b, "\n### `%s`\n\n%s\n\n", k.name, cell(k.explain()))
			referenceTable(&b, rows, k.name)
		}
	}
	return b.Bytes()
}

func referenceTable(b *bytes.Buffer, rows []*key, group string) {
	b.WriteString("| Setting | Default | What it is | Takes | Environment |\n|---|---|---|---|---|\n")
	for _, k := range rows {
		if parent, _, _ := k.place(); k.section() || parent != group {
			continue
		}
		def := k.value.yaml()
		if def == "[]" || def == `""` {
			def = ""
		} else {
			def = "`" + def + "`"
		}
		env := strings.Join(k.variables(), "`, `")
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | `%s` |\n", k.name, cell(def), cell(k.explain()), cell(k.value.want), env)
	}
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
	said := map[string]bool{}
	for _, k := range rows {
		group, _, _ := k.place()
		said[k.name] = k.later || said[group]
		k.later = k.later && !said[group] // said once, for the whole group
	}
	return rows
}

// place takes a name apart: the group it is in, its own word, and how far it is indented in the file.
func (k *key) place() (group, word, indent string) {
	i := strings.LastIndex(k.name, ".")
	return k.name[:max(i, 0)], k.name[i+1:], strings.Repeat("  ", strings.Count(k.name, "."))
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
