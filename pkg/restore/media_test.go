package restore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/archive/archivetest"
	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/media"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

// files is a live directory, a repository, and where intents go.
type files struct {
	t                   testing.TB
	dir, live, original string
	catalog             *catalog.Catalog
	set                 catalog.Set
}

// newFiles fills a directory with everything that is odd, keeps a copy of it, and makes a set of it.
func newFiles(t testing.TB) *files {
	t.Helper()
	dir := t.TempDir()
	f := &files{t: t, dir: dir, live: filepath.Join(dir, "media"), original: filepath.Join(dir, "original")}
	for path, text := range map[string]string{
		"a/one.txt": "one", "a/two.txt": "two", "a/deep/er/three": "three", "empty": "", "-dash": "x", "new\nline": "n",
		"bytes\xff\xfe": "not UTF-8", strings.Repeat("n", 255): "long", "a.b/c": "sorts before a/", "setuid": "s",
	} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(f.live, path)), 0o755))
		must(t, os.WriteFile(filepath.Join(f.live, path), []byte(text), 0o644))
	}
	at := func(path string) string { return filepath.Join(f.live, path) }
	must(t, os.Mkdir(at("bare"), 0o700))
	must(t, os.Link(at("a/one.txt"), at("a/deep/same")))
	must(t, os.Symlink("../../../etc/passwd", at("a/out")))
	must(t, os.Symlink(".", at("loop")))
	must(t, unix.Lsetxattr(at("a/two.txt"), "user.note", []byte("kept\x00"), 0))
	must(t, os.Chmod(at("setuid"), 0o4755))
	hole, err := os.Create(at("holes"))
	must(t, err)
	_, err = hole.WriteAt([]byte("end"), 1<<20)
	must(t, err)
	must(t, hole.Close())
	if os.Geteuid() == 0 {
		must(t, os.Lchown(at("a/two.txt"), 1234, 4321))
		must(t, os.Lchown(at("a/out"), 1234, 4321))
		must(t, os.Chown(at("setuid"), 1234, 4321))
		must(t, os.Chmod(at("setuid"), 0o4755))
	}
	must(t, os.Chtimes(at("a"), time.Time{}, time.Unix(1_000_000_000, 123456789)))
	proctest.Program(t, "cp", "-a", f.live, f.original)
	repository := filepath.Join(dir, "repository")
	must(t, os.Mkdir(repository, 0o700))
	f.open()
	f.set = f.publish()
	return f
}

func (f *files) open() {
	f.t.Helper()
	s, err := local.Open(filepath.Join(f.dir, "repository"), local.Options{})
	must(f.t, err)
	f.t.Cleanup(func() { _ = s.Close() })
	f.catalog = catalog.New(s, catalog.Options{})
}

// publish makes a set of the live files.
func (f *files) publish() catalog.Set {
	f.t.Helper()
	ctx := f.t.Context()
	d, err := f.catalog.Begin(ctx, catalog.Group{Kind: catalog.KindMedia})
	must(f.t, err)
	place, _ := f.catalog.Location(catalog.Ref{Group: catalog.Group{Kind: catalog.KindMedia}, ID: d.ID()})
	place = filepath.Join(strings.TrimSuffix(place, d.Ref().Dir()), d.Dir())
	var bytes int64
	written, err := artifact.Write(ctx, d, seal.Options{}, media.IndexName, func(w io.Writer) error {
		index := media.NewIndexWriter(w)
		report, err := media.Snapshot(ctx, media.SnapshotOptions{Source: f.live, Target: filepath.Join(place, "tree"), Write: index.Write})
		bytes = report.Bytes
		return errors.Join(err, index.Close())
	})
	must(f.t, err)
	set, err := d.Publish(ctx, catalog.Manifest{Artifacts: []catalog.Artifact{{Name: media.TreeName, Bytes: bytes}, written.Artifact}})
	must(f.t, err)
	return set
}

func (f *files) options() restore.MediaOptions {
	return restore.MediaOptions{
		Catalog: f.catalog, Set: f.set, Live: f.live, Intents: restore.Intents{Dir: filepath.Join(f.dir, "intents")}, PID: os.Getpid(), Host: "here",
	}
}

func (f *files) tree(path string) string {
	dir, _ := f.catalog.Location(f.set.Ref)
	return filepath.Join(dir, "tree", path)
}

