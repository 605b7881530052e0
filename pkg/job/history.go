package job

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNotFound means that there is no record with this id.
var ErrNotFound = errors.New("no such record")

// keepRecords is how many records remain.
const keepRecords = 1000

// History returns the newest records, newest first; limit 0 or less means all.
// A run whose process is gone without a result is shown as [Killed], a record
// that cannot be read as [Unreadable]. Without any record so far the list is
// empty.
func (r *Runner) History(ctx context.Context, limit int) ([]Record, error) {
	ids, err := r.ids()
	if err != nil {
		return nil, fmt.Errorf("list history: %w", err)
	}
	slices.Reverse(ids)
	ids = newest(ids, limit)
	records := make([]Record, 0, len(ids))
	for _, id := range ids {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		rec, err := r.load(id)
		if errors.Is(err, ErrNotFound) {
			continue // pruned by another run just now
		}
		if err != nil {
			return nil, err
		}
		records = append(records, rec)
	}
	slices.SortStableFunc(records, func(a, b Record) int { return b.Started.Compare(a.Started) })
	if limit > 0 && len(records) > limit {
		records = records[:limit]
	}
	return records, nil
}

// newest cuts ids, the newest first, to at least limit. Ids only know the second: which of those that share the second
// of the last one are the newest is known by the records, so that all of them stay.
func newest(ids []string, limit int) []string {
	if limit <= 0 || len(ids) <= limit {
		return ids
	}
	last, _, _ := strings.Cut(ids[limit-1], "-")
	for limit < len(ids) && strings.HasPrefix(ids[limit], last+"-") {
		limit++
	}
	return ids[:limit]
}

// Get returns one record; [ErrNotFound] when there is none.
func (r *Runner) Get(_ context.Context, id string) (Record, error) {
	if id == "" || strings.ContainsAny(id, "/\x00") || strings.HasPrefix(id, ".") {
		return Record{}, fmt.Errorf("%w: %q", ErrNotFound, id)
	}
	return r.load(id)
}

// ids lists the records, oldest first.
func (r *Runner) ids() ([]string, error) {
	entries, err := os.ReadDir(r.historyDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), extension)
		if ok && !strings.HasPrefix(id, ".") && e.Type().IsRegular() {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// prune removes the oldest records beyond keepRecords. What fails here is tried
// again by the next run.
func (r *Runner) prune() {
	ids, err := r.ids()
	if err != nil || len(ids) <= keepRecords {
		return
	}
	for _, id := range ids[:len(ids)-keepRecords] {
		_ = os.Remove(filepath.Join(r.historyDir(), id+extension))
	}
}
