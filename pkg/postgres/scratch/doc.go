// Package scratch runs a throwaway PostgreSQL cluster from the installed server binaries.
//
// A cluster is one directory below Options.Dir, named forgectl-pg-<random>, and one server that is a direct child
// of this process. It listens on a private Unix socket only, trusts whoever can reach that, and writes nothing
// durably: it must be lost with the machine, never found again.
//
// The contract:
//
//   - Start returns a server that accepts connections. It outlives the context of Start; the caller calls Stop.
//   - Stop ends the server at once and removes everything. It may be called again, also after a failure, and
//     does not depend on its context being alive.
//   - When this process is killed the kernel tells the server to end, and Sweep removes what is left, with a
//     server that should still run. A cluster belongs to the process that holds the flock in its directory: Sweep
//     leaves it alone as long as that process lives.
//   - As root everything runs as Options.OSUser, also where that user cannot enter the parents of Dir. Clients run
//     as the user that called Start, or as Cluster.User. When the path of Dir will not do for a socket (closed to that
//     user, too long, a comma) the socket is in /tmp, in a directory with the same name as the cluster's.
//   - What this host lacks (server programs, the OS user, a locale, a library to preload) is an *UnavailableError,
//     errors.Is(err, ErrUnavailable); all other errors are failures.
package scratch
