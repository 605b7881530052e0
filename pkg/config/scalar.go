package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// ParseDuration reads what time.ParseDuration reads, with weeks and days before it: 2w, 30d, 1w2d12h. A unit is
// required, because 30 has meant seconds to some and days to others.
func ParseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("bad duration %q: want a number with a unit, such as 30s, 5m, 12h, 30d or 2w", Mask(s))
	if s == "0" {
		return 0, nil
	}
	m := durationParts.FindStringSubmatch(s)
	if m == nil || s == "" {
		return 0, bad
	}
	var total time.Duration
	for i, unit := range []time.Duration{7 * 24 * time.Hour, 24 * time.Hour} {
		if m[i+1] == "" {
			continue
		}
		n, err := strconv.ParseInt(m[i+1], 10, 64)
		if err != nil || n > int64(longest/unit) {
			return 0, fmt.Errorf("bad duration %q: longer than %s", Mask(s), formatDuration(longest))
		}
		total += time.Duration(n) * unit
	}
	if m[3] != "" {
		d, err := time.ParseDuration(m[3])
		if err != nil {
			return 0, bad
		}
		total += d
	}
	if total > longest {
		return 0, fmt.Errorf("bad duration %q: longer than %s", Mask(s), formatDuration(longest))
	}
	return total, nil
}

var durationParts = regexp.MustCompile(`^(?:([0-9]+)w)?(?:([0-9]+)d)?([0-9.]+[0-9.a-zµμ]*)?$`)

// longest keeps sums far from overflow: a hundred years.
const longest = 36500 * 24 * time.Hour

// formatDuration writes whole days as days, and drops the empty units of time.Duration's own form.
func formatDuration(d time.Duration) string {
	if d >= 24*time.Hour && d%(24*time.Hour) == 0 {
		return strconv.FormatInt(int64(d/(24*time.Hour)), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// ParseSize reads a whole number of bytes, or one with a unit as PostgreSQL's settings have it: kB, MB, GB and TB, each
// 1024 times the one before.
func ParseSize(s string) (int64, error) {
	m := sizeParts.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("bad size %q: want a whole number with a unit, such as 512kB, 256MB or 2GB", Mask(s))
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	shift := 10 * slices.Index(sizeUnits, m[2])
	if err != nil || n > 1<<62>>shift {
		return 0, fmt.Errorf("bad size %q: too large", Mask(s))
	}
	return n << shift, nil
}

// formatSize writes the largest unit that leaves a whole number.
func formatSize(n int64) string {
	unit := 0
	for n != 0 && n%1024 == 0 && unit < len(sizeUnits)-1 {
		n, unit = n/1024, unit+1
	}
	return strconv.FormatInt(n, 10) + sizeUnits[unit]
}

var (
	sizeParts = regexp.MustCompile(`^([0-9]{1,18})(|kB|MB|GB|TB)$`)
	sizeUnits = []string{"", "kB", "MB", "GB", "TB"}
)

// days converts a bare number of days, as RETENTION_DAYS has it.
func days(s string) (string, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31)
	if err != nil {
		return "", fmt.Errorf("want a whole number of days, not %q", Mask(s))
	}
	return strconv.FormatUint(n, 10) + "d", nil
}

// splitWords takes a list apart at commas and white space.
func splitWords(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
}

// splitLines takes a list of commands apart, where commas and spaces belong to the entries.
func splitLines(s string) []string {
	var out []string
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// quoteYAML writes text so that YAML reads it back as the same text.
func quoteYAML(s string) string {
	if plainYAML.MatchString(s) && !oddYAML.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}

var (
	plainYAML = regexp.MustCompile(`^[A-Za-z0-9_/](?:[A-Za-z0-9_./@+:-]*[A-Za-z0-9_./@+-])?$`)
	// What YAML readers, old ones included, take for something else than text.
	oddYAML = regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|y|n|null|[0-9][0-9_.:eExXoObB+-]*|0x[0-9a-f_]+)$`)
)
