package service

import (
	"context"
	"fmt"
	"slices"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// The managers, as they are called in the configuration.
const (
	Systemd    = "systemd"
	Supervisor = "supervisor"
	Command    = "command"
	PIDFile    = "pidfile"
	None       = "none"
)

// Application is the one unit of the manager "command": its commands are for
// the application as a whole.
const Application = "application"

// Manager controls units. The methods wait as long as ctx allows.
type Manager interface {
	// Name is one of the constants above.
	Name() string
	// State asks what the unit is doing. An error means that nobody knows.
	State(ctx context.Context, unit string) (State, error)
	// Start starts a unit; one that runs stays as it is.
	Start(ctx context.Context, unit string) error
	// Stop stops a unit; one that does not run stays as it is.
	Stop(ctx context.Context, unit string) error
}

// Restarter is a Manager that has a way of its own to restart a unit.
type Restarter interface {
	Restart(ctx context.Context, unit string) error
}

// State is what a unit is doing, in the words of systemd.
type State string

// The states. The managers' own ones are mapped to these.
const (
	Active       State = "active"
	Reloading    State = "reloading" // active, and reading its configuration again
	Activating   State = "activating"
	Deactivating State = "deactivating"
	Inactive     State = "inactive"
	Failed       State = "failed" // not running, and not because it was told to stop
	NotFound     State = "not-found"
	Unknown      State = "unknown" // the manager has no means to tell, now or ever
)

// Up says whether the unit is there to be used, as far as anybody can tell.
func (s State) Up() bool { return s == Active || s == Reloading || s == Unknown }

// Down says that nothing of the unit runs. Between up and down there are
// Activating and Deactivating: something runs, or is about to. Unknown is not
// down.
func (s State) Down() bool { return s == Inactive || s == Failed || s == NotFound }

// Options say which manager there is and how it is reached.
type Options struct {
	Manager string // one of the constants; required
	Runner  proc.Runner

	// Args come before the verb of systemctl or supervisorctl: "--user", or
	// "-c" and a file.
	Args []string

	// Shell commands, run one after the other by /bin/sh -c. Start and Stop are
	// required for "command", Start is used by "pidfile". Without Restart it is
	// Stop, then Start.
	Start, Stop, Restart []string
}

// New is the manager that o describes. Nothing is asked yet.
func New(o Options) (Manager, error) {
	if o.Runner == nil && o.Manager != None {
		return nil, fmt.Errorf("service manager %s: no runner for its programs", o.Manager)
	}
	switch o.Manager {
	case Systemd:
		return &systemd{run: o.Runner, args: slices.Clone(o.Args)}, nil
	case Supervisor:
		return &supervisor{run: o.Runner, args: slices.Clone(o.Args)}, nil
	case Command:
		return newCommand(o)
	case PIDFile:
		return &pidfile{shell: shell{run: o.Runner}, start: slices.Clone(o.Start)}, nil
	case None:
		return none{}, nil
	}
	return nil, fmt.Errorf("%w: %q", ErrManager, o.Manager)
}
