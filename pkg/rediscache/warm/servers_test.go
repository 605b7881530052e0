package warm_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/rediscache"
	"github.com/bmad-forge/forgectl/pkg/rediscache/redistest"
	"github.com/bmad-forge/forgectl/pkg/rediscache/warm"
)

func numbers(n int) warm.Entry {
	return warm.Entry{Query: fmt.Sprintf("SELECT g AS id FROM generate_series(1, %d) g", n), Key: "k:{id}", Codec: warm.Pickle}
}

func opened(t *testing.T, o rediscache.Options) *rediscache.Cache {
	t.Helper()
	c, err := rediscache.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Promise: keys arrive by TLS for a user of the ACL, by a socket and with a password, in the database that is meant; a user
// without the right to write is told so.
func TestServers(t *testing.T) {
	db := scratchtest.Database(t)
	certs := redistest.NewCertificates(t)
	secure, port := certs.Start(t, "--user", "app", "on", ">hunter2", "~bmad:*", "+@all", "--user", "reader", "on", ">hunter2", "~*", "+@read", "+@connection", "+info")
	locked := redistest.Start(t, "--requirepass", "hunter2")
	for name, tt := range map[string]struct {
		o      rediscache.Options
		server *redistest.Server
		pass   string
		is     error
	}{
		"TLS, ACL": {rediscache.Options{URL: "rediss://app@127.0.0.1:" + port + "/2", Password: "hunter2", CAFile: certs.CA, CertFile: certs.Cert, KeyFile: certs.Key}, secure, "", nil},
		"reader":   {rediscache.Options{URL: "rediss://reader@127.0.0.1:" + port + "/2", Password: "hunter2", CAFile: certs.CA, CertFile: certs.Cert, KeyFile: certs.Key}, secure, "", rediscache.ErrRights},
		"socket":   {rediscache.Options{URL: locked.SocketURL() + "?db=2", Password: "hunter2"}, locked, "hunter2", nil},
	} {
		t.Run(name, func(t *testing.T) {
			other := tt.server.Client(t).Conn()
			if tt.pass != "" {
				if err := other.Auth(t.Context(), tt.pass).Err(); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(other.Select(t.Context(), 2).Err(), other.FlushDB(t.Context()).Err()); err != nil {
				t.Fatal(err)
			}
			sum, err := warm.Run(t.Context(), scratchtest.Open(t, db), opened(t, tt.o).Client(), numbers(3000), warm.Options{Prefix: prefix})
			if !errors.Is(err, tt.is) || sum.Written != other.DBSize(t.Context()).Val() || (sum.Written == 3000) != (tt.is == nil) || (err == nil) != sum.Counted {
				t.Errorf("%+v, %v; %d keys are there", sum, err, other.DBSize(t.Context()).Val())
			}
			if tt.is != nil && !strings.Contains(err.Error(), `set "bmad:3:k:1"`) {
				t.Errorf("the key is not named: %v", err)
			}
		})
	}
}

// Promise: a replica and a server that loads its data say so, and nothing is written.
func TestTakesNoWrites(t *testing.T) {
	a := servers(t)
	replica := redistest.Start(t, "--replicaof", "127.0.0.1", fmt.Sprint(a.redis.Port))
	sum, err := warm.Run(t.Context(), scratchtest.Open(t, a.db), replica.Client(t), numbers(3000), warm.Options{Prefix: prefix})
	if !errors.Is(err, rediscache.ErrReadOnly) || sum.Written != 0 {
		t.Errorf("replica: %+v, %v", sum, err)
	}
	if err := a.client.Do(t.Context(), "DEBUG", "POPULATE", "100000", "bmad:3:x", "200").Err(); err != nil {
		t.Fatal(err)
	}
	if err := a.client.Do(t.Context(), "SAVE").Err(); err != nil {
		t.Fatal(err)
	}
	a.redis.Kill()
	loading := redistest.StartIn(t, a.redis.Dir, "--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024")
	sum, err = warm.Run(t.Context(), scratchtest.Open(t, a.db), loading.Client(t), numbers(3000), warm.Options{Prefix: prefix})
	if !errors.Is(err, rediscache.ErrLoading) || sum.Written != 0 {
		t.Errorf("loading: %+v, %v", sum, err)
	}
}

// Promise: when the master dies in the middle it is an error of the connection with what was written; done anew as a
// failover wants it, all keys are on the server that has become the master.
func TestFailover(t *testing.T) {
	db, s := scratchtest.Database(t), redistest.StartSentinel(t)
	cache := opened(t, rediscache.Options{URL: s.URL()})
	var sums []warm.Summary
	var errs []error
	err := cache.Surviving(t.Context(), func() error {
		sum, err := warm.Run(t.Context(), scratchtest.Open(t, db), cache.Client(), numbers(50_000), warm.Options{Prefix: prefix, Progress: func(done, _ int64) {
			if len(sums) == 0 && done >= 5000 {
				s.Master.Kill()
			}
		}})
		sums, errs = append(sums, sum), append(errs, err)
		return err
	})
	last := len(sums) - 1
	if err != nil || last < 1 || sums[last].Written != 50_000 || s.Replica.Client(t).DBSize(t.Context()).Val() != 50_000 {
		t.Errorf("%+v, %v; %d keys are there", sums, errs, s.Replica.Client(t).DBSize(t.Context()).Val())
	}
	if first := sums[0]; errs[0] == nil || first.Written < 5000 || first.Written >= 50_000 || first.Counted {
		t.Errorf("%+v, %v", first, errs[0])
	}
}
