package pickle_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/rediscache/pickle"
)

const python = "/usr/bin/python3"

// run is the output of a script of testdata, by lines.
func run(t *testing.T, stdin string, args ...string) []string {
	t.Helper()
	if _, err := os.Stat(python); err != nil {
		scratchtest.Skip(t, err)
	}
	cmd := exec.CommandContext(t.Context(), python, append([]string{"-B"}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if strings.Contains(stderr.String(), "ModuleNotFoundError") {
			scratchtest.Skip(t, stderr.String())
		}
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var lines []string
	scanner := bufio.NewScanner(bytes.NewReader(out))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	return lines
}

// written is what Python wrote, and how it shows the value.
type written struct {
	name     string
	protocol int
	data     []byte
	repr     string
}

func pickled(t *testing.T) []written {
	t.Helper()
	var all []written
	for _, line := range run(t, "", "testdata/write.py") {
		var w written
		if err := json.Unmarshal([]byte(line), &[]any{&w.name, &w.protocol, &w.data, &w.repr}); err != nil {
			t.Fatal(err)
		}
		all = append(all, w)
	}
	if len(all) < 200 {
		t.Fatalf("Python wrote %d pickles only", len(all))
	}
	return all
}

const whole = 1 << 20 // bytes of a repr

// Promise: what Python writes is read as what it is, each type in protocols 0 to 5, with and without a memo, by the
// writer in C and by the one in Python.
func TestReadsWhatPythonWrites(t *testing.T) {
	for _, w := range pickled(t) {
		v, err := pickle.Parse(w.data, pickle.Limits{})
		if err != nil {
			t.Errorf("%s, protocol %d: %v", w.name, w.protocol, err)
			continue
		}
		got := pickle.Repr(v, whole)
		if w.name == "loop" {
			got = strings.Trim(got, "[]")
			w.repr = strings.Trim(w.repr, "[]")
		}
		if w.protocol < 4 { // Python itself leaves it out there
			w.repr = strings.ReplaceAll(w.repr, ", fold=1", "")
		}
		if w.protocol < 2 && w.name == "odd" { // an object of that time is made in another way
			got = strings.Replace(got, "()()", "()", 1)
		}
		if got != w.repr {
			t.Errorf("%s, protocol %d:\n got %.300s\nwant %.300s", w.name, w.protocol, got, w.repr)
		}
	}
}

// Promise: what is written here, Python reads as the same value.
func TestPythonReadsWhatIsWritten(t *testing.T) {
	var in strings.Builder
	var want []string
	for _, w := range pickled(t) {
		v, err := pickle.Parse(w.data, pickle.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		out, err := pickle.Append(nil, v)
		if w.name == "loop" {
			if err == nil {
				t.Error("what holds itself was written")
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", w.name, err)
			continue
		}
		fmt.Fprintln(&in, base64.StdEncoding.EncodeToString(out))
		want = append(want, pickle.Repr(v, whole))
	}
	got := run(t, in.String(), "testdata/read.py", "testdata")
	if len(got) != len(want) {
		t.Fatalf("%d lines of %d", len(got), len(want))
	}
	for i, line := range got {
		var repr string
		if err := json.Unmarshal([]byte(line), &repr); err != nil {
			t.Fatal(err)
		}
		if repr != want[i] {
			t.Errorf("Python read %.300s\nwant        %.300s", repr, want[i])
		}
	}
}
