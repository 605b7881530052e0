package remember

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bmad-forge/forgectl/pkg/atomicfile"
	"github.com/bmad-forge/forgectl/pkg/lock"
)

// ErrNewer means that a newer version of this program has written the file.
var ErrNewer = errors.New("written by a newer version")

// ErrNameless means that the server does not say which one it is: what is
// remembered could be another's.
var ErrNameless = errors.New("the server does not say which one it is")

// Subject is what an entry is about. Two subjects that differ in anything share
// nothing.
type Subject struct {
	Server   string `json:"server"`   // its system identifier; a standby has statistics of its own, so it is told apart by its caller
	Database string `json:"database"` // name and OID: a database that was restored is another one
	Name     string `json:"name"`     // of the measurement: "size"
}

// Database names a database by OID and name.
func Database(oid uint32, name string) string { return fmt.Sprintf("%d-%s", oid, name) }

// Store is the directory; it is made by the first Add.
type Store struct{ Dir string }

// Entry is one measurement.
type Entry[T any] struct {
	At   time.Time `json:"at"`
	Data T         `json:"data"`
}

// Read returns what is remembered of a subject, oldest first; nothing when there
// is nothing. Notes say what was left out and why.
func Read[T any](s Store, of Subject) (entries []Entry[T], notes []string, err error) {
	f, err := s.load(of)
	if err != nil {
		return nil, nil, err
	}
	entries, good := decode[T](f.lines)
	return entries, f.notes(len(f.lines)-len(good), "left out"), nil
}

// decode reads the data; good are the lines that it could read.
func decode[T any](lines []raw) (entries []Entry[T], good []raw) {
	for _, line := range lines {
		e := Entry[T]{At: line.At}
		if json.Unmarshal(line.Data, &e.Data) == nil {
			entries, good = append(entries, e), append(good, line)
		}
	}
	return entries, good
}

// Add remembers one more, and forgets what keep has no room for. Where the file
// was damaged it is kept beside as *.damaged, and its good lines stay.
func Add[T any](ctx context.Context, s Store, of Subject, keep Keep, at time.Time, data T) (notes []string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("remember %s: %w", of.Name, err)
		}
	}()
	if of.Server == "" {
		return nil, ErrNameless
	}
	encoded, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	path := s.path(of)
	if err := atomicfile.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	held, err := wait(ctx, path+".lock")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, held.Release()) }()
	f, err := s.load(of)
	if err != nil {
		return nil, err
	}
	_, good := decode[T](f.lines)
	if notes = f.notes(len(f.lines)-len(good), "kept as "+filepath.Base(path)+damagedSuffix); len(notes) > 0 {
		if err := os.Rename(path, path+damagedSuffix); err != nil {
			return notes, err
		}
	}
	return notes, f.write(keep.apply(append(good, raw{At: at.UTC(), Data: encoded}), at))
}

const damagedSuffix = ".damaged"

// path is the file of a subject. Names of databases hold anything.
func (s Store) path(of Subject) string {
	return filepath.Join(s.Dir, escape(of.Server), escape(of.Database), escape(of.Name)+".jsonl")
}

func escape(name string) string {
	name = strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
	if strings.HasPrefix(name, ".") {
		name = "%2E" + name[1:]
	}
	return name
}

// How long a writer waits for another one, which needs a moment only.
const (
	lockTries = 100
	lockPause = 50 * time.Millisecond
)

func wait(ctx context.Context, path string) (*lock.Lock, error) {
	for try := 0; ; try++ {
		l, err := lock.Acquire(path, lock.Holder{Operation: "remember"})
		if err == nil || !errors.Is(err, lock.ErrHeld) || try == lockTries {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(lockPause):
		}
	}
}

// plain drops the path that came with an error of the system: it is named once.
func plain(path string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("read %s: %w", path, err)
}