// spoil does what an unlucky day does to the live files.
func (f *files) spoil() {
	f.t.Helper()
	must(f.t, os.Remove(filepath.Join(f.live, "a/two.txt")))
	must(f.t, os.WriteFile(filepath.Join(f.live, "a/one.txt"), []byte("overwritten"), 0o600))
	must(f.t, os.WriteFile(filepath.Join(f.live, "uploaded"), []byte("later"), 0o600))
	must(f.t, os.RemoveAll(filepath.Join(f.live, "a/deep")))
}

// snapshotOf is a copy of the live files as they are.
func (f *files) copyOf(name string) string {
	f.t.Helper()
	to := filepath.Join(f.dir, name)
	proctest.Program(f.t, "cp", "-a", f.live, to)
	return to
}

// beside lists what lies beside the live directory and was left by a restore.
func (f *files) beside() (names []string) {
	f.t.Helper()
	entries, err := os.ReadDir(f.dir)
	must(f.t, err)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "media_") {
			names = append(names, strings.Join(strings.Split(e.Name(), "_")[:2], "_"))
		}
	}
	return names
}

func (f *files) left(want ...string) {
	f.t.Helper()
	if got := f.beside(); fmt.Sprint(got) != fmt.Sprint(want) {
		f.t.Errorf("beside the live directory: %v, want %v", got, want)
	}
	if open, err := (restore.Intents{Dir: filepath.Join(f.dir, "intents")}).List(f.t.Context()); err != nil || len(open) > 0 {
		f.t.Errorf("open: %v, %v", open, err)
	}
}

// Promise: what is restored is what was backed up, in every respect, is a copy and no link into the repository; what was
// live is kept; an undo brings it back, and undoing that goes forward again.
func TestMediaRestored(t *testing.T) {
	for _, two := range []bool{false, true} {
		t.Run(fmt.Sprintf("two renames %v", two), func(t *testing.T) {
			f := newFiles(t)
			f.spoil()
			spoiled := f.copyOf("spoiled")
			o := f.options()
			if two {
				o = restore.WithoutExchange(o)
			}
			p, err := restore.PlanMedia(t.Context(), o)
			must(t, err)
			if got := fmt.Sprint(pathsOf(p.Added), pathsOf(p.Changed), pathsOf(p.Removed)); got != "[a/deep a/deep/er a/deep/er/three a/deep/same a/two.txt] [a/one.txt] [uploaded]" {
				t.Errorf("plan: %s", got)
			}
			archivetest.Same(t, spoiled, f.live)
			f.left()
			r, err := restore.Media(t.Context(), o)
			must(t, err)
			archivetest.Same(t, f.original, f.live)
			archivetest.Same(t, spoiled, filepath.Join(r.Kept, "tree"))
			var st unix.Stat_t
			must(t, unix.Lstat(filepath.Join(f.live, "a/two.txt"), &st))
			if st.Nlink != 1 {
				t.Errorf("a restored file has %d names", st.Nlink)
			}
			f.left("media_before")
			_, err = restore.UndoMedia(t.Context(), o)
			must(t, err)
			archivetest.Same(t, spoiled, f.live)
			f.left("media_undone")
			_, err = restore.UndoMedia(t.Context(), o)
			must(t, err)
			archivetest.Same(t, f.original, f.live)
			kept, err := restore.ListKeptMedia(f.live)
			must(t, err)
			for _, k := range kept {
				must(t, restore.DropMedia(k))
			}
			f.left()
			archivetest.Same(t, f.original, f.live)
		})
	}
}

func pathsOf(list []media.Difference) (paths []string) {
	for _, d := range list {
		paths = append(paths, d.Path)
	}
	return paths
}

