package atomicfile_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/atomicfile"
)

// A write gives the file its content and permissions, whatever the umask, and leaves nothing else.
func TestWrite(t *testing.T) {
	for _, perm := range []fs.FileMode{0o600, 0o644, 0o400} {
		dir := t.TempDir()
		path := filepath.Join(dir, "f")
		for _, content := range []string{"first", "second, longer", ""} {
			if err := atomicfile.Write(path, perm, []byte(content)); err != nil {
				t.Fatal(err)
			}
			wantFile(t, path, content)
			if fi, _ := os.Stat(path); fi.Mode().Perm() != perm {
				t.Errorf("mode %v, want %v", fi.Mode().Perm(), perm)
			}
		}
		wantNames(t, dir, "f")
	}
}

// Until Commit the old content is what readers see, and Abort leaves it so.
func TestAbort(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	must(t, os.WriteFile(path, []byte("old"), 0o600))
	f, err := atomicfile.Create(path, 0o600)
	must(t, err)
	if _, err := f.Write([]byte("new")); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "old")
	f.Abort()
	f.Abort()
	wantFile(t, path, "old")
	wantNames(t, dir, "f")
	if err := f.Commit(); !errors.Is(err, atomicfile.ErrClosed) {
		t.Errorf("Commit after Abort: %v", err)
	}
	if _, err := f.Write([]byte("x")); !errors.Is(err, atomicfile.ErrClosed) {
		t.Errorf("Write after Abort: %v", err)
	}
}

// Commit publishes once; Abort after it takes nothing back.
func TestCommitThenAbort(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	f, err := atomicfile.Create(path, 0o600)
	must(t, err)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the name exists before Commit: %v", err)
	}
	must(t, f.Commit())
	f.Abort()
	wantNames(t, dir, "f")
	if err := f.Commit(); !errors.Is(err, atomicfile.ErrClosed) {
		t.Errorf("second Commit: %v", err)
	}
}

// A write whose error the caller drops still keeps the short file from its name.
func TestFailedWriteIsRemembered(t *testing.T) {
	if os.Getenv("ATOMICFILE_SMALL_FILES") == "" {
		// In a process of its own: the limit on file sizes is for all of it.
		cmd := exec.Command(os.Args[0], "-test.run=^TestFailedWriteIsRemembered$", "-test.v")
		cmd.Env = append(os.Environ(), "ATOMICFILE_SMALL_FILES=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "the disk was full") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	must(t, os.WriteFile(path, []byte("old"), 0o600))
	f, err := atomicfile.Create(path, 0o600)
	must(t, err)
	var old syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old))
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1000, Max: old.Max}))
	f.Write(make([]byte, 4000))
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old))
	f.Write([]byte("this fits again"))
	if err := f.Commit(); !errors.Is(err, syscall.EFBIG) {
		t.Fatalf("Commit after a failed write: %v", err)
	}
	wantFile(t, path, "old")
	wantNames(t, dir, "f")
	t.Log("the disk was full")
}

// A target that cannot be replaced is an error that leaves no temporary file.
func TestCommitOntoDirectory(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "d"), 0o700))
	if err := atomicfile.Write(filepath.Join(dir, "d"), 0o600, nil); err == nil {
		t.Fatal("a file replaced a directory")
	}
	wantNames(t, dir, "d")
}

// CommitNew leaves what has the name, says so, and leaves nothing else.
func TestCommitNew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for i, want := range []error{nil, fs.ErrExist} {
		f, err := atomicfile.Create(path, 0o600)
		must(t, err)
		fmt.Fprint(f, i)
		if err := f.CommitNew(); !errors.Is(err, want) {
			t.Errorf("time %d: %v", i, err)
		}
		wantFile(t, path, "0")
		wantNames(t, dir, "f")
	}
}

// Names that are none, and directories that are not there, are errors that name what the caller asked for.
func TestCreateErrors(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{"", ".", "..", dir + "/", filepath.Join(dir, "missing", "f")} {
		_, err := atomicfile.Create(path, 0o600)
		if err == nil || strings.Contains(err.Error(), ".tmp-") || !strings.Contains(err.Error(), path) {
			t.Errorf("Create(%q): %v", path, err)
		}
	}
	long := strings.Repeat("n", 255)
	if err := atomicfile.Write(filepath.Join(dir, long), 0o600, nil); err != nil {
		t.Errorf("the longest name: %v", err)
	}
}

