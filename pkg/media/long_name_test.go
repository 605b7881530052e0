package media_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/media"
)

// Promise: an index that names what no file system can hold is an error for whoever goes by it, and nothing worse: whoever
// can write to a repository can write an index.
func TestNameOfNoFileSystem(t *testing.T) {
	var index bytes.Buffer
	w := media.NewIndexWriter(&index)
	long := strings.Repeat("n", 5000)
	for _, e := range []media.Entry{
		{Path: media.Root, Type: media.Dir, Mode: 0o755},
		{Path: long, Type: media.Dir, Mode: 0o755},
		{Path: long + "/link", Type: media.Symlink, Target: "x"},
	} {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(index.Bytes())), nil }
	choice, err := media.NewChoice([]string{long + "/link"}) // without what is above it: others look at that meanwhile
	if err != nil {
		t.Fatal(err)
	}
	_, err = media.Comparison{Dir: t.TempDir(), Index: open, Choice: choice}.Run(t.Context())
	if !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("compare: %v", err)
	}
	_, err = media.Building{From: t.TempDir(), Index: open, To: t.TempDir() + "/to"}.Run(t.Context())
	if !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("build: %v", err)
	}
}
