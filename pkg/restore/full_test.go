package restore_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/catalog/catalogtest"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/restore"
)

// recoveryPoint is a database, a directory of media and one of configuration files that were saved as one full set when
// each said "then", and say "now" since; and the options of a restore, which writes down its steps.
type recoveryPoint struct {
	t        *testing.T
	dir      string
	e        *postgres.Endpoint
	app      *application
	o        restore.FullOptions
	database restore.Options
	media    restore.MediaOptions
	config   restore.ConfigOptions
	steps    []string
}

func newRecoveryPoint(t *testing.T) *recoveryPoint {
	t.Helper()
	p := &recoveryPoint{t: t, dir: t.TempDir(), e: scratchtest.Database(t, "CREATE TABLE said (word text)", "INSERT INTO said VALUES ('then')")}
	t.Cleanup(func() { dropLike(t, p.e.Database()) })
	for _, dir := range []string{"media", "etc", "repository"} {
		must(t, os.Mkdir(p.path(dir), 0o700))
	}
	p.write("then")
	c := catalogtest.Open(t, p.path("repository"))
	to := backup.SetOptions{Catalog: c}
	made, err := backup.Full(t.Context(), backup.FullOptions{Catalog: c, Parts: []backup.FullPart{
		{Name: "config", Backup: func(ctx context.Context) (catalog.Set, error) { // the order of the set is not that of a restore
			r, err := backup.Config(ctx, backup.ConfigOptions{SetOptions: to, Paths: []string{p.path("etc")}, AllowPlain: true})
			return r.Set, err
		}},
		{Name: "media", Backup: func(ctx context.Context) (catalog.Set, error) {
			r, err := backup.Media(ctx, backup.MediaOptions{SetOptions: to, Source: p.path("media")})
			return r.Set, err
		}},
		{Name: "database", Backup: func(context.Context) (catalog.Set, error) { return save(t, c, p.e, nil), nil }},
	}})
	must(t, err)
	scratchtest.Exec(t, p.e, "UPDATE said SET word = 'now'")
	p.write("now")
	p.options(c, made.Set)
	return p
}

func (p *recoveryPoint) path(name string) string { return filepath.Join(p.dir, name) }

func (p *recoveryPoint) write(word string) {
	p.t.Helper()
	for _, name := range []string{"media/one", "etc/one", "etc/two"} {
		must(p.t, os.WriteFile(p.path(name), []byte(word), 0o600))
	}
}

func (p *recoveryPoint) options(c *catalog.Catalog, set catalog.Set) {
	p.app = &application{file: p.path("unit")}
	must(p.t, p.app.Start(p.t.Context(), nil))
	intents := restore.Intents{Dir: p.path("intents")}
	step := func(part string) func(string) {
		return func(name string) { p.steps = append(p.steps, part+" "+name) }
	}
	runner := scratchtest.Runner()
	p.database = restore.Options{
		Admin: scratchtest.Admin(p.t), Runner: runner, Finder: postgres.ToolFinder{Runner: runner}, Intents: intents, Units: p.app, Step: step("database"),
		Gate: func(context.Context) error { return nil },
	}
	p.media = restore.MediaOptions{Live: p.path("media"), Intents: intents, PID: os.Getpid(), Step: step("media")}
	p.config = restore.ConfigOptions{Aside: p.path("replaced"), Step: step("config")}
	p.o = restore.FullOptions{
		Catalog: c, Set: set, Live: p.e.Database(),
		Database: func(context.Context, catalog.Set) (restore.Options, error) { return p.database, nil },
		Media:    func(context.Context, catalog.Set) (restore.MediaOptions, error) { return p.media, nil },
		Config:   func(context.Context, catalog.Set) (restore.ConfigOptions, error) { return p.config, nil },
	}
}

// says is the words of database, media and configuration.
func (p *recoveryPoint) says() string {
	p.t.Helper()
	words := []string{scratchtest.Query(p.t, p.e, "SELECT word FROM said")}
	for _, name := range []string{"media/one", "etc/one", "etc/two"} {
		word, err := os.ReadFile(p.path(name))
		must(p.t, err)
		words = append(words, string(word))
	}
	return strings.Join(words, " ")
}

// untouched fails unless everything is as it was, nothing lies beside it, and the unit runs.
func (p *recoveryPoint) untouched() {
	p.t.Helper()
	if says := p.says(); says != "now now now now" {
		p.t.Errorf("it says %s", says)
	}
	entries, err := os.ReadDir(p.dir)
	must(p.t, err)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "media_") || e.Name() == "replaced" {
			p.t.Errorf("%s was left", e.Name())
		}
	}
	p.alone()
	if !p.app.runs() {
		p.t.Error("the unit does not run")
	}
}

