package doctor

import (
	"context"
	"errors"
	"fmt"

	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/service"
)

// checkUnits asks the service manager for each unit. A restore into service stops
// them, and will not begin when it cannot ask.
func checkUnits(ctx context.Context, x *exam) []Finding {
	m, err := x.Manager()
	if errors.Is(err, errNotGiven) {
		return unknown(err)
	}
	if err != nil {
		return []Finding{found(Critical, []string{"forgectl config show service"}, "%v", err)}
	}
	switch m.Name() {
	case service.None:
		return ok("service.manager is none: a restore stops nothing")
	case service.Command:
		return ok("service.manager is command: a restore runs service.stop and service.start; what runs cannot be asked")
	}
	if len(x.Units) == 0 {
		return []Finding{found(Critical, []string{"forgectl config show service.units"}, "no unit is named for %s: a restore would stop nothing", m.Name())}
	}
	var all []Finding
	for _, unit := range x.Units {
		state, err := m.State(ctx, unit)
		remedy := []string{"forgectl config show service"}
		var unavailable *service.UnavailableError
		switch {
		case errors.As(err, &unavailable):
			all = append(all, found(Unknown, remedy, "%v; %s", err, unavailable.Hint))
			return all // the next one would answer the same
		case errors.Is(err, service.ErrUnitName):
			all = append(all, found(Critical, remedy, "%v", err))
		case err != nil:
			all = append(all, unknown(fmt.Errorf("look at %s: %w", unit, err))...)
		case state == service.NotFound:
			all = append(all, found(Critical, append(listing(m), remedy...), "%s knows no unit %s: a restore would not begin", m.Name(), unit))
		case state == service.Failed:
			all = append(all, found(Warning, status(m, unit), "unit %s has failed", unit))
		default:
			all = append(all, found(OK, nil, "%s knows unit %s: %s", m.Name(), unit, state))
		}
	}
	return all
}

func listing(m service.Manager) []string {
	switch m.Name() {
	case service.Systemd:
		return []string{"systemctl list-unit-files --type=service"}
	case service.Supervisor:
		return []string{"supervisorctl status"}
	}
	return nil
}

func status(m service.Manager, unit string) []string {
	if m.Name() == service.Systemd {
		return []string{"systemctl status " + proc.ShellWord(unit)}
	}
	return []string{"supervisorctl status " + proc.ShellWord(unit)}
}
