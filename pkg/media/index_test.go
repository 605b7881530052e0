package media

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const someHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// oddEntries has one of everything that an index must carry byte for byte.
func oddEntries() []Entry {
	file := func(path string, change func(*Entry)) Entry {
		e := Entry{Path: path, Type: File, Size: 5, Mode: 0o644, MTime: 1795500000123456789, CTime: 1795500000123456789, Dev: 66305, Inode: 7, Links: 1, SHA256: someHash}
		if change != nil {
			change(&e)
		}
		return e
	}
	all := []Entry{
		{Path: Root, Type: Dir, Mode: 0o755, Links: 3},
		file("a\nb", nil), file("-rf", nil), file("\xff\xfe", nil), file("tab\t\"quote\\", nil), file("ünï", nil), file(strings.Repeat("n", 255), nil),
		file("zero", func(e *Entry) { e.MTime, e.CTime = 0, -1 }),
		file("max", func(e *Entry) {
			e.Inode, e.Dev, e.UID, e.MTime = math.MaxUint64, math.MaxUint64, math.MaxUint32, math.MinInt64
		}),
		file("sparse", func(e *Entry) { e.Size = 100; e.Extents = []Extent{{0, 10}, {50, 50}} }),
		file("hole", func(e *Entry) { e.Size = 100; e.Extents = []Extent{} }),
		file("fresh", func(e *Entry) { e.Fresh = true }),
		file("setuid", func(e *Entry) { e.Mode = 0o7777 }),
		file("xattrs", func(e *Entry) { e.Xattrs = map[string][]byte{"user.a": {}, "user.\xff": {0, 255}} }),
		{Path: "link", Type: Symlink, Mode: 0o777, Target: "../\xff\n"},
		{Path: "link2", Type: Symlink, Mode: 0o777, Target: "/etc/passwd"},
		{Path: "pipe", Type: FIFO}, {Path: "socket", Type: Socket}, {Path: "device", Type: Device},
		{Path: "d", Type: Dir, Mode: 0o700, Xattrs: map[string][]byte{"system.posix_acl_default": {1}}},
		file("d/in", nil), file("d-after", nil), file("d.before", nil),
	}
	slices.SortFunc(all, func(a, b Entry) int { return Compare(a.Path, b.Path) })
	return all
}

