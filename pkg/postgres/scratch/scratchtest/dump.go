package scratchtest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// Dump is what pg_dump says of a database of the shared server: all that is in it, as text that can be compared.
func Dump(t testing.TB, name string) string {
	t.Helper()
	server := Server(t)
	var stderr []string
	out, err := proc.Output(t.Context(), Runner(), proc.Cmd{
		Path:   "/usr/lib/postgresql/15/bin/pg_dump",
		Args:   []string{"--restrict-key=test", "--host=" + server.SocketDir, fmt.Sprintf("--port=%d", server.Port), "--username=" + scratch.Superuser},
		Env:    []string{"PGDATABASE=" + name},
		Stderr: func(line string) { stderr = append(stderr, line) },
	})
	if err != nil {
		t.Fatalf("pg_dump %s: %v\n%s", name, err, strings.Join(stderr, "\n"))
	}
	return string(out)
}
