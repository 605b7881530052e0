package doctor

import (
	"context"
	"errors"
	"fmt"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

// exam is one run: what several checks want to know is found out once.
type exam struct {
	Options
	backup, admin lazy[server]
	repository    lazy[*catalog.Catalog]
	sets          lazy[[]catalog.Set]
	recipients    lazy[[]*seal.Key]
	secrets       lazy[secrets]
}

// server is a server that answered.
type server struct {
	*postgres.Endpoint
	postgres.Server
}

// lazy remembers the first answer, whatever it was.
type lazy[T any] struct {
	known bool
	value T
	err   error
}

func (l *lazy[T]) get(f func() (T, error)) (T, error) {
	if !l.known {
		l.known = true
		l.value, l.err = f()
	}
	return l.value, l.err
}

func (x *exam) backupServer(ctx context.Context) (server, error) {
	return x.backup.get(func() (server, error) { return ask(ctx, x.Backup) })
}

func (x *exam) adminServer(ctx context.Context) (server, error) {
	return x.admin.get(func() (server, error) { return ask(ctx, x.Admin) })
}

// errUnreached is for the checks that only repeat why.
var errUnreached = errors.New("the server cannot be asked: see the finding of check \"server\"")

// errUnopened is the same for the repository.
var errUnopened = errors.New("the repository cannot be read: see the finding of check \"sets\"")

// reach is backupServer for checks that leave the reason to check "server".
func (x *exam) reach(ctx context.Context) (server, error) {
	s, err := x.backupServer(ctx)
	if err != nil {
		return s, errUnreached
	}
	return s, nil
}

func ask(ctx context.Context, resolve func(context.Context) (*postgres.Endpoint, error)) (s server, err error) {
	if s.Endpoint, err = resolve(ctx); err != nil {
		return s, err
	}
	conn, err := s.Connect(ctx)
	if err != nil {
		return s, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if s.Server, err = postgres.Facts(ctx, conn); err == nil {
		err = s.Measure(ctx, conn)
	}
	return s, err
}

// group is the sets of the database.
func (x *exam) group() catalog.Group {
	return catalog.Group{Kind: catalog.KindDatabase, Database: x.Database}
}

// listed are the sets of the database, oldest first.
func (x *exam) listed(ctx context.Context) ([]catalog.Set, error) {
	return x.sets.get(func() ([]catalog.Set, error) {
		c, err := x.catalog(ctx)
		if err != nil {
			return nil, err
		}
		return c.List(ctx, x.group())
	})
}

func (x *exam) catalog(ctx context.Context) (*catalog.Catalog, error) {
	return x.repository.get(func() (*catalog.Catalog, error) { return x.Catalog(ctx) })
}

func (x *exam) sealTo(ctx context.Context) ([]*seal.Key, error) {
	return x.recipients.get(func() ([]*seal.Key, error) { return x.Recipients(ctx) })
}

// good is whether a set can be relied on, as the catalog judges it.
func (x *exam) good(ctx context.Context, s catalog.Set) (ok bool, why string) {
	c, err := x.catalog(ctx)
	if err != nil {
		return s.Good()
	}
	return c.Good(ctx, s)
}

// newestGood is the newest set that can be relied on; false when there is none.
func (x *exam) newestGood(ctx context.Context, sets []catalog.Set) (catalog.Set, bool) {
	for i := len(sets) - 1; i >= 0; i-- {
		if good, _ := x.good(ctx, sets[i]); good {
			return sets[i], true
		}
	}
	return catalog.Set{}, false
}

// size is a number of bytes as people say it.
func size(n int64) string {
	f, unit := float64(n), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		if f < 1024 {
			break
		}
		f, unit = f/1024, next
	}
	if unit == "B" || f >= 100 {
		return fmt.Sprintf("%.0f %s", f, unit)
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}

// count is "1 file" or "3 files".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
