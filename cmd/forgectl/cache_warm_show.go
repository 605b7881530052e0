package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bmad-forge/forgectl/pkg/config"
	"github.com/bmad-forge/forgectl/pkg/rediscache"
	"github.com/bmad-forge/forgectl/pkg/rediscache/warm"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// warmed is the JSON of forgectl cache warm.
type warmed struct {
	Entries []warmedEntry `json:"entries"`
	DryRun  bool          `json:"dry_run"`
}

type warmedEntry struct {
	Name     string      `json:"name"`
	Codec    string      `json:"codec"` // "command" where the application did it
	Rows     *int64      `json:"rows"`  // nil where nobody knows: it ended early, or the application did it
	Written  int64       `json:"written"`
	Present  int64       `json:"present"`
	Bytes    int64       `json:"bytes"`
	Estimate int64       `json:"estimated_bytes"`
	Seconds  float64     `json:"seconds"`
	Sample   *warmSample `json:"sample,omitempty"`
}

type warmSample struct {
	Key     string  `json:"key"`
	Value   string  `json:"value"`
	Seconds float64 `json:"ttl_seconds"` // 0: for ever
	Bytes   int     `json:"bytes"`
}

// warmEntry warms one entry.
func (a *App) warmEntry(ctx context.Context, cache *rediscache.Cache, e config.WarmEntry, o warm.Options) (warmedEntry, error) {
	shown := warmedEntry{Name: e.Name, Codec: e.Codec}
	if e.Via == config.WarmViaCommand {
		shown.Codec = "command"
		if o.DryRun {
			return shown, nil
		}
		started := time.Now()
		err := a.warmByCommand(ctx, e)
		shown.Seconds = time.Since(started).Seconds()
		return shown, err
	}
	entry := warm.Entry{
		Name: e.Name, Query: e.Query, Key: e.Key, Value: e.Value, TTL: e.TTL, Jitter: e.Jitter, Codec: e.Codec,
		Model: e.Model, Table: e.Table, Database: e.Database, DjangoVersion: e.DjangoVersion,
	}
	var err error
	if e.Codec == config.CodecModel && e.DjangoVersion == "" {
		if entry.DjangoVersion, err = warm.DjangoVersion(a.loaded.App.Root); err != nil {
			return shown, err
		}
	}
	sum, err := a.warmByQuery(ctx, cache, entry, o)
	if shown.Written, shown.Present, shown.Bytes = sum.Written, sum.Present, sum.Bytes; sum.Counted {
		shown.Rows = &sum.Rows
	}
	shown.Estimate, shown.Seconds = sum.Need, sum.Took.Seconds()
	if s := sum.Sample; s != nil && o.DryRun {
		shown.Sample = &warmSample{s.Key, s.Value, s.TTL.Seconds(), s.Bytes}
	}
	return shown, err
}

// warmByQuery runs the entry, and runs it anew on the master that Sentinel has made of another server meanwhile.
func (a *App) warmByQuery(ctx context.Context, cache *rediscache.Cache, e warm.Entry, o warm.Options) (sum warm.Summary, err error) {
	endpoint, err := a.BackupEndpoint(ctx)
	if err != nil {
		return sum, err
	}
	progress := a.Streams.ProgressOf("warming "+e.Name, 0)
	defer progress.Done()
	o.Progress = progress.Set
	var unreachable error // the database, which no other Redis mends
	err = cache.Surviving(ctx, func() error {
		conn, err := endpoint.Connect(ctx)
		if err != nil {
			unreachable = err
			return nil
		}
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		this, err := warm.Run(ctx, conn, cache.Client(), e, o)
		if err == nil || this.Written >= sum.Written {
			sum = this
		}
		return err
	})
	return sum, errors.Join(err, unreachable)
}

func (w warmed) result() result {
	return result{JSON: w, Text: func(s *ui.Streams) error {
		if w.DryRun {
			return w.samples(s)
		}
		t := s.Table(ui.Column{Title: "NAME"}, ui.Column{Title: "CODEC"}, ui.Column{Title: "ROWS", Right: true}, ui.Column{Title: "WRITTEN", Right: true},
			ui.Column{Title: "PRESENT", Right: true}, ui.Column{Title: "SIZE", Right: true}, ui.Column{Title: "TIME", Right: true}, ui.Column{Title: "RATE", Right: true})
		for _, e := range w.Entries {
			took, rate := time.Duration(e.Seconds*float64(time.Second)), ""
			if n := e.Written + e.Present; n > 0 && e.Seconds > 0 {
				rate = s.Number(int64(float64(n)/e.Seconds)) + "/s"
			}
			rows := "-"
			if e.Rows != nil {
				rows = s.Number(*e.Rows)
			}
			t.Row(e.Name, e.Codec, rows, s.Number(e.Written), s.Number(e.Present), ui.Bytes(e.Bytes), ui.Duration(took), rate)
		}
		return t.Flush()
	}}
}

// samples is what a dry run shows.
func (w warmed) samples(s *ui.Streams) error {
	for _, e := range w.Entries {
		lines := []string{e.Name + ": the application's own command, which a dry run does not run"}
		if e.Rows != nil {
			lines[0] = fmt.Sprintf("%s (%s): %s rows, about %s in Redis", e.Name, e.Codec, s.Number(*e.Rows), ui.Bytes(e.Estimate))
		}
		if v := e.Sample; v != nil {
			ttl := "for ever"
			if v.Seconds > 0 {
				ttl = "for " + ui.Duration(time.Duration(v.Seconds*float64(time.Second)))
			}
			lines = append(lines, "  "+v.Key+" "+ttl+", "+ui.Bytes(int64(v.Bytes)), "  "+v.Value)
		}
		for _, line := range lines {
			if _, err := fmt.Fprintln(s.Out, ui.Printable(line)); err != nil {
				return err
			}
		}
	}
	return nil
}
