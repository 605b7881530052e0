package backup_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/archive/archivetest"
	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/media"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
	"github.com/bmad-forge/forgectl/pkg/store/local"
	"github.com/bmad-forge/forgectl/pkg/store/storetest"
)

var mediaGroup = catalog.Group{Kind: catalog.KindMedia}

// mediaSource is a small tree with some of everything.
func mediaSource(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "media")
	for i := range 40 {
		writeMedia(t, dir, fmt.Sprintf("docs/%d/file.pdf", i), strings.Repeat("x", i*100))
	}
	writeMedia(t, dir, "new\nline", "x")
	must(t, os.Symlink("new\nline", filepath.Join(dir, "link")))
	must(t, os.Mkdir(filepath.Join(dir, "empty"), 0o700))
	time.Sleep(50 * time.Millisecond) // until the clock of the file system has gone on
	return dir
}

func writeMedia(t testing.TB, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

func treeOf(dir string, set catalog.Set) string { return filepath.Join(dir, set.Dir(), "tree") }

// Promise: a set holds the tree, an index that is whole, and what the next one needs; unchanged files are shared with the
// newest set, and "latest" leads to it.
func TestMedia(t *testing.T) {
	source := mediaSource(t)
	c, dir := repository(t)
	var stages []string
	o := backup.MediaOptions{SetOptions: backup.SetOptions{Catalog: c, Progress: func(stage string, _, _ int64) { stages = append(stages, stage) }}, Source: source}
	one, err := backup.Media(t.Context(), o)
	must(t, err)
	archivetest.Same(t, source, treeOf(dir, one.Set))
	m := one.Set.Manifest
	if m.Contents.Files != 41 || m.Contents.Directories != 43 || m.Contents.Links != 1 || len(stages) == 0 || len(one.Warnings) > 0 {
		t.Errorf("%+v, %v", m.Contents, one.Warnings)
	}
	writeMedia(t, source, "docs/3/file.pdf", "changed")
	two, err := backup.Media(t.Context(), o)
	must(t, err)
	if two.Previous != one.Set.Ref || two.Report.Linked != 40 || two.Report.Copied != 1 {
		t.Errorf("%s, %+v", two.Previous, two.Report)
	}
	archivetest.Same(t, source, treeOf(dir, two.Set))
	if target, err := os.Readlink(filepath.Join(dir, "media", "latest")); err != nil || target != string(two.Set.ID) {
		t.Errorf("latest: %q, %v", target, err)
	}
	if fi, err := os.Stat(filepath.Join(dir, two.Set.Dir())); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	must(t, c.Remove(t.Context(), one.Set.Ref))
	archivetest.Same(t, source, treeOf(dir, two.Set))
}

// Promise: a tree that lost most of its files is suspect.
func TestMediaShrinks(t *testing.T) {
	source := mediaSource(t)
	c, _ := repository(t)
	o := backup.MediaOptions{SetOptions: backup.SetOptions{Catalog: c, Shrink: 50}, Source: source}
	_, err := backup.Media(t.Context(), o)
	must(t, err)
	must(t, os.RemoveAll(filepath.Join(source, "docs")))
	r, err := backup.Media(t.Context(), o)
	must(t, err)
	if k := r.Set.Suspicion(); k == nil || !strings.Contains(k.Reason, "files fell from 41 to 1") {
		t.Errorf("%+v", k)
	}
}

// Promise: what cannot be read is named in the set, which is kept all the same.
func TestMediaIncomplete(t *testing.T) {
	if os.Geteuid() == 0 {
		asNobody(t)
		return
	}
	source := mediaSource(t)
	must(t, os.Chmod(filepath.Join(source, "docs/3"), 0))
	must(t, os.Chmod(filepath.Join(source, "docs/5/file.pdf"), 0))
	must(t, os.Chmod(filepath.Join(source, "docs/6"), 0o500))
	t.Cleanup(func() {
		_ = os.Chmod(filepath.Join(source, "docs/3"), 0o700)
		_ = os.Chmod(filepath.Join(source, "docs/6"), 0o700)
	})
	c, dir := repository(t)
	for range 2 {
		r, err := backup.Media(t.Context(), backup.MediaOptions{SetOptions: backup.SetOptions{Catalog: c}, Source: source})
		must(t, err)
		want := []string{"docs/3: permission denied", "docs/5/file.pdf: permission denied"}
		if got := r.Set.Manifest.Incomplete; len(got) != 2 || !contains(got, want...) {
			t.Errorf("%q", got)
		}
		if good, why := r.Set.Good(); !good {
			t.Error(why)
		}
		if fi, err := os.Stat(filepath.Join(treeOf(dir, r.Set), "docs/6")); err != nil || fi.Mode().Perm() != 0o500 {
			t.Errorf("%v, %v", fi, err)
		}
		// Also a directory that may not be written can be removed with its set.
		must(t, c.Remove(t.Context(), r.Set.Ref))
	}
}

func contains(all []string, want ...string) bool {
	text := "\n" + strings.Join(all, "\n") + "\n"
	for _, w := range want {
		if !strings.Contains(text, "\n"+w+"\n") {
			return false
		}
	}
	return true
}

// asNobody runs the calling test in a process of an ordinary user.
func asNobody(t *testing.T) {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "test")
	data, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	must(t, os.WriteFile(exe, data, 0o755))
	must(t, os.Chmod(filepath.Dir(exe), 0o755))
	must(t, os.Chmod(filepath.Dir(filepath.Dir(exe)), 0o755))
	work := t.TempDir()
	must(t, os.Chown(work, 65534, 65534))
	must(t, os.Chmod(filepath.Dir(work), 0o755))
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir, cmd.Env = work, append(os.Environ(), "TMPDIR="+work, "HOME="+work)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
}

