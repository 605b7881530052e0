package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/store"
)

func put(t *testing.T, s store.Store, name string, data []byte) {
	t.Helper()
	err := s.Put(t.Context(), name, func(w io.Writer) error {
		// In pieces, as most writers do.
		for piece := range slices.Chunk(data, 10_000) {
			if _, err := w.Write(piece); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func get(ctx context.Context, s store.Store, name string) ([]byte, error) {
	r, err := s.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func wantBlob(t *testing.T, s store.Store, name string, want []byte) {
	t.Helper()
	if got, err := get(t.Context(), s, name); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes, %v; want %d bytes", name, len(got), err, len(want))
	}
}

func wantAbsent(t *testing.T, s store.Store, name string) {
	t.Helper()
	if _, err := s.Open(t.Context(), name); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("Open %s: %v", name, err)
	}
	if e, err := s.Stat(t.Context(), name); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("Stat %s: %+v, %v", name, e, err)
	}
}

// wantNames compares a listing; names of directories end in "/".
func wantNames(t *testing.T, s store.Store, dir string, want ...string) {
	t.Helper()
	entries, err := s.List(t.Context(), dir)
	if err != nil {
		t.Errorf("List %q: %v", dir, err)
	}
	var got []string
	for _, e := range entries {
		if e.Dir {
			e.Name += "/"
		}
		got = append(got, e.Name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("List %q: %s; want %s", dir, strings.Join(got, " "), strings.Join(want, " "))
	}
}
