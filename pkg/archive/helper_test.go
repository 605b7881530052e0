package archive_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/archive"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write makes a file with its directories.
func write(t testing.TB, path, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(content), 0o640))
}

// pack packs paths, and fails when anything is odd.
func pack(t testing.TB, o archive.PackOptions, paths ...string) ([]byte, archive.Packed) {
	t.Helper()
	var b bytes.Buffer
	p, err := archive.Pack(t.Context(), &b, paths, o)
	must(t, err)
	return b.Bytes(), p
}

// item is one entry of an archive that somebody made by hand.
type item struct {
	tar.Header
	body string
}

// forge writes an archive of anything.
func forge(t testing.TB, items ...item) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, i := range items {
		if i.Typeflag == 0 {
			i.Typeflag = tar.TypeReg
		}
		if i.Mode == 0 && i.Typeflag != tar.TypeXGlobalHeader {
			i.Mode = 0o644
		}
		if i.body != "" {
			i.Size = int64(len(i.body))
		}
		must(t, w.WriteHeader(&i.Header))
		_, err := io.WriteString(w, i.body)
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

// readAll reads an archive to its end.
func readAll(data []byte, o archive.ReadOptions) ([]archive.Entry, error) {
	r := archive.NewReader(bytes.NewReader(data), o)
	var all []archive.Entry
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		if e.Type == archive.File && e.Link == "" {
			if e.SHA256, err = r.Sum(); err != nil {
				return all, err
			}
		}
		all = append(all, e)
	}
}

// indexed writes an index and reads it again.
func indexed(t testing.TB, entries []archive.Entry) []archive.Entry {
	t.Helper()
	var b strings.Builder
	w := archive.NewIndexWriter(&b)
	for _, e := range entries {
		must(t, w.Write(e))
	}
	must(t, w.Close())
	r := archive.NewIndexReader(strings.NewReader(b.String()), archive.Limits{})
	var all []archive.Entry
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		must(t, err)
		all = append(all, e)
	}
}

// stockTar runs tar in a directory.
func stockTar(t testing.TB, dir string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "tar", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tar %q: %v\n%s", args, err, stderr.String())
	}
	return out
}
