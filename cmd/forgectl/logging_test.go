package main

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// fakeSyslog keeps what a syslog daemon would get.
type fakeSyslog struct{ lines []string }

func (f *fakeSyslog) note(severity, m string) error {
	f.lines = append(f.lines, severity+" "+m)
	return nil
}
func (f *fakeSyslog) Debug(m string) error   { return f.note("debug", m) }
func (f *fakeSyslog) Info(m string) error    { return f.note("info", m) }
func (f *fakeSyslog) Warning(m string) error { return f.note("warning", m) }
func (f *fakeSyslog) Err(m string) error     { return f.note("err", m) }

// Each level has its severity; time and level, which syslog has itself, are not
// repeated; secrets do not get out by any way into a log line.
func TestSyslogHandler(t *testing.T) {
	app, _, _ := newTestApp(t)
	var fake fakeSyslog
	log := slog.New(app.newSyslogHandler(&fake, &slog.HandlerOptions{Level: slog.LevelDebug}))
	const url = "postgres://u:hunter2@h/d"
	log.Debug("d")
	log.With("host", url).Info("connect "+url, "list", []string{url})
	log.WithGroup("g").Warn("w", "level", "kept")
	log.Error("e", "error", errors.New("dial "+url))
	want := []string{
		`debug msg=d`,
		`info msg="connect postgres://u:***@h/d" host=postgres://u:***@h/d list=[postgres://u:***@h/d]`,
		`warning msg=w g.level=kept`,
		`err msg=e error="dial postgres://u:***@h/d"`,
	}
	if got := strings.Join(fake.lines, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("syslog got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// Where no syslog daemon listens the run goes on, with a warning, and the lines
// are not lost. (Where one does listen there is nothing to warn of.)
func TestSyslogMissing(t *testing.T) {
	app, _, errs := newTestApp(t)
	app.flags.logTarget = targetSyslog
	app.Logger().Info("hello")
	app.close()
	if app.degraded != strings.Contains(errs.String(), "forgectl: warning: log to syslog: ") || app.degraded != strings.Contains(errs.String(), "msg=hello") {
		t.Errorf("degraded %v, printed %q", app.degraded, errs)
	}
}