// A symbolic link is replaced, not written through, and appears at once.
func TestLinkIsReplaced(t *testing.T) {
	dir := t.TempDir()
	victim, link := filepath.Join(dir, "victim"), filepath.Join(dir, "link")
	must(t, os.WriteFile(victim, []byte("untouched"), 0o600))
	must(t, atomicfile.Symlink("elsewhere", link))
	must(t, atomicfile.Symlink("victim", link))
	if got, _ := os.Readlink(link); got != "victim" {
		t.Errorf("link to %q", got)
	}
	must(t, atomicfile.Write(link, 0o600, []byte("new")))
	wantFile(t, victim, "untouched")
	wantFile(t, link, "new")
	wantNames(t, dir, "link", "victim")
}

// MkdirAll makes what is missing with the permissions asked for, is content with what exists, and refuses
// to take a file for a directory.
func TestMkdirAll(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	for range 2 {
		must(t, atomicfile.MkdirAll(filepath.Join(dir, "a", "b", "c"), 0o700))
	}
	must(t, atomicfile.MkdirAll(dir, 0o700))
	for path, want := range map[string]fs.FileMode{".": 0o755, "a": 0o700, "a/b/c": 0o700} {
		if fi, err := os.Stat(filepath.Join(dir, path)); err != nil || fi.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, fi, err)
		}
	}
	wantNames(t, dir, "a")
	must(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o600))
	for _, path := range []string{"f", "f/below"} {
		if err := atomicfile.MkdirAll(filepath.Join(dir, path), 0o700); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Several at once agree on one directory and leave no temporary ones.
func TestMkdirAllAtOnce(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := atomicfile.MkdirAll(filepath.Join(dir, "a", "b"), 0o700); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantNames(t, dir, "a")
	wantNames(t, filepath.Join(dir, "a"), "b")
}

// RenameNew never replaces, not even an empty directory, and says so with fs.ErrExist.
func TestRenameNew(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	for _, d := range []string{"from/in", "taken", "other"} {
		must(t, os.MkdirAll(filepath.Join(dir, d), 0o700))
	}
	if err := atomicfile.RenameNew(root, "from", "taken"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("onto an empty directory: %v", err)
	}
	if err := atomicfile.RenameNew(root, "absent", "new"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("from nowhere: %v", err)
	}
	must(t, atomicfile.RenameNew(root, "from", "other/new"))
	wantNames(t, dir, "other", "taken")
	wantNames(t, filepath.Join(dir, "other"), "new")
}

// What root creates belongs to the owner of the directory, so that the two can take turns; what a user
// creates is theirs.
func TestOwner(t *testing.T) {
	dir := t.TempDir()
	uid, gid := os.Getuid(), os.Getgid()
	if os.Geteuid() == 0 {
		uid, gid = 12345, 54321
		must(t, os.Chown(dir, uid, gid))
	}
	must(t, atomicfile.Write(filepath.Join(dir, "f"), 0o600, nil))
	must(t, atomicfile.MkdirAll(filepath.Join(dir, "a", "b"), 0o700))
	must(t, atomicfile.Write(filepath.Join(dir, "a", "b", "f"), 0o600, nil))
	must(t, atomicfile.Symlink("f", filepath.Join(dir, "l")))
	for _, path := range []string{"f", "a", "a/b", "a/b/f", "l"} {
		fi, err := os.Lstat(filepath.Join(dir, path))
		must(t, err)
		st := fi.Sys().(*syscall.Stat_t)
		if int(st.Uid) != uid || int(st.Gid) != gid {
			t.Errorf("%s belongs to %d:%d, want %d:%d", path, st.Uid, st.Gid, uid, gid)
		}
	}
}

// Readers and rival writers only ever see whole contents.
func TestReadersSeeWholeFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	contents := []string{strings.Repeat("a", 10_000), strings.Repeat("b", 70_000)}
	must(t, atomicfile.Write(path, 0o600, []byte(contents[0])))
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			for range 20 {
				if err := atomicfile.Write(path, 0o600, []byte(contents[i])); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for {
		got, err := os.ReadFile(path)
		if err != nil || string(got) != contents[0] && string(got) != contents[1] {
			t.Fatalf("read %d bytes, %v", len(got), err)
		}
		select {
		case <-done:
			return
		default:
			runtime.Gosched()
		}
	}
}

func ExampleCreate() {
	dir, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "report")

	report := func() error {
		f, err := atomicfile.Create(path, 0o600)
		if err != nil {
			return err
		}
		defer f.Abort()
		if _, err := fmt.Fprintln(f, "all is well"); err != nil {
			return err
		}
		return f.Commit()
	}
	fmt.Println(report())
	data, _ := os.ReadFile(path)
	fmt.Print(string(data))
	// Output:
	// <nil>
	// all is well
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v; want %q", filepath.Base(path), got, err, want)
	}
}

// wantNames holds the directory against the names that may be in it; a temporary file is never among them.
func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s holds %v, want %v", dir, got, want)
	}
}
