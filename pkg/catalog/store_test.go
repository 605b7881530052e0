package catalog_test

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"github.com/bmad-forge/forgectl/pkg/store"
)

// countingStore counts the calls of its methods, and can end the process's luck at any of them.
type countingStore struct {
	store.Store
	calls atomic.Int64
	// before and after are called with the number of the call, from 1 on; an error ends the call.
	before, after func(n int64) error
}

var errLuck = errors.New("out of luck")

// renamingStore is a countingStore that can rename as its inner store can.
type renamingStore struct {
	*countingStore
	store.Renamer
}

// around wraps a store, so that it can rename if and only if the inner store can.
func around(c *countingStore) store.Store {
	if r, ok := c.Store.(store.Renamer); ok {
		return &renamingStore{c, r}
	}
	return c
}

func (c *countingStore) call(do func() error) error {
	n := c.calls.Add(1)
	if c.before != nil {
		if err := c.before(n); err != nil {
			return err
		}
	}
	if err := do(); err != nil {
		return err
	}
	if c.after != nil {
		return c.after(n)
	}
	return nil
}

func (c *countingStore) Put(ctx context.Context, name string, write func(io.Writer) error) error {
	return c.call(func() error { return c.Store.Put(ctx, name, write) })
}

func (c *countingStore) Open(ctx context.Context, name string) (r io.ReadCloser, err error) {
	err = c.call(func() error { r, err = c.Store.Open(ctx, name); return err })
	return r, err
}

func (c *countingStore) Stat(ctx context.Context, name string) (e store.Entry, err error) {
	err = c.call(func() error { e, err = c.Store.Stat(ctx, name); return err })
	return e, err
}

func (c *countingStore) List(ctx context.Context, dir string) (e []store.Entry, err error) {
	err = c.call(func() error { e, err = c.Store.List(ctx, dir); return err })
	return e, err
}

func (c *countingStore) Delete(ctx context.Context, name string) error {
	return c.call(func() error { return c.Store.Delete(ctx, name) })
}

func (r *renamingStore) Rename(ctx context.Context, from, to string) error {
	return r.call(func() error { return r.Renamer.Rename(ctx, from, to) })
}