// Promise: of chosen paths only those change, each with what is below it, whatever is there now; an undo takes away
// again what was not there.
func TestMediaPaths(t *testing.T) {
	f := newFiles(t)
	f.spoil()
	must(t, os.WriteFile(filepath.Join(f.live, "a/keep"), []byte("not chosen"), 0o600))
	spoiled := f.copyOf("spoiled")
	o := f.options()
	o.Paths = []string{"a/deep/er/three", "a/one.txt", "./a/two.txt", "bytes\xff\xfe"}
	r, err := restore.Media(t.Context(), o)
	must(t, err)
	if r.Files != 4 {
		t.Errorf("%d files", r.Files)
	}
	for _, path := range []string{"a/deep/er/three", "a/one.txt", "a/two.txt"} {
		want, _ := os.ReadFile(filepath.Join(f.original, path))
		if got, err := os.ReadFile(filepath.Join(f.live, path)); err != nil || string(got) != string(want) {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	for path, there := range map[string]bool{"a/keep": true, "uploaded": true, "a/deep/same": false} {
		if _, err := os.Lstat(filepath.Join(f.live, path)); (err == nil) != there {
			t.Errorf("%s: %v", path, err)
		}
	}
	_, err = restore.UndoMedia(t.Context(), o)
	must(t, err)
	archivetest.Same(t, spoiled, f.live, "--omit-dir-times")
	f.left("media_undone")
}

// Promise: beside means beside: the live files are not looked at, and nothing that exists is replaced.
func TestMediaBeside(t *testing.T) {
	f := newFiles(t)
	must(t, os.RemoveAll(f.live))
	o := f.options()
	o.To = filepath.Join(f.dir, "elsewhere")
	_, err := restore.Media(t.Context(), o)
	must(t, err)
	archivetest.Same(t, f.original, o.To)
	if _, err := restore.Media(t.Context(), o); !errors.Is(err, restore.ErrMediaExists) {
		t.Errorf("a second time: %v", err)
	}
	if _, err := os.Lstat(f.live); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the live directory: %v", err)
	}
	// What does not exist is made, and an undo takes it away.
	o.To = ""
	_, err = restore.Media(t.Context(), o)
	must(t, err)
	archivetest.Same(t, f.original, f.live)
	_, err = restore.UndoMedia(t.Context(), o)
	must(t, err)
	if _, err := os.Lstat(f.live); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the undo: %v", err)
	}
}

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

// Promise: an ordinary user gets everything but the owners, is told how many, and no rights of others.
func TestMediaOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	f := newFiles(t)
	proctest.Program(t, "chown", "-R", "--no-dereference", "65534:65534", filepath.Join(f.dir, "repository"))
	for dir := f.dir; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
	}
	home := filepath.Join(f.dir, "home")
	must(t, os.Mkdir(home, 0o755))
	must(t, os.Chown(home, 65534, 65534))
	to := filepath.Join(home, "restored")
	out := f.child(fileVictim{Dir: f.dir, Set: f.set.Ref.String(), To: to, UID: 65534}, nil)
	if !strings.Contains(out, "<nil> unowned ") || strings.Contains(out, "unowned 0") {
		t.Fatalf("%s", out)
	}
	archivetest.Same(t, f.original, to, "--no-perms", "--no-owner", "--no-group", "--no-acls", "--no-devices", "--no-specials")
	fi, err := os.Stat(filepath.Join(to, "setuid"))
	must(t, err)
	if fi.Mode()&fs.ModeSetuid != 0 {
		t.Error("a file of another owner came back with its setuid bit")
	}
}

// fileVictim tells the test binary what to restore, and where to die.
type fileVictim struct {
	Dir, Set, To, KillAt string
	Paths                []string
	Undo, Two            bool
	UID                  int
}

