package config

import (
	"errors"
	"fmt"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"io/fs"
	"os"
	"regexp"
	"strings"
)

// ReadSecret reads a file that holds one secret (a password, a passphrase), without the line end that an editor
// leaves. It is an *Error around a *PermissionError when group or others have any right on the file.
func ReadSecret(path string) ([]byte, error) {
	data, info, err := readBounded(path)
	if err != nil {
		return nil, &Error{File: path, Msg: "read secret: " + cause(err), Err: err}
	}
	if err := private(path, info, 0o077); err != nil {
		return nil, &Error{File: path, Msg: err.Error(), Err: err}
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if secret == "" {
		return nil, &Error{File: path, Msg: "read secret: the file is empty"}
	}
	return []byte(secret), nil
}

// private says whether a file gives rights to others that a secret must not have. Pipes and sockets have no readers
// but those that hold them.
func private(path string, info fs.FileInfo, forbidden fs.FileMode) error {
	if info.Mode().IsRegular() && info.Mode().Perm()&forbidden != 0 {
		return &PermissionError{Path: path, Mode: info.Mode().Perm()}
	}
	return nil
}

// exposed finds the secrets that others can read: the files that settings name, and the configuration file itself. A
// file that is missing, or that we must not look at, is no concern here: see Check, and whoever comes to need it.
func (l *Loaded) exposed() []*Error {
	var mistakes []*Error
	for _, k := range l.rows {
		if k.section() || !k.set {
			continue
		}
		file := strings.HasPrefix(k.source, "file ")
		if k.value.url && file && len(secretsIn(k.value.printable())) > 0 {
			mistakes = append(mistakes, k.refuse(exposure(l.File))...)
		}
		if !k.secret {
			continue
		}
		for _, path := range k.value.get() {
			if path != "" {
				mistakes = append(mistakes, k.refuse(exposure(path))...)
			}
		}
	}
	return mistakes
}

// exposure is what is wrong with the rights on a file that holds a secret.
func exposure(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil //nolint:nilerr // what cannot be looked at is not exposed; whoever reads it will say so
	}
	return private(path, info, 0o077)
}

// refuse makes an error at the place that set the key.
func (k *key) refuse(err error) []*Error {
	if err == nil {
		return nil
	}
	e := k.at
	e.Msg, e.Err = k.name+": "+err.Error(), err
	return []*Error{&e}
}

// readEnvironmentFile reads the application's environment file, which the given key names.
func readEnvironmentFile(path string, k *key) (map[string]setting, *Error) {
	data, info, err := readBounded(path)
	if err != nil {
		e := k.at
		e.Msg, e.Err = fmt.Sprintf("%s: read %s: %s", k.name, path, cause(err)), err
		return nil, &e
	}
	assignments, err := parseEnvironmentFile(data)
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{Msg: err.Error()}
		}
		e.File = path
		return nil, e
	}
	env := map[string]setting{}
	for _, a := range assignments {
		env[a.name] = setting{value: a.value, file: path, line: a.line}
		// A group may read it: root owns such files, and the application's group is how its user gets at them.
		if err := private(path, info, 0o007); err != nil && a.value != "" && (secretVariable.MatchString(a.name) || len(secretsIn(a.value)) > 0) {
			return nil, &Error{File: path, Line: a.line, Source: a.name + "=" + masked,
				Msg: fmt.Sprintf("the file holds a secret and everybody may read it (mode %04o): run chmod o= %s", info.Mode().Perm(), proc.ShellWord(path)), Err: err}
		}
	}
	return env, nil
}

var secretVariable = regexp.MustCompile(`(?i)(password|passwd|passphrase|secret|token|api_?key|private_?key)`)
