package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// Promise: the line follows the stages of an operation, in bytes or in tables,
// and is gone at the end.
func TestStages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var terminal bytes.Buffer
		app := &App{Streams: &ui.Streams{Err: &terminal, ErrTTY: true, Width: 80}}
		s := app.Stages()
		for _, step := range []struct {
			stage       string
			done, total int64
			want        string
		}{
			{"dump", 1 << 20, 4 << 20, "dump  1.00 MiB of 4.00 MiB  25%"},
			{"dump", 2 << 20, 4 << 20, "dump  2.00 MiB of 4.00 MiB  50%"},
			{"compare", 3, 12, "compare  3 of 12"},
			{"analyze", 0, 0, "analyze  0s"},
		} {
			terminal.Reset()
			s.report(step.stage, step.done, step.total)
			time.Sleep(150 * time.Millisecond)
			synctest.Wait()
			if got := terminal.String(); !strings.Contains(got, step.want) {
				t.Errorf("%s: %q lacks %q", step.stage, got, step.want)
			}
		}
		s.done()
		s.done()
		if got := terminal.String(); !strings.HasSuffix(got, "\r\x1b[K") {
			t.Errorf("the line is left: %q", got)
		}
	})
}

func TestStageTimes(t *testing.T) {
	got := stageTimes([]catalog.Stage{{Name: "dump", Seconds: 3.24}, {Name: "read back", Seconds: 0.05}})
	if got != "dump 3.2s, read back 50ms" {
		t.Error(got)
	}
}
