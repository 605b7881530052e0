package archive_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/archive"
)

func file(name string) item { return item{Header: tar.Header{Name: name}, body: "x"} }

func link(name, target string) item {
	return item{Header: tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeSymlink}}
}

func hard(name, target string) item {
	return item{Header: tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeLink}}
}

func kind(name string, flag byte) item {
	return item{Header: tar.Header{Name: name, Typeflag: flag}}
}

// Promise: each kind of hostile archive is refused with its own reason, and nothing is made outside of the directory.
func TestHostile(t *testing.T) {
	small := archive.Limits{Entries: 3, Bytes: 64 << 10, Name: 300, Depth: 4, NameBytes: 600}
	many := []item{file("1"), file("2"), file("3"), file("4")}
	for _, tc := range []struct {
		name  string
		items []item
		want  archive.Reason
	}{
		{"parent", []item{file("../evil")}, archive.ReasonTraversal},
		{"parent within", []item{file("a/../../evil")}, archive.ReasonTraversal},
		{"parent alone", []item{kind("..", tar.TypeDir)}, archive.ReasonTraversal},
		{"absolute", []item{file("/tmp/evil")}, archive.ReasonAbsolute},
		{"dot", []item{file("./a")}, archive.ReasonName},
		{"double slash", []item{file("a//b")}, archive.ReasonName},
		{"twice", []item{file("a"), file("a")}, archive.ReasonDuplicate},
		{"twice but for a slash", []item{file("a"), kind("a/", tar.TypeDir)}, archive.ReasonDuplicate},
		{"directory twice", []item{kind("a/", tar.TypeDir), kind("a", tar.TypeDir)}, archive.ReasonDuplicate},
		{"file in place of a directory", []item{file("a/b"), file("a")}, archive.ReasonDuplicate},
		{"below a link", []item{link("a", "."), file("a/b")}, archive.ReasonBelow},
		{"below a file", []item{file("a"), file("a/b")}, archive.ReasonBelow},
		{"link in place of a directory", []item{file("a/b"), link("a", "b")}, archive.ReasonDuplicate},
		{"link to outside", []item{link("a", "../b")}, archive.ReasonLinkOutside},
		{"link to outside, deep", []item{link("a/b", "../../c")}, archive.ReasonLinkOutside},
		{"link to outside by detour", []item{link("a/b", "x/../../../c")}, archive.ReasonLinkOutside},
		{"link to an absolute path", []item{link("a", "/etc/passwd")}, archive.ReasonLinkOutside},
		{"hard link to outside", []item{hard("a", "../b")}, archive.ReasonHardLink},
		{"hard link to an absolute path", []item{hard("a", "/etc/passwd")}, archive.ReasonHardLink},
		{"hard link to what comes later", []item{hard("a", "b"), file("b")}, archive.ReasonHardLink},
		{"hard link to a link", []item{link("b", "c"), hard("a", "b")}, archive.ReasonHardLink},
		{"hard link to a directory", []item{kind("b/", tar.TypeDir), hard("a", "b")}, archive.ReasonHardLink},
		{"hard link to itself", []item{hard("a", "a")}, archive.ReasonHardLink},
		{"character device", []item{kind("a", tar.TypeChar)}, archive.ReasonDevice},
		{"block device", []item{kind("a", tar.TypeBlock)}, archive.ReasonDevice},
		{"FIFO", []item{kind("a", tar.TypeFifo)}, archive.ReasonDevice},
		{"contiguous file", []item{kind("a", tar.TypeCont)}, archive.ReasonType},
		{"global header", []item{{Header: tar.Header{Typeflag: tar.TypeXGlobalHeader, Format: tar.FormatPAX, PAXRecords: map[string]string{"path": "../x"}}}}, archive.ReasonType},
		{"many entries", many, archive.ReasonManyEntries},
		{"long name", []item{file(strings.Repeat("x", 256))}, archive.ReasonLongName},
		{"long path", []item{file(strings.Repeat("x", 200) + "/" + strings.Repeat("y", 200))}, archive.ReasonLongName},
		{"deep", []item{file("1/2/3/4/5")}, archive.ReasonDeep},
		{"large", []item{{Header: tar.Header{Name: "a"}, body: strings.Repeat("x", 65<<10)}}, archive.ReasonManyBytes},
		{"many long names", []item{file("1/" + strings.Repeat("x", 255)), file("2/" + strings.Repeat("x", 255)), file("3/" + strings.Repeat("x", 255))}, archive.ReasonManyEntries},
		{"negative owner", []item{{Header: tar.Header{Name: "a", Uid: 1 << 40}, body: "x"}}, archive.ReasonNumber},
	} {
		t.Run(tc.name, func(t *testing.T) {
			data := forge(t, tc.items...)
			outer := t.TempDir()
			write(t, outer+"/guard", "as it was")
			to := outer + "/in"
			must(t, os.Mkdir(to, 0o700))
			_, err := archive.Extract(t.Context(), bytes.NewReader(data), to, archive.ExtractOptions{ReadOptions: archive.ReadOptions{Limits: small}})
			var hostile *archive.HostileError
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.want != "" && (!errors.As(err, &hostile) || hostile.Reason != tc.want || !errors.Is(err, archive.ErrHostile)):
				t.Errorf("%v, not %q", err, tc.want)
			}
			outside(t, outer)
		})
	}
}

