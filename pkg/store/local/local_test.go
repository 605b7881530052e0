package local_test

import (
	"context"
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

	"github.com/bmad-forge/forgectl/pkg/store"
	"github.com/bmad-forge/forgectl/pkg/store/local"
	"github.com/bmad-forge/forgectl/pkg/store/storetest"
)

var (
	_ store.Store   = (*local.Store)(nil)
	_ store.Renamer = (*local.Store)(nil)
	_ store.Spacer  = (*local.Store)(nil)
	_ store.Locator = (*local.Store)(nil)
)

func open(t *testing.T, dir string) *local.Store {
	t.Helper()
	s, err := local.Open(dir, local.Options{})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	kernels(t, func(t *testing.T, open func(*testing.T, string) *local.Store) {
		storetest.Run(t, func(t *testing.T) store.Store { return open(t, t.TempDir()) })
	})
}

// kernels runs a test as on a kernel that knows openat2, and as on one that does not.
func kernels(t *testing.T, test func(*testing.T, func(*testing.T, string) *local.Store)) {
	t.Run("openat2", func(t *testing.T) { test(t, open) })
	t.Run("without", func(t *testing.T) {
		test(t, func(t *testing.T, dir string) *local.Store {
			s := open(t, dir)
			s.WithoutOpenat2()
			return s
		})
	})
}

// The root is made only when asked for, with its parents and for its owner alone.
func TestCreate(t *testing.T) {
	root := filepath.Join(t.TempDir(), "a", "b")
	if _, err := local.Open(root, local.Options{}); !errors.Is(err, store.ErrNotExist) || !strings.Contains(err.Error(), root) {
		t.Errorf("open what is not there: %v", err)
	}
	for range 2 {
		s, err := local.Open(root, local.Options{Create: true})
		must(t, err)
		must(t, s.Close())
	}
	if fi, err := os.Stat(root); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	file := filepath.Join(root, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for _, create := range []bool{false, true} {
		if _, err := local.Open(file, local.Options{Create: create}); err == nil || !strings.Contains(err.Error(), "not a directory") {
			t.Errorf("open a file: %v", err)
		}
	}
}

// Files are for their owner alone, and what root makes belongs to whom the root of the store belongs.
func TestModesAndOwner(t *testing.T) {
	dir := t.TempDir()
	uid := os.Getuid()
	if os.Geteuid() == 0 {
		uid = 12345
		must(t, os.Chown(dir, uid, uid))
	}
	s := open(t, dir)
	must(t, put(t, s, "a/b/c", "x"))
	must(t, put(t, s, "top", "x"))
	must(t, s.Rename(t.Context(), "top", "new/top"))
	for name, want := range map[string]fs.FileMode{"a": 0o700, "a/b": 0o700, "a/b/c": 0o600, "new": 0o700, "new/top": 0o600} {
		fi, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		if st := fi.Sys().(*syscall.Stat_t); fi.Mode().Perm() != want || int(st.Uid) != uid {
			t.Errorf("%s: mode %v uid %d, want %v %d", name, fi.Mode().Perm(), st.Uid, want, uid)
		}
	}
}

// Nothing that lies below the root leads out of it, and what is no regular file is listed but never opened.
func TestIrregular(t *testing.T) { kernels(t, testIrregular) }

func testIrregular(t *testing.T, open func(*testing.T, string) *local.Store) {
	outside := t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600))
	dir := t.TempDir()
	s := open(t, dir)
	must(t, put(t, s, "real", "x"))
	must(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, "file-link")))
	must(t, os.Symlink(outside, filepath.Join(dir, "dir-link")))
	must(t, os.Symlink("real", filepath.Join(dir, "inner-link")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))

	entries, err := s.List(t.Context(), "")
	must(t, err)
	for _, e := range entries {
		if e.Irregular != (e.Name != "real") || e.Dir {
			t.Errorf("listed %+v", e)
		}
	}
	for _, name := range []string{"file-link", "inner-link", "pipe", "dir-link"} {
		if _, err := s.Open(t.Context(), name); !errors.Is(err, store.ErrNotBlob) {
			t.Errorf("Open %s: %v", name, err)
		}
		if e, err := s.Stat(t.Context(), name); err != nil || !e.Irregular {
			t.Errorf("Stat %s: %+v, %v", name, e, err)
		}
	}
	for what, call := range map[string]func() error{
		"Open": func() error { _, err := s.Open(t.Context(), "dir-link/secret"); return err },
		"List": func() error { _, err := s.List(t.Context(), "dir-link"); return err },
		"Put":  func() error { return put(t, s, "dir-link/new", "x") },
	} {
		if err := call(); err == nil || errors.Is(err, store.ErrNotExist) {
			t.Errorf("%s through a link out of the root: %v", what, err)
		}
	}
	s.Delete(t.Context(), "dir-link/secret")
	for _, name := range []string{"dir-link", "file-link", "pipe"} {
		must(t, s.Delete(t.Context(), name))
	}
	if left, _ := os.ReadDir(outside); len(left) != 1 {
		t.Errorf("outside the root there is now %v", left)
	}
}

