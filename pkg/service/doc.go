// Package service stops and starts the units that run the application, and
// never takes "cannot tell" for "not running".
//
// A [Manager] speaks to what runs them: systemd, supervisor, shell commands, a
// pid file, or nothing at all. [Running], [StopAll], [StartAll] and
// [RestartAll] are the procedures that are built on it: units in order, each
// waited for until it is really there or really gone.
//
// The contract:
//
//   - A manager that cannot be asked (no systemd in a container, supervisord
//     not running) is an [ErrUnavailable] from every procedure, before anything
//     was stopped. So is an answer that is not understood.
//   - A unit that the manager does not know is an [ErrNotFound], not a unit
//     that does not run: it is most likely a mistake in the configuration.
//   - StopAll goes in reverse order. When it fails, [StopError] names what
//     was stopped until then, for the caller to start again. Before it returns
//     without an error it has looked at every unit once more, because a timer,
//     a socket or Restart= may have brought one up in the meantime. Whatever
//     happens after that moment only another call of Running can tell.
//   - StartAll starts every unit that it can, also when one before it failed,
//     and watches each for a while: a program that dies a second after its
//     start, or that its manager keeps restarting, has not been started.
//   - No unit is ever killed by this package. What the manager does when its own
//     time limit for a stop is over (TimeoutStopSec=, stopwaitsecs) is up to it.
//   - Methods of a Manager wait as long as their context allows; the procedures
//     limit the time for each unit.
//   - The name of a unit is checked before it becomes an argument, and stands
//     behind "--".
//
// The end of the context ends the waiting, not the job: systemd goes on with
// what it was asked to do. A caller that wants to start units again after that
// uses context.WithoutCancel.
//
// # What the managers can see
//
// For systemd the state is taken from "systemctl show", not from the exit code
// of "is-active": that is 3 for a unit which is just being started or stopped
// as well as for one which is down, and its manual page advises against
// relying on it. For supervisor it is "supervisorctl status". For "pidfile" the
// unit is the absolute path of the pid file. For "command" nobody knows: the
// state is [Unknown], which counts as running before a stop and as stopped
// after the commands have succeeded. With "none" nothing is touched; the
// procedures do nothing and return nothing, and Start and Stop say so
// ([ErrUntouched]).
//
// # What only the real systemd proves
//
// The tests run against a stand-in for systemctl (package servicetest) which
// has the documented states, exit codes, messages and delays. It is no proof
// of: polkit and who may stop a unit; jobs of several units and their
// dependencies; control groups (it ends the process group of a unit); sockets
// and timers that start a unit; sd_notify; the journal. The tests of supervisor
// use the real one.
package service