// alone fails when a restored database was left.
func (p *recoveryPoint) alone() {
	p.t.Helper()
	if found := like(p.t, p.e.Database()); found != p.e.Database() {
		p.t.Errorf("databases %s", found)
	}
}

// at is when a step was taken.
func (p *recoveryPoint) at(step string) int {
	p.t.Helper()
	i := slices.Index(p.steps, step)
	if i < 0 {
		p.t.Errorf("no step %q: %q", step, p.steps)
	}
	return i
}

// takeBack undoes a restore as its result says.
func (p *recoveryPoint) takeBack(r restore.FullResult) {
	p.t.Helper()
	for _, kind := range r.Undo() {
		var err error
		switch kind {
		case catalog.KindDatabase:
			p.database.Live = p.o.Live
			_, err = restore.Undo(p.t.Context(), p.database)
		case catalog.KindMedia:
			_, err = restore.UndoMedia(p.t.Context(), p.media)
		case catalog.KindConfig:
			err = exec.CommandContext(p.t.Context(), "sh", filepath.Join(r.Config.Kept, restore.UndoName)).Run()
		}
		must(p.t, err)
	}
	if says := p.says(); says != "now now now now" {
		p.t.Errorf("taken back it says %s", says)
	}
}

// Promise: all parts are planned before one is changed, and confirmed as one; the database is loaded before anything is
// in service, the media come before the configuration, and the database comes last, so that units start with all three.
// The result says what to take back, the last one first. A plan changes nothing and takes no lock.
func TestFull(t *testing.T) {
	t.Parallel()
	p := newRecoveryPoint(t)
	var held []string
	p.o.Hold = func(groups ...catalog.Group) (func(), error) {
		held = append(held, "groups")
		return func() { held = append(held, "-groups") }, nil
	}
	p.o.Lock = func(kind catalog.Kind) (func(), error) {
		held = append(held, string(kind))
		return func() { held = append(held, "-"+string(kind)) }, nil
	}
	planned, err := restore.PlanFull(t.Context(), p.o)
	must(t, err)
	if plan := planned.Plan(); plan.Database.Into != p.o.Live || plan.Media == nil || plan.Config == nil || len(planned.Undo()) > 0 || len(p.steps) > 0 {
		t.Errorf("%+v, steps %q", plan, p.steps)
	}
	p.untouched()
	if want := []string{"groups", "-groups"}; !slices.Equal(held, want) {
		t.Errorf("a plan held %q", held)
	}

	held = nil
	p.o.Confirm = func(_ context.Context, plan restore.FullPlan) error {
		p.steps = append(p.steps, "confirm")
		if plan.Set.Ref != p.o.Set.Ref || plan.Database.Into != p.o.Live || len(plan.Media.Changed) != 1 || len(plan.Config.Changes()) != 2 {
			t.Errorf("%+v", plan)
		}
		p.untouched()
		return nil
	}
	r, err := restore.Full(t.Context(), p.o)
	must(t, err)
	if says := p.says(); says != "then then then then" {
		t.Errorf("it says %s", says)
	}
	order := []string{"confirm", "database created", "database loaded data", "media begun", "media kept", "config kept", "config restored", "database stopped", "database swapped", "database started", "database well"}
	var at []int
	for _, step := range order {
		at = append(at, p.at(step))
	}
	if p.steps[0] != "confirm" || !slices.IsSorted(at) {
		t.Errorf("steps %q", p.steps)
	}
	if want := []string{"groups", "media", "config", "-config", "-media", "-groups"}; !slices.Equal(held, want) {
		t.Errorf("held %q", held)
	}
	if want := []catalog.Kind{catalog.KindDatabase, catalog.KindConfig, catalog.KindMedia}; !slices.Equal(r.Undo(), want) {
		t.Errorf("to take back: %q", r.Undo())
	}
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second))) // names are to the second
	p.takeBack(r)
}

