package storetest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bmad-forge/forgectl/pkg/store"
)

// Memory is a store in memory. Like an object store it knows no directories but those in the names, and has
// none of the optional interfaces. Its zero value is empty.
type Memory struct {
	mu    sync.Mutex
	blobs map[string]blob
}

type blob struct {
	data []byte
	time time.Time
}

// Put stores what write writes.
func (m *Memory) Put(ctx context.Context, name string, write func(io.Writer) error) error {
	if err := m.ready(ctx, name); err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	var buf bytes.Buffer
	if err := cmp.Or(write(&buf), context.Cause(ctx)); err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.blobs == nil {
		m.blobs = map[string]blob{}
	}
	m.blobs[name] = blob{buf.Bytes(), time.Now()}
	return nil
}

// Open reads a blob.
func (m *Memory) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := m.ready(ctx, name); err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.blobs[name]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", name, store.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(b.data)), nil
}

// Stat describes a blob or what names begin with.
func (m *Memory) Stat(ctx context.Context, name string) (store.Entry, error) {
	if err := m.ready(ctx, name); err != nil {
		return store.Entry{}, fmt.Errorf("stat %s: %w", name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if b, ok := m.blobs[name]; ok {
		return store.Entry{Name: path.Base(name), Size: int64(len(b.data)), ModTime: b.time}, nil
	}
	for other, b := range m.blobs {
		if strings.HasPrefix(other, name+"/") {
			return store.Entry{Name: path.Base(name), Dir: true, ModTime: b.time}, nil
		}
	}
	return store.Entry{}, fmt.Errorf("stat %s: %w", name, store.ErrNotExist)
}

// List is what stands directly below dir.
func (m *Memory) List(ctx context.Context, dir string) ([]store.Entry, error) {
	if err := cmp.Or(store.CheckDir(dir), context.Cause(ctx)); err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[string]store.Entry{}
	for name, b := range m.blobs {
		rest := name
		if dir != "" {
			var below bool
			if rest, below = strings.CutPrefix(name, dir+"/"); !below {
				continue
			}
		}
		first, _, deeper := strings.Cut(rest, "/")
		e := store.Entry{Name: first, Dir: deeper, ModTime: b.time}
		if !deeper {
			e.Size = int64(len(b.data))
		}
		found[first] = e
	}
	var entries []store.Entry
	for _, e := range found {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b store.Entry) int { return cmp.Compare(a.Name, b.Name) })
	return entries, nil
}

// Delete removes a blob and everything below the name.
func (m *Memory) Delete(ctx context.Context, name string) error {
	if err := m.ready(ctx, name); err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for other := range m.blobs {
		if other == name || strings.HasPrefix(other, name+"/") {
			delete(m.blobs, other)
		}
	}
	return nil
}

func (m *Memory) ready(ctx context.Context, name string) error {
	return cmp.Or(store.CheckName(name), context.Cause(ctx))
}
