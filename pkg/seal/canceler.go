package seal

import "sync"

// canceler stops goroutines for the first reason that is given, unless they have finished before.
type canceler struct {
	done chan struct{} // closed when there is a reason

	mu       sync.Mutex
	cause    error
	finished bool
}

func newCanceler() *canceler { return &canceler{done: make(chan struct{})} }

// because reports false when it came too late: everything has finished well.
func (c *canceler) because(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.finished {
		return false
	}
	if c.cause == nil {
		c.cause = err
		close(c.done)
	}
	return true
}

// finish ends the time for reasons and returns the one there was.
func (c *canceler) finish() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finished = c.cause == nil
	return c.cause
}

func (c *canceler) err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}
