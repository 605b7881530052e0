package main

import (
	"fmt"

	"github.com/bmad-forge/forgectl/pkg/rediscache"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// flushedShown is the JSON of forgectl cache flush.
type flushedShown struct {
	Selection string  `json:"selection"`
	Keys      int64   `json:"keys"`
	Bytes     int64   `json:"bytes"`
	Seconds   float64 `json:"seconds"`
	Worst     float64 `json:"worst_ping_ms"`
	DryRun    bool    `json:"dry_run"`
}

func flushedResult(o cacheFlushOptions, done rediscache.Flushed) result {
	shown := flushedShown{o.String(), done.Keys, done.Bytes, done.Took.Seconds(), milliseconds(done.Worst), o.dryRun}
	return result{JSON: shown, Text: func(s *ui.Streams) error {
		_, err := fmt.Fprintf(s.Out, "%s  removed: %s, about %s, in %s; PING of another client took %s at most\n", s.Bold(ui.Printable(shown.Selection)),
			things(int(shown.Keys), "key"), ui.Bytes(shown.Bytes), ui.Duration(done.Took), shortTime(done.Worst))
		return err
	}}
}