// Promise: a set that has lost its index, or part of it, is no base for the next one; an older one is.
func TestMediaPreviousIndex(t *testing.T) {
	source := mediaSource(t)
	c, dir := repository(t)
	o := backup.MediaOptions{SetOptions: backup.SetOptions{Catalog: c}, Source: source}
	one, err := backup.Media(t.Context(), o)
	must(t, err)
	two, err := backup.Media(t.Context(), o)
	must(t, err)
	index := filepath.Join(dir, two.Set.Dir(), "index.jsonl.zst")
	data, err := os.ReadFile(index)
	must(t, err)
	data[len(data)/2] ^= 1
	must(t, os.WriteFile(index, data, 0o600))
	three, err := backup.Media(t.Context(), o)
	must(t, err)
	if three.Previous != one.Set.Ref || len(three.Warnings) != 1 {
		t.Errorf("%s, %q", three.Previous, three.Warnings)
	}
	archivetest.Same(t, source, treeOf(dir, three.Set))
}

// Promise: nothing is linked to a file that a verify found damaged, nor to anything of a set of which nobody can say what
// is damaged.
func TestMediaDamaged(t *testing.T) {
	source := mediaSource(t)
	c, dir := repository(t)
	o := backup.MediaOptions{SetOptions: backup.SetOptions{Catalog: c}, Source: source}
	one, err := backup.Media(t.Context(), o)
	must(t, err)
	const damaged = "docs/7/file.pdf"
	must(t, c.AddCheck(t.Context(), one.Set.Ref, catalog.Check{What: catalog.CheckVerify, Level: catalog.LevelChecksum, Problems: []string{damaged}}))
	o.Damaged = func(catalog.Set) ([]string, bool) { return []string{damaged}, false }
	two, err := backup.Media(t.Context(), o)
	must(t, err)
	if two.Report.Copied != 1 || two.Report.Linked != 40 {
		t.Errorf("%+v", two.Report)
	}
	a, err := os.Stat(filepath.Join(treeOf(dir, one.Set), damaged))
	must(t, err)
	b, err := os.Stat(filepath.Join(treeOf(dir, two.Set), damaged))
	must(t, err)
	if os.SameFile(a, b) {
		t.Error("linked to a file that is damaged")
	}
	must(t, c.Remove(t.Context(), two.Set.Ref))
	o.Damaged = func(catalog.Set) ([]string, bool) { return nil, true }
	three, err := backup.Media(t.Context(), o)
	must(t, err)
	if three.Report.Linked != 0 {
		t.Errorf("%+v", three.Report)
	}
}

