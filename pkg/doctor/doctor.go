// Package doctor looks at everything that a night run and a restore need, before
// they need it.
//
// The one idea: a list of independent checks. Each is a small function that
// returns findings; a finding has a level, says what was seen in one sentence,
// and carries its remedy as commands or SQL that can be pasted. The contract:
//
//   - A check that cannot be done (no connection, no permission, no answer in
//     time) is an Unknown finding with the reason. It never stops the others.
//   - Run changes nothing, takes no lock and leaves no trace but the connections
//     in the server's log. It contacts a server only through the functions in
//     Options, each asked once.
//   - What can be mended without a risk carries a Fix, which says what it will
//     do. Nothing is mended before the caller calls it. A fix takes rights away
//     from others, makes an empty directory, or removes what a dead run left;
//     it never gives rights, and never touches a set.
//   - An error of Run is only the end of the context.
package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/health"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/provenance"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/service"
	"github.com/bmad-forge/forgectl/pkg/space"
)

// Level is how much a finding matters.
type Level string

// The levels. Info is a fact that somebody may want to act on, and needs not to.
const (
	OK       Level = "ok"
	Info     Level = "info"
	Warning  Level = "warning"
	Critical Level = "critical"
	Unknown  Level = "unknown"
)

// severity orders levels: what is known to be broken weighs more than what could
// not be looked at, and that more than what merely deserves a look.
func (l Level) severity() int {
	return slices.Index([]Level{OK, Info, Warning, Unknown, Critical}, l)
}

// Finding is what one check has to say about one thing.
type Finding struct {
	Check   string
	Level   Level
	Message string
	Remedy  []string // commands or SQL to paste, in this order
	Fix     *Fix     // nil: nothing that is safe to do by itself
}

// Fix mends a finding.
type Fix struct {
	What string // what it will do, for the operator to agree to
	Do   func(ctx context.Context) error
}

// Worst is the level of the worst finding.
func Worst(findings []Finding) Level {
	worst := OK
	for _, f := range findings {
		if f.Level.severity() > worst.severity() {
			worst = f.Level
		}
	}
	return worst
}

// Options are what the checks work on. Functions are called when they are needed,
// once; what a check needs and was not handed in makes it an Unknown.
type Options struct {
	Database string // that is backed up
	// Backup and Admin are how the server is reached for backups and for restores.
	Backup, Admin func(ctx context.Context) (*postgres.Endpoint, error)

	Repository, StateDir, ScratchDir string
	ConfigFile                       string // ""; none was read
	// Catalog opens the repository.
	Catalog func(ctx context.Context) (*catalog.Catalog, error)
	Intents restore.Intents

	// RTO and RPO are what was promised for a bad day: how long a restore may take, and how old the newest good set
	// may be. 0: nothing was.
	RTO, RPO time.Duration

	RequireSealed bool
	Recipients    func(ctx context.Context) ([]*seal.Key, error)
	// Signer is the key that sets are signed with, tried; nil: they are not signed.
	Signer func(ctx context.Context) (*seal.Signer, error)
	// Provenance is whose signatures count.
	Provenance     func() (provenance.Policy, error)
	SecretKeyFiles []string
	// GPGHolds says whether gpg has the secret key to a fingerprint; nil: it is not asked.
	GPGHolds func(ctx context.Context, fingerprint string) (bool, error)

	Manager func() (service.Manager, error)
	Units   []string
	// Health asks the application once.
	Health func(ctx context.Context) (health.Report, error)

	Finder postgres.ToolFinder
	Runner proc.Runner
	Cron   Cron

	// Config are the findings of whoever read the configuration.
	Config []Finding

	User  string                      // who runs this, for locks of fixes
	Free  func(string) (int64, error) // free bytes where a directory is, or would be; default: statfs
	Now   func() time.Time
	Synch func() (bool, error) // whether the kernel calls the clock synchronised; default: adjtimex
	Limit time.Duration        // for each check; default one minute
}

// check is one of the list. Its findings get its name.
type check struct {
	name string
	run  func(ctx context.Context, x *exam) []Finding
}

// checks is the list, in the order in which an operator thinks of them.
func checks() []check {
	return []check{
		{"state", checkIntents},
		{"server", checkServer},
		{"tools", checkTools},
		{"rights", checkRights},
		{"restores", checkAdmin},
		{"kept", checkKept},
		{"keys", checkKeys},
		{"signatures", checkSignatures},
		{"secret key", checkSecretKey},
		{"sets", checkSets},
		{"drill", checkDrill},
		{"space", checkSpace},
		{"files", checkFiles},
		{"leftovers", checkLeftovers},
		{"units", checkUnits},
		{"health", checkHealth},
		{"schedule", checkSchedule},
		{"clock", checkClock},
		{"config", func(_ context.Context, x *exam) []Finding { return x.Config }},
	}
}

// Run makes all checks. The findings are those of each check together, in the
// order of the list; Sort puts the worst first.
func Run(ctx context.Context, o Options) ([]Finding, error) {
	x := &exam{Options: o.withDefaults()}
	var all []Finding
	for _, c := range checks() {
		limited, cancel := context.WithTimeoutCause(ctx, x.Limit, fmt.Errorf("no answer within %s", x.Limit))
		found := c.run(limited, x)
		cancel()
		if ctx.Err() != nil {
			return all, context.Cause(ctx)
		}
		for _, f := range found {
			f.Check = c.name
			all = append(all, f)
		}
	}
	return all, nil
}

// Sort puts the worst findings first and leaves the order as it is otherwise.
func Sort(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int { return cmp.Compare(b.Level.severity(), a.Level.severity()) })
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Free == nil {
		o.Free = space.FreeBelow
	}
	if o.Synch == nil {
		o.Synch = kernelSynchronised
	}
	if o.Limit <= 0 {
		o.Limit = time.Minute
	}
	if o.Backup == nil {
		o.Backup = notGiven[*postgres.Endpoint]
	}
	if o.Admin == nil {
		o.Admin = notGiven[*postgres.Endpoint]
	}
	if o.Catalog == nil {
		o.Catalog = notGiven[*catalog.Catalog]
	}
	if o.Recipients == nil {
		o.Recipients = notGiven[[]*seal.Key]
	}
	if o.Signer == nil {
		o.Signer = notGiven[*seal.Signer]
	}
	if o.Provenance == nil {
		o.Provenance = func() (provenance.Policy, error) { return provenance.Policy{}, errNotGiven }
	}
	if o.Manager == nil {
		o.Manager = func() (service.Manager, error) { return nil, errNotGiven }
	}
	if o.Health == nil {
		o.Health = notGiven[health.Report]
	}
	o.Cron = o.Cron.withDefaults()
	return o
}

var errNotGiven = errors.New("it was not said what to look at")

func notGiven[T any](context.Context) (none T, err error) { return none, errNotGiven }

func ok(format string, args ...any) []Finding {
	return []Finding{{Level: OK, Message: fmt.Sprintf(format, args...)}}
}

func unknown(err error, remedy ...string) []Finding {
	return []Finding{{Level: Unknown, Message: err.Error(), Remedy: remedy}}
}

func found(l Level, remedy []string, format string, args ...any) Finding {
	return Finding{Level: l, Message: fmt.Sprintf(format, args...), Remedy: remedy}
}