// Promise: a part that fails before anything is in service leaves everything as it was; one that fails later leaves the
// live database, and the result says what is in service by then, so that it can be taken back.
func TestFullFails(t *testing.T) {
	t.Parallel()
	no := errors.New("no")
	for _, test := range []struct {
		name  string
		spoil func(p *recoveryPoint)
		undo  []catalog.Kind
		says  string // "": everything is untouched
		cause string
	}{
		{name: "not confirmed", spoil: func(p *recoveryPoint) {
			p.o.Confirm = func(context.Context, restore.FullPlan) error { return no }
		}, cause: "no"},
		{name: "a lock is held", spoil: func(p *recoveryPoint) {
			p.o.Lock = func(kind catalog.Kind) (func(), error) {
				if kind == catalog.KindConfig {
					return nil, no
				}
				return func() {}, nil
			}
		}, cause: "no"},
		{name: "the media cannot be planned", spoil: func(p *recoveryPoint) {
			p.media.Live = p.path("etc/one")
		}, cause: "files of media/"},
		{name: "the configuration cannot be planned", spoil: func(p *recoveryPoint) {
			p.o.Config = func(context.Context, catalog.Set) (restore.ConfigOptions, error) { return p.config, no }
		}, cause: "configuration files of config/"},
		{name: "the media cannot be built", spoil: func(p *recoveryPoint) {
			dir, _ := p.o.Catalog.Location(p.part(catalog.KindMedia))
			p.before("database loaded data", func() { must(p.t, os.WriteFile(filepath.Join(dir, "tree/one"), []byte("evil"), 0o600)) })
		}, cause: "files of media/"},
		{name: "the configuration cannot be written", spoil: func(p *recoveryPoint) {
			p.config.Step = func(name string) {
				if name == "restored" { // the first of two
					p.config.Step = nil
					must(p.t, os.Remove(p.path("etc/two")))
					must(p.t, os.Mkdir(p.path("etc/two"), 0o700))
				}
			}
		}, undo: []catalog.Kind{catalog.KindConfig, catalog.KindMedia}, cause: "configuration files of config/"},
		{name: "the application is not well", spoil: func(p *recoveryPoint) {
			p.database.Gate = func(context.Context) error { return no }
		}, undo: []catalog.Kind{catalog.KindConfig, catalog.KindMedia}, says: "now then then then", cause: "no"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newRecoveryPoint(t)
			test.spoil(p)
			r, err := restore.Full(t.Context(), p.o)
			if err == nil || !strings.Contains(err.Error(), test.cause) || !slices.Equal(r.Undo(), test.undo) {
				t.Fatalf("%v; to take back: %q", err, r.Undo())
			}
			if len(test.undo) == 0 {
				p.untouched()
				return
			}
			if fi, err := os.Stat(p.path("etc/two")); err == nil && fi.IsDir() {
				must(t, os.Remove(p.path("etc/two")))
				must(t, os.WriteFile(p.path("etc/two"), []byte("now"), 0o600))
				p.alone()
			} else if says := p.says(); says != test.says {
				t.Errorf("it says %s", says)
			}
			p.takeBack(r)
		})
	}
}

// Promise: a full set that is not whole, or of another database, is refused before anything is planned; what is left out
// may be missing.
func TestFullRefused(t *testing.T) {
	t.Parallel()
	p := newRecoveryPoint(t)
	elsewhere := p.o
	elsewhere.Live = "elsewhere"
	var other *restore.OtherDatabaseError
	if _, err := restore.Full(t.Context(), elsewhere); !errors.As(err, &other) || other.Database != p.o.Live || other.Live != "elsewhere" {
		t.Errorf("%v", err)
	}
	none := p.o
	none.Without = []catalog.Kind{catalog.KindDatabase}
	if _, err := restore.Full(t.Context(), none); !errors.As(err, new(*restore.PartsError)) {
		t.Errorf("%v", err)
	}
	must(t, p.o.Catalog.Remove(t.Context(), p.part(catalog.KindMedia)))
	var damage *catalog.DamageError
	if _, err := restore.Full(t.Context(), p.o); !errors.As(err, &damage) || damage.Kind != catalog.DamageMissing {
		t.Errorf("%v", err)
	}
	p.untouched()
	p.o.Without = []catalog.Kind{catalog.KindMedia}
	r, err := restore.Full(t.Context(), p.o)
	must(t, err)
	if says := p.says(); says != "then now then then" || r.Media != nil {
		t.Errorf("it says %s, %+v", says, r.Media)
	}
}

// part is the name of a part of the set.
func (p *recoveryPoint) part(kind catalog.Kind) catalog.Ref {
	p.t.Helper()
	for _, name := range p.o.Set.Manifest.References {
		if ref, err := catalog.ParseRef(name); err == nil && ref.Kind == kind {
			return ref
		}
	}
	p.t.Fatalf("no %s in %q", kind, p.o.Set.Manifest.References)
	return catalog.Ref{}
}

// before does something at a step of the database.
func (p *recoveryPoint) before(step string, do func()) {
	was := p.database.Step
	p.database.Step = func(name string) {
		was(name)
		if "database "+name == step {
			do()
		}
	}
}
