package main

import (
	"sync"

	"github.com/bmad-forge/forgectl/pkg/ui"
)

// stages shows how far an operation is, one line for the stage that runs.
type stages struct {
	streams *ui.Streams
	mu      sync.Mutex
	name    string
	line    *ui.Progress
}

// Stages starts a display; report hears of progress, done ends it.
func (a *App) Stages() *stages { return &stages{streams: a.Streams} }

// report is what libraries are given. A stage that counts tables, not bytes, is
// known by its name.
func (s *stages) report(stage string, done, total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stage != s.name || s.line == nil {
		s.line.Done()
		start := s.streams.Progress
		if stage == "compare" {
			start = s.streams.ProgressOf
		}
		s.name, s.line = stage, start(stage, total)
	}
	s.line.Set(done, total)
}

func (s *stages) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line.Done()
	s.line = nil
}
