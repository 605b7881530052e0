package config

import "strings"

// Value is one setting as an operator wants to see it.
type Value struct {
	Key     string   `json:"key"`
	Value   string   `json:"value"`   // printable; passwords are masked
	Default string   `json:"default"` // printable
	Source  string   `json:"source"`  // "default", "file /etc/…:12", "environment DB_NAME", "environment file /etc/…:3", "flag --database"
	Secret  bool     `json:"secret"`  // something in Value was masked
	Env     []string `json:"env"`     // the environment variables that set it, strongest first
	Doc     string   `json:"doc"`
}

// Values lists every setting in the order of the table. A default that follows from another setting is shown as what
// it comes to.
func (l *Loaded) Values() []Value {
	var defaults Config
	var out []Value
	plain := table(&defaults, site{stateDir: l.row("state_dir").def})
	for i, k := range l.rows {
		if k.section() {
			continue
		}
		value := k.value.printable()
		v := Value{Key: k.name, Value: Mask(value), Default: Mask(k.def), Source: k.source, Env: k.variables(), Doc: k.explain()}
		if d := plain[i].value; d.list && d.setText(k.def) == nil {
			v.Default = d.printable()
		}
		v.Secret = v.Value != value
		out = append(out, v)
	}
	return out
}

// Source says where the value of a key came from, in the words of Value.Source; empty for a key that does not exist.
func (l *Loaded) Source(key string) string {
	if k := l.row(key); k != nil {
		return k.source
	}
	return ""
}

// Secrets lists the passwords that stand inside values (URLs) and in PGPASSWORD, to be scrubbed from what other
// programs print.
func (l *Loaded) Secrets() []string {
	var out []string
	for _, k := range l.rows {
		if !k.section() && k.value.url {
			out = append(out, secretsIn(k.value.get()[0])...)
		}
	}
	for _, e := range l.Environ {
		if secret, ok := strings.CutPrefix(e, "PGPASSWORD="); ok && secret != "" {
			out = append(out, secret)
		}
	}
	return out
}
