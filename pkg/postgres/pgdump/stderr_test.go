package pgdump

import (
	"slices"
	"strings"
	"testing"
)

// Promise: every line of stderr is judged, and what nobody has judged is reported.
func TestClassify(t *testing.T) {
	for _, c := range []struct {
		program, line string
		want          Class
	}{
		{"pg_dump", "", Harmless},
		{"pg_dump", "  ", Harmless},
		{"pg_dump", "pg_dump: warning: there are circular foreign-key constraints on this table:", Harmless},
		{"pg_dump", "pg_dump: warning: there are circular foreign-key constraints among these tables:", Harmless},
		{"pg_dump", "pg_dump: detail: forge_document", Harmless},
		{"pg_dump", "pg_dump: detail:   forge_document", Unknown}, // older than what is supported
		{"pg_dump", "pg_dump: hint: You might not be able to restore the dump without using --disable-triggers or temporarily dropping the constraints.", Harmless},
		{"pg_dump", "pg_dump: hint: Consider using a full dump instead of a --data-only dump to avoid this problem.", Harmless},
		{"pg_dump", "pg_dump: warning: subscriptions not dumped because current user is not a superuser", Incomplete},
		{"pg_dump", "pg_dump: warning: could not find where to insert IF EXISTS in statement", Incomplete},
		{"pg_dump", "pg_dump: warning: skipping something new", Incomplete},
		{"pg_dump", "pg_dump: warning: owner of table \"t\" appears to be invalid", Unknown},
		{"pg_dump", "pg_dump: hint: Something else.", Unknown},
		{"pg_dump", "pg_dump: error: connection failed", Unknown},
		{"pg_dump", "WARNING:  terminating connection", Unknown},
		{"pg_dump", "a line that nobody has ever seen", Unknown},
		{"pg_restore", "pg_restore: warning: errors ignored on restore: 1", Unknown},
		// Another program's name is no prefix to take off.
		{"pg_restore", "pg_dump: warning: there are circular foreign-key constraints on this table:", Unknown},
	} {
		if got := Classify(c.program, c.line); got != c.want {
			t.Errorf("%q: %d, not %d", c.line, got, c.want)
		}
	}
}

// FuzzClassify holds that no line makes it panic, and that a line that carries
// none of the words of the rules is never taken for judged.
func FuzzClassify(f *testing.F) {
	f.Add("pg_dump", "pg_dump: warning: there are circular foreign-key constraints on this table:")
	f.Add("pg_dump", "pg_dump: detail: x")
	f.Add("pg_restore", "pg_restore: warning: could not \x00\xff")
	f.Fuzz(func(t *testing.T, program, line string) {
		got := Classify(program, line)
		if got < Unknown || got > Incomplete {
			t.Errorf("class %d", got)
		}
		rest := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), program+": "))
		judged := rest == "" || slices.ContainsFunc([]string{"warning: ", "detail: ", "hint: "}, func(s string) bool { return strings.HasPrefix(rest, s) })
		if got != Unknown && !judged {
			t.Errorf("%q is judged %d", line, got)
		}
	})
}
