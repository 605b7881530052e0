// Command demoapp stands for the application in the demo: it keeps a connection
// to its database as its own role, notes an audit row again and again, and
// answers at /health/ in the words of the real one. It says "unhealthy" when a
// table that it needs is not there, which is how a restore's health gate, and
// whoever looks at the demo, can tell a good database from a broken one.
//
//	demoapp 'host=/run/postgresql user=bmad_forge dbname=bmad_forge' 127.0.0.1:8000
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: demoapp CONNINFO ADDRESS")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	a := &app{conninfo: os.Args[1]}
	server := &http.Server{Addr: os.Args[2], Handler: http.HandlerFunc(a.health), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	go a.work(ctx)
	if err := server.ListenAndServe(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1)
	}
}

type app struct {
	conninfo string
	trouble  atomic.Value // string: why the last piece of work failed, or ""
}

// work does what users would have the application do, and connects again
// whenever its connection is gone.
func (a *app) work(ctx context.Context) {
	a.trouble.Store("starting")
	for ctx.Err() == nil {
		if err := a.session(ctx); err != nil {
			a.trouble.Store(err.Error())
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (a *app) session(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, a.conninfo)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for {
		// A page that shows how many texts were generated; it fails without that table.
		var texts int
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM (SELECT id FROM forge_generation LIMIT 10) AS newest").Scan(&texts); err != nil {
			return err
		}
		a.trouble.Store("")
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (a *app) health(w http.ResponseWriter, _ *http.Request) {
	status, database := "healthy", "ok"
	if trouble, _ := a.trouble.Load().(string); trouble != "" {
		status, database = "unhealthy", trouble
	}
	w.Header().Set("Content-Type", "application/json")
	answer := struct {
		Status  string            `json:"status"`
		App     string            `json:"app"`
		Version string            `json:"version"`
		Checks  map[string]string `json:"checks"`
	}{status, "BMAD Forge", "1.3.0", map[string]string{"database": database}}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		fmt.Fprintln(os.Stderr, err) // whoever asked has gone
	}
}
