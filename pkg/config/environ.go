package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/suggest"
)

// setting is what a variable is set to, and where.
type setting struct {
	value string
	file  string // the environment file; empty: the process's own environment
	line  int
}

// errorAbout builds an error that shows the place, and never the value.
func (s setting) errorAbout(name, msg string) *Error {
	if s.file == "" {
		return &Error{File: "environment " + name, Msg: msg}
	}
	return &Error{File: s.file, Line: s.line, Source: name + "=" + masked, Msg: name + ": " + msg}
}

func (s setting) source(name string) string {
	if s.file == "" {
		return "environment " + name
	}
	return fmt.Sprintf("environment file %s:%d", s.file, s.line)
}

func environment(environ []string) map[string]setting {
	env := map[string]setting{}
	for _, e := range environ {
		if name, value, ok := strings.Cut(e, "="); ok {
			env[name] = setting{value: value}
		}
	}
	return env
}

// applyRest sets what the environment file, the environment and the flags say, weakest first.
func (l *Loaded) applyRest(o Options, env map[string]setting) []*Error {
	// The environment file is named by a setting itself: that one is settled first.
	where := l.row("app.environment_file")
	mistakes := applyEnvironment([]*key{where}, env)
	if v, ok := o.Flags[where.name]; ok {
		mistakes = append(mistakes, applyFlag(where, flagName(o, where.name), v)...)
	}
	if len(mistakes) > 0 {
		return mistakes
	}
	l.Environ = slices.Clone(o.Environ)
	if l.App.EnvironmentFile != "" {
		fromFile, err := readEnvironmentFile(l.App.EnvironmentFile, where)
		if err != nil {
			return append(mistakes, err)
		}
		rows := slices.DeleteFunc(slices.Clone(l.rows), func(k *key) bool { return k == where })
		mistakes = append(mistakes, applyEnvironment(rows, fromFile)...)
		mistakes = append(mistakes, l.unknownVariables(fromFile)...)
		l.Environ = mergeEnviron(l.Environ, env, fromFile)
	}
	mistakes = append(mistakes, applyEnvironment(l.rows, env)...)
	mistakes = append(mistakes, l.unknownVariables(env)...)
	return append(mistakes, l.applyFlags(o)...)
}

// applyEnvironment sets each key from its strongest variable that is set.
func applyEnvironment(rows []*key, env map[string]setting) []*Error {
	var mistakes []*Error
	for _, k := range rows {
		if k.section() {
			continue
		}
		for i, name := range k.variables() {
			s, ok := env[name]
			if !ok || i > 0 && s.value == "" && !k.sealed {
				continue
			}
			if err := k.fromVariable(i, name, s); err != nil {
				mistakes = append(mistakes, err)
			}
			break
		}
	}
	return mistakes
}

// fromVariable sets a key from the i-th of its variables.
func (k *key) fromVariable(i int, name string, s setting) *Error {
	text := s.value
	if k.sealed && len(k.value.split(text)) == 0 {
		return s.errorAbout(name, "is set but empty, which would leave backups unencrypted: name a key or unset the variable")
	}
	if i > 0 && k.env[i-1].convert != nil {
		converted, err := k.env[i-1].convert(text)
		if err != nil {
			return s.errorAbout(name, err.Error())
		}
		text = converted
	}
	if err := k.value.setText(text); err != nil {
		return s.errorAbout(name, err.Error())
	}
	k.set, k.via, k.source, k.at = true, name, s.source(name), *s.errorAbout(name, "")
	return nil
}

func (l *Loaded) applyFlags(o Options) []*Error {
	var mistakes []*Error
	for _, name := range slices.Sorted(maps.Keys(o.Flags)) {
		k := l.row(name)
		if k == nil || k.section() {
			mistakes = append(mistakes, &Error{File: ofFlag + flagName(o, name), Msg: fmt.Sprintf("there is no setting %q", name)})
			continue
		}
		mistakes = append(mistakes, applyFlag(k, flagName(o, name), o.Flags[name])...)
	}
	return mistakes
}

func applyFlag(k *key, flag, text string) []*Error {
	at := Error{File: ofFlag + flag}
	fail := func(msg string) []*Error {
		at.Msg = msg
		return []*Error{&at}
	}
	if k.value.url && len(secretsIn(text)) > 0 {
		return fail("a password does not belong on a command line, where everybody on the machine can read it: use a file or the environment")
	}
	if k.sealed && len(k.value.split(text)) == 0 {
		return fail("must not be empty, which would leave backups unencrypted")
	}
	texts := []string{text}
	if k.value.list {
		texts = k.value.split(text)
	}
	if k.value.path {
		for i, t := range texts {
			// Whoever types a flag means the directory they are in.
			if abs, err := filepath.Abs(t); err == nil && t != "" && !strings.HasPrefix(t, "~/") {
				texts[i] = abs
			}
		}
	}
	if err := k.value.put(texts); err != nil {
		return fail(err.Error())
	}
	k.set, k.via, k.source, k.at = true, "--"+flag, at.File, at
	return nil
}

// flagName is the flag that sets a key: the one that the caller says, else the last part of the key, save where that
// part means nothing by itself.
func flagName(o Options, key string) string {
	if name := o.FlagNames[key]; name != "" {
		return name
	}
	if key == "database.name" {
		return "database"
	}
	return strings.ReplaceAll(key[strings.LastIndex(key, ".")+1:], "_", "-")
}

// unknownVariables finds misspelt FORGECTL_ variables: taken for nothing, they would leave a default in force
// unnoticed. What resembles none of ours may be meant for a hook, and is only remembered.
func (l *Loaded) unknownVariables(env map[string]setting) []*Error {
	// Hooks find these in their environment, and may well call forgectl again.
	known := []string{"FORGECTL_CONFIG", "FORGECTL_OPERATION", "FORGECTL_TARGET", "FORGECTL_OUTCOME", "FORGECTL_ERROR"}
	for _, k := range l.rows {
		if !k.section() {
			known = append(known, k.ownVariable())
		}
	}
	var mistakes []*Error
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !strings.HasPrefix(name, "FORGECTL_") || slices.Contains(known, name) {
			continue
		}
		if near := suggest.Nearest(strings.TrimPrefix(name, "FORGECTL_"), trimPrefixes(known, "FORGECTL_")); near != "" {
			mistakes = append(mistakes, env[name].errorAbout(name, fmt.Sprintf("there is no such setting, did you mean FORGECTL_%s?", near)))
		} else {
			l.strays = append(l.strays, name)
		}
	}
	return mistakes
}

func trimPrefixes(in []string, prefix string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = strings.TrimPrefix(s, prefix)
	}
	return out
}

// mergeEnviron adds what only the file sets.
func mergeEnviron(environ []string, env, fromFile map[string]setting) []string {
	for _, name := range slices.Sorted(maps.Keys(fromFile)) {
		if _, ok := env[name]; !ok {
			environ = append(environ, name+"="+fromFile[name].value)
		}
	}
	return environ
}
