package scratch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// Sweep removes what killed processes left in dir, servers included, and says which directories those were.
// Clusters whose owner lives are left alone. What cannot be removed does not keep it from the rest.
func Sweep(ctx context.Context, dir string, logger *slog.Logger) (removed []string, err error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("sweep scratch directory %s: %w", dir, err)
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("sweep scratch directory: %w", err)
	}
	var failures []error
	for _, e := range entries {
		if !e.IsDir() || !runName.MatchString(e.Name()) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		gone, err := sweepOne(ctx, path)
		switch {
		case err != nil:
			failures = append(failures, fmt.Errorf("sweep scratch directory: %w", err))
		case gone:
			logger.Info("removed a scratch cluster that a killed run left", "dir", path)
			removed = append(removed, path)
		}
	}
	return removed, errors.Join(failures...)
}

func sweepOne(ctx context.Context, path string) (bool, error) {
	r, err := claim(path)
	if errors.Is(err, errBusy) || errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := r.remove(ctx); err != nil {
		_ = r.lock.Close()
		return false, err
	}
	return true, nil
}
