package service

import (
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
)

// plainName refuses what no manager could mean: an argument that would be an
// option, or several.
func plainName(unit string) error {
	switch {
	case unit == "":
		return fmt.Errorf("%w: it is empty", ErrUnitName)
	case len(unit) > 255:
		return fmt.Errorf("%w: %.20q… is too long", ErrUnitName, unit)
	case strings.HasPrefix(unit, "-"):
		return fmt.Errorf("%w: %q begins with a dash", ErrUnitName, unit)
	}
	for _, r := range unit {
		if r == unicode.ReplacementChar || unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return fmt.Errorf("%w: %q has spaces or control characters", ErrUnitName, unit)
		}
	}
	return nil
}

// systemdName takes the characters that systemd.unit(5) allows. A pattern is
// not among them: systemctl would stop whatever it matches.
func systemdName(unit string) error {
	if err := plainName(unit); err != nil {
		return err
	}
	for _, r := range unit {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && !strings.ContainsRune(`:_.\@-`, r) {
			return fmt.Errorf("%w: %q has %q", ErrUnitName, unit, r)
		}
	}
	return nil
}

// supervisorName takes a program, or a group and a program. What stands for
// several at once ("all", "group:*") is refused: their state would be none.
func supervisorName(unit string) error {
	if err := plainName(unit); err != nil {
		return err
	}
	if unit == "all" || strings.Contains(unit, "*") || strings.HasSuffix(unit, ":") {
		return fmt.Errorf("%w: %q stands for several programs: name each", ErrUnitName, unit)
	}
	return nil
}

// pidfileName takes the path of a pid file.
func pidfileName(unit string) error {
	if err := plainName(unit); err != nil {
		return err
	}
	if !filepath.IsAbs(unit) {
		return fmt.Errorf("%w: %q: with the manager pidfile it is the absolute path of the pid file", ErrUnitName, unit)
	}
	return nil
}

// checked is units without repetitions, each a valid name.
func checked(units []string, valid func(string) error) ([]string, error) {
	seen := make(map[string]bool)
	var out []string
	for _, u := range units {
		if err := valid(u); err != nil {
			return nil, err
		}
		if !seen[u] {
			seen[u], out = true, append(out, u)
		}
	}
	return out, nil
}
