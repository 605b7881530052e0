package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"regexp"
	"sync"
	"time"

	"github.com/bmad-forge/forgectl/pkg/store"
)

// partialPrefix and an id name what is not complete: a directory, or where the store cannot rename a blob.
const partialPrefix = ".partial-"

// cleanupTime is how long removing a draft may take after its context has ended.
const cleanupTime = time.Minute

// Blob is a file that a draft holds.
type Blob struct {
	Name   string
	Bytes  int64
	SHA256 string // 64 lower-case hex digits
}

// Draft is a set that is being written. Put may be called from several goroutines at once.
type Draft struct {
	// Warnings is what Begin found odd about the time. Publish adds it to the manifest.
	Warnings []string

	c       *Catalog
	ref     Ref
	dir     string
	renamer store.Renamer // nil: dir is the final one
	started time.Time
	signer  Signer // nil: not signed

	mu        sync.Mutex
	blobs     map[string]Blob // a zero Blob is being written
	marked    bool            // there are checks
	published bool
}

// Begin starts a set of the group with the current time as its id. If the newest set has that very second it
// waits for the next one; if the newest is later, because the clock went back, the id is one second more than
// the newest, with a warning. It also starts when there are leftovers of dead runs.
func (c *Catalog) Begin(ctx context.Context, g Group) (*Draft, error) {
	if err := g.Validate(); err != nil {
		return nil, fmt.Errorf("begin set: %w", err)
	}
	d := &Draft{c: c, blobs: map[string]Blob{}}
	id, err := d.chooseID(ctx, g)
	if err != nil {
		return nil, fmt.Errorf("begin set of %s: %w", g, err)
	}
	d.ref = Ref{g, id}
	d.dir = d.ref.Dir()
	if r, ok := c.store.(store.Renamer); ok {
		d.renamer, d.dir = r, partialName(d.ref)
		return d, nil
	}
	if err := c.mark(ctx, d.ref); err != nil {
		return nil, fmt.Errorf("begin set of %s: %w", g, err)
	}
	return d, nil
}

// chooseID finds an id that is later than every set's and that no leftover has.
func (d *Draft) chooseID(ctx context.Context, g Group) (ID, error) {
	entries, err := d.c.store.List(ctx, g.Dir())
	if err != nil {
		return "", err
	}
	var newest ID
	taken := map[string]bool{}
	for _, e := range entries {
		taken[e.Name] = true
		if id, err := ParseID(e.Name); err == nil && id > newest {
			newest = id
		}
	}
	d.started = d.c.now()
	if NewID(d.started) == newest {
		if err := wait(ctx, d.started.Truncate(time.Second).Add(time.Second).Sub(d.started)); err != nil {
			return "", err
		}
		d.started = d.c.now()
	}
	id, err := ParseID(string(NewID(d.started)))
	if err != nil { // a year of five digits
		return "", err
	}
	if id < newest {
		d.Warnings = append(d.Warnings, fmt.Sprintf("the clock went back: it says %s, but there is a set %s", id, newest))
	}
	if id <= newest {
		id = newest.next()
	}
	for taken[partialPrefix+string(id)] {
		id = id.next()
	}
	return ParseID(string(id))
}

func (id ID) next() ID { return NewID(id.Time().Add(time.Second)) }

// ID is the id that the set will have.
func (d *Draft) ID() ID { return d.ref.ID }

// Ref is the name that the set will have.
func (d *Draft) Ref() Ref { return d.ref }

// Dir is the draft's directory in the store, for artifacts that are file trees and come there by other ways
// than Put.
func (d *Draft) Dir() string { return d.dir }

// Path is that directory in the file system; false when the store is none of files. It exists once something was put.
func (d *Draft) Path() (string, bool) {
	if l, ok := d.c.store.(store.Locator); ok {
		if path, err := l.Path(d.dir); err == nil {
			return path, true
		}
	}
	return "", false
}

// artifactName is what Put accepts: one path element that no shell, terminal or sha256sum minds.
var artifactName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$`)

// Put adds a file. Names are letters, digits, ".", "_" and "-", the first a letter or digit; each can be put
// once. After an error there is no such file, and it can be put again.
func (d *Draft) Put(ctx context.Context, name string, write func(io.Writer) error) (Blob, error) {
	if !artifactName.MatchString(name) || !coverable(name) || name == ManifestName {
		return Blob{}, fmt.Errorf("put %q: %w: no name for an artifact", name, ErrInvalid)
	}
	return d.put(ctx, name, write)
}

func (d *Draft) put(ctx context.Context, name string, write func(io.Writer) error) (blob Blob, err error) {
	if err := d.reserve(name); err != nil {
		return Blob{}, err
	}
	defer func() { // also when write panics
		d.mu.Lock()
		defer d.mu.Unlock()
		if blob.Name == "" {
			delete(d.blobs, name)
		} else {
			d.blobs[name] = blob
		}
	}()
	h := &hashWriter{hash: sha256.New()}
	err = d.c.store.Put(ctx, d.dir+"/"+name, func(w io.Writer) error {
		h.w = w
		return write(h)
	})
	if err != nil {
		return Blob{}, err
	}
	return Blob{Name: name, Bytes: h.n, SHA256: hex.EncodeToString(h.hash.Sum(nil))}, nil
}

func (d *Draft) reserve(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.published {
		return fmt.Errorf("put %s: %s is published already", name, d.ref)
	}
	if _, ok := d.blobs[name]; ok {
		return fmt.Errorf("put %s: %w", name, store.ErrExist)
	}
	d.blobs[name] = Blob{}
	return nil
}

// Mark adds a check, as AddCheck does, that the set has from the moment at which it can be seen: whatever dies when,
// nobody ever meets the set without it.
func (d *Draft) Mark(ctx context.Context, check Check) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.published {
		return fmt.Errorf("mark %s: it is published already", d.ref)
	}
	d.marked = true
	if err := d.c.putCheck(ctx, d.dir, check); err != nil {
		return fmt.Errorf("mark %s: %w", d.ref, err)
	}
	return nil
}

// Open reads back a file that was put. The caller closes it.
func (d *Draft) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	d.mu.Lock()
	blob, published := d.blobs[name], d.published
	d.mu.Unlock()
	switch {
	case published:
		return d.c.Open(ctx, d.ref, name)
	case blob.Name == "":
		return nil, fmt.Errorf("open %s: %w", name, store.ErrNotExist)
	}
	return d.c.store.Open(ctx, d.dir+"/"+name)
}

// Discard removes the draft, also when ctx has ended. After Publish has succeeded it does nothing, so it can
// stand in a defer.
func (d *Draft) Discard(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.published {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	err := d.c.store.Delete(ctx, d.dir)
	if err == nil && d.renamer == nil {
		err = d.c.store.Delete(ctx, partialName(d.ref))
	}
	if err != nil {
		return fmt.Errorf("discard %s: %w", d.ref, err)
	}
	return nil
}

// hashWriter hashes and counts what its writer takes.
type hashWriter struct {
	w    io.Writer
	hash hash.Hash
	n    int64
}

func (h *hashWriter) Write(p []byte) (int, error) {
	n, err := h.w.Write(p)
	h.hash.Write(p[:n])
	h.n += int64(n)
	return n, err
}

func writeAll(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