// mediaSteps are the named points of a backup of media, in order.
var mediaSteps = []string{"begun", "directory", "file", "copied", "written", "synced", "indexed", "read back", "published", "latest"}

// mediaKillEnv makes the test binary back up a tree and kill itself at a step, "-" for a moment that the test chooses.
const mediaKillEnv = "BACKUP_TEST_KILL_MEDIA" // <step>|<repository>|<source>

func backUpMediaAndDie(spec string) {
	part := strings.SplitN(spec, "|", 3)
	s, err := local.Open(part[1], local.Options{})
	if err != nil {
		panic(err)
	}
	_, err = backup.Media(context.Background(), backup.MediaOptions{
		SetOptions: backup.SetOptions{Catalog: catalog.New(s, catalog.Options{}), Step: proctest.DieAt(part[0])},
		Source:     part[2],
	})
	fmt.Println("ended", err)
	os.Exit(1)
}

// Promise: a backup that is killed, at whatever step or moment, leaves no set but the one that it had published; the next
// one removes what is left, says so, and works.
func TestMediaKilled(t *testing.T) {
	source := mediaSource(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	kills := append([]string{"-", "-", "-"}, mediaSteps...)
	for _, step := range kills {
		c, dir := repository(t)
		_, err := backup.Media(t.Context(), backup.MediaOptions{SetOptions: backup.SetOptions{Catalog: c}, Source: source})
		must(t, err)
		writeMedia(t, source, "changes", step)
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%s|%s", mediaKillEnv, step, dir, source), "GORACE=atexit_sleep_ms=0")
		must(t, cmd.Start())
		if step == "-" {
			time.Sleep(time.Duration(random.Int64N(int64(60 * time.Millisecond))))
			_ = cmd.Process.Kill()
		}
		_ = cmd.Wait()
		killed := cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
		if !killed && step != "-" {
			t.Fatalf("%s: was not killed", step)
		}
		sets, err := c.List(t.Context(), mediaGroup)
		must(t, err)
		switch done := step == "published" || step == "latest"; {
		case step == "-":
		case done != (len(sets) == 2):
			t.Errorf("%s: %d sets", step, len(sets))
		}
		for _, s := range sets {
			if good, why := s.Good(); !good {
				t.Errorf("%s: %s", step, why)
			}
		}
		next := catalog.New(storeOf(t, dir), catalog.Options{Now: func() time.Time { return time.Now().Add(time.Minute) }})
		r, err := backup.Media(t.Context(), backup.MediaOptions{SetOptions: backup.SetOptions{Catalog: next}, Source: source})
		must(t, err)
		if left := step != "published" && step != "latest"; step != "-" && left != (len(r.Removed) == 1) {
			t.Errorf("%s: the next run removed %q", step, r.Removed)
		}
		archivetest.Same(t, source, treeOf(dir, r.Set))
		for _, f := range files(t, dir) {
			if strings.Contains(f, "partial") {
				t.Fatalf("%s: left: %s", step, f)
			}
		}
	}
}

// Promise: a set is published when its tree is on stable storage, and not before; the index is read back meanwhile.
func TestMediaSyncedFirst(t *testing.T) {
	source := mediaSource(t)
	c, _ := repository(t)
	var mu sync.Mutex
	var steps []string
	indexed := make(chan struct{})
	_, err := backup.Media(t.Context(), backup.MediaOptions{Source: source, SetOptions: backup.SetOptions{Catalog: c, Step: func(step string) {
		switch step {
		case "indexed":
			close(indexed)
		case "synced":
			<-indexed // which waits for nothing
		}
		mu.Lock()
		defer mu.Unlock()
		steps = append(steps, step)
	}}})
	must(t, err)
	synced, read, published := slices.Index(steps, "synced"), slices.Index(steps, "read back"), slices.Index(steps, "published")
	if synced < 0 || synced > read || read > published {
		t.Errorf("%q", steps)
	}
}

// Promise: a repository that runs full, or goes away, ends the backup with the reason and leaves nothing.
func TestMediaRepositoryFull(t *testing.T) {
	source := mediaSource(t)
	writeMedia(t, source, "big", strings.Repeat("x", 3<<20))
	dir := t.TempDir()
	disk := storetest.Mount(t, dir, 4<<20)
	c := repositoryIn(t, dir)
	o := backup.MediaOptions{SetOptions: backup.SetOptions{Catalog: c}, Source: source}
	disk.Fill(1 << 20)
	_, err := backup.Media(t.Context(), o)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	nothingLeft(t, dir)
	o.Free = func(context.Context) (int64, error) { return 1 << 20, nil }
	_, err = backup.Media(t.Context(), o)
	var space *backup.SpaceError
	if !errors.As(err, &space) || space.Need < 3<<20 {
		t.Error(err)
	}
	disk.Free()
	o.Free = nil
	var once atomic.Bool
	o.Step = func(step string) {
		if step == "written" && once.CompareAndSwap(false, true) {
			disk.Unmount()
		}
	}
	if _, err = backup.Media(t.Context(), o); err == nil {
		t.Error("published where nobody sees it")
	}
	disk.Remount()
	o.Step = nil
	r, err := backup.Media(t.Context(), o)
	must(t, err)
	archivetest.Same(t, source, treeOf(dir, r.Set))
}

// Promise: a source that goes away in the middle is no set; nor is one that is not there.
func TestMediaSourceGone(t *testing.T) {
	source := t.TempDir()
	disk := storetest.Mount(t, source, 1<<20)
	writeMedia(t, source, "a", "x")
	c, dir := repository(t)
	_, err := backup.Media(t.Context(), backup.MediaOptions{
		SetOptions: backup.SetOptions{Catalog: c, Step: func(step string) {
			if step == "copied" {
				disk.Unmount()
			}
		}},
		Source: source,
	})
	if !errors.Is(err, media.ErrGone) {
		t.Error(err)
	}
	nothingLeft(t, dir)
	_, err = backup.Media(t.Context(), backup.MediaOptions{SetOptions: backup.SetOptions{Catalog: c}, Source: source + "/none"})
	if !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	nothingLeft(t, dir)
}

// Promise: RECOVER.md is right: its commands, as they stand, find the set unharmed and bring the tree back.
func TestMediaRecover(t *testing.T) {
	source := mediaSource(t)
	c, dir := repository(t)
	r, err := backup.Media(t.Context(), backup.MediaOptions{SetOptions: backup.SetOptions{Catalog: c}, Source: source})
	must(t, err)
	set := filepath.Join(dir, r.Set.Dir())
	text, err := os.ReadFile(filepath.Join(set, "RECOVER.md"))
	must(t, err)
	blocks := strings.Split(string(text), "```")
	script := "set -eu\n"
	for i := 1; i < len(blocks); i += 2 {
		script += strings.TrimPrefix(blocks[i], "sh\n")
	}
	if _, err := exec.LookPath("jq"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("cannot be left out in CI: %v", err)
		}
		t.Skip(err)
	}
	to := filepath.Join(t.TempDir(), "new")
	run := func() (string, error) {
		cmd := exec.CommandContext(t.Context(), "/bin/bash", "-c", "set -o pipefail\n"+script)
		cmd.Dir, cmd.Env = set, append(os.Environ(), "NEW="+to)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, out)
	}
	archivetest.Same(t, source, to)
	must(t, os.WriteFile(filepath.Join(set, "tree/docs/9/file.pdf"), []byte("y"), 0o644))
	to += "2"
	if out, err := run(); err == nil || !strings.Contains(out, "docs/9/file.pdf: FAILED") {
		t.Errorf("%v\n%s", err, out)
	}
}