// outside fails when anything beside "in" and "guard" is there.
func outside(t testing.TB, outer string) {
	t.Helper()
	entries, err := os.ReadDir(outer)
	must(t, err)
	guard, err := os.ReadFile(outer + "/guard")
	must(t, err)
	if len(entries) != 2 || string(guard) != "as it was" {
		t.Errorf("outside of the directory: %v, %q", entries, guard)
	}
}

// Promise: sparse files, whose size has nothing to do with their bytes, are refused in every form that tar has.
func TestSparse(t *testing.T) {
	pax := forge(t, item{Header: tar.Header{Name: "a", Format: tar.FormatPAX, PAXRecords: map[string]string{"FORGE.x": "1"}}, body: "0\n"})
	if _, err := readAll(pax, archive.ReadOptions{}); err != nil {
		t.Errorf("an unknown record: %v", err)
	}
	dir := t.TempDir()
	f, err := os.Create(dir + "/hole")
	must(t, err)
	must(t, f.Truncate(1<<20))
	_, err = f.WriteAt([]byte("x"), 1<<19)
	must(t, err)
	must(t, f.Close())
	for _, format := range []string{"--format=gnu", "--format=pax --sparse-version=0.0", "--format=pax --sparse-version=0.1", "--format=pax --sparse-version=1.0"} {
		data := stockTar(t, dir, strings.Fields(format+" --sparse -c hole")...)
		var hostile *archive.HostileError
		if _, err := readAll(data, archive.ReadOptions{}); !errors.As(err, &hostile) || hostile.Reason != archive.ReasonSparse {
			t.Errorf("%s: %v", format, err)
		}
	}
}

// Promise: an archive that was cut anywhere, or has something behind its end, is not taken for a whole one.
func TestCut(t *testing.T) {
	data := forge(t, file("a"), file("b/c"), link("d", "a"))
	for n := 0; n < len(data); n += 256 {
		if _, err := readAll(data[:n], archive.ReadOptions{}); err == nil {
			t.Errorf("cut at %d of %d: taken for whole", n, len(data))
		}
	}
	if _, err := readAll(append(bytes.Clone(data), make([]byte, 10240)...), archive.ReadOptions{}); err != nil {
		t.Errorf("padded: %v", err)
	}
	if _, err := readAll(append(bytes.Clone(data), 'x'), archive.ReadOptions{}); !errors.Is(err, archive.ErrMalformed) {
		t.Errorf("something behind its end: %v", err)
	}
}

// Promise: setuid and setgid bits come back only where that is permitted, and are named where it is not.
func TestSpecialBits(t *testing.T) {
	data := forge(t, item{Header: tar.Header{Name: "a", Mode: 0o6755}, body: "x"})
	for _, permitted := range []bool{false, true} {
		to := t.TempDir()
		x, err := archive.Extract(t.Context(), bytes.NewReader(data), to, archive.ExtractOptions{Special: permitted})
		must(t, err)
		fi, err := os.Stat(to + "/a")
		must(t, err)
		if special := fi.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0; special != permitted || (len(x.Dropped) == 0) != permitted {
			t.Errorf("permitted %v: mode %v, dropped %q", permitted, fi.Mode(), x.Dropped)
		}
	}
}