func write(t testing.TB, entries []Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewIndexWriter(&b)
	for _, e := range entries {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func readAll(data []byte) ([]Entry, error) {
	r := NewIndexReader(bytes.NewReader(data))
	var all []Entry
	for {
		e, err := r.Next()
		if err != nil {
			return all, err
		}
		all = append(all, e)
	}
}

// Promise: what is written comes back, byte for byte, and every line is JSON.
func TestIndexRoundTrip(t *testing.T) {
	want := oddEntries()
	data := write(t, want)
	got, err := readAll(data)
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for line := range bytes.Lines(data) {
		if !json.Valid(line) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

// Promise: a directory comes before what is in it, and its content before its next neighbour.
func TestCompare(t *testing.T) {
	want := []string{".", "!", "a", "a/b", "a/b/c", "a/b-", "a-", "a-/x", "a.", "aa", "\xff"}
	for i, a := range want {
		for j, b := range want {
			if got := Compare(a, b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%q, %q: %d", a, b, got)
			}
		}
	}
}

// Promise: wherever an index is cut, it is not taken for a whole one.
func TestIndexCut(t *testing.T) {
	data := write(t, oddEntries())
	for n := range data {
		if _, err := readAll(data[:n]); !errors.Is(err, ErrIndex) {
			t.Fatalf("cut to %d of %d bytes: %v", n, len(data), err)
		}
	}
}

// Promise: an index that is not as it must be is refused, before anybody follows its paths.
func TestIndexRefused(t *testing.T) {
	const root = `{"path":".","type":"dir","mode":"0755","uid":0,"gid":0,"mtime":0,"ctime":0,"dev":0,"inode":0,"links":1}` + "\n"
	file := func(path string) string {
		return `{"path":"` + path + `","type":"file","size":1,"mode":"0644","uid":0,"gid":0,"mtime":0,"ctime":0,"dev":0,"inode":0,"links":1,"sha256":"` + someHash + `"}` + "\n"
	}
	end := func(files string) string {
		return `{"end":{"files":` + files + `,"dirs":1,"symlinks":0,"others":0,"bytes":` + files + `}}` + "\n"
	}
	if _, err := readAll([]byte(root + file("a") + end("1"))); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty": "", "no entries": `{"end":{"files":0,"dirs":0,"symlinks":0,"others":0,"bytes":0}}` + "\n",
		"no root": file("a") + end("1"), "order": root + file("b") + file("a") + end("2"), "twice": root + file("a") + file("a") + end("2"),
		"counts": root + file("a") + end("2"), "after the end": root + file("a") + end("1") + "\n", "parent": root + file("d/a") + end("1"),
		"file as parent": root + file("a") + file("a/b") + end("2"),
		"dots":           root + file("../a") + end("1"), "absolute": root + file("/a") + end("1"), "nul": root + file(`a\u0000`) + end("1"),
		"empty element": root + file("a//b") + end("1"), "both paths": root + strings.Replace(file("a"), `"type"`, `"path_b64":"/w==","type"`, 1) + end("1"),
		"mode":    root + strings.Replace(file("a"), "0644", "17777", 1) + end("1"),
		"type":    root + strings.Replace(file("a"), `"file"`, `"door"`, 1) + end("1"),
		"hash":    root + strings.Replace(file("a"), "e3b0", "E3B0", 1) + end("1"),
		"no hash": root + strings.Replace(file("a"), someHash, "", 1) + end("1"),
		"size":    root + strings.Replace(file("a"), `"size":1`, `"size":-1`, 1) + end("1"),
		"extents": root + strings.Replace(file("a"), `,"sha256"`, `,"extents":[[0,2]],"sha256"`, 1) + end("1"),
		"target":  root + strings.Replace(file("a"), `,"sha256"`, `,"target":"x","sha256"`, 1) + end("1"),
	} {
		if entries, err := readAll([]byte(text)); !errors.Is(err, ErrIndex) {
			t.Errorf("%s: %v, %v", name, entries, err)
		}
	}
	var long bytes.Buffer
	long.WriteString(root)
	long.Write(bytes.Repeat([]byte("x"), maxLine+1))
	if _, err := readAll(long.Bytes()); !errors.Is(err, ErrIndex) {
		t.Error(err)
	}
}

// Promise: a later version may add fields.
func TestIndexIgnoresNewFields(t *testing.T) {
	data := bytes.ReplaceAll(write(t, oddEntries()), []byte(`,"uid":`), []byte(`,"flags":["x"],"uid":`))
	got, err := readAll(data)
	if diff := cmp.Diff(oddEntries(), got); !errors.Is(err, io.EOF) || diff != "" {
		t.Error(err, diff)
	}
}

// Promise: the short way of reading a line and the long one never disagree, and nothing that is accepted leads out of
// the tree.
func FuzzIndex(f *testing.F) {
	for line := range bytes.Lines(write(f, oddEntries())) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if fast, ok := scanEntry(line); ok {
			var rec record
			if err := json.Unmarshal(line, &rec); err != nil {
				t.Fatalf("the short way accepts what is no JSON: %q", line)
			}
			slow, err := rec.entry()
			if err != nil || !cmp.Equal(fast, slow) {
				t.Fatalf("%v: %s", err, cmp.Diff(fast, slow))
			}
		}
		e, _, err := parseLine(line)
		if err != nil || e.Path == "" {
			return
		}
		if strings.HasPrefix(e.Path, "/") || slices.Contains(strings.Split(e.Path, "/"), "..") {
			t.Fatalf("%q", e.Path)
		}
		again, _, err := parseLine(bytes.TrimSuffix(appendEntry(nil, &e), []byte("\n")))
		if err != nil || !cmp.Equal(e, again) {
			t.Fatalf("%v: %s", err, cmp.Diff(e, again))
		}
	})
}

// Promise: a hash has digits of its own and no others.
func TestLowerHex(t *testing.T) {
	for c := range 256 {
		if got := lowerHex("a" + string([]byte{byte(c)}) + "9"); got != strings.Contains("0123456789abcdef", string([]byte{byte(c)})) {
			t.Errorf("%q: %v", byte(c), got)
		}
	}
}
