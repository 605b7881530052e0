package remember_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/remember"
)

type size struct {
	Bytes int64 `json:"bytes"`
}

var (
	subject = remember.Subject{Server: "7301", Database: remember.Database(16384, "forge/x"), Name: "size"}
	noon    = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
)

func add(t *testing.T, s remember.Store, of remember.Subject, keep remember.Keep, at time.Time, n int64) []string {
	t.Helper()
	notes, err := remember.Add(t.Context(), s, of, keep, at, size{n})
	if err != nil {
		t.Fatal(err)
	}
	return notes
}

func read(t *testing.T, s remember.Store, of remember.Subject) ([]int64, []string) {
	t.Helper()
	entries, notes, err := remember.Read[size](s, of)
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, e := range entries {
		got = append(got, e.Data.Bytes)
	}
	return got, notes
}

// path is the only file with entries below the store.
func path(t *testing.T, s remember.Store) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.Dir, "*", "*", "*.jsonl"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%q %v", found, err)
	}
	return found[0]
}

// Promise: what was added comes back in order, and no other subject sees it:
// another server, another database of that name, another measurement.
func TestSubjectsAreApart(t *testing.T) {
	s := remember.Store{Dir: filepath.Join(t.TempDir(), "new")}
	if got, notes := read(t, s, subject); got != nil || notes != nil {
		t.Fatalf("before anything: %v %q", got, notes)
	}
	add(t, s, subject, remember.Keep{}, noon, 1)
	add(t, s, subject, remember.Keep{}, noon.Add(time.Hour), 2)
	others := []remember.Subject{
		{Server: "7302", Database: subject.Database, Name: "size"},
		{Server: "7301", Database: remember.Database(16385, "forge/x"), Name: "size"},
		{Server: "7301", Database: subject.Database, Name: "slow"},
		{Server: "..", Database: "..", Name: "../../size"},
	}
	for _, other := range others {
		if got, _ := read(t, s, other); got != nil {
			t.Errorf("%v sees %v", other, got)
		}
		add(t, s, other, remember.Keep{}, noon, 9)
	}
	if got, notes := read(t, s, subject); !slices.Equal(got, []int64{1, 2}) || notes != nil {
		t.Errorf("%v %q", got, notes)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(s.Dir), "size.jsonl")); err == nil {
		t.Error("a name led out of the store")
	}
	if _, err := remember.Add(t.Context(), s, remember.Subject{Name: "size"}, remember.Keep{}, noon, size{}); !errors.Is(err, remember.ErrNameless) {
		t.Errorf("a server without a name: %v", err)
	}
}

// Promise: a damaged line is left out and said; the next Add keeps the file
// aside, and the good lines stay.
func TestDamagedLines(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"cut off":        func(b []byte) []byte { return b[:len(b)-9] },
		"not an entry":   func(b []byte) []byte { return append(b, "{}\n"...) },
		"no JSON":        func(b []byte) []byte { return append(b, "\x00\xff\n"...) },
		"other data":     func(b []byte) []byte { return append(b, `{"at":"2026-11-24T12:00:00Z","data":"x"}`+"\n"...) },
		"empty line":     func(b []byte) []byte { return append(b, '\n') },
		"without a time": func(b []byte) []byte { return append(b, `{"data":{"bytes":3}}`+"\n"...) },
	} {
		t.Run(name, func(t *testing.T) {
			s := remember.Store{Dir: t.TempDir()}
			add(t, s, subject, remember.Keep{}, noon, 1)
			add(t, s, subject, remember.Keep{}, noon.Add(time.Hour), 2)
			file := path(t, s)
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			data = damage(data)
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			want := []int64{1, 2}
			if name == "cut off" {
				want = []int64{1}
			}
			if got, notes := read(t, s, subject); !slices.Equal(got, want) || len(notes) != 1 || !strings.Contains(notes[0], "(1) were left out") {
				t.Errorf("%v %q", got, notes)
			}
			if notes := add(t, s, subject, remember.Keep{}, noon.Add(2*time.Hour), 3); len(notes) != 1 || !strings.Contains(notes[0], "kept as size.jsonl.damaged") {
				t.Errorf("%q", notes)
			}
			if aside, err := os.ReadFile(file + ".damaged"); err != nil || !bytes.Equal(aside, data) {
				t.Errorf("not kept as it was: %v", err)
			}
			if got, notes := read(t, s, subject); !slices.Equal(got, append(want, 3)) || notes != nil {
				t.Errorf("afterwards: %v %q", got, notes)
			}
		})
	}
}

