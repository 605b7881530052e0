package media

import (
	"context"
	"errors"
	"io"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// batch is neighbours of the index: they mostly lie in one directory.
const (
	batchEntries = 128
	batchBytes   = 8 << 20
)

// workers is how many files are read at once. Some wait for the disk while others compute.
func workers(jobs int) int {
	if jobs > 0 {
		return jobs
	}
	return 2 * runtime.GOMAXPROCS(0)
}

// eachBatch reads an index and hands it to several goroutines.
func eachBatch(ctx context.Context, open func() (io.ReadCloser, error), jobs int, accept func(*Entry) (bool, error), work func() (do func(context.Context, []Entry) error, done func())) error {
	group, ctx := errgroup.WithContext(ctx)
	batches := make(chan []Entry, workers(jobs))
	for range workers(jobs) {
		group.Go(func() error {
			do, done := work()
			defer done()
			for b := range batches {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if err := do(ctx, b); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(batches)
		var batch []Entry
		var bytes int64
		send := func() error {
			select {
			case batches <- batch:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			batch, bytes = nil, 0
			return nil
		}
		err := ReadIndex(open, func(e Entry) error {
			if wanted, err := accept(&e); err != nil || !wanted {
				return err
			}
			batch, bytes = append(batch, e), bytes+e.Size
			if len(batch) >= batchEntries || bytes >= batchBytes {
				return send()
			}
			return nil
		})
		if err != nil {
			return err
		}
		return send()
	})
	return group.Wait()
}

// ReadIndex hands over each entry of an index, to its proven end.
func ReadIndex(open func() (io.ReadCloser, error), each func(Entry) error) error {
	plain, err := open()
	if err != nil {
		return err
	}
	defer plain.Close()
	r := NewIndexReader(plain)
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			// What vouches for the file itself may come after the last line.
			_, err := io.Copy(io.Discard, plain)
			return err
		}
		if err != nil {
			return err
		}
		if err := each(e); err != nil {
			return err
		}
	}
}
