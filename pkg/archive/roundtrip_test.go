package archive_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/archive"
	"github.com/bmad-forge/forgectl/pkg/archive/archivetest"
)

// tree makes a directory with everything that configuration may have, and a few things that it has not.
func tree(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "etc")
	write(t, dir+"/app/env", "SECRET_KEY=hunter2\n")
	write(t, dir+"/app-more", "sorts between app and what is in it\n")
	write(t, dir+"/app/empty", "")
	write(t, dir+"/app/-rf", "a leading dash")
	write(t, dir+"/app/line\nbreak", "a newline")
	write(t, dir+"/app/\xff\xfe", "no UTF-8")
	write(t, dir+"/app/ümlaut "+strings.Repeat("x", 240), "a long name")
	write(t, dir+"/app/deep/"+strings.Repeat("d/", 50)+"leaf", "deep")
	write(t, dir+"/app/secret", "0000")
	must(t, os.Chmod(dir+"/app/secret", 0))
	must(t, os.Mkdir(dir+"/empty", 0o700))
	must(t, os.Chmod(dir+"/empty", 0o1777))
	must(t, os.Symlink("env", dir+"/app/link"))
	must(t, os.Symlink("/nonexistent/\xff", dir+"/app/dangling"))
	must(t, os.Symlink("loop", dir+"/app/loop"))
	must(t, os.Link(dir+"/app/env", dir+"/zz-hard"))
	if os.Geteuid() == 0 {
		must(t, os.Lchown(dir+"/app/-rf", 12345, 54321))
		must(t, os.Lchown(dir+"/app/link", 12345, 54321))
		must(t, unix.Setxattr(dir+"/app/env", "user.note", []byte("a\x00b"), 0))
		must(t, os.Chmod(dir+"/app/-rf", 0o755|os.ModeSetuid))
	}
	at := time.Date(2001, 2, 3, 4, 5, 6, 123456789, time.UTC)
	must(t, os.Chtimes(dir+"/app/env", at, at))
	must(t, os.Chtimes(dir+"/app", at, at))
	return dir
}

func owned(e archive.Entry) (int, int) { return e.UID, e.GID }

// whole are the options that bring everything back.
func whole() archive.ExtractOptions {
	o := archive.ExtractOptions{ReadOptions: archive.ReadOptions{Links: archive.LinksAsStored}, Special: true}
	if os.Geteuid() == 0 {
		o.Owner = owned
	}
	return o
}

// Promise: what was packed comes back the same, names, modes, owners, times, attributes, links and all; the index says
// of each entry what the archive says; and stock tar brings the same back.
func TestRoundTrip(t *testing.T) {
	dir := tree(t)
	data, packed := pack(t, archive.PackOptions{}, dir)
	if len(packed.Unread)+len(packed.Missing)+len(packed.Changing)+len(packed.Skipped) > 0 {
		t.Errorf("%+v", packed)
	}
	to := t.TempDir()
	x, err := archive.Extract(t.Context(), bytes.NewReader(data), to, whole())
	must(t, err)
	archivetest.Same(t, dir, to+dir)
	if want := packed.Totals; x.Totals != want || want.Files < 10 || x.Attributes > 0 {
		t.Errorf("extracted %+v, packed %+v", x, want)
	}
	entries, err := readAll(data, archive.ReadOptions{Links: archive.LinksAsStored})
	must(t, err)
	for _, list := range [][]archive.Entry{entries, indexed(t, packed.Entries)} {
		if !slices.EqualFunc(list, packed.Entries, archive.Entry.Same) {
			t.Errorf("other entries:\n%+v\n%+v", list, packed.Entries)
		}
	}
	if !slices.IsSortedFunc(entries, func(a, b archive.Entry) int { return archive.Compare(a.Path, b.Path) }) {
		t.Error("not in order")
	}
	stock := t.TempDir()
	tar := exec.CommandContext(t.Context(), "tar", "-x", "--xattrs", "--xattrs-include=*", "--same-permissions", "-C", stock)
	tar.Stdin = bytes.NewReader(data)
	if out, err := tar.CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	archivetest.Same(t, dir, stock+dir)
}

// Promise: the stream depends on what is packed, and not on the order in which directories are read or paths named.
func TestDeterministic(t *testing.T) {
	dir := tree(t)
	a, _ := pack(t, archive.PackOptions{}, dir)
	b, packed := pack(t, archive.PackOptions{}, dir+"/app", dir+"/zz-hard", dir, dir+"/app/env")
	if !bytes.Equal(a, b) {
		t.Error("two packs differ")
	}
	var named []string
	for _, e := range packed.Entries {
		if e.Named {
			named = append(named, "/"+e.Path)
		}
	}
	if !slices.Equal(named, []string{dir, dir + "/app", dir + "/app/env", dir + "/zz-hard"}) {
		t.Errorf("named %q", named)
	}
}