// Promise: a file whose head is not that of the subject is nobody's: it is set
// aside, never mixed in. One of a newer version is left alone.
func TestForeignFiles(t *testing.T) {
	s := remember.Store{Dir: t.TempDir()}
	add(t, s, subject, remember.Keep{}, noon, 1)
	file := path(t, s)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range [][]byte{nil, []byte("garbage"), bytes.Replace(good, []byte("7301"), []byte("7302"), 1), make([]byte, 100)} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, notes := read(t, s, subject); got != nil || len(notes) != 1 {
			t.Errorf("%q: %v %q", content, got, notes)
		}
		if notes := add(t, s, subject, remember.Keep{}, noon, 5); len(notes) != 1 {
			t.Errorf("%q: %q", content, notes)
		}
		if got, notes := read(t, s, subject); !slices.Equal(got, []int64{5}) || notes != nil {
			t.Errorf("%q: %v %q", content, got, notes)
		}
	}
	newer := bytes.Replace(good, []byte(`"schema":1`), []byte(`"schema":2`), 1)
	if err := os.WriteFile(file, newer, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := remember.Read[size](s, subject); !errors.Is(err, remember.ErrNewer) {
		t.Errorf("%v", err)
	}
	if _, err := remember.Add(t.Context(), s, subject, remember.Keep{}, noon, size{}); !errors.Is(err, remember.ErrNewer) {
		t.Errorf("%v", err)
	}
	if left, _ := os.ReadFile(file); !bytes.Equal(left, newer) {
		t.Error("the newer file was touched")
	}
}

// Promise: what is remembered stays small, the newest is always kept, and old
// entries get sparser instead of being gone.
func TestKeep(t *testing.T) {
	s := remember.Store{Dir: t.TempDir()}
	for i := range int64(12) {
		add(t, s, subject, remember.Keep{Entries: 3}, noon.Add(time.Duration(i)*time.Minute), i)
	}
	if got, _ := read(t, s, subject); !slices.Equal(got, []int64{9, 10, 11}) {
		t.Errorf("%v", got)
	}
	add(t, s, subject, remember.Keep{Bytes: 1}, noon.Add(time.Hour), 99)
	if got, _ := read(t, s, subject); !slices.Equal(got, []int64{99}) {
		t.Errorf("%v", got)
	}

	s = remember.Store{Dir: t.TempDir()}
	start := noon.AddDate(0, 0, -200)
	for at := start; !at.After(noon); at = at.Add(12 * time.Hour) {
		add(t, s, subject, remember.Keep{Thin: true}, at, at.Unix())
	}
	entries, _, err := remember.Read[size](s, subject)
	if err != nil {
		t.Fatal(err)
	}
	if first := entries[0].At; !first.Equal(start) {
		t.Errorf("the first is %v", first)
	}
	if last := entries[len(entries)-1].At; !last.Equal(noon) {
		t.Errorf("the last is %v", last)
	}
	// 80 days by the week, 106 by the day, 14 as they came.
	if n := len(entries); n < 135 || n > 155 {
		t.Errorf("%d entries of 401", n)
	}
}

// Promise: writers at the same time lose nothing.
func TestWritersAtOnce(t *testing.T) {
	s := remember.Store{Dir: t.TempDir()}
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = remember.Add(t.Context(), s, subject, remember.Keep{}, noon, size{int64(i)})
		})
	}
	wg.Wait()
	got, _ := read(t, s, subject)
	slices.Sort(got)
	if fmt.Sprint(got) != "[0 1 2 3 4 5 6 7]" {
		t.Errorf("%v %v", got, errors.Join(errs...))
	}
}
