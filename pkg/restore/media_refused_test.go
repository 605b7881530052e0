package restore_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/archive/archivetest"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/restore"
)

// Promise: a set that is damaged is refused with the damaged path, and the live files are as they were.
func TestMediaDamaged(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(f *files)
		want string
	}{
		"flipped bit": {func(f *files) { overwrite(t, f.tree("a/one.txt"), "ons") }, "checksum mismatch in tree/a/"},
		"cut":         {func(f *files) { must(t, os.Truncate(f.tree("empty"), 1)) }, "tree/empty is malformed: file of 1 bytes"},
		"gone":        {func(f *files) { must(t, os.Remove(f.tree("bytes\xff\xfe"))) }, `tree/"bytes\xff\xfe" is missing`},
		"a link": {func(f *files) {
			must(t, os.Remove(f.tree("empty")))
			must(t, os.Symlink("/etc/passwd", f.tree("empty")))
		}, "tree/empty is malformed: is no regular file"},
		"a link above": {func(f *files) {
			must(t, os.Rename(f.tree("a"), f.tree("moved")))
			must(t, os.Symlink("moved", f.tree("a")))
		}, "tree/a/deep/er/three is missing"},
		"other target": {func(f *files) { must(t, os.Remove(f.tree("loop"))); must(t, os.Symlink("/", f.tree("loop"))) }, "tree/loop is malformed: leads to / instead of ."},
		"index":        {func(f *files) { overwrite(t, f.tree("../index.jsonl.zst"), "x") }, "checksum mismatch in index.jsonl.zst"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t)
			f.t = t
			f.spoil()
			spoiled := f.copyOf("spoiled")
			c.do(f)
			_, err := restore.Media(t.Context(), f.options())
			if !errors.Is(err, catalog.ErrDamaged) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v", err)
			}
			archivetest.Same(t, spoiled, f.live)
			f.left()
		})
	}
}

// overwrite changes the first bytes of a file in place, and nothing that stat would show but its times.
func overwrite(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString(text)
	must(t, errors.Join(err, f.Close()))
}

// Promise: what cannot be replaced is said before anything is copied.
func TestMediaPlaces(t *testing.T) {
	f := newFiles(t)
	for name, c := range map[string]struct {
		change func(o *restore.MediaOptions)
		want   string
	}{
		"outside":        {func(o *restore.MediaOptions) { o.Paths = []string{"a/../../x"} }, "not a path inside the media directory"},
		"absolute":       {func(o *restore.MediaOptions) { o.Paths = []string{"/etc"} }, "not a path inside the media directory"},
		"not there":      {func(o *restore.MediaOptions) { o.Paths = []string{"a/four"} }, "a/four: not in the set"},
		"no parent":      {func(o *restore.MediaOptions) { o.Live = filepath.Join(f.dir, "x/y") }, "x is not there: is it mounted?"},
		"a file":         {func(o *restore.MediaOptions) { o.Live = filepath.Join(f.live, "empty") }, "is no directory"},
		"a mount point":  {func(o *restore.MediaOptions) { o.Live = "/proc" }, "/proc is a mount point and cannot be renamed"},
		"a mount inside": {func(o *restore.MediaOptions) { o.Live = "/" }, ""},
		"to is there":    {func(o *restore.MediaOptions) { o.To = f.live }, "there is something of that name already"},
		"to is nowhere":  {func(o *restore.MediaOptions) { o.To = filepath.Join(f.dir, "x/y") }, "x is not there"},
	} {
		o := f.options()
		c.change(&o)
		if _, err := restore.Media(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A link is followed to what it means, and stays.
	link := filepath.Join(f.dir, "link")
	must(t, os.Symlink("media", link))
	f.spoil()
	o := f.options()
	o.Live = link
	r, err := restore.Media(t.Context(), o)
	must(t, err)
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "through a symbolic link") {
		t.Errorf("warnings %q", r.Warnings)
	}
	archivetest.Same(t, f.original, f.live)
	if to, err := os.Readlink(link); err != nil || to != "media" {
		t.Errorf("the link: %q, %v", to, err)
	}
	// Below what is no directory any more nothing can be put.
	must(t, os.RemoveAll(filepath.Join(f.live, "a")))
	must(t, os.Symlink("bare", filepath.Join(f.live, "a")))
	o.Paths = []string{"a/one.txt"}
	if _, err := restore.Media(t.Context(), o); err == nil || !strings.Contains(err.Error(), "media/a is no directory now") {
		t.Errorf("below a link: %v", err)
	}
}
