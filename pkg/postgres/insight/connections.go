package insight

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// ConnectionLimits says what counts as a finding.
type ConnectionLimits struct {
	Warning, Critical float64       // part of the usable connections that are taken, from 0 to 1
	Transaction       time.Duration // a transaction that is older is long
	Idle              time.Duration // in a transaction
	SlotBytes         int64         // WAL that a slot holds
}

// Level is how bad a finding is.
type Level string

// The levels.
const (
	OK       Level = "ok"
	Warning  Level = "warning"
	Critical Level = "critical"
)

// Finding is one sentence, and what mends it.
type Finding struct {
	Level  Level  `json:"level"`
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"`
}

// Client is one session of a client.
type Client struct {
	PID         int32      `json:"pid"`
	Database    string     `json:"database"`
	User        string     `json:"user"`
	Application string     `json:"application"`
	Address     string     `json:"address"` // "": the local socket
	State       string     `json:"state"`   // "": this role may not see it
	Started     *time.Time `json:"started"`
	Transaction *time.Time `json:"transaction_started"`
	Changed     *time.Time `json:"state_since"`
	Waits       string     `json:"waits_for"`
	Query       string     `json:"query"` // constants masked
	BlockedBy   []int32    `json:"blocked_by"`
	Superuser   bool       `json:"superuser"`
	Own         bool       `json:"own"` // of this program
}

