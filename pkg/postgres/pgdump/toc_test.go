package pgdump

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// Promise: the table of contents is what pg_restore lists, for each section of
// a real archive, and says from where and by what it was written.
func TestInspect(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, "SELECT lo_create(4711)", scratchtest.Middling)
	d := dump(t, e, catalog.FingerprintNone)
	for part, want := range map[Part]struct {
		section    Section
		tables     int
		extensions int
		blocks     int
	}{
		PreData: {SectionPreData, 0, 1, 0}, Data: {SectionData, 9, 0, 10}, PostData: {SectionPostData, 0, 0, 0},
	} {
		archive := d.parts[part]
		toc, err := Inspect(bytes.NewReader(archive))
		if err != nil {
			t.Fatalf("%s: %v", part, err)
		}
		head, err := ReadTOC(bytes.NewReader(archive))
		if err != nil || len(head.Entries) != len(toc.Entries) {
			t.Errorf("%s: ReadTOC: %v", part, err)
		}
		blocks := 0
		for _, e := range toc.Entries {
			if e.HasData {
				blocks++
			}
			if e.Section != want.section && e.Section != SectionNone && e.Section != SectionPreData { // ENCODING and its like stand in each
				t.Errorf("%s: %s %s is of section %d", part, e.Type, e.Name, e.Section)
			}
		}
		if len(toc.TableData()) != want.tables || len(toc.OfType("EXTENSION")) != want.extensions || blocks != want.blocks {
			t.Errorf("%s: %d tables, %d extensions, %d blocks", part, len(toc.TableData()), len(toc.OfType("EXTENSION")), blocks)
		}
		if toc.Compressed || toc.Database != e.Database() || !strings.HasPrefix(toc.ServerFrom, "1") || !strings.HasPrefix(toc.DumpVersion, "1") {
			t.Errorf("%s: %+v", part, [4]any{toc.Compressed, toc.Database, toc.ServerFrom, toc.DumpVersion})
		}
		checkListing(t, archive, toc)
	}
	// What was written is in its place.
	toc, err := ReadTOC(bytes.NewReader(d.parts[Data]))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(toc.Entries, func(e Entry) bool { return e.Name == `Odd "name", with everything` })
	if i < 0 {
		t.Fatal("a table is missing")
	}
	if odd := toc.Entries[i]; odd.Schema != "public" || odd.Owner != "postgres" || odd.Type != "TABLE DATA" || !odd.HasData || !strings.HasPrefix(odd.Copy, "COPY public.") {
		t.Errorf("%+v", odd)
	}
}

// checkListing compares toc with what pg_restore --list says.
func checkListing(t testing.TB, archive []byte, toc *TOC) {
	t.Helper()
	out, err := proc.Output(t.Context(), scratchtest.Runner(), proc.Cmd{Path: tools(t).Path("pg_restore"), Args: []string{"--list", "--format=custom"}, Stdin: bytes.NewReader(archive)})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.SplitSeq(string(out), "\n") {
		if strings.HasPrefix(line, ";") || line == "" {
			continue
		}
		id, _, _ := strings.Cut(line, ";")
		i := slices.IndexFunc(toc.Entries, func(e Entry) bool { return fmt.Sprint(e.DumpID) == id })
		if i < 0 {
			t.Errorf("not read: %s", line)
			continue
		}
		n++
		e := toc.Entries[i]
		schema := e.Schema
		if schema == "" {
			schema = "-"
		}
		name := strings.NewReplacer("\n", " ", "\r", " ").Replace(e.Name)
		if want := fmt.Sprintf(" %s %s %s %s", e.Type, schema, name, e.Owner); !strings.HasSuffix(line, want) {
			t.Errorf("pg_restore lists %q, not %q", line, want)
		}
	}
	if n < 3 {
		t.Errorf("pg_restore lists %d entries", n)
	}
}

