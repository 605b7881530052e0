package udiff_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/udiff"
)

func unified(a, b string) string {
	return udiff.Unified(udiff.Text{Name: "a", Lines: udiff.Lines(a)}, udiff.Text{Name: "b", Lines: udiff.Lines(b)})
}

// Promise: the format is that of diff -u.
func TestFormat(t *testing.T) {
	for _, tc := range []struct{ a, b, want string }{
		{"", "", ""},
		{"x\n", "x\n", ""},
		{"", "x\n", "--- a\n+++ b\n@@ -0,0 +1 @@\n+x\n"},
		{"x\ny\n", "", "--- a\n+++ b\n@@ -1,2 +0,0 @@\n-x\n-y\n"},
		{"x", "x\n", "--- a\n+++ b\n@@ -1 +1 @@\n-x\n\\ No newline at end of file\n+x\n"},
		{"1\n2\n3\n4\n5\n", "1\n2\n3\n4\nfive\n", "--- a\n+++ b\n@@ -2,4 +2,4 @@\n 2\n 3\n 4\n-5\n+five\n"},
		{"1\n2\n3\n4\n5\n6\n7\n8\n9\n", "one\n2\n3\n4\n5\n6\n7\n8\nnine\n", "--- a\n+++ b\n@@ -1,4 +1,4 @@\n-1\n+one\n 2\n 3\n 4\n@@ -6,4 +6,4 @@\n 6\n 7\n 8\n-9\n+nine\n"},
	} {
		if got := unified(tc.a, tc.b); got != tc.want {
			t.Errorf("%q, %q:\n%swant\n%s", tc.a, tc.b, got, tc.want)
		}
	}
}

// Promise: what is shown is what the caller chose, and a difference that is not shown is one.
func TestShown(t *testing.T) {
	a := udiff.Text{Name: "a", Lines: []string{"KEY=1\n"}, Shown: []string{"KEY=***\n"}}
	b := udiff.Text{Name: "b", Lines: []string{"KEY=2\n"}, Shown: []string{"KEY=***\n"}}
	if got := udiff.Unified(a, b); got != "--- a\n+++ b\n@@ -1 +1 @@\n-KEY=***\n+KEY=***\n" {
		t.Error(got)
	}
}

// Promise: patch makes the new text of the old one, whatever they are.
func TestPatch(t *testing.T) {
	patch, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		var b strings.Builder
		for range random.IntN(40) {
			fmt.Fprintf(&b, "%d\n", random.IntN(5))
		}
		return b.String() + strings.Repeat("end", random.IntN(2))
	}
	for round := range 60 {
		dir := t.TempDir()
		a, b := text(), text()
		if round == 0 { // nothing in common, and more than is searched for
			a, b = strings.Repeat("x\n", 3000), strings.Repeat("y\n", 3000)
		}
		diff := unified(a, b)
		if (diff == "") != (a == b) {
			t.Fatalf("%q, %q: %q", a, b, diff)
		}
		if diff == "" || a == "" || b == "" { // git has another form for files that appear
			continue
		}
		diff = strings.Replace(diff, "--- a\n+++ b\n", "--- a/file\n+++ b/file\n", 1)
		file := filepath.Join(dir, "file")
		for path, content := range map[string]string{file: a, filepath.Join(dir, "diff"): diff} {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(t.Context(), patch, "apply", "diff")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("patch: %v\n%s\n%s", err, out, diff)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != b {
			t.Fatalf("patched is %q, want %q (%v)\n%s", got, b, err, diff)
		}
	}
}
