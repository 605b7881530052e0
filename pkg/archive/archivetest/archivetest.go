// Package archivetest compares trees of files for tests, by a program that is not ours.
//
// What is packed, copied or restored is the same when rsync, asked for everything that it knows, would change nothing.
// Where rsync is missing a test is skipped, and fails in CI.
package archivetest

import (
	"slices"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
)

// Same fails the test when two trees differ in content, or in metadata of any kind that rsync knows: type, mode, owner,
// times, hard links, ACLs, extended attributes. Options of rsync make it look away, as "--omit-dir-times" does.
func Same(t testing.TB, want, got string, options ...string) {
	t.Helper()
	if out := Difference(t, want, got, options...); out != "" {
		t.Errorf("%s and %s differ:\n%.2000s", want, got, out)
	}
}

// Difference is what rsync would change to make the second tree like the first; "" is nothing.
func Difference(t testing.TB, want, got string, options ...string) string {
	t.Helper()
	args := slices.Concat([]string{"-aHAXn", "--checksum", "--delete", "--itemize-changes"}, options, []string{want + "/", got + "/"})
	return proctest.Program(t, "rsync", args...)
}
