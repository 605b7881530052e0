package backup_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/backup"
)

// Promise: the live release and its commit are found in each layout that a
// deployment leaves, and where there is none nothing is made up.
func TestFindRelease(t *testing.T) {
	t.Parallel()
	a, b, long := strings.Repeat("a", 40), strings.Repeat("b", 40), strings.Repeat("c", 64)
	for name, tt := range map[string]struct {
		files    map[string]string // "->" is a link
		dir      string            // below the root
		revision string
		none     bool
	}{
		"empty directory":      {nil, "", "", false},
		"no directory":         {map[string]string{"": "gone"}, "", "", true},
		"capistrano":           {map[string]string{"releases/1/REVISION": a + "\n", "releases/2/REVISION": b, "current": "->releases/2"}, "releases/2", b, false},
		"checkout, detached":   {map[string]string{".git/HEAD": long + "\n"}, "", long, false},
		"checkout, branch":     {map[string]string{".git/HEAD": "ref: refs/heads/main\n", ".git/refs/heads/main": a + "\n"}, "", a, false},
		"checkout, packed":     {map[string]string{".git/HEAD": "ref: refs/heads/main\n", ".git/packed-refs": "# pack-refs\n" + b + " refs/heads/mainly\n" + a + " refs/heads/main\n"}, "", a, false},
		"checkout, no commit":  {map[string]string{".git/HEAD": "ref: refs/heads/main\n"}, "", "", false},
		"reference leads away": {map[string]string{".git/HEAD": "ref: ../../secret\n", "secret": a}, "", "", false},
		"REVISION is prose":    {map[string]string{"REVISION": "version 7\n", ".git/HEAD": a}, "", a, false},
		"current is dangling":  {map[string]string{"current": "->releases/9", "REVISION": a}, "", a, false},
		"current is a file":    {map[string]string{"current": "2"}, "", "", true},
	} {
		root, err := filepath.EvalSymlinks(t.TempDir())
		must(t, err)
		for file, content := range tt.files {
			path := filepath.Join(root, file)
			if file == "" {
				root = filepath.Join(root, content)
				continue
			}
			must(t, os.MkdirAll(filepath.Dir(path), 0o755))
			if target, link := strings.CutPrefix(content, "->"); link {
				must(t, os.Symlink(target, path))
			} else {
				must(t, os.WriteFile(path, []byte(content), 0o644))
			}
		}
		want := backup.Release{Dir: filepath.Join(root, tt.dir), Revision: tt.revision}
		if tt.none {
			want = backup.Release{}
		}
		if got := backup.FindRelease(root); got != want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := backup.FindRelease(""); got != (backup.Release{}) {
		t.Errorf("no root: %+v", got)
	}
}

// Promise: whoever deploys the application does not hold up its backups, whatever lies where its revision should.
func TestFindReleaseOfPipe(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	must(t, unix.Mkfifo(filepath.Join(root, "REVISION"), 0o600))
	must(t, os.Mkdir(filepath.Join(root, ".git"), 0o755))
	must(t, os.Symlink("/dev/zero", filepath.Join(root, ".git/HEAD")))
	found := make(chan backup.Release, 1)
	go func() { found <- backup.FindRelease(root) }()
	select {
	case r := <-found:
		if r.Dir == "" || r.Revision != "" {
			t.Errorf("%+v", r)
		}
	case <-time.After(time.Minute):
		t.Fatal("it waits")
	}
}