// Promise: nothing is extracted into a directory that holds something, nor over what appears meanwhile; links that
// somebody puts into the way are not followed.
func TestFresh(t *testing.T) {
	data := forge(t, kind("d/", tar.TypeDir), file("d/a"), file("d/b"))
	to := t.TempDir()
	write(t, to+"/x", "")
	if _, err := archive.Extract(t.Context(), bytes.NewReader(data), to, archive.ExtractOptions{}); !errors.Is(err, archive.ErrNotEmpty) {
		t.Errorf("not empty: %v", err)
	}
	for name, interfere := range map[string]func(to, elsewhere string) error{
		"file": func(to, _ string) error { return os.WriteFile(to+"/d/b", nil, 0o600) },
		"link": func(to, elsewhere string) error { return os.Symlink(elsewhere+"/b", to+"/d/b") },
		"dir": func(to, elsewhere string) error {
			return errors.Join(os.RemoveAll(to+"/e"), os.Symlink(elsewhere, to+"/e"))
		},
	} {
		to, elsewhere := t.TempDir(), t.TempDir()
		data := forge(t, kind("e/", tar.TypeDir), file("d/a"), file("d/b"), file("e/b"))
		o := archive.ExtractOptions{Select: func(e archive.Entry) bool {
			if e.Path == "d/b" {
				must(t, interfere(to, elsewhere))
			}
			return true
		}}
		if _, err := archive.Extract(t.Context(), bytes.NewReader(data), to, o); err == nil {
			t.Errorf("%s: no error", name)
		}
		if entries, err := os.ReadDir(elsewhere); err != nil || len(entries) > 0 {
			t.Errorf("%s: elsewhere is %v, %v", name, entries, err)
		}
	}
}

// Promise: whatever the bytes are, reading them ends without a panic, within the limits, and nothing is made outside of
// the directory.
func FuzzExtract(f *testing.F) {
	f.Add(forge(f, file("a"), kind("b/", tar.TypeDir), file("b/c"), link("d", "b"), hard("e", "a")))
	f.Add(forge(f, file("../a"), file("/b")))
	f.Add(forge(f, item{Header: tar.Header{Name: "a", Format: tar.FormatPAX, PAXRecords: map[string]string{"SCHILY.xattr.user.a": "b", "comment": "c"}}, body: "x"}))
	f.Add(forge(f, kind("a", tar.TypeChar), link("b", "/")))
	base, err := os.MkdirTemp("/dev/shm", "forgectl-") // where nothing waits for a disk
	if err != nil {
		base = f.TempDir()
	}
	f.Cleanup(func() { os.RemoveAll(base) })
	n := 0
	f.Fuzz(func(t *testing.T, data []byte) {
		n++
		outer := filepath.Join(base, fmt.Sprint(os.Getpid(), "-", n))
		defer os.RemoveAll(outer)
		write(t, outer+"/guard", "as it was")
		must(t, os.Mkdir(outer+"/in", 0o700))
		for _, links := range []archive.Links{archive.LinksInside, archive.LinksAsStored} {
			o := archive.ExtractOptions{ReadOptions: archive.ReadOptions{Links: links, Limits: archive.Limits{Entries: 20, Bytes: 1 << 20}}}
			_, err := archive.Extract(t.Context(), bytes.NewReader(data), outer+"/in", o)
			if entries, read := readAll(data, o.ReadOptions); err == nil && (read != nil || len(entries) > 20) {
				t.Errorf("extracted, but read as %d entries, %v", len(entries), read)
			}
			outside(t, outer)
			must(t, os.RemoveAll(outer+"/in"))
			must(t, os.Mkdir(outer+"/in", 0o700))
		}
	})
}

// Promise: whatever the bytes are, an index is read without a panic, and what is read can be written as the same index.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"path":"a","type":"dir","mode":"0755","uid":0,"gid":0}` + "\n" + `{"end":{"entries":1,"files":0,"directories":1,"links":0,"bytes":0}}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := archive.NewIndexReader(bytes.NewReader(data), archive.Limits{Entries: 100})
		w := archive.NewIndexWriter(&bytes.Buffer{})
		for {
			e, err := r.Next()
			if err != nil {
				return
			}
			must(t, w.Write(e))
		}
	})
}
