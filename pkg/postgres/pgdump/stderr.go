package pgdump

import (
	"regexp"
	"strings"
)

// Class says what a line on pg_dump's or pg_restore's stderr means for the set.
type Class int

// Unknown is the zero value: what nobody has judged is reported.
const (
	Unknown    Class = iota // a WARNING: somebody must read it
	Harmless                // logged
	Incomplete              // the role could not see something: the set lacks it
)

// rule is one judged message. The sources are the pg_log_warning calls of
// src/bin/pg_dump; messages arrive in English because LC_MESSAGES=C is set.
type rule struct {
	pattern *regexp.Regexp
	class   Class
}

var rules = []rule{
	{regexp.MustCompile(`^warning: there (are|is) circular foreign-key constraints? `), Harmless},
	{regexp.MustCompile(`^detail: {1,2}\S`), Harmless}, // names of the line before
	{regexp.MustCompile(`^hint: (You might not be able to restore the dump without using --disable-triggers|Consider using a full dump instead of a --data-only dump)`), Harmless},
	{regexp.MustCompile(`^warning: subscriptions not dumped because current user is not a superuser`), Incomplete},
	{regexp.MustCompile(`^warning: (could not|skipping|not dumping|.* not dumped)`), Incomplete},
}

// Classify judges one line of program's stderr. An empty line is Harmless.
//
// Foreign keys that form a circle matter only to a data-only dump; this tool
// always restores constraints after all data.
func Classify(program, line string) Class {
	text := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), program+": "))
	if text == "" {
		return Harmless
	}
	for _, r := range rules {
		if r.pattern.MatchString(text) {
			return r.class
		}
	}
	return Unknown
}
