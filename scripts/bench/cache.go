package main

import "context"

// cacheOf measures what is done to the application's cache.
func cacheOf(ctx context.Context, b *bench) error {
	return warmCache(ctx, b)
}