// child runs the test binary as that; check is told how it ended.
func (f *files) child(v fileVictim, check func(*os.ProcessState)) string {
	f.t.Helper()
	spec, err := json.Marshal(v)
	must(f.t, err)
	cmd := exec.CommandContext(f.t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), "RESTORE_TEST_MEDIA="+string(spec), "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if check != nil {
		check(cmd.ProcessState)
	} else if err != nil {
		f.t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func restoreMediaAndDie() {
	var v fileVictim
	err := json.Unmarshal([]byte(os.Getenv("RESTORE_TEST_MEDIA")), &v)
	if v.UID != 0 {
		err = errors.Join(err, syscall.Setgroups(nil), syscall.Setgid(v.UID), syscall.Setuid(v.UID))
	}
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	s, err := local.Open(filepath.Join(v.Dir, "repository"), local.Options{})
	if err != nil {
		panic(err)
	}
	c := catalog.New(s, catalog.Options{})
	ref, err := catalog.ParseRef(v.Set)
	if err != nil {
		panic(err)
	}
	set, err := c.Get(ctx, ref)
	if err != nil {
		panic(err)
	}
	o := restore.MediaOptions{
		Catalog: c, Set: set, Live: filepath.Join(v.Dir, "media"), To: v.To, Paths: v.Paths, Intents: restore.Intents{Dir: filepath.Join(v.Dir, "intents")},
		Step: func(name string) {
			if name == v.KillAt {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		},
	}
	if v.Two {
		o = restore.WithoutExchange(o)
	}
	if v.Undo {
		_, err = restore.UndoMedia(ctx, o)
		fmt.Println(err)
		return
	}
	r, err := restore.Media(ctx, o)
	fmt.Println(err, "unowned", r.Built.Unowned)
}

// Promise: a restore that is killed, at whatever step, leaves what was live or what was to be live, whole; resume ends
// it, what was live is kept in either case, and nothing is in the way of the next one.
func TestMediaKilled(t *testing.T) {
	steps := []struct {
		at       string
		two      bool
		resumed  bool // there is something to resume
		finished bool
	}{
		{"begun", false, false, false}, {"copy", false, false, false}, {"compare", false, false, false},
		{"intent written", false, true, false}, {"moved 0", false, true, true}, {"moved 1", false, true, true}, {"kept", false, true, true},
		{"aside", true, true, true}, {"in place", true, true, true},
	}
	for _, paths := range [][]string{nil, {"a/one.txt", "a/deep/er/three", "empty"}} {
		for _, s := range steps {
			if s.at == "moved 1" && paths == nil {
				continue
			}
			t.Run(fmt.Sprint(s.at, len(paths)), func(t *testing.T) {
				t.Parallel()
				f := newFiles(t)
				f.spoil()
				spoiled := f.copyOf("spoiled")
				f.child(fileVictim{Dir: f.dir, Set: f.set.Ref.String(), KillAt: s.at, Paths: paths, Two: s.two}, func(p *os.ProcessState) {
					if status, ok := p.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
						t.Fatal("was not killed")
					}
				})
				o := f.options()
				o.Paths = paths
				open, err := o.Intents.OpenMedia(t.Context(), f.live)
				must(t, err)
				if (open != nil) != s.resumed {
					t.Fatalf("intent %v", open)
				}
				if open != nil {
					if _, err := restore.Media(t.Context(), o); !errors.Is(err, restore.ErrOpen) {
						t.Errorf("another restore meanwhile: %v", err)
					}
					r, err := restore.ResumeMedia(t.Context(), o, *open)
					must(t, err)
					if (r.Outcome == restore.Finished) != s.finished {
						t.Errorf("%s, %s files are live", r.Outcome, r.Live)
					}
				}
				switch {
				case s.finished && paths == nil:
					archivetest.Same(t, f.original, f.live)
					f.left("media_before")
				case s.finished:
					for _, p := range paths {
						want, _ := os.ReadFile(filepath.Join(f.original, p))
						if got, err := os.ReadFile(filepath.Join(f.live, p)); err != nil || string(got) != string(want) {
							t.Errorf("%s: %q, %v", p, got, err)
						}
					}
					f.left("media_before")
				default:
					archivetest.Same(t, spoiled, f.live)
				}
				// The next one works, and drop-old removes what is left.
				_, err = restore.Media(t.Context(), f.options())
				must(t, err)
				archivetest.Same(t, f.original, f.live)
				kept, err := restore.ListKeptMedia(f.live)
				must(t, err)
				for _, k := range kept {
					must(t, restore.DropMedia(k))
				}
				f.left()
			})
		}
	}
}

// Promise: when the disk is full nothing is replaced, and nothing is left of it.
func TestMediaDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount")
	}
	f := newFiles(t)
	must(t, os.WriteFile(filepath.Join(f.live, "large"), make([]byte, 3<<20), 0o600))
	f.set = f.publish()
	small := filepath.Join(f.dir, "small")
	must(t, os.Mkdir(small, 0o755))
	proctest.Program(t, "mount", "-t", "tmpfs", "-o", "size=8m", "none", small)
	t.Cleanup(func() { must(t, unix.Unmount(small, 0)) })
	live := filepath.Join(small, "media")
	must(t, os.Mkdir(live, 0o755))
	must(t, os.WriteFile(filepath.Join(live, "mine"), []byte("here"), 0o600))
	o := f.options()
	o.Live = live
	o.Step = func(name string) {
		if name == "begun" { // somebody else fills it
			must(t, os.WriteFile(filepath.Join(small, "filler"), make([]byte, 6<<20), 0o600))
		}
	}
	if _, err := restore.Media(t.Context(), o); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("error %v", err)
	}
	if got, err := os.ReadFile(filepath.Join(live, "mine")); err != nil || string(got) != "here" {
		t.Errorf("live: %q, %v", got, err)
	}
	entries, err := os.ReadDir(small)
	must(t, err)
	if len(entries) != 2 {
		t.Errorf("left: %v", entries)
	}
	var space *restore.SpaceError
	o.Step = nil
	if _, err := restore.Media(t.Context(), o); !errors.As(err, &space) || space.Need < 3<<20 {
		t.Errorf("asked before: %v", err)
	}
}