// What a killed Put leaves behind is neither listed nor counted, and goes with its directory.
func TestLeftover(t *testing.T) {
	if dir := os.Getenv("LOCAL_TEST_KILLED"); dir != "" {
		put := func(w io.Writer) error {
			fmt.Fprint(w, "half")
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		open(t, dir).Put(context.Background(), "set/blob", put)
		t.Fatal("survived")
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestLeftover$")
	cmd.Env = append(os.Environ(), "LOCAL_TEST_KILLED="+dir)
	if out, err := cmd.CombinedOutput(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("not killed: %s", out)
	}
	s := open(t, dir)
	if left, err := os.ReadDir(filepath.Join(dir, "set")); err != nil || len(left) != 1 {
		t.Fatalf("the killed Put left %v, %v", left, err)
	}
	if entries, err := s.List(t.Context(), "set"); err != nil || len(entries) != 0 {
		t.Errorf("listed %v, %v", entries, err)
	}
	must(t, s.Delete(t.Context(), "set"))
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("Delete left %v", left)
	}
}

// A disk that runs full leaves no file and no directory, also when the writer does not look at the error.
func TestFullDisk(t *testing.T) {
	if dir := os.Getenv("LOCAL_TEST_FULL"); dir != "" {
		// As near to a full disk as an ordinary user gets: no file may grow beyond 1,000 bytes.
		must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1000, Max: 1000}))
		s := open(t, dir)
		for _, careless := range []bool{false, true} {
			err := s.Put(t.Context(), "set/sub/blob", func(w io.Writer) error {
				_, err := w.Write(make([]byte, 4000))
				if careless {
					return nil
				}
				return err
			})
			if !errors.Is(err, syscall.EFBIG) {
				t.Errorf("Put: %v", err)
			}
		}
		return
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestFullDisk$")
	cmd.Env = append(os.Environ(), "LOCAL_TEST_FULL="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Names that no Put could have made are not listed, so that everything listed can be opened or deleted.
func TestForeignNames(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"\xff", ".x.tmp-1", "good"} {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	entries, err := open(t, dir).List(t.Context(), "")
	if err != nil || len(entries) != 1 || entries[0].Name != "good" {
		t.Errorf("%v, %v", entries, err)
	}
}

// A directory that may not be read is an error, not an empty listing.
func TestUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		// Root may read everything; give the part to a user who may not.
		dir := t.TempDir()
		must(t, os.Chmod(filepath.Dir(dir), 0o755))
		must(t, os.Chown(dir, 65534, 65534))
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestUnreadable$")
		cmd.Env = append(os.Environ(), "TMPDIR="+dir)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	dir := t.TempDir()
	s := open(t, dir)
	must(t, put(t, s, "set/blob", "x"))
	must(t, os.Chmod(filepath.Join(dir, "set"), 0))
	defer os.Chmod(filepath.Join(dir, "set"), 0o700)
	_, errList := s.List(t.Context(), "set")
	_, errOpen := s.Open(t.Context(), "set/blob")
	_, errStat := s.Stat(t.Context(), "set/blob")
	for what, err := range map[string]error{"List": errList, "Open": errOpen, "Stat": errStat, "Put": put(t, s, "set/new", "x")} {
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// What is ours can be removed, whatever its mode: a tree of files has directories that nobody may write to.
	must(t, s.Delete(t.Context(), "set"))
}

func Example() {
	dir, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(dir)
	ctx := context.Background()
	s, err := local.Open(filepath.Join(dir, "repository"), local.Options{Create: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	err = s.Put(ctx, "set/data", func(w io.Writer) error {
		_, err := io.WriteString(w, "content")
		return err
	})
	fmt.Println(err)
	entries, _ := s.List(ctx, "set")
	for _, e := range entries {
		fmt.Println(e.Name, e.Size)
	}
	// Output:
	// <nil>
	// data 7
}

func put(t *testing.T, s store.Store, name, content string) error {
	t.Helper()
	return s.Put(t.Context(), name, func(w io.Writer) error {
		_, err := io.WriteString(w, content)
		return err
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A file system that knows neither hard links nor renames that never replace does as well.
func TestNoLinks(t *testing.T) {
	if storetest.NoLinks(t) {
		storetest.Run(t, func(t *testing.T) store.Store { return open(t, t.TempDir()) })
	}
}
