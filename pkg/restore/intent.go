package restore

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bmad-forge/forgectl/pkg/atomicfile"
	"github.com/bmad-forge/forgectl/pkg/catalog"
)

// Stage is how far the exchange of a live database has come. It is written, and
// on stable storage, before what it names begins.
type Stage string

// The stages. Until Swapping nothing but the units has been touched.
const (
	Stopping  Stage = "stopping"  // units are being stopped
	Swapping  Stage = "swapping"  // the renames may have been committed, or not: the server knows
	Starting  Stage = "starting"  // the renames are done; units are started and asked for their health
	Returning Stage = "returning" // the application was not well: the old database is put back
)

// Intent is an exchange of a live database that has begun and not yet ended. As
// long as its file exists, the units may be stopped, and nobody may begin
// another exchange of that database.
type Intent struct {
	Schema  int       `json:"schema"`
	Kind    string    `json:"kind,omitempty"` // "": a database; IntentMedia: a directory
	Action  string    `json:"action"`         // "restore" or "undo"
	Run     string    `json:"run"`            // names the databases: cutover.Run
	Live    string    `json:"live"`
	Server  string    `json:"server"`
	Set     string    `json:"set,omitempty"`
	Stage   Stage     `json:"stage"`
	Started time.Time `json:"started"`
	Host    string    `json:"host"`
	PID     int       `json:"pid"`

	// In is the database that is to become live, Out the one that was. Databases
	// keep their OIDs under whatever name: that is how a killed run is understood.
	In  Moved  `json:"in"`
	Out *Moved `json:"out,omitempty"` // nil: there was no live database

	// Moves are, of a directory, what changes places: the whole of it, or some paths. In.Name and In.Aside are then the
	// directory that holds what comes in, before and after.
	Moves []Move `json:"moves,omitempty"`

	// Units are those that were running, in the order in which they are started again.
	Units []string `json:"units"`
}

// IntentMedia is the Kind of an exchange of files.
const IntentMedia = "media"

// Move is one path that is exchanged. Inodes stay the same under whatever name: that is how a killed run is understood.
type Move struct {
	Path catalog.TreePath `json:"path"`
	In   *FileID          `json:"in,omitempty"`  // nil: nothing takes its place
	Out  *FileID          `json:"out,omitempty"` // nil: there was nothing
}

// FileID is which file or directory something is.
type FileID struct {
	Dev   uint64 `json:"dev"`
	Inode uint64 `json:"inode"`
}

// Moved is a database that changes its name.
type Moved struct {
	OID     uint32 `json:"oid,omitempty"`
	Name    string `json:"name"`              // before the exchange
	Aside   string `json:"aside"`             // when it has been live and is so no longer
	Comment string `json:"comment,omitempty"` // the one it has, or had, as the live database
}

const (
	intentSchema = 1
	intentSuffix = ".json"
)

// ErrOpen means that an earlier exchange of the database has not ended.
var ErrOpen = errors.New("an earlier restore of it has not been finished")

// Intents is the directory of the open ones; it is made when it is needed.
type Intents struct{ Dir string }

func (i Intents) path(kind, live string) string {
	if kind == IntentMedia {
		// No database has this name: "@" would be escaped. A path may be longer than a name can be.
		return filepath.Join(i.Dir, fmt.Sprintf("@media-%.8x%s", sha256.Sum256([]byte(live)), intentSuffix))
	}
	return filepath.Join(i.Dir, catalog.EscapeName(live)+intentSuffix)
}

// begin writes a new intent; ErrOpen when the database has one.
func (i Intents) begin(in Intent) error {
	if err := atomicfile.MkdirAll(i.Dir, 0o700); err != nil {
		return fmt.Errorf("record intent: %w", err)
	}
	if _, err := os.Lstat(i.path(in.Kind, in.Live)); !errors.Is(err, fs.ErrNotExist) {
		return &OpenError{Live: in.Live, Since: in.Started, Media: in.Kind == IntentMedia}
	}
	return i.write(in)
}

// write replaces the intent of a database, durably.
func (i Intents) write(in Intent) error {
	in.Schema = intentSchema
	data, err := json.MarshalIndent(in, "", "  ")
	if err == nil {
		err = atomicfile.Write(i.path(in.Kind, in.Live), 0o600, append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("record intent: %w", err)
	}
	return nil
}

// end removes it: nothing is left to be done.
func (i Intents) end(in Intent) error {
	err := os.Remove(i.path(in.Kind, in.Live))
	if err == nil {
		err = atomicfile.SyncDir(i.Dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("end intent: %w", err)
	}
	return nil
}

// Open is the intent of a live database, nil when there is none.
func (i Intents) Open(_ context.Context, live string) (*Intent, error) { return i.open("", live) }

// OpenMedia is the intent of a live directory, nil when there is none.
func (i Intents) OpenMedia(_ context.Context, live string) (*Intent, error) {
	return i.open(IntentMedia, live)
}

func (i Intents) open(kind, live string) (*Intent, error) {
	in, err := i.read(i.path(kind, live))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return in, err
}

// List is every open intent. One that cannot be read is an error: it must not be
// overlooked.
func (i Intents) List(context.Context) ([]Intent, error) {
	entries, err := os.ReadDir(i.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list open restores: %w", err)
	}
	var open []Intent
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), intentSuffix) || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		in, err := i.read(filepath.Join(i.Dir, e.Name()))
		if err != nil {
			return open, err
		}
		open = append(open, *in)
	}
	slices.SortFunc(open, func(a, b Intent) int { return strings.Compare(a.Live, b.Live) })
	return open, nil
}

func (i Intents) read(path string) (*Intent, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var in Intent
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, fmt.Errorf("read open restore %s: %w", path, err)
	}
	if in.Schema > intentSchema {
		return nil, fmt.Errorf("read open restore %s: %w", path, catalog.ErrNewer)
	}
	switch {
	case in.Kind == IntentMedia && filepath.IsAbs(in.Live) && filepath.IsAbs(in.In.Name) && filepath.IsAbs(in.In.Aside) && len(in.Moves) > 0:
	case in.Kind == "" && in.Live != "" && in.In.OID != 0:
	default:
		return nil, fmt.Errorf("read open restore %s: it does not name what is exchanged", path)
	}
	return &in, nil
}
