package atomicfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrClosed is returned by a File after Commit or Abort.
var ErrClosed = errors.New("file already committed or aborted")

// Write puts data into the file at path, with exactly the permissions perm.
func Write(path string, perm fs.FileMode, data []byte) error {
	f, err := Create(path, perm)
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Commit()
}

// File is a file in the making. It is used by one goroutine.
type File struct {
	root      *os.Root
	closeRoot bool // root is ours
	name      string
	temp      string
	path      string   // for messages
	file      *os.File // nil after Commit or Abort
	err       error    // the first write that failed
	renamed   bool
	dress     func(*os.File) error // nil: it is dressed already
}

// Create begins a file that Commit will put at path, with exactly the permissions perm. The directory must
// exist. The caller calls Commit or Abort; Abort in a defer is the usual way.
func Create(path string, perm fs.FileMode) (*File, error) {
	dir, base, err := split(path)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", path, cause(err))
	}
	f, err := createIn(root, base, path, perm)
	if err != nil {
		root.Close()
		return nil, err
	}
	f.closeRoot = true
	return f, nil
}

// CreateIn is Create for a name below root, which must stay open until Commit or Abort.
func CreateIn(root *os.Root, name string, perm fs.FileMode) (*File, error) {
	return createIn(root, name, filepath.Join(root.Name(), name), perm)
}

// CreateDressedIn is CreateIn for a file whose owner and permissions are another's affair: dress is called by Commit,
// with all the content written, and before anything has the name. Until then nobody but the effective user can open
// the file, root's included, whatever directory it lies in.
func CreateDressedIn(root *os.Root, name string, dress func(*os.File) error) (*File, error) {
	path := filepath.Join(root.Name(), name)
	temp := tempName(name)
	file, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", path, cause(err))
	}
	return &File{root: root, name: name, temp: temp, path: path, file: file, dress: dress}, nil
}

func createIn(root *os.Root, name, path string, perm fs.FileMode) (*File, error) {
	temp := tempName(name)
	file, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm&^0o077)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", path, cause(err))
	}
	f := &File{root: root, name: name, temp: temp, path: path, file: file}
	if err := f.prepare(perm); err != nil {
		f.Abort()
		return nil, fmt.Errorf("create %s: %w", path, cause(err))
	}
	return f, nil
}

// prepare gives the temporary file its owner, then its permissions: the umask has no say in them, and
// nobody else can open the file before it is theirs.
func (f *File) prepare(perm fs.FileMode) error {
	if err := giveFile(f.root, filepath.Dir(f.name), f.file); err != nil {
		return err
	}
	return f.file.Chmod(perm)
}

// Write adds to the file.
func (f *File) Write(p []byte) (int, error) {
	if f.file == nil {
		return 0, fmt.Errorf("write %s: %w", f.path, ErrClosed)
	}
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.file.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		f.err = fmt.Errorf("write %s: %w", f.path, cause(err))
	}
	return n, f.err
}

// Commit makes the file visible and durable. After an error the name is as it was before, except when the
// directory could not be brought to stable storage: then Renamed reports true, the new content has the name,
// and only a crash could undo that.
func (f *File) Commit() error {
	return f.commit(func() error { return f.root.Rename(f.temp, f.name) })
}

// CommitNew is Commit for a name that must be new: when something has it the error is fs.ErrExist, and that
// something stays.
func (f *File) CommitNew() error {
	return f.commit(func() error { return placeNew(f.root, f.temp, f.name) })
}

func (f *File) commit(place func() error) error {
	if f.file == nil {
		return fmt.Errorf("commit %s: %w", f.path, ErrClosed)
	}
	defer f.Abort()
	if f.err != nil {
		return f.err
	}
	if f.dress != nil {
		if err := f.dress(f.file); err != nil {
			return fmt.Errorf("dress %s: %w", f.path, cause(err))
		}
	}
	if err := f.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", f.path, cause(err))
	}
	if err := f.file.Close(); err != nil {
		return fmt.Errorf("close %s: %w", f.path, cause(err))
	}
	if err := place(); err != nil {
		return fmt.Errorf("rename to %s: %w", f.path, cause(err))
	}
	f.renamed = true
	return SyncDirIn(f.root, filepath.Dir(f.name))
}

// Renamed reports whether the content has its name, which after an error of Commit is not plain.
func (f *File) Renamed() bool { return f.renamed }

// Abort removes what was written. After Commit or Abort it does nothing.
func (f *File) Abort() {
	if f.file == nil {
		return
	}
	f.file.Close() // a second close is harmless, and nothing of this file is wanted any more
	f.file = nil
	if !f.renamed {
		f.root.Remove(f.temp)
	}
	if f.closeRoot {
		f.root.Close()
	}
}

// tempName is a name beside name that nobody else has.
func tempName(name string) string {
	dir, base := filepath.Split(name)
	if len(base) > 200 { // the file system's limit is 255
		base = base[:200]
	}
	return dir + "." + base + ".tmp-" + rand.Text()
}

// split cuts a path into directory and base name, and refuses what has no base name to replace.
func split(path string) (dir, base string, err error) {
	base = filepath.Base(path)
	if path == "" || os.IsPathSeparator(path[len(path)-1]) || base == "." || base == ".." {
		return "", "", fs.ErrInvalid
	}
	return filepath.Dir(path), base, nil
}

// cause drops the path that the os package adds: it is that of the temporary file, and the caller names the
// real one.
func cause(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return p.Err
	case errors.As(err, &l):
		return l.Err
	}
	return err
}
