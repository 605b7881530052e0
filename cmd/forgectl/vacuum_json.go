package main

import (
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres/maintain"
)

// vacuumShown is the JSON of forgectl vacuum.
type vacuumShown struct {
	Database    string           `json:"database"`
	Action      maintain.Action  `json:"action"`
	Tables      []vacuumTable    `json:"tables"`
	Left        []vacuumLeft     `json:"left"`
	Leftovers   []vacuumLeftover `json:"leftovers"`
	XIDAge      int64            `json:"xid_age"`
	XIDAfter    *int64           `json:"xid_age_after"`
	Reclaimed   *int64           `json:"reclaimed_bytes"`
	Free        *int64           `json:"free_bytes"`
	WindowUntil *time.Time       `json:"window_until"`
	Seconds     *float64         `json:"seconds"`
	DryRun      bool             `json:"dry_run"`
}

type vacuumTable struct {
	Table         string           `json:"table"`
	Action        maintain.Action  `json:"action"`
	Reasons       []string         `json:"reasons"`
	Bytes         int64            `json:"bytes"`
	DeadRows      int64            `json:"dead_rows"`
	XIDAge        int64            `json:"xid_age"`
	Gain          *int64           `json:"gain_bytes"`
	GainLeast     int64            `json:"gain_least_bytes"`
	GainWhy       string           `json:"gain_why"` // it is not known
	GainReusable  bool             `json:"gain_reusable"`
	Estimated     *float64         `json:"estimated_seconds"`
	EstimatedFrom string           `json:"estimated_from"` // "records", "size" or ""
	Locked        bool             `json:"locked"`
	Outcome       maintain.Outcome `json:"outcome,omitempty"`
	Why           string           `json:"why,omitempty"`
	Remedy        string           `json:"remedy,omitempty"`
	Seconds       *float64         `json:"seconds,omitempty"`
	BytesAfter    *int64           `json:"bytes_after,omitempty"`
	Reclaimed     *int64           `json:"reclaimed_bytes,omitempty"`
	DeadAfter     *int64           `json:"dead_rows_after,omitempty"`
	XIDAgeAfter   *int64           `json:"xid_age_after,omitempty"`
	Warnings      []string         `json:"warnings,omitempty"`
}

type vacuumLeft struct {
	Table  string `json:"table"`
	Why    string `json:"why"`
	Remedy string `json:"remedy"`
}

type vacuumLeftover struct {
	Index   string `json:"index"`
	Table   string `json:"table"`
	Bytes   int64  `json:"bytes"`
	SQL     string `json:"sql"`
	Dropped bool   `json:"dropped"`
}

func vacuumJSON(p maintain.Plan, action maintain.Action) vacuumShown {
	shown := vacuumShown{Database: p.Database, Action: action, Tables: []vacuumTable{}, Left: []vacuumLeft{}, Leftovers: []vacuumLeftover{}, XIDAge: p.Ages.XID}
	for _, item := range p.Items {
		shown.Tables = append(shown.Tables, vacuumItem(item))
	}
	for _, l := range p.Left {
		shown.Left = append(shown.Left, vacuumLeft{l.Name(), l.Why, l.Remedy})
	}
	for _, l := range p.Leftovers {
		shown.Leftovers = append(shown.Leftovers, vacuumLeftover{Index: l.Schema + "." + l.Index, Table: l.Of, Bytes: l.Bytes, SQL: l.SQL()})
	}
	if free := p.Space.Free(); free >= 0 {
		shown.Free = &free
	}
	if !p.Until.IsZero() {
		shown.WindowUntil = &p.Until
	}
	return shown
}

func vacuumItem(item maintain.Item) vacuumTable {
	t := vacuumTable{
		Table: item.Name(), Action: item.Action, Reasons: item.Reasons, Bytes: item.Bytes(), DeadRows: item.Dead, XIDAge: item.XIDAge,
		GainLeast: item.Gain.Bytes, GainWhy: item.Gain.Why, GainReusable: item.Gain.Reusable, Locked: item.Locked,
	}
	if item.Gain.Known {
		t.Gain = &item.Gain.Bytes
	}
	if e := item.Estimate; e.Time > 0 {
		whole := e.Time.Seconds()
		t.Estimated, t.EstimatedFrom = &whole, "size"
		if e.FromRecords {
			t.EstimatedFrom = "records"
		}
	}
	return t
}

func resultJSON(r maintain.Result, action maintain.Action) vacuumShown {
	shown := vacuumJSON(r.Plan, action)
	shown.Tables = []vacuumTable{}
	for _, result := range r.Tables {
		t := vacuumItem(result.Item)
		t.Outcome, t.Why, t.Remedy, t.Warnings, t.Seconds = result.Outcome, result.Why, result.Remedy, result.Warnings, &result.Seconds
		if after := result.After; after != nil {
			bytes, reclaimed, dead, age := after.Bytes(), result.Reclaimed(), after.Dead, after.XIDAge
			t.BytesAfter, t.Reclaimed, t.DeadAfter, t.XIDAgeAfter = &bytes, &reclaimed, &dead, &age
		}
		shown.Tables = append(shown.Tables, t)
	}
	for i := range shown.Leftovers {
		for _, d := range r.Dropped {
			l := &shown.Leftovers[i]
			l.Dropped = l.Dropped || l.Index == d.Schema+"."+d.Index
		}
	}
	if r.Measured {
		shown.XIDAfter, shown.Reclaimed = &r.Ages.XID, &r.Reclaimed
	}
	shown.Seconds = &r.Seconds
	return shown
}