// small is a small archive with rows and large objects.
func small(t testing.TB) []byte {
	t.Helper()
	e := scratchtest.Database(t, "CREATE TABLE a (id int); INSERT INTO a VALUES (1); CREATE TABLE b (id int); SELECT lo_from_bytea(7, 'abc'); SELECT lo_from_bytea(8, '')")
	g, ctx := openGuard(t, e, GuardOptions{})
	var b bytes.Buffer
	if _, err := dumper(t, e).Part(ctx, Data, g.Snapshot, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Promise: an archive that is cut anywhere is not valid, wherever the cut is.
func TestTruncated(t *testing.T) {
	t.Parallel()
	archive := small(t)
	whole, err := Inspect(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	headEnds := len(archive)
	for n := range archive {
		if _, err := Inspect(bytes.NewReader(archive[:n])); !errors.Is(err, ErrArchive) {
			t.Fatalf("cut to %d of %d bytes: %v", n, len(archive), err)
		}
		toc, err := ReadTOC(bytes.NewReader(archive[:n]))
		switch {
		case err != nil && !errors.Is(err, ErrArchive):
			t.Fatalf("cut to %d bytes: %v", n, err)
		case err == nil && len(toc.Entries) != len(whole.Entries):
			t.Fatalf("cut to %d bytes: %d entries", n, len(toc.Entries))
		case err == nil:
			headEnds = min(headEnds, n)
		}
	}
	if headEnds == len(archive) {
		t.Error("the table of contents needs the data")
	}
}

// Promise: whichever byte is changed, and however, the reader gives an error or
// a table of contents, and never panics; bytes behind the end are an error.
func TestFlipped(t *testing.T) {
	t.Parallel()
	archive := small(t)
	valid := 0
	for i := range archive {
		for _, flip := range []byte{1, 0x80, 0xff, archive[i]} {
			damaged := bytes.Clone(archive)
			damaged[i] ^= flip
			toc, err := Inspect(bytes.NewReader(damaged))
			if (toc == nil) == (err == nil) || err != nil && !errors.Is(err, ErrArchive) {
				t.Fatalf("byte %d: %v, %v", i, toc, err)
			}
			if err == nil {
				valid++
			}
		}
	}
	if valid == 0 || valid == 4*len(archive) { // names and times may be anything
		t.Errorf("%d of %d are valid", valid, 4*len(archive))
	}
	for _, tail := range []string{"\x00", "\x01", "PGDMP", string(archive)} {
		if _, err := Inspect(strings.NewReader(string(archive) + tail)); !errors.Is(err, ErrArchive) {
			t.Errorf("with %d bytes behind: %v", len(tail), err)
		}
	}
}

// Promise: an error of the source stays what it is: it is not the archive's fault alone.
func TestInspectBrokenSource(t *testing.T) {
	t.Parallel()
	archive := small(t)
	for _, n := range []int{0, 20, len(archive) / 2, len(archive)} {
		if _, err := Inspect(broken{bytes.NewReader(archive[:n])}); !errors.Is(err, errBroken) {
			t.Errorf("broken after %d: %v", n, err)
		}
	}
}

// Promise: formats that nobody has seen are refused, and lengths that lie do not take memory.
func TestForeignHeads(t *testing.T) {
	number := func(n int) string {
		return string([]byte{0, byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
	}
	head := func(major, minor, vrev, intSize, offSize, format byte) string {
		return "PGDMP" + string([]byte{major, minor, vrev, intSize, offSize, format})
	}
	good := head(1, 14, 0, 4, 8, 1)
	times := strings.Repeat(number(0), 7)
	for says, archive := range map[string]string{
		"ends too early":                        "",
		"no PGDMP signature":                    "-- forgectl database {}\n",
		"format 1.11 is not supported":          head(1, 11, 0, 4, 8, 1),
		"format 2.0 is not supported":           head(2, 0, 0, 4, 8, 1),
		"format 1.17 is newer":                  head(1, 17, 0, 4, 8, 1),
		"integers of 3 and 8 bytes":             head(1, 14, 0, 3, 8, 1),
		"integers of 4 and 9 bytes":             head(1, 14, 0, 4, 9, 1),
		"not the custom format":                 head(1, 14, 0, 4, 8, 5),
		"sign byte 2":                           good + "\x02\x00\x00\x00\x00",
		"string of 2130706432 bytes":            good + number(0) + times + number(0x7f000000),
		"head: ends too early":                  good + number(0) + times + number(60<<20) + "short",
		"table of contents: ends too early":     good + number(0) + times + strings.Repeat(number(0), 3),
		"table of contents: 16777216 entries":   good + number(0) + times + strings.Repeat(number(0), 3) + number(1<<24),
		"table of contents: -1 entries":         good + number(0) + times + strings.Repeat(number(0), 3) + "\x01\x01\x00\x00\x00",
		"entry 1 of 1: dump id 0":               good + number(0) + times + strings.Repeat(number(0), 3) + number(1) + number(0),
		"end: bytes after the last data block":  good + number(0) + times + strings.Repeat(number(0), 3) + number(0) + "x",
		"integer 72057594037927936":             head(1, 14, 0, 8, 8, 1) + "\x00\x00\x00\x00\x00\x00\x00\x00\x01",
		"entry 1 of 1: ends too early":          good + number(0) + times + strings.Repeat(number(0), 3) + number(1) + number(1),
		"table of contents: sign byte 255":      good + number(0) + times + strings.Repeat(number(0), 3) + "\xff\xff\xff\xff\xff",
		"head: ends too early (no compression)": head(1, 16, 0, 4, 8, 1),
	} {
		_, err := Inspect(strings.NewReader(archive))
		want, _, _ := strings.Cut(says, " (")
		if !errors.Is(err, ErrArchive) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", says, err)
		}
	}
	// An empty table of contents is an archive.
	for minor, compression := range map[byte]string{12: number(0), 14: number(6), 15: "\x00", 16: "\x01"} {
		toc, err := Inspect(strings.NewReader(head(1, minor, 0, 4, 8, 1) + compression + times + strings.Repeat(number(0), 3) + number(0)))
		if err != nil || toc.Compressed != (compression == number(6) || compression == "\x01") {
			t.Errorf("format 1.%d: %+v, %v", minor, toc, err)
		}
	}
}

// Promise: owners are named once, sorted.
func TestOwners(t *testing.T) {
	toc := &TOC{Entries: []Entry{{Owner: "b"}, {Owner: ""}, {Owner: "a"}, {Owner: "b"}}}
	if got := toc.Owners(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%q", got)
	}
}

// corpus adds real archives of each section, whole and cut.
func corpus(f *testing.F) {
	f.Helper()
	e := scratchtest.Database(f, "CREATE TABLE a (id serial PRIMARY KEY); INSERT INTO a VALUES (1); SELECT lo_from_bytea(7, 'abc'); SELECT lo_from_bytea(8, '')")
	g, ctx := openGuard(f, e, GuardOptions{})
	for _, part := range []Part{PreData, Data, PostData} {
		var b bytes.Buffer
		if _, err := dumper(f, e).Part(ctx, part, g.Snapshot, &b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
		f.Add(b.Bytes()[:b.Len()*2/3])
	}
	f.Add([]byte("PGDMP\x01\x10\x00\x08\x08\x01"))
}

// FuzzTOC holds that no input makes the reader panic or take more memory than
// it was given, and that every error is ErrArchive.
func FuzzTOC(f *testing.F) {
	corpus(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		toc, a, err := readTOC(bufio.NewReader(bytes.NewReader(data)))
		if err != nil {
			if !errors.Is(err, ErrArchive) || toc != nil {
				t.Errorf("%v, %v", toc, err)
			}
			return
		}
		rest, err := io.ReadAll(a.r)
		if err != nil {
			t.Fatal(err)
		}
		// An entry has at least 15 numbers.
		if read := len(data) - len(rest); len(toc.Entries)*15*5 > read {
			t.Errorf("%d entries from %d bytes", len(toc.Entries), read)
		}
	})
}

// FuzzInspect holds that what Inspect takes, ReadTOC takes too and with the same
// entries, and that nothing is taken with a byte more or less.
func FuzzInspect(f *testing.F) {
	corpus(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		toc, err := Inspect(bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, ErrArchive) || toc != nil {
				t.Errorf("%v, %v", toc, err)
			}
			return
		}
		if head, err := ReadTOC(bytes.NewReader(data)); err != nil || len(head.Entries) != len(toc.Entries) {
			t.Errorf("ReadTOC: %v", err)
		}
		if _, err := Inspect(bytes.NewReader(data[:len(data)-1])); err == nil {
			t.Error("valid without its last byte")
		}
		if _, err := Inspect(bytes.NewReader(append(bytes.Clone(data), 0))); err == nil {
			t.Error("valid with another byte")
		}
	})
}
