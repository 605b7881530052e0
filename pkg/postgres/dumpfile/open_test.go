package dumpfile

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/seal"
)

func readAll(t testing.TB, f *File) ([]byte, error) {
	t.Helper()
	plain, err := f.Plain(t.Context())
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	return io.ReadAll(plain)
}

func filter(t testing.TB, data []byte, program string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Promise: what the old scripts left opens whatever it is called: gzip, zstd and gpg, alone and in each other, and
// each Plain begins anew.
func TestLayers(t *testing.T) {
	t.Parallel()
	f := shareFixture(t)
	g := newGnuPG(t)
	sql, custom := f.read(t, "plain.sql"), f.read(t, "custom.dump")
	for _, c := range []struct {
		want  string
		plain []byte
		file  []byte
	}{
		{"plain SQL", sql, sql},
		{"plain SQL", append([]byte("\xef\xbb\xbf"), sql...), append([]byte("\xef\xbb\xbf"), sql...)},
		{"gzip, plain SQL", sql, filter(t, sql, "gzip")},
		{"gzip, plain SQL", sql, append(gzipped(sql[:1000]), gzipped(sql[1000:])...)},
		{"zstd, plain SQL", sql, filter(t, sql, "zstd")},
		{"zstd, plain SQL", sql, append(zstandard(sql[:1000]), zstandard(sql[1000:])...)},
		{"gpg, plain SQL", sql, g.encrypt(t, sql)},
		{"gpg, plain SQL", sql, g.encrypt(t, sql, "--armor")},
		{"gpg, plain SQL", sql, g.encrypt(t, sql, "-z", "0")},
		{"gpg, gzip, plain SQL", sql, g.encrypt(t, gzipped(sql))},
		{"gpg, gzip, plain SQL", sql, g.encrypt(t, gzipped(sql), "--armor", "-z", "0")},
		{"gpg, zstd, plain SQL", sql, g.encrypt(t, zstandard(sql))},
		{"gzip, gpg, plain SQL", sql, gzipped(g.encrypt(t, sql))},
		{"gpg, pg_dump custom archive", custom, g.encrypt(t, custom)},
		{"gzip, pg_dump tar archive", f.read(t, "all.tar"), gzipped(f.read(t, "all.tar"))},
	} {
		path := write(t, c.file)
		file := mustOpen(t, path, g.ring)
		if file.Describe() != c.want || file.Size != int64(len(c.file)) {
			t.Errorf("%s, %d bytes, instead of %s, %d bytes", file.Describe(), file.Size, c.want, len(c.file))
		}
		for range 2 {
			if got, err := readAll(t, file); err != nil || !bytes.Equal(got, c.plain) {
				t.Errorf("%s: %d of %d bytes, %v", c.want, len(got), len(c.plain), err)
			}
		}
		if report, err := file.Examine(t.Context()); err != nil || report.Refusal(false) != nil || report.Bytes != int64(len(c.plain)) {
			t.Errorf("%s: %v, %v", c.want, report, err)
		}
		if len(file.Layers) == 0 {
			continue
		}
		// More at the end, and less.
		for _, more := range []string{"x", "\x00", "\x1f\x8b", "\n\n-- more"} {
			bad, err := Open(t.Context(), write(t, append(bytes.Clone(c.file), more...)), Options{Unlock: g.ring})
			if err == nil {
				_, err = bad.Examine(t.Context())
			}
			if !errors.Is(err, ErrDamaged) && (strings.TrimSpace(more) != "" || !bytes.HasPrefix(c.file, []byte("-----"))) {
				t.Errorf("%s and %q: %v", c.want, more, err)
			}
		}
	}
	// A link to a file and a session in gpg's hands.
	link := filepath.Join(t.TempDir(), "link.sql.gz")
	if err := os.Symlink(f.path("plain.sql"), link); err != nil {
		t.Fatal(err)
	}
	if got := mustOpen(t, link, nil).Describe(); got != "plain SQL" {
		t.Errorf("a link: %s", got)
	}
	if _, err := Open(t.Context(), write(t, g.encrypt(t, sql)), Options{}); !errors.Is(err, seal.ErrNoSecretKey) {
		t.Errorf("without a key: %v", err)
	}
}

// Promise: no beginning of a dump passes for the whole, whatever it is packed in.
func TestTruncated(t *testing.T) {
	t.Parallel()
	f := shareFixture(t)
	g := newGnuPG(t)
	sql := f.read(t, "plain.sql")
	for name, data := range map[string][]byte{
		"sql": sql, "inserts": f.read(t, "inserts.sql"), "custom": f.read(t, "custom.dump"), "raw": f.read(t, "raw.dump"), "tar": f.read(t, "all.tar"),
		"gzip": gzipped(sql), "zstd": zstandard(sql), "gpg": g.encrypt(t, gzipped(sql)), "armored": g.encrypt(t, sql, "--armor"),
		"gzipped tar": gzipped(f.read(t, "all.tar")),
	} {
		t.Run(name, func(t *testing.T) {
			cuts := []int{0, 1, 3, 5, 12, 100, 300, 600, 2000, len(data) - 1000, len(data) - 200, len(data) - 150, len(data) - 110, len(data) - 50, len(data) - 10}
			if name != "sql" && name != "inserts" && name != "armored" { // those end with lines that say nothing
				cuts = append(cuts, len(data)-2, len(data)-1)
			}
			for i := range 6 {
				cuts = append(cuts, len(data)*i/6+i)
			}
			for _, cut := range cuts {
				if (name == "sql" || name == "inserts") && cut > len(data)-130 {
					continue // behind the marker
				}
				file, err := Open(t.Context(), write(t, data[:cut]), Options{Unlock: g.ring})
				if err != nil {
					if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNotDump) {
						t.Errorf("%d of %d bytes: %v", cut, len(data), err)
					}
					continue
				}
				report, err := file.Examine(t.Context())
				_ = file.Close()
				if err == nil {
					err = report.Refusal(false)
				} else if !errors.Is(err, ErrDamaged) {
					t.Errorf("%d of %d bytes: %v", cut, len(data), err)
				}
				if err == nil {
					t.Errorf("%d of %d bytes are taken for the whole", cut, len(data))
				}
			}
		})
	}
	for _, dir := range []string{"dir", "rawdir"} {
		names, _ := filepath.Glob(f.path(dir) + "/*")
		if len(names) < 10 {
			t.Fatal(names)
		}
		copied := filepath.Join(t.TempDir(), "d")
		if err := os.CopyFS(copied, os.DirFS(f.path(dir))); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			base := filepath.Base(name)
			damaged := filepath.Join(copied, base)
			whole, err := os.ReadFile(damaged)
			if err != nil {
				t.Fatal(err)
			}
			for _, cut := range []int{-1, 0, 1, 2} { // -1: gone
				if cut >= 0 && strings.HasPrefix(base, "blob_") && dir == "rawdir" {
					continue // nothing says how long it is
				}
				err := os.Remove(damaged)
				if cut >= 0 {
					err = os.WriteFile(damaged, whole[:len(whole)*cut/3], 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
				file, err := Open(t.Context(), copied, Options{})
				if err == nil {
					_, err = file.Examine(t.Context())
				}
				if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNotDump) {
					t.Errorf("%s/%s, %d/3 of it: %v", dir, base, cut, err)
				}
				if err := os.WriteFile(damaged, whole, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// Promise: what is no dump is called by its name, and what only needs unpacking is told how.
func TestNotADump(t *testing.T) {
	t.Parallel()
	f := shareFixture(t)
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	linked := filepath.Join(t.TempDir(), "d")
	if err := os.CopyFS(linked, os.DirFS(f.path("dir"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(linked, "1.dat")); err != nil {
		t.Fatal(err)
	}
	sql := f.read(t, "plain.sql")
	other := filepath.Join(t.TempDir(), "media.tar")
	if out, err := exec.Command("tar", "cf", other, "-C", f.dumps, "plain.sql").CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	for _, c := range []struct {
		path string
		is   error
		says string
	}{
		{write(t, nil), ErrNotDump, "empty"},
		{write(t, gzipped(nil)), ErrNotDump, "empty"},
		{write(t, []byte("<html><body>404")), ErrNotDump, "HTML"},
		{write(t, []byte("{\"a\": 1}")), ErrNotDump, "JSON"},
		{write(t, []byte("id,name\n1,x\n")), ErrNotDump, `begins with "id,name"`},
		{write(t, []byte("#!/bin/sh\n")), ErrNotDump, "script"},
		{write(t, []byte("\x01\x02\x03\x04")), ErrNotDump, "binary"},
		{write(t, []byte("-- MySQL dump 10.13\n")), ErrNotDump, "MySQL"},
		{write(t, []byte("SELECT 1;\x00\n")), ErrNotDump, "binary"},
		{write(t, []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n")), ErrNotDump, "OpenPGP"},
		{write(t, filter(t, sql, "bzip2")), ErrUnsupported, "bzip2 -d"},
		{write(t, filter(t, sql, "xz")), ErrUnsupported, "xz -d"},
		{write(t, gzipped(filter(t, sql, "xz"))), ErrUnsupported, "xz -d"},
		{write(t, gzipped(gzipped(gzipped(sql)))), ErrNotDump, "layers"},
		{f.path("dir/toc.dat"), ErrNotDump, "directory"},
		{other, ErrNotDump, "plain.sql"},
		{pipe, ErrNotDump, "regular"},
		{os.DevNull, ErrNotDump, "regular"},
		{dir, ErrNotDump, "regular"},
		{t.TempDir(), ErrNotDump, "toc.dat"},
		{linked, ErrNotDump, "1.dat"},
		{filepath.Join(dir, "absent"), os.ErrNotExist, "absent"},
	} {
		file, err := Open(t.Context(), c.path, Options{})
		if err == nil {
			_ = file.Close()
		}
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.says, err)
		}
	}
	// A zero byte later in the file.
	if _, err := mustOpen(t, write(t, append(bytes.Repeat([]byte("SELECT 1;\n"), 1000), 0)), nil).Examine(t.Context()); !errors.Is(err, ErrNotDump) {
		t.Errorf("a zero byte: %v", err)
	}
}

// Promise: a table of contents cannot name files elsewhere.
func TestNamesInArchives(t *testing.T) {
	t.Parallel()
	f := shareFixture(t)
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.CopyFS(dir, os.DirFS(f.path("dir"))); err != nil {
		t.Fatal(err)
	}
	toc, err := os.ReadFile(filepath.Join(dir, tocName))
	if err != nil {
		t.Fatal(err)
	}
	p, err := readParts(toc)
	if err != nil {
		t.Fatal(err)
	}
	names, err := p.names()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(names, func(n string) bool { return strings.HasSuffix(n, ".dat") })
	evil := strings.Repeat("../", len(names[i]))[:len(names[i])]
	if err := os.WriteFile(filepath.Join(dir, tocName), bytes.ReplaceAll(toc, []byte(names[i]), []byte(evil)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := mustOpen(t, dir, nil).Examine(t.Context()); !errors.Is(err, ErrNotDump) || !strings.Contains(err.Error(), evil) {
		t.Error(err)
	}
}
