package main

import (
	"context"
	"errors"
)

// cacheOf measures what is done to the application's cache.
func cacheOf(ctx context.Context, b *bench) error {
	return errors.Join(flushCache(ctx, b), warmCache(ctx, b))
}
