package doctor

import (
	"context"
	"errors"

	"github.com/bmad-forge/forgectl/pkg/health"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// checkHealth asks the application whether it is well, as a restore into service will: where it cannot say so now, that
// restore would be taken back.
func checkHealth(ctx context.Context, x *exam) []Finding {
	remedy := []string{"forgectl config show health"}
	r, err := x.Health(ctx)
	switch {
	case errors.Is(err, errNotGiven):
		return unknown(err)
	case errors.Is(err, health.ErrNoURL):
		return []Finding{found(Info, remedy, "health.url is empty: a restore into service does not ask whether the application is well")}
	case errors.Is(err, health.ErrURL):
		return []Finding{found(Critical, remedy, "%v", err)}
	case err != nil:
		return unknown(err)
	}
	look := append([]string{"curl -si " + proc.ShellWord(r.URL)}, remedy...)
	const then = "a restore into service would be taken back"
	switch r.Verdict {
	case health.OK:
		return ok("the application is well: %s", r)
	case health.Warning:
		return []Finding{found(Warning, look, "the application is not well: %s: %s", r, then)}
	}
	return []Finding{found(Critical, look, "the application does not say that it is well: %s: %s", r, then)}
}
