// Package store is named blobs in a place, each put atomically.
//
// A Store is the small set of operations that a local directory, an object store or a remote host can all
// keep the same promises for. What only some of them can do is an interface of its own (Renamer, Spacer,
// Locator), found by a type assertion.
//
// The contract, which storetest.Run checks:
//
//   - A blob appears under its name whole and on stable storage, or not at all; a reader never sees a part.
//   - Names are slash-separated paths as CheckName accepts them; anything else is ErrName, before the place
//     is touched. Directories need no making: they are what the names say. Whether an emptied one is still
//     listed is up to the place.
//   - What is not there is ErrNotExist, which is fs.ErrNotExist.
//   - A directory cannot be opened: ErrNotBlob, or ErrNotExist where directories are only in the names. In a
//     file system neither can a symbolic link or a pipe: ErrNotBlob.
//   - All methods may be called from several goroutines at once. Two Puts of one name at once leave one of
//     the two, whole.
//   - A cancelled context ends every call with context.Cause, and a Put with nothing left behind.
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
)

var (
	// ErrNotExist: there is no blob of that name.
	ErrNotExist = fs.ErrNotExist
	// ErrExist: Rename found something under the new name.
	ErrExist = fs.ErrExist
	// ErrName: the name is none that a store takes.
	ErrName = errors.New("invalid blob name")
	// ErrNotBlob: what has the name is not a blob.
	ErrNotBlob = errors.New("not a regular file")
	// ErrGone: the place is not the one that was opened any more, such as a file system that was unmounted.
	ErrGone = errors.New("no longer the directory that was opened")
)

// Entry describes what stands under a name.
type Entry struct {
	Name string // the last element
	Dir  bool   // other names begin with this one
	// Irregular is something that is neither a blob nor a directory, such as a symbolic link. It is listed
	// and can be deleted, and that is all.
	Irregular bool
	Size      int64 // bytes; of blobs only
	ModTime   time.Time
}

// Store is named blobs in a place.
type Store interface {
	// Put stores what write writes. When write, a write it did not report, or the place fails, the error is
	// returned wrapped and there is no blob; one that had the name before is still there.
	Put(ctx context.Context, name string, write func(io.Writer) error) error
	// Open reads a blob. The caller closes it; ctx must not end before that.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// Stat describes a blob or a directory.
	Stat(ctx context.Context, name string) (Entry, error)
	// List is what stands directly below dir ("" is the top), sorted by name. A directory that does not
	// exist is empty.
	List(ctx context.Context, dir string) ([]Entry, error)
	// Delete removes a blob, or everything below the name. What is not there needs no removing: no error.
	Delete(ctx context.Context, name string) error
}

// Renamer is a Store that can rename a blob or everything below a name at once, durably.
type Renamer interface {
	// Rename never replaces: ErrExist. After any error the old name still holds everything.
	Rename(ctx context.Context, from, to string) error
}

// Spacer is a Store that knows how much still fits in.
type Spacer interface {
	// Free is the bytes that an ordinary user can still write.
	Free(ctx context.Context) (bytes int64, err error)
}

// Locator is a Store whose blobs are files that other programs can open.
type Locator interface {
	// Path is the absolute path of the file or directory that stands, or would stand, for name.
	Path(name string) (string, error)
}

// CheckName accepts the names of blobs: not empty, valid for fs.ValidPath (slash-separated, no empty element,
// no "." and no ".."), without NUL, and no element that looks like the temporary name of an atomic write
// (IsTemp). Otherwise it returns ErrName.
func CheckName(name string) error {
	if name == "." || !fs.ValidPath(name) || strings.Contains(name, "\x00") {
		return fmt.Errorf("%w: %q", ErrName, name)
	}
	for elem := range strings.SplitSeq(name, "/") {
		if IsTemp(elem) {
			return fmt.Errorf("%w: %q is a temporary name", ErrName, name)
		}
	}
	return nil
}

// CheckDir accepts what List may be asked for: "", or what CheckName accepts.
func CheckDir(dir string) error {
	if dir == "" {
		return nil
	}
	return CheckName(dir)
}

// IsTemp reports whether a name is one that a write in progress may have: ".<name>.tmp-<anything>". Stores
// neither take nor list such names.
func IsTemp(elem string) bool {
	return strings.HasPrefix(elem, ".") && strings.Contains(elem, ".tmp-")
}
