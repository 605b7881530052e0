package restore

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"

	"github.com/bmad-forge/forgectl/pkg/archive"
)

// owners says who gets what comes back: by name where the name is known here, since a rebuilt host has other numbers.
type owners struct {
	permitted bool // only root gives files away
	users     map[string]int
	groups    map[string]int
	unknown   []string
	others    bool // something should have another owner than who runs this
}

func newOwners() *owners {
	return &owners{permitted: os.Geteuid() == 0, users: map[string]int{}, groups: map[string]int{}}
}

func (o *owners) of(e archive.Entry) (uid, gid int) {
	uid = o.look(o.users, "user", e.User, e.UID, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
	gid = o.look(o.groups, "group", e.Group, e.GID, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
	o.others = o.others || uid != os.Geteuid() || gid != os.Getegid()
	return uid, gid
}

func (o *owners) look(known map[string]int, what, name string, id int, find func(string) (string, error)) int {
	if name == "" {
		return id
	}
	if n, found := known[name]; found {
		return n
	}
	n := id
	if text, err := find(name); err != nil {
		o.unknown = append(o.unknown, fmt.Sprintf("the %s %s is not known here: its number %d is used", what, name, id))
	} else if n, err = strconv.Atoi(text); err != nil {
		n = id
	}
	known[name] = n
	return n
}

// warnings are what somebody should know about the owners.
func (o *owners) warnings() []string {
	if !o.permitted && o.others {
		return []string{"owners are not restored: only root may give files away"}
	}
	if !o.permitted {
		return nil
	}
	return slices.Clone(o.unknown)
}

func ownerName(user string, uid int, group string, gid int) string {
	if user == "" {
		user = strconv.Itoa(uid)
	}
	if group == "" {
		group = strconv.Itoa(gid)
	}
	return user + ":" + group
}
