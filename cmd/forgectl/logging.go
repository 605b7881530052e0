package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"log/syslog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

const (
	logText = "text"
	logJSON = "json"

	targetStderr = "stderr"
	targetSyslog = "syslog"
)

// Logger is where log lines go: nowhere, unless -v was given or a target that
// is not standard error. A target that does not work is a warning, because a
// backup is worth more than its log.
func (a *App) Logger() *slog.Logger {
	if a.logger == nil {
		a.logger = slog.New(a.logHandler())
	}
	return a.logger
}

func (a *App) logHandler() slog.Handler {
	target := a.flags.logTarget
	if target == targetStderr && a.flags.verbose == 0 {
		return slog.DiscardHandler
	}
	level := slog.LevelInfo
	if a.flags.verbose > 1 {
		level = slog.LevelDebug
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: a.scrubAttr}
	switch target {
	case targetStderr:
		return a.format(a.Streams.Err, options)
	case targetSyslog:
		w, err := syslog.New(syslog.LOG_LOCAL0|syslog.LOG_INFO, program)
		if err != nil {
			a.warn(fmt.Sprintf("log to syslog: %v", err))
			return a.format(a.Streams.Err, options)
		}
		a.onClose(w)
		return a.newSyslogHandler(w, options)
	default:
		f, err := openLog(target)
		if err != nil {
			a.warn(fmt.Sprintf("log to %s: %v", target, err))
			return a.format(a.Streams.Err, options)
		}
		a.onClose(f)
		return a.format(f, options)
	}
}

func (a *App) format(w io.Writer, options *slog.HandlerOptions) slog.Handler {
	if a.flags.logFormat.value == logJSON {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

// scrubAttr keeps secrets out of every attribute and message.
func (a *App) scrubAttr(_ []string, attr slog.Attr) slog.Attr {
	switch attr.Value.Kind() {
	case slog.KindString:
		attr.Value = slog.StringValue(a.scrub(attr.Value.String()))
	case slog.KindAny:
		switch v := attr.Value.Any().(type) {
		case error:
			attr.Value = slog.StringValue(a.scrub(v.Error()))
		case fmt.Stringer, []string:
			attr.Value = slog.StringValue(a.scrub(fmt.Sprint(v)))
		}
	}
	return attr
}

// openLog appends to a log file. A new one gets the owner of its directory, so
// that root's first run does not shut the service user out. No link is followed:
// in a directory of another user it could make root write anywhere. A named pipe
// that nobody reads is an error and does not block.
func openLog(path string) (*os.File, error) {
	const flags = os.O_WRONLY | os.O_APPEND | syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	f, err := os.OpenFile(path, flags|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return os.OpenFile(path, flags, 0)
	}
	if err != nil {
		return nil, err
	}
	if err := giveToDirOwner(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func giveToDirOwner(f *os.File) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(filepath.Dir(f.Name()))
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return f.Chown(int(st.Uid), int(st.Gid))
	}
	return nil
}

// syslogger is the part of *syslog.Writer that is used.
type syslogger interface {
	Debug(m string) error
	Info(m string) error
	Warning(m string) error
	Err(m string) error
}

// syslogHandler gives each record the severity of its level.
type syslogHandler struct {
	slog.Handler // formats into buf
	mu           *sync.Mutex
	buf          *bytes.Buffer
	w            syslogger
}

func (a *App) newSyslogHandler(w syslogger, options *slog.HandlerOptions) slog.Handler {
	plain := *options
	plain.ReplaceAttr = func(groups []string, attr slog.Attr) slog.Attr {
		// syslog has both itself.
		if len(groups) == 0 && (attr.Key == slog.TimeKey || attr.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a.scrubAttr(groups, attr)
	}
	buf := new(bytes.Buffer)
	return &syslogHandler{a.format(buf, &plain), new(sync.Mutex), buf, w}
}

func (h *syslogHandler) Handle(ctx context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buf.Reset()
	if err := h.Handler.Handle(ctx, r); err != nil {
		return err
	}
	line := string(bytes.TrimRight(h.buf.Bytes(), "\n"))
	switch {
	case r.Level >= slog.LevelError:
		return h.w.Err(line)
	case r.Level >= slog.LevelWarn:
		return h.w.Warning(line)
	case r.Level >= slog.LevelInfo:
		return h.w.Info(line)
	}
	return h.w.Debug(line)
}

func (h *syslogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &syslogHandler{h.Handler.WithAttrs(attrs), h.mu, h.buf, h.w}
}

func (h *syslogHandler) WithGroup(name string) slog.Handler {
	return &syslogHandler{h.Handler.WithGroup(name), h.mu, h.buf, h.w}
}
