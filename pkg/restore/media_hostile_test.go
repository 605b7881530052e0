package restore_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/archive/archivetest"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/catalog/catalogtest"
	"github.com/bmad-forge/forgectl/pkg/restore"
)

// Promise: an index that somebody has forged, with sums that fit, leads nowhere: names that climb or are absolute, what lies
// below a link or a file, names that come twice, kinds that there are not, are refused before anything is made; a tree that
// holds what the forged index says is no better.
func TestMediaHostileIndex(t *testing.T) {
	const loop, after = `{"path":"loop","type":"symlink"`, `{"path":"new\u000aline"`
	evil := func(path, kind string) func([]byte) []byte {
		line := `{"path":"` + path + `","type":"` + kind + `","mode":"0777","uid":0,"gid":0,"mtime":0,"ctime":0,"dev":1,"inode":1,"links":1}` + "\n"
		return catalogtest.Replace(after, line+after)
	}
	for name, c := range map[string]struct {
		forge func([]byte) []byte
		want  string // "": it is restored, without what the line says
	}{
		"climbs":           {catalogtest.Replace(`"path":"empty"`, `"path":"../empty"`), `path "../empty"`},
		"climbs further":   {catalogtest.Replace(`"path":"a/one.txt"`, `"path":"a/../../one.txt"`), `path "a/../../one.txt"`},
		"absolute":         {catalogtest.Replace(`"path":"empty"`, `"path":"/tmp/empty"`), `path "/tmp/empty"`},
		"below a link":     {evil("loop/x", "dir"), "loop/x is in no directory of the index"},
		"a link as parent": {catalogtest.Replace(`"path":"a","type":"dir"`, `"path":"a","target":"/","type":"symlink"`), "a/deep is in no directory of the index"},
		"twice":            {evil("loop", "dir"), "loop after loop"},
		"unknown kind":     {evil("loop2", "door"), `type "door"`},
		"the root a link":  {catalogtest.Replace(`"path":".","type":"dir"`, `"path":".","target":"/","type":"symlink"`), "the root is no directory"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t)
			f.t = t
			copied := catalogtest.At(t, filepath.Join(f.dir, "repository"), f.set.Ref)
			copied.ForgeArtifact("index.jsonl", true, c.forge)
			f.set = copied.Set()
			f.spoil()
			spoiled := f.copyOf("spoiled")
			before := namesIn(t, f.dir)
			for _, to := range []string{"", filepath.Join(f.dir, "beside")} {
				o := f.options()
				o.To = to
				_, err := restore.Media(t.Context(), o)
				if !errors.Is(err, catalog.ErrDamaged) || !strings.Contains(err.Error(), "index.jsonl is malformed") || !strings.Contains(strings.ReplaceAll(err.Error(), `"`, ""), strings.ReplaceAll(c.want, `"`, "")) {
					t.Errorf("%q: %v", to, err)
				}
			}
			archivetest.Same(t, spoiled, f.live)
			if after := namesIn(t, f.dir); after != before {
				t.Errorf("left or made:\n%s\ninstead of\n%s", after, before)
			}
		})
	}
}

// Promise: pipes, sockets and devices of an index are counted and never made, whoever restores, and whatever the tree of the set
// holds in their place.
func TestMediaKindsNotMade(t *testing.T) {
	f := newFiles(t)
	copied := catalogtest.At(t, filepath.Join(f.dir, "repository"), f.set.Ref)
	copied.ForgeArtifact("index.jsonl", true, func(plain []byte) []byte {
		var lines strings.Builder
		for line := range strings.Lines(string(plain)) {
			if strings.HasPrefix(line, `{"path":"loop"`) {
				for _, kind := range []string{"device", "fifo", "socket"} {
					lines.WriteString(`{"path":"k` + kind + `","type":"` + kind + `","mode":"4777","uid":0,"gid":0,"mtime":0,"ctime":0,"dev":1,"inode":1,"links":1}` + "\n")
				}
			}
			lines.WriteString(strings.Replace(line, `"others":0`, `"others":3`, 1))
		}
		return []byte(lines.String())
	})
	f.set = copied.Set()
	must(t, os.WriteFile(f.tree("kfifo"), []byte("planted"), 0o600))
	o := f.options()
	o.To = filepath.Join(f.dir, "beside")
	r, err := restore.Media(t.Context(), o)
	must(t, err)
	if r.Others != 3 || r.Built.Left != 3 {
		t.Errorf("%d in the plan, %d left", r.Others, r.Built.Left)
	}
	archivetest.Same(t, f.original, o.To)
}

// namesIn are all names below a directory.
func namesIn(t testing.TB, dir string) string {
	t.Helper()
	var all strings.Builder
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		all.WriteString(path + "\n")
		return err
	}))
	return all.String()
}
