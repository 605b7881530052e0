package restore_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/restore"
)

// Promise: what was live is never dropped. When an exchange of several paths cannot go on, and somebody has put something
// else into the place of one that was moved already, the old one stays with the restore, which says that it has not ended;
// a resume keeps it for good, and leaves alone what is there by now.
func TestMediaMovedMeanwhile(t *testing.T) {
	for name, options := range map[string]func(restore.MediaOptions) restore.MediaOptions{
		"exchange":    func(o restore.MediaOptions) restore.MediaOptions { return o },
		"two renames": restore.WithoutExchange,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t)
			f.spoil()
			o := options(f.options())
			o.Paths = []string{"a", "empty"}
			o.Step = func(step string) {
				if step != "moved 0" {
					return
				}
				must(t, os.Rename(filepath.Join(f.live, "a"), filepath.Join(f.dir, "away"))) // which keeps its inode from being given again
				must(t, os.Mkdir(filepath.Join(f.live, "a"), 0o755))
				must(t, os.WriteFile(filepath.Join(f.dir, "new"), []byte("uploaded now"), 0o600))
				must(t, os.Rename(filepath.Join(f.dir, "new"), filepath.Join(f.live, "empty")))
			}
			_, err := restore.Media(t.Context(), o)
			if !errors.As(err, new(*restore.UnfinishedError)) {
				t.Errorf("error %v", err)
			}
			in, err := o.Intents.OpenMedia(t.Context(), f.live)
			must(t, err)
			if in == nil {
				t.Fatal("there is no intent")
			}
			o.Step = nil
			_, err = restore.ResumeMedia(t.Context(), o, *in)
			must(t, err)
			f.left("media_before")
			kept, err := restore.ListKeptMedia(f.live)
			must(t, err)
			if text, err := os.ReadFile(filepath.Join(kept[0].Path, "tree/a/one.txt")); err != nil || string(text) != "overwritten" {
				t.Errorf("what was live: %q, %v", text, err)
			}
			if text, err := os.ReadFile(filepath.Join(f.live, "empty")); err != nil || string(text) != "uploaded now" {
				t.Errorf("what is live: %q, %v", text, err)
			}
		})
	}
}

// Promise: a directory that was kept is dropped by what it is. A link that somebody who may write beside the live files has
// put in its place leads nowhere, whatever it leads to says of itself.
func TestMediaDropOfLink(t *testing.T) {
	f := newFiles(t)
	f.spoil()
	_, err := restore.Media(t.Context(), f.options())
	must(t, err)
	kept, err := restore.ListKeptMedia(f.live)
	must(t, err)
	other := t.TempDir()
	must(t, os.WriteFile(filepath.Join(other, "precious"), nil, 0o600))
	must(t, os.Rename(filepath.Join(kept[0].Path, "origin.json"), filepath.Join(other, "origin.json")))
	must(t, os.RemoveAll(kept[0].Path))
	must(t, os.Symlink(other, kept[0].Path))
	if err := restore.DropMedia(kept[0]); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(filepath.Join(other, "precious")); err != nil {
		t.Error(err)
	}
}