// Group is how many sessions have something in common.
type Group struct {
	By    string `json:"by"` // state, user, application, address
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// Prepared is a transaction that waits for its second phase.
type Prepared struct {
	Name     string    `json:"name"`
	Database string    `json:"database"`
	Owner    string    `json:"owner"`
	Since    time.Time `json:"since"`
}

// Slot is a replication slot and the WAL that it holds.
type Slot struct {
	Name   string `json:"name"`
	Active bool   `json:"active"`
	Bytes  int64  `json:"wal_bytes"`
	State  string `json:"wal_status"`
}

// ConnectionReport is what forgectl db connections shows.
type ConnectionReport struct {
	Head
	Max      int        `json:"max_connections"`
	Reserved int        `json:"reserved"`
	Usable   int        `json:"usable"`
	Used     int        `json:"used"`
	Part     float64    `json:"part"` // used of usable
	Level    Level      `json:"level"`
	Groups   []Group    `json:"groups"`
	Clients  []Client   `json:"clients"`
	Blocking []Waiting  `json:"blocking"`
	Prepared []Prepared `json:"prepared"`
	Slots    []Slot     `json:"slots"`
	Findings []Finding  `json:"findings"`
	Advice   string     `json:"advice"`

	statementTimeout time.Duration
}

// Waiting is a session that others wait for, and those that wait for it.
type Waiting struct {
	PID     int32     `json:"pid"`
	Query   string    `json:"query"`
	State   string    `json:"state"`
	User    string    `json:"user"`
	Waiters []Waiting `json:"waiters"`
}

// Connections looks at who is connected.
func (s *Session) Connections(ctx context.Context, l ConnectionLimits) (ConnectionReport, error) {
	r := ConnectionReport{Head: s.head(), Groups: []Group{}, Clients: []Client{}, Blocking: []Waiting{}, Prepared: []Prepared{}, Slots: []Slot{}, Findings: []Finding{}}
	err := s.reading(ctx, func(tx pgx.Tx) error {
		if err := s.limits(ctx, tx, &r); err != nil {
			return err
		}
		clients, err := s.clients(ctx, tx)
		if err != nil {
			return err
		}
		r.Clients = append(r.Clients, clients...)
		prepared, err := collect[Prepared](ctx, tx, "prepared transactions", `SELECT gid, database::text, owner::text, prepared FROM pg_catalog.pg_prepared_xacts ORDER BY prepared, gid`)
		if err != nil {
			return err
		}
		r.Prepared = append(r.Prepared, prepared...)
		slots, err := collect[Slot](ctx, tx, "replication slots", `SELECT slot_name::text, active,
			coalesce(pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
				ELSE pg_catalog.pg_current_wal_lsn() END, restart_lsn), 0)::bigint, coalesce(wal_status, '') FROM pg_catalog.pg_replication_slots ORDER BY 3 DESC, 1`)
		r.Slots = append(r.Slots, slots...)
		return err
	})
	if err != nil {
		return r, err
	}
	r.Used = len(r.Clients)
	r.Part = float64(r.Used) / float64(max(r.Usable, 1))
	r.Groups = append(r.Groups, groups(r.Clients)...)
	r.Blocking = append(r.Blocking, chains(r.Clients)...)
	r.Level = OK
	r.judge(s.o.Now(), l)
	r.Advice = r.advise(s.o.Now())
	return r, nil
}

func (s *Session) limits(ctx context.Context, tx pgx.Tx, r *ConnectionReport) error {
	var statement int64
	err := tx.QueryRow(ctx, `SELECT current_setting('max_connections')::int,
		current_setting('superuser_reserved_connections')::int + coalesce(current_setting('reserved_connections', true), '0')::int,
		(SELECT reset_val::bigint FROM pg_catalog.pg_settings WHERE name = 'statement_timeout')`).Scan(&r.Max, &r.Reserved, &statement)
	if err != nil {
		return fmt.Errorf("ask for the limits: %w", err)
	}
	r.Usable = r.Max - r.Reserved
	r.statementTimeout = time.Duration(statement) * time.Millisecond
	return nil
}

func (s *Session) clients(ctx context.Context, tx pgx.Tx) ([]Client, error) {
	list, err := collect[Client](ctx, tx, "sessions", `SELECT a.pid, coalesce(a.datname::text, ''), coalesce(a.usename::text, ''), coalesce(a.application_name, ''),
			coalesce(host(a.client_addr), ''), coalesce(a.state, ''), a.backend_start, a.xact_start, a.state_change,
			coalesce(a.wait_event_type || ': ' || a.wait_event, ''), coalesce(a.query, ''),
			CASE WHEN a.wait_event_type = 'Lock' OR a.state IS NULL THEN pg_catalog.pg_blocking_pids(a.pid) ELSE '{}' END,
			coalesce(r.rolsuper, false), a.pid = pg_catalog.pg_backend_pid()
		FROM pg_catalog.pg_stat_activity a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
		WHERE a.backend_type = 'client backend' OR a.backend_type IS NULL AND a.datname IS NOT NULL ORDER BY a.xact_start NULLS LAST, a.pid`)
	for i := range list {
		list[i].Query = oneLine(list[i].Query)
		list[i].Own = list[i].Own || list[i].Application == "forgectl"
	}
	return list, err
}

func groups(clients []Client) []Group {
	counts := map[Group]int{}
	for _, c := range clients {
		for by, name := range map[string]string{"state": c.State, "user": c.User, "application": c.Application, "address": c.Address} {
			counts[Group{By: by, Name: name}]++
		}
	}
	var list []Group
	for g, n := range counts {
		g.Count = n
		list = append(list, g)
	}
	order := []string{"state", "user", "application", "address"}
	slices.SortFunc(list, func(a, b Group) int {
		return cmp.Or(slices.Index(order, a.By)-slices.Index(order, b.By), b.Count-a.Count, cmp.Compare(a.Name, b.Name))
	})
	return list
}

// chains are trees of who waits for whom. Their heads wait for nobody; where all
// wait for one another the server is about to end one of them.
func chains(clients []Client) []Waiting {
	known := map[int32]Client{}
	waiters := map[int32][]int32{}
	var heads []int32
	for _, c := range clients {
		known[c.PID] = c
		for _, by := range c.BlockedBy {
			if !slices.Contains(waiters[by], c.PID) {
				waiters[by] = append(waiters[by], c.PID)
			}
		}
	}
	for by := range waiters {
		if len(known[by].BlockedBy) == 0 {
			heads = append(heads, by)
		}
	}
	slices.Sort(heads)
	var list []Waiting
	for _, pid := range heads {
		list = append(list, chain(pid, known, waiters, map[int32]bool{}))
	}
	return list
}

func chain(pid int32, known map[int32]Client, waiters map[int32][]int32, seen map[int32]bool) Waiting {
	c := known[pid]
	w := Waiting{PID: pid, Query: c.Query, State: c.State, User: c.User, Waiters: []Waiting{}}
	if pid == 0 {
		w.Query = "a prepared transaction"
	}
	seen[pid] = true
	for _, next := range waiters[pid] {
		if !seen[next] {
			w.Waiters = append(w.Waiters, chain(next, known, waiters, seen))
		}
	}
	return w
}