// Promise: what is no file, directory or link is never opened (a FIFO would wait for ever) and named; so is what is
// missing, and a link to what is not stored; a named link brings what it points to.
func TestOdd(t *testing.T) {
	dir := t.TempDir()
	must(t, syscall.Mkfifo(dir+"/fifo", 0o600))
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(t, err)
	defer unix.Close(fd)
	must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: dir + "/socket"}))
	elsewhere := t.TempDir()
	write(t, elsewhere+"/real", "x")
	write(t, elsewhere+"/other", "x")
	must(t, os.Symlink(elsewhere+"/real", dir+"/named"))
	must(t, os.Symlink(elsewhere+"/other", dir+"/outside"))
	_, p := pack(t, archive.PackOptions{}, dir, dir+"/named", "/nonexistent/x", dir+"/fifo/below")
	if !slices.Equal(p.Skipped, []string{dir + "/fifo", dir + "/socket"}) || !slices.Equal(p.Missing, []string{"/nonexistent/x"}) {
		t.Errorf("skipped %q, missing %q", p.Skipped, p.Missing)
	}
	if !slices.Equal(p.Outside, []string{dir + "/outside -> " + elsewhere + "/other"}) {
		t.Errorf("outside %q", p.Outside)
	}
	if p.Totals.Files != 1 || p.Totals.Links != 2 {
		t.Errorf("%+v", p.Totals)
	}
	for _, path := range []string{"etc", "", "/", "/x/.."} {
		if _, err := archive.Pack(t.Context(), &bytes.Buffer{}, []string{path}, archive.PackOptions{}); err == nil {
			t.Errorf("%q was packed", path)
		}
	}
}

// Promise: a file that changes while it is read is read again, until it stands still; one that never does is named, as
// is one that grows beyond all bounds; one that vanishes is no matter; one that becomes something else is stored as
// that, and nothing is read through a link that somebody slips in.
func TestChanging(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"calm", "once", "always", "gone", "becomes-link", "becomes-fifo", "dir/in"} {
		write(t, dir+"/"+name, "old")
	}
	write(t, dir+"-else/in", "not ours")
	write(t, dir+"/grown", strings.Repeat("x", 100))
	did := map[string]bool{}
	step := func(name, path string) {
		path = "/" + path
		once := !did[name+path]
		did[name+path] = true
		switch base := filepath.Base(path); {
		case name == "read" && (base == "once" && once || base == "always"):
			must(t, os.WriteFile(path, []byte(time.Now().String()), 0o640))
		case name == "seen" && base == "gone":
			_ = os.Remove(path)
		case name == "seen" && base == "becomes-link" && once:
			must(t, os.Remove(path))
			must(t, os.Symlink(dir+"-else/in", path))
		case name == "seen" && base == "becomes-fifo" && once:
			must(t, os.Remove(path))
			must(t, syscall.Mkfifo(path, 0o600))
		case name == "seen" && base == "dir" && once:
			must(t, os.RemoveAll(path))
			must(t, os.Symlink(dir+"-else", path))
		}
	}
	data, p := pack(t, archive.PackOptions{MaxFile: 99, Step: step}, dir)
	if !slices.Equal(p.Changing, []string{dir + "/always"}) || !slices.Equal(p.Skipped, []string{dir + "/becomes-fifo"}) {
		t.Errorf("changing %q, skipped %q", p.Changing, p.Skipped)
	}
	if len(p.Unread) != 1 || !strings.HasPrefix(p.Unread[0], dir+"/grown: more than") {
		t.Errorf("unread %q", p.Unread)
	}
	entries, err := readAll(data, archive.ReadOptions{Links: archive.LinksAsStored})
	must(t, err)
	got := map[string]archive.Type{}
	for _, e := range entries {
		got[strings.TrimPrefix("/"+e.Path, dir)] = e.Type
	}
	for name, want := range map[string]archive.Type{"/calm": archive.File, "/once": archive.File, "/always": archive.File, "/gone": "", "/becomes-link": archive.Symlink, "/dir": archive.Symlink, "/dir/in": "", "/grown": ""} {
		if got[name] != want {
			t.Errorf("%s is %q, not %q", name, got[name], want)
		}
	}
	if bytes.Contains(data, []byte("not ours")) {
		t.Error("it was read through a link")
	}
}

// Promise: an index that was cut, shuffled or altered is not taken for a whole one.
func TestIndexStrict(t *testing.T) {
	_, p := pack(t, archive.PackOptions{}, tree(t))
	var b bytes.Buffer
	w := archive.NewIndexWriter(&b)
	for _, e := range p.Entries {
		must(t, w.Write(e))
	}
	must(t, w.Close())
	lines := bytes.SplitAfter(b.Bytes(), []byte("\n"))
	lines = lines[:len(lines)-1]
	last := len(lines) - 1
	for name, data := range map[string][]byte{
		"empty":     nil,
		"no end":    bytes.Join(lines[:last], nil),
		"one less":  bytes.Join(append(slices.Clone(lines[:last-1]), lines[last]), nil),
		"shuffled":  bytes.Join(append([][]byte{lines[1], lines[0]}, lines[2:]...), nil),
		"more":      append(slices.Clone(b.Bytes()), lines[0]...),
		"traversal": bytes.Replace(b.Bytes(), []byte(`{"path":"tmp`), []byte(`{"path":"../tmp`), 1),
		"mode":      bytes.Replace(b.Bytes(), []byte(`"mode":"0`), []byte(`"mode":"9`), 1),
		"type":      bytes.Replace(b.Bytes(), []byte(`"type":"dir"`), []byte(`"type":"door"`), 1),
	} {
		r := archive.NewIndexReader(bytes.NewReader(data), archive.Limits{})
		var err error
		for err == nil {
			_, err = r.Next()
		}
		if err.Error() == "EOF" {
			t.Errorf("%s: taken for whole", name)
		}
	}
}
