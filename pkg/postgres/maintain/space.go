package maintain

import (
	"errors"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// Space is what is known of the file systems of the server.
type Space struct {
	Dir     string // the data directory; "" when the role may not ask
	Unknown string // why nothing is known; "" when something is

	ask func(path string) (int64, error)
}

var errUnknownSpace = errors.New("unknown")

func (o Options) space(server postgres.Server) Space {
	s := Space{Dir: server.DataDirectory, ask: o.Free}
	switch {
	case !o.Endpoint.OnThisHost():
		s.Unknown = "the server is on another host"
	case s.Dir == "":
		s.Unknown = "the role may not see where the server keeps its data (pg_read_all_settings)"
	case o.Free == nil:
		s.Unknown = "it was not asked for"
	default:
		if _, err := o.Free(s.Dir); err != nil {
			s.Unknown = err.Error()
		}
	}
	return s
}

// dir is where a tablespace lies.
func (s Space) dir(tablespace string) string {
	if tablespace != "" {
		return tablespace
	}
	return s.Dir
}

func (s Space) free(tablespace string) (int64, error) {
	if s.Unknown != "" || s.ask == nil {
		return 0, errUnknownSpace
	}
	return s.ask(s.dir(tablespace))
}

// Free is the room where the data directory is, or -1 when that is not known.
func (s Space) Free() int64 {
	n, err := s.free("")
	if err != nil {
		return -1
	}
	return n
}

// copied is how much is written anew beside what is there. A copy is taken to be
// as large as the original: that it will be smaller is only an estimate.
func copied(item Item) int64 {
	switch item.Action {
	case Full:
		return item.Bytes()
	case Reindex:
		return item.Indexes
	}
	return 0
}
