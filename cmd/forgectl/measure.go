package main

import (
	"time"

	"github.com/bmad-forge/forgectl/pkg/config"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// byteSize is a flag: bytes, written as sizes are in the configuration.
type byteSize int64

func (b *byteSize) String() string {
	if *b == 0 {
		return ""
	}
	return ui.Bytes(int64(*b))
}

func (b *byteSize) Type() string { return "size" }

func (b *byteSize) Set(text string) error {
	n, err := config.ParseSize(text)
	*b = byteSize(n)
	return err
}

// span is a flag: a duration, written as durations are in the configuration, so
// that days are possible.
type span time.Duration

func (s *span) String() string {
	if *s == 0 {
		return ""
	}
	return time.Duration(*s).String()
}

func (s *span) Type() string { return "duration" }

func (s *span) Set(text string) error {
	d, err := config.ParseDuration(text)
	*s = span(d)
	return err
}
