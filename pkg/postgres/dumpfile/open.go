package dumpfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/bmad-forge/forgectl/pkg/seal"
)

// Format is what is inside all layers.
type Format string

// The formats, as messages call them.
const (
	SQL       Format = "plain SQL"
	Custom    Format = "pg_dump custom archive"
	Tar       Format = "pg_dump tar archive"
	Directory Format = "pg_dump directory"
)

// Options of Open.
type Options struct {
	// Unlock finds the session key of an encrypted file: a seal.Keyring, gpg's agent, or a chain of them.
	Unlock seal.Unlocker
}

// File is a recognised dump. It keeps the file open: what is examined is what is loaded, also when the name has been
// given to another file. Its methods are not for several goroutines at once.
type File struct {
	Path   string
	Format Format
	Size   int64    // of the file as it lies there; of a directory: all its files
	Layers []string // from the outside, without the format: "gpg", "gzip"

	file   *os.File // nil: a directory
	info   os.FileInfo
	unlock *remembered
	report *Report
}

// Describe is for people: "gpg, gzip, plain SQL".
func (f *File) Describe() string {
	return strings.Join(append(f.Layers[:len(f.Layers):len(f.Layers)], string(f.Format)), ", ")
}

// Open recognises the file at path, following symbolic links. It asks for the secret key of an encrypted one; the key
// of that message is kept until Close.
func Open(ctx context.Context, path string, o Options) (*File, error) {
	f, err := open(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("open dump %s: %w", path, err)
	}
	return f, nil
}

func open(ctx context.Context, path string, o Options) (*File, error) {
	// A pipe would make the open wait for its other end.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, withoutPath(err)
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return nil, withoutPath(err)
	}
	f := &File{Path: path, Size: info.Size(), info: info, unlock: &remembered{asks: o.Unlock}}
	switch {
	case info.IsDir():
		_ = file.Close()
		f.Format = Directory
		return f, f.openDirectory()
	case !info.Mode().IsRegular():
		_ = file.Close()
		return nil, fmt.Errorf("%w: it is no regular file", ErrNotDump)
	}
	f.file = file
	stack, err := f.peel(ctx, nil)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	f.Layers, f.Format = stack.names, stack.format
	return f, stack.Close()
}

// withoutPath leaves out what the message says already.
func withoutPath(err error) error {
	var e *os.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// Close closes the file and forgets its session key.
func (f *File) Close() error {
	f.unlock.wipe()
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}

// ErrDirectory means that a dump is a directory, which is no stream.
var ErrDirectory = errors.New("a directory is no stream")

// Plain is what is inside all layers, from its beginning. io.EOF comes only after everything was proven: checksums,
// integrity codes, and that nothing follows. Damage is ErrDamaged. The caller closes the stream, and may close it early.
func (f *File) Plain(ctx context.Context) (io.ReadCloser, error) {
	if f.file == nil {
		return nil, fmt.Errorf("read dump %s: %w", f.Path, ErrDirectory)
	}
	stack, err := f.peel(ctx, f.Layers)
	if err == nil && stack.format != f.Format {
		_ = stack.Close()
		err = ErrChanged
	}
	if err != nil {
		return nil, fmt.Errorf("read dump %s: %w", f.Path, err)
	}
	return stack, nil
}

// unchanged is asked when the whole file was read.
func (f *File) unchanged() error {
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() != f.info.Size() || !info.ModTime().Equal(f.info.ModTime()) {
		return ErrChanged
	}
	return nil
}

// remembered asks for the session key of a message once: a card or a pinentry should not be asked for each pass.
type remembered struct {
	asks seal.Unlocker

	mu   sync.Mutex
	head string // of the message that key opens
	key  *seal.SessionKey
}

func (r *remembered) Unlock(ctx context.Context, pkesk []byte) (*seal.SessionKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.key != nil && r.head == string(pkesk) {
		return r.key, nil
	}
	key, err := r.asks.Unlock(ctx, pkesk)
	if err != nil {
		return nil, err
	}
	if r.key != key {
		r.key.Wipe()
	}
	r.head, r.key = string(pkesk), key
	return key, nil
}

func (r *remembered) wipe() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.key.Wipe()
	r.key = nil
}
