package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// signalError is the cause of a context that a signal ended.
type signalError struct{ signal syscall.Signal }

func (e *signalError) Error() string {
	if e.signal == syscall.SIGTERM {
		return "terminated by a signal"
	}
	return "interrupted by a signal"
}

// withSignals ends the context at the first INT or TERM. After that both have
// their default effect again: the second one kills at once.
func withSignals(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case s := <-caught:
			signal.Reset(syscall.SIGINT, syscall.SIGTERM)
			number, _ := s.(syscall.Signal)
			cancel(&signalError{number})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(caught)
		cancel(context.Canceled)
	}
}
